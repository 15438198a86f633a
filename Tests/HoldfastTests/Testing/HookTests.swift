// SPDX-License-Identifier: Apache-2.0
//
// Being somebody else between two calls.

import Foundation
import Holdfast
import HoldfastTesting
import Synchronization
import Testing

@Suite
struct HookTests {
    let fileSystem = SimulatedFileSystem()

    @Test
    func theHookRunsBeforeEachCallWithItsNumber() throws {
        let seen = Mutex<[String]>([])
        fileSystem.onCall = { number, call in seen.withLock { $0.append("\(number) \(call)") } }
        let directory = try fileSystem.directory()
        fileSystem.resetCalls()
        _ = try directory.names()
        #expect(try errnoLeft { _ = try directory.open(directory.name("a"), .read) } == ENOENT)
        fileSystem.onCall = nil
        _ = try directory.names()
        let flags = "O_RDONLY|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK|O_NOCTTY"
        #expect(seen.withLock { $0.dropFirst() } == ["1 readdir(1000) = ?", "2 openat(1000, \"a\", \(flags)) = ?"])
        #expect(
            fileSystem.calls.map(\.description) == [
                "readdir(1000) = 0", "openat(1000, \"a\", \(flags)) = -1 ENOENT", "readdir(1000) = 0",
            ]
        )
    }

    @Test
    func somebodyElseComesBetween() throws {
        let directory = try fileSystem.directory()
        try fileSystem.write("/a", [1])
        fileSystem.resetCalls()
        fileSystem.onCall = { [fileSystem] number, call in
            if number == 2 { fileSystem.remove(call.path ?? "") }
        }
        let name = try directory.name("a")
        #expect(try directory.status(of: name) != nil)
        #expect(try errnoLeft { try directory.unlink(name) } == ENOENT)
    }

    /// Somebody else may use whatever stands on the file system, and is not seen, failed or interrupted in turn.
    @Test
    func whatTheHookDoesIsNobodysCall() throws {
        let directory = try fileSystem.directory()
        fileSystem.resetCalls()
        fileSystem.faults = .fail(call: 2, with: EIO)
        fileSystem.onCall = { [fileSystem] number, _ in
            let other = try? fileSystem.directory()
            try? other?.write("\(number)", "text")
        }
        #expect(try directory.names() == ["1"])
        #expect(try errnoLeft { _ = try directory.names() } == EIO)
        #expect(fileSystem.names(in: "/") == ["1", "2"])
        #expect(fileSystem.calls.map(\.function) == ["readdir", "readdir"])
        #expect(fileSystem.openDescriptorCount == 1)
    }

    @Test
    func aTestCanBeSomebodyElseToo() throws {
        let directory = try fileSystem.directory()
        fileSystem.resetCalls()
        let theirs = try fileSystem.asSomebodyElse {
            let file = try directory.open(directory.name("lock"), .createNew(permissions: 0o600))
            #expect(try file.tryLock(.flock, exclusive: true))
            return file.relinquish()
        }
        let ours = try directory.open(directory.name("lock"), .readWrite)
        #expect(try !ours.tryLock(.flock, exclusive: true))
        #expect(fileSystem.calls.map(\.function) == ["openat", "flock"])
        #expect(fileSystem.calls.last?.failure == EAGAIN)
        try fileSystem.asSomebodyElse { try fileSystem.close(theirs) }
        #expect(try ours.tryLock(.flock, exclusive: true))
    }

    /// A call that the hook makes the record forget is performed, and nobody else's record is touched.
    @Test
    func theRecordCanBeResetInTheHook() throws {
        let directory = try fileSystem.directory()
        fileSystem.onCall = { [fileSystem] _, call in
            if call.function == "mkdirat" { fileSystem.resetCalls() }
        }
        try fileSystem.makeDirectory("a", in: directory.descriptor.rawValue, permissions: 0o700)
        #expect(fileSystem.calls == [])
        #expect(try directory.names() == ["a"])
        #expect(fileSystem.calls.map(\.function) == ["readdir"])
    }

    @Test
    func manyThreadsMayUseIt() async throws {
        let directory = try fileSystem.directory()
        fileSystem.resetCalls()
        try await withThrowingTaskGroup { group in
            for task in 0..<8 {
                group.addTask { [fileSystem] in
                    for number in 0..<50 { try directory.write("\(task)-\(number)", "\(number)") }
                    #expect(fileSystem.contents(of: "\(task)-49") == Array("49".utf8))
                }
            }
            try await group.waitForAll()
        }
        #expect(fileSystem.calls.count == 1600)
        #expect(fileSystem.names(in: "/")?.count == 400)
        #expect(fileSystem.calls.allSatisfy { $0.failure == nil && $0.result != nil })
    }
}
