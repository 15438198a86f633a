// SPDX-License-Identifier: Apache-2.0
//
// PID files on a file system that knows its files by their paths: a name that linkat(2) makes leads to another object in the
// kernel than the file that was linked, with the same inode number.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory, .timeLimit(.minutes(60)))
struct PIDFileByPathTests {
    /// Two of them, which must exclude each other.
    private func check(in directory: OpenDirectory) throws {
        let name = try directory.name("service.pid")
        let (first, second) = (try PIDFile(name, in: directory), try PIDFile(name, in: directory))
        for _ in 0..<3 {
            let lock = try require(first.tryLock())
            #expect(lock.abandoned == nil)
            #expect(try lock.isStillInPlace())
            #expect(try directory.read("service.pid").hasPrefix("\(getpid())\n"))
            try expectBusy(second.tryLock())
            guard case .alive = try second.removeIfStale() else { throw Failed("not alive") }
            try lock.release()
            // libfuse shows what is open and has been removed, until it is closed, under a name of its own.
            #expect(try directory.names().filter { !$0.hasPrefix(".fuse_hidden") } == [])
        }
    }

    @Test("Two PID files exclude each other where each name has locks of its own")
    func simulated() throws {
        let fileSystem = SimulatedFileSystem()
        fileSystem.knowsFilesByPath = true
        let directory = try fileSystem.directory()
        // What the simulation is: the lock on the linked file says nothing about the name.
        let made = try directory.open(directory.name("made"), .createNew(permissions: 0o600))
        #expect(try made.tryLock(.flock, exclusive: true))
        try directory.link(directory.name("made"), to: directory.name("linked"))
        let linked = try directory.open(directory.name("linked"), .readWrite)
        #expect(try linked.status().identity == made.status().identity)
        #expect(try linked.tryLock(.flock, exclusive: true))
        for name in ["made", "linked"] { try directory.unlink(directory.name(name)) }
        try check(in: directory)
    }

    @Test("Whatever call a rival comes before, one of the two has the PID file, and none is told of a death")
    func rival() throws {
        var outcomes: Set<String> = []
        for boundary in 1... {
            let fileSystem = SimulatedFileSystem()
            fileSystem.knowsFilesByPath = true
            let directory = try fileSystem.directory()
            let name = try directory.name("service.pid")
            let rival = Rival()
            fileSystem.resetCalls()
            fileSystem.onCall = { number, _ in
                if number == boundary { rival.lock(name, in: directory) }
            }
            let attempt = try PIDFile(name, in: directory).tryLock()
            fileSystem.onCall = nil
            let count = fileSystem.calls.count
            switch consume attempt {
            case .acquired(let lock):
                #expect(lock.abandoned == nil)
                #expect(!rival.hasLock || count < boundary, "both have it at call \(boundary)")
                outcomes.insert("ours")
            case .busy:
                #expect(rival.hasLock, "neither has it at call \(boundary)")
                outcomes.insert("the rival's")
            }
            if count < boundary { break }
        }
        #expect(outcomes == ["ours", "the rival's"])
    }

    /// Tries once, and keeps what it gets.
    private final class Rival: @unchecked Sendable {
        private var held: KeptLock?
        var hasLock: Bool { held != nil }

        func lock(_ name: FileName, in directory: OpenDirectory) {
            guard let file = try? PIDFile(name, in: directory), case .acquired(let lock)? = try? file.tryLock() else {
                return
            }
            #expect(lock.abandoned == nil)
            held = KeptLock(lock)
        }
    }

    @Test("Two PID files exclude each other on bindfs")
    func bindfs() throws {
        let (source, point) = (TemporaryDirectory.current + "/source", TemporaryDirectory.current + "/point")
        for path in [source, point] { _ = try OpenDirectory(makingPath: path) }
        guard let server = try? Child("/usr/bin/env", ["bindfs", source, point]), server.wait() == 0 else {
            print("NOT RUN: \(#function): bindfs is not installed, or may not mount here")
            return
        }
        defer {
            for tool in [["fusermount", "-uz", point], ["fusermount3", "-uz", point], ["umount", "-l", point]] {
                if let unmount = try? Child("/usr/bin/env", tool), unmount.wait() == 0 { break }
            }
        }
        try check(in: OpenDirectory(point))
    }
}
