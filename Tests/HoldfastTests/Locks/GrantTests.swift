// SPDX-License-Identifier: Apache-2.0
//
// The one shape of `withLock`, `lock` and `tryLock`: what is granted, who is in the way, and until when is waited.

import Foundation
import Holdfast
import Testing

@Suite(.temporaryDirectory)
struct GrantTests {
    private var path: String { TemporaryDirectory.current + "/a.lock" }

    @Test("A grant has the token and the fence of its lock, and may be kept")
    func grants() async throws {
        let file = try LockFile(path)
        let first = try await file.withLock { grant in grant }
        #expect(first.token == FencingToken(1))
        #expect(first.fence == Fence(FencingToken(1)))
        #expect(first.abandoned == nil)
        let second = try inThread { try file.withLock(timeout: .seconds(600)) { grant in grant } }
        #expect(second.token == FencingToken(2))
        let lock = try await file.lock()
        #expect(lock.fence == Fence(FencingToken(3)))
        try lock.release()
    }

    @Test("A shared lock is lent without a token, beside others")
    func shared() async throws {
        let file = try LockFile(path)
        let isBesideAnother = try await file.withLock(.shared) { hold in
            #expect(hold.abandoned == nil)
            return try inThread {
                try LockFile(path).withLock(.shared, timeout: .zero) { _ in true }
            }
        }
        #expect(isBesideAnother)
    }

    @Test("The next grant names the process that died, as a holder")
    func abandoned() async throws {
        await #expect(processExitsWith: .success) { [path = path as String] in
            exitHolding(try await LockFile(path, label: "the one that died").lock())
        }
        let grant = try await LockFile(path).withLock { grant in grant }
        #expect(grant.abandoned?.name == "the one that died")
        #expect(grant.abandoned?.record?.token == FencingToken(1))
    }

    @Test("A busy lock is a value that names the holder, at once or after a timeout")
    func busy() async throws {
        let lock = try await LockFile(path, label: "the holder").lock()
        for timeout in [.zero, .seconds(-1), .milliseconds(5)] as [Duration] {
            let name = try await Task.detached { [path] in
                try Self.name(await LockFile(path).tryLock(timeout: timeout))
            }.value
            #expect(name == "the holder", "\(timeout)")
            let blocking = try await Task.detached { [path] in
                try Self.name(LockFile(path).tryNow(timeout))
            }.value
            #expect(blocking == "the holder", "\(timeout)")
        }
        try lock.release()
        let isFree = try Self.name(await LockFile(path).tryLock(timeout: .seconds(600))) == nil
        #expect(isFree)
    }

    /// Of the holder; nil if the lock was free.
    private static func name(_ attempt: consuming HeldLock.Attempt) throws -> String? {
        switch consume attempt {
        case .acquired(let lock):
            try lock.release()
            return nil
        case .busy(let holder): return holder.name ?? "?"
        }
    }

    @Test("A timeout of any size is a time, and the earlier of it and a deadline counts")
    func timeouts() async throws {
        let file = try LockFile(path)
        for timeout in [Duration.seconds(Int64.max), .seconds(Int64.min), .zero, .nanoseconds(1)] {
            try block { try file.withLock(timeout: timeout) { _ in } }
            try await file.withLock(timeout: timeout) { _ in }
        }
        let lock = try await file.lock()
        for (deadline, timeout) in [
            (ContinuousClock.now + .seconds(3600), Duration.milliseconds(5)), (.now, .seconds(Int64.max)),
            (.now, .seconds(Int64.min)),
        ] {
            let error = await #expect(throws: LockError.self) {
                try await Task.detached { [path] in
                    try await LockFile(path).withLock(deadline: deadline, timeout: timeout) { _ in }
                }.value
            }
            #expect(error?.code == .timedOut)
        }
        try lock.release()
    }

    @Test("A PID file lends a hold, tells who has it, and by which label")
    func pidFiles() async throws {
        let file = try PIDFile(path, label: "the daemon")
        #expect(try file.status() == .absent)
        try await file.withLock(timeout: .zero) { hold in
            #expect(hold.abandoned == nil)
            guard case .held(let holder) = try file.status() else {
                Issue.record("not held: \(try file.status())")
                return
            }
            #expect(holder.name == "the daemon")
            #expect(holder.pid == ProcessIdentity.current.pid)
            let name = try await Task.detached { [path] in
                try Self.name(await PIDFile(path).tryLock(timeout: .milliseconds(5)))
            }.value
            #expect(name == "the daemon")
        }
        #expect(try file.status() == .absent)
        try block { try file.withLock { _ in } }
    }

    @Test("The example of FencedLock works for a lock file behind the protocol")
    func protocolOfLocks() async throws {
        let lock: any FencedLock = try LockFile(path)
        #expect(try await lock.withLock { grant in grant.token } == FencingToken(1))
        #expect(try await lock.withLock(timeout: .seconds(600)) { grant in grant.token } == FencingToken(2))
    }
}

/// As a thread outside tasks does it.
private func inThread<Result>(_ body: () throws -> Result) throws -> Result { try body() }

/// Ends the process while it holds the lock.
private func exitHolding(_ lock: borrowing HeldLock) -> Never {
    exit(lock.mode == .exclusive ? 0 : 1)
}

extension LockFile {
    /// As a thread outside tasks does it.
    fileprivate func tryNow(_ timeout: Duration) throws -> HeldLock.Attempt { try tryLock(timeout: timeout) }
}
