// SPDX-License-Identifier: Apache-2.0
//
// Which calls a plan makes go wrong, and what has happened after one that did.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite
struct FaultPlanTests {
    let fileSystem = SimulatedFileSystem()

    @Test
    func theCountedCallFailsAndNothingHasHappened() throws {
        let directory = try fileSystem.directory()
        try fileSystem.write("/a", [1])
        fileSystem.faults = .fail(call: 2, with: EACCES)
        try directory.link(directory.name("a"), to: directory.name("b"))
        #expect(try errnoLeft { try directory.unlink(directory.name("a")) } == EACCES)
        #expect(fileSystem.names(in: "/") == ["a", "b"])
        try directory.unlink(directory.name("a"))
        #expect(fileSystem.names(in: "/") == ["b"])
        #expect(fileSystem.calls.map(\.isFaulted) == [false, false, true, false])
        // Setting a plan starts the count again.
        fileSystem.faults = .fail(call: 1, with: EIO)
        #expect(try errnoLeft { try directory.unlink(directory.name("b")) } == EIO)
    }

    @Test
    func theCallsThatMatchFail() throws {
        let directory = try fileSystem.directory()
        let file = try directory.openUnnamed()
        fileSystem.faults = .failEvery(with: EINVAL) { $0.function == "fsync" && $0.isOnDirectory }
        try file.sync(.full)
        for _ in 0..<3 {
            let itself = try directory.openItself()
            #expect(try errnoLeft { try itself.sync(.full) } == EINVAL)
        }
        fileSystem.faults = .failEvery(with: EIO, times: 2) { $0.path == "/a" }
        let name = try directory.name("a")
        #expect(try errnoLeft { _ = try directory.status(of: name) } == EIO)
        #expect(try errnoLeft { _ = try directory.open(name, .read) } == EIO)
        #expect(try errnoLeft { _ = try directory.open(name, .read) } == ENOENT)
    }

    @Test
    func plansAddUpAndTheFirstDecides() throws {
        let directory = try fileSystem.directory()
        fileSystem.faults = .fail(call: 2, with: EIO).and(.failEvery(with: EACCES) { $0.function == "readdir" })
        #expect(try errnoLeft { _ = try directory.names() } == EACCES)
        #expect(try errnoLeft { _ = try directory.names() } == EIO)
        fileSystem.faults = .none
        #expect(try directory.names() == [])
    }

    @Test(arguments: [EIO, EINTR, ENOSPC])
    func aCloseThatFailsCloses(_ code: Int32) throws {
        let directory = try fileSystem.directory()
        let file = try directory.open(directory.name("a"), .createNew(permissions: 0o600))
        _ = try file.tryLock(.flock, exclusive: true)
        fileSystem.faults = .failEvery(with: code) { $0.function == "close" }
        do {
            try file.close()
            Issue.record("it was not reported")
        } catch {
            #expect(error.code == code)
        }
        #expect(fileSystem.openDescriptorCount == 1)
        #expect(fileSystem.heldLocks == [])
    }

    /// As the real calls do: a lock that is busy is an answer and not an error.
    @Test
    func aLockThatIsMadeBusyIsBusy() throws {
        let file = try fileSystem.directory().openUnnamed()
        let codes = [EAGAIN, EACCES, ENOLCK, EACCES]
        fileSystem.faults = codes.enumerated().reduce(.none) { $0.and(.fail(call: $1.offset + 1, with: $1.element)) }
        #expect(try !file.tryLock(.flock, exclusive: true))
        #expect(try !file.tryLock(.openFileDescription, exclusive: true))
        #expect(try errnoLeft { _ = try file.tryLock(.flock, exclusive: true) } == ENOLCK)
        #expect(try errnoLeft { _ = try file.tryLock(.flock, exclusive: true) } == EACCES)
        #expect(fileSystem.heldLocks == [])
    }

    @Test
    func errorsNameTheCallAsTheRealOnesDo() throws {
        let directory = try fileSystem.directory()
        let file = try directory.openUnnamed()
        let name = try directory.name("a")
        let calls: [(String, () throws -> Void)] = [
            ("open", { _ = try fileSystem.directory() }),
            ("openat", { _ = try directory.openItself() }),
            ("openat", { _ = try directory.open(name, .read) }),
            ("openat(O_TMPFILE)", { _ = try directory.openUnnamed() }),
            ("fstat", { _ = try fileSystem.status(3) }),
            ("fstatat", { _ = try directory.status(of: name) }),
            ("renameat", { try directory.rename(name, to: name, replacing: true) }),
            ("renameat2", { try directory.rename(name, to: name, replacing: false) }),
            ("linkat", { try directory.link(name, to: name) }),
            ("unlinkat", { try directory.unlink(name) }),
            ("readdir", { _ = try directory.names() }),
            ("fcntl(F_OFD_SETLK)", { _ = try fileSystem.tryLock(3, .openFileDescription, exclusive: true) }),
            ("fcntl(F_OFD_GETLK)", { _ = try fileSystem.isRangeLocked(3) }),
            ("flock", { _ = try fileSystem.tryLock(3, .flock, exclusive: true) }),
        ]
        for (name, call) in calls {
            fileSystem.faults = .fail(call: 1, with: EIO)
            #expect(throws: SystemError(call: name, code: EIO)) { try call() }
        }
        _ = consume file
    }
}
