// SPDX-License-Identifier: Apache-2.0
//
// Exclusive locks on files that may only be read, as flock(1) takes them: without a record, and so without a token.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory, .timeLimit(.minutes(60)))
struct UnwritableLockFileTests {
    private func makeDirectory(_ code: Int32, content: String) throws -> (SimulatedFileSystem, OpenDirectory) {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        try directory.write("a.lock", content)
        fileSystem.faults = .failEvery(with: code) { $0.function == "openat" && $0.flags.contains("O_RDWR") }
        return (fileSystem, directory)
    }

    @Test("A file that may only be read can be locked exclusively, and stays as it is", arguments: [EROFS, EACCES])
    func exclusive(code: Int32) throws {
        for content in ["", "precious data\n"] {
            let (fileSystem, directory) = try makeDirectory(code, content: content)
            let name = try directory.name("a.lock")
            let (first, second) = (try LockFile(name, in: directory), try LockFile(name, in: directory))
            for _ in 0..<3 {
                let lock = try require(first.tryLock())
                #expect(lock.mode == .exclusive && lock.token == nil && lock.abandoned == nil)
                #expect(try lock.isStillInPlace())
                try expectBusy(second.tryLock())
                try expectBusy(second.tryLock(.shared))
                try lock.release()
            }
            let shared = try require(first.tryLock(.shared))
            try expectBusy(second.tryLock())
            try shared.release()
            #expect(fileSystem.contents(of: "/a.lock") == Array(content.utf8))
            #expect(fileSystem.names(in: "/") == ["a.lock"])
            #expect(fileSystem.heldLocks.isEmpty)
        }
    }

    @Test("Writable again, it is locked with a token again")
    func writableAgain() throws {
        let (fileSystem, directory) = try makeDirectory(EROFS, content: "")
        let file = try LockFile(directory.name("a.lock"), in: directory)
        try require(file.tryLock()).release()
        fileSystem.faults = .none
        let lock = try require(file.tryLock())
        #expect(lock.token == FencingToken(1))
        try lock.release()
    }

    @Test("Who died with the lock is reported, and the other family and a living PID are respected")
    func respects() throws {
        let (fileSystem, directory) = try makeDirectory(EROFS, content: "")
        let name = try directory.name("a.lock")
        var process = ProcessIdentity.current
        process.pid = Processes.deadPID
        try fileSystem.asSomebodyElse { try directory.writeRecord(of: process, to: "a.lock") }
        #expect(try require(LockFile(name, in: directory).tryLock()).abandoned?.record?.process == process)
        let range = try LockFile(name, in: directory, family: .openFileDescription)
        let error = #expect(throws: LockError.self) { try require(range.tryLock()).release() }
        #expect(error?.code == .unsupported)
        #expect(error?.description.contains("may only be read") == true)
        try Processes.withSleeper { pid in
            try fileSystem.asSomebodyElse { try directory.write("a.lock", "\(pid)\n") }
            try expectBusy(LockFile(name, in: directory).tryLock())
        }
        // A user of the other family, who was here before there was a record.
        let plan = fileSystem.faults
        fileSystem.faults = .none
        try directory.write("a.lock", "")
        let other = try directory.open(name, .readWrite)
        fileSystem.faults = plan
        #expect(try other.tryLock(.openFileDescription, exclusive: true))
        try expectBusy(LockFile(name, in: directory).tryLock())
    }

    @Test("An exclusive open-file-description lock is unsupported also behind a shared one that waits")
    func rangeLockBehindAShared() async throws {
        let (fileSystem, directory) = try makeDirectory(EROFS, content: "")
        let name = try directory.name("a.lock")
        let plan = fileSystem.faults
        fileSystem.faults = .none
        let holder = try directory.open(name, .readWrite)
        #expect(try holder.tryLock(.openFileDescription, exclusive: true))
        fileSystem.faults = plan
        let file = try LockFile(name, in: directory, family: .openFileDescription)
        let shared = Task { try await file.lock(.shared).release() }
        try await waitUntil { file.site.waitingCount == 1 }
        let exclusive = Task { try await file.lock(.exclusive).release() }
        try await waitUntil { file.site.waitingCount == 2 }
        holder.unlock(.openFileDescription)
        try await shared.value
        let error = await #expect(throws: LockError.self) { try await exclusive.value }
        #expect(error?.code == .unsupported)
    }

    @Test("A file that is not there, and PID files, cannot be made where nothing can be written")
    func absent() throws {
        let (fileSystem, directory) = try makeDirectory(EROFS, content: "")
        fileSystem.remove("/a.lock")
        let name = try directory.name("a.lock")
        let error = #expect(throws: LockError.self) { try require(LockFile(name, in: directory).tryLock()).release() }
        #expect(error?.cause?.code == EROFS)
        #expect(throws: LockError.self) { try require(PIDFile(name, in: directory).tryLock()).release() }
    }

    @Test("A waiter gets the lock of a file that it may only read")
    func waits() async throws {
        let directory = try Ground.kernel.makeDirectory()
        let name = try directory.name("a.lock")
        try directory.write("a.lock", "")
        guard geteuid() != 0 else {
            print("NOT RUN: \(#function) needs a user who is not root; RootOnlyTests has its like")
            return
        }
        let readOnly: [FileAttributeKey: Any] = [.posixPermissions: 0o444]
        try FileManager.default.setAttributes(readOnly, ofItemAtPath: "\(directory.path)/a.lock")
        let file = try LockFile(name, in: directory)
        let held = KeptLock(try await file.lock())
        let waiter = Task { try await file.withLock(.exclusive) { hold in hold.abandoned } }
        try await waitUntil { file.site.waitingCount == 1 }
        try held.release()
        #expect(try await waiter.value == nil)
        let error = await #expect(throws: LockError.self) { try await file.withLock { grant in print(grant.fence) } }
        #expect(error?.code == .refused)
        #expect(error?.reason.contains("withLock(.exclusive)") == true)
    }
}
