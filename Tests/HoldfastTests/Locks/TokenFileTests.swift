// SPDX-License-Identifier: Apache-2.0
//
// The companion `.NAME.guard` in the hands of a stranger, who holds it for as long as he likes.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory, .timeLimit(.minutes(60)))
struct TokenFileTests {
    /// A guard that somebody has locked who does not let go.
    private func lockGuard(of name: String, in directory: OpenDirectory) throws -> Descriptor {
        let guardFile = try directory.open(directory.name(".\(name).guard"), .readWriteOrCreate(permissions: 0o600))
        #expect(try guardFile.tryLock(.flock, exclusive: true))
        return guardFile
    }

    @Test(
        "A try that finds the guard locked is busy at once, names who has it, and holds nothing",
        arguments: Ground.allCases
    )
    func triesOnce(ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let stranger = try lockGuard(of: "a.lock", in: directory)
        let file = try LockFile(directory.name("a.lock"), in: directory)
        switch try file.tryLock() {
        case .acquired: throw Failed("acquired without a token")
        case .busy(let holder): #expect(holder.note?.contains(".a.lock.guard") == true)
        }
        let other = try directory.open(directory.name("a.lock"), .readWrite)
        for kind in [LockFamily.flock, .openFileDescription] {
            #expect(try other.tryLock(kind, exclusive: true))
            other.unlock(kind)
        }
        stranger.unlock(.flock)
        try require(file.tryLock()).release()
    }

    @Test("A wait for a locked guard ends by its deadline, on a thread and in a task, and says who has the guard")
    func keepsDeadlines() async throws {
        let directory = try Ground.kernel.makeDirectory()
        let stranger = try lockGuard(of: "a.lock", in: directory)
        let file = try LockFile(directory.name("a.lock"), in: directory)
        func namesTheGuard(_ error: LockError?) -> Bool {
            #expect(error?.code == .timedOut)
            #expect(error?.path == file.path)
            #expect(error?.reason == "the deadline passed")
            return error?.holder?.note?.contains(".a.lock.guard") == true
        }
        // A wait is told of the guard by the reactor's first attempt, which on a busy machine may come late.
        func waits(_ wait: (ContinuousClock.Instant) async -> LockError?) async {
            #expect(namesTheGuard(await wait(.now)))
            for milliseconds in [50, 500, 5000, 50_000] {
                if namesTheGuard(await wait(.now + .milliseconds(milliseconds))) { return }
            }
            Issue.record("nobody was named")
        }
        await waits { deadline in
            #expect(throws: LockError.self) { try blocking { try file.lock(deadline: deadline).release() } }
        }
        await waits { deadline in
            await #expect(throws: LockError.self) { try await file.lock(deadline: deadline).release() }
        }
        #expect(file.site.waitingCount == 0)
        stranger.unlock(.flock)
    }

    @Test("Who waits for a locked guard keeps nobody else waiting, and gets his lock when the guard is free")
    func keepsNobodyWaiting() async throws {
        let directory = try Ground.kernel.makeDirectory()
        let stranger = try lockGuard(of: "a.lock", in: directory)
        let (first, second) = (
            try LockFile(directory.name("a.lock"), in: directory), try LockFile(directory.name("b.lock"), in: directory)
        )
        let waiter = Task { try await first.withLock { lock in lock.token } }
        try await waitUntil { first.site.waitingCount == 1 }
        let held = KeptLock(try await second.lock())
        let other = Task { try await second.lock().release() }
        try await waitUntil { second.site.waitingCount == 1 }
        try held.release()
        try await other.value
        #expect(first.site.waitingCount == 1)
        stranger.unlock(.flock)
        #expect(try await waiter.value == FencingToken(1))
    }

    @Test("A lock that is refused because of its guard makes no lock file", arguments: Ground.allCases)
    func refusedLeavesNothing(ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let file = try LockFile(directory.name("a.lock"), in: directory)
        func expectRefused() throws {
            let error = #expect(throws: LockError.self) { try require(file.tryLock()).release() }
            #expect(error?.code == .refused)
            #expect(error?.path.hasSuffix(".a.lock.guard") == true)
            #expect(try directory.names() == [".a.lock.guard"])
            try directory.unlink(directory.name(".a.lock.guard"))
        }
        try directory.write(".a.lock.guard", "somebody's data\n")
        try expectRefused()
        try directory.makeSymbolicLink(".a.lock.guard", to: "elsewhere")
        try expectRefused()
        try directory.makeFIFO(".a.lock.guard")
        try expectRefused()
        try require(file.tryLock()).release()
    }
}

/// Runs blocking code from a task on purpose.
private func blocking(_ body: () throws -> Void) throws {
    try body()
}
