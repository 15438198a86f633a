// SPDX-License-Identifier: Apache-2.0
//
// Arenas that were not made but found: copies with holes, or that share their blocks with another file. A store into such
// a mapping needs a block, and when the disk is full there is none. Root alone can mount the small disks for that.

import Foundation
import Holdfast
import Testing

@Suite(.temporaryDirectory, .serialized, .timeLimit(.minutes(60)))
struct ArenaBlockTests {
    private let path = TemporaryDirectory.current

    /// A small disk, mounted on a new directory; nil, and a line in the output, where that cannot be done.
    private func disk(_ type: String, megabytes: Int) throws -> Mount? {
        guard isRoot() else { return nil }
        let image = "\(path)/image"
        try Data().write(to: URL(filePath: image))
        guard unsafe truncate(image, off_t(megabytes) << 20) == 0, try Mount.run("mkfs.\(type)", ["-q", image]) else {
            print("NOT RUN: mkfs.\(type) is not here")
            return nil
        }
        try FileManager.default.createDirectory(atPath: "\(path)/disk", withIntermediateDirectories: false)
        return try Mount(["-o", "loop", image, "\(path)/disk"], at: "\(path)/disk")
    }

    private func fill() throws {
        for size in ["1M", "64k", "4k", "1k"] {
            let file = "\(path)/disk/fill.\(size)"
            _ = try Mount.run("dd", ["if=/dev/zero", "of=\(file)", "bs=\(size)", "oflag=append", "conv=notrunc"])
        }
        _ = try Mount.run("sync", ["-f", "\(path)/disk"])
    }

    private func makeRoom() throws {
        // A full disk may have had no room for the last of them.
        for size in ["1M", "64k", "4k", "1k"] {
            try? FileManager.default.removeItem(atPath: "\(path)/disk/fill.\(size)")
        }
        _ = try Mount.run("sync", ["-f", "\(path)/disk"])
    }

    /// Takes every mutex of an arena of 1000, or returns the error of opening it.
    private static func use(_ path: String) throws -> LockError? {
        do throws(LockError) {
            let arena = try MutexArena(path, count: 1000)
            for index in 0..<arena.count { try arena[index].lock().release() }
            return nil
        } catch {
            return error
        }
    }

    private static let copies = [
        ("ext4", 24, ["--sparse=always"]), ("xfs", 320, ["--sparse=always"]), ("xfs", 320, ["--reflink=always"]),
    ]

    @Test(
        "On a full disk such a copy is an error that says so, and no signal; with room it has its blocks for ever",
        arguments: copies
    )
    func copiedArena(type: String, megabytes: Int, options: [String]) async throws {
        guard let disk = try disk(type, megabytes: megabytes) else { return }
        let arena = "\(path)/disk/a"
        let copy = "\(path)/disk/copy"
        #expect(try Self.use(arena) == nil)
        _ = try Mount.run("sync", ["-f", "\(path)/disk"])
        #expect(try Mount.run("cp", options + [arena, copy]))
        let whole = try Data(contentsOf: URL(filePath: copy))
        try fill()
        await #expect(processExitsWith: .success) { [copy = copy as String] in
            let error = try ArenaBlockTests.use(copy)
            precondition(error?.code == .systemFailure && error?.cause?.code == ENOSPC, "\(String(describing: error))")
            precondition(error?.reason.contains("disk is full") == true)
        }
        #expect(try Data(contentsOf: URL(filePath: copy)) == whole)
        try makeRoom()
        await #expect(processExitsWith: .success) { [copy = copy as String] in
            let count = try MutexArena(copy, count: 1000).count
            precondition(count == 1000)
        }
        try fill()
        await #expect(processExitsWith: .success) { [copy = copy as String] in
            let error = try ArenaBlockTests.use(copy)
            precondition(error == nil, "\(String(describing: error))")
        }
        withExtendedLifetime(disk) {}
    }

    @Test("Opening fills the holes of a copy and changes none of its bytes")
    func holes() throws {
        let arena = path + "/a"
        do { #expect(try Self.use(arena) == nil) }
        guard try Mount.run("cp", ["--sparse=always", arena, arena + ".copy"]) else { return }
        let before = try Data(contentsOf: URL(filePath: arena + ".copy"))
        #expect(try MutexArena(arena + ".copy", count: 1000).count == 1000)
        let after = try Data(contentsOf: URL(filePath: arena + ".copy"))
        // All but the slot's generation and PID.
        #expect(before[..<4096] == after[..<4096] && before[4104...] == after[4104...])
        var status = stat()
        #expect(unsafe stat(arena + ".copy", &status) == 0)
        #expect(status.st_blocks * 512 >= status.st_size)
    }
}
