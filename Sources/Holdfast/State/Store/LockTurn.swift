// SPDX-License-Identifier: Apache-2.0
//
// How a call that a worker makes gets its locks. A worker's thread waits for no lock:
//
//   1. the call takes a lock that is free as any other call does
//   2. a lock that is not free ends the call, which lets go of every lock that it had; what it returns or throws is dropped
//   3. the lock is waited for in its own queue, by nothing but a place in it
//   4. the call is made again and finds the lock here; one that asks for other locks meanwhile lets go of this one
//
// Invariant: a call takes its locks before it changes anything. Code of a user of the library must not run twice, so from
// there on the call waits on its thread (`LockTurn.callOut`).

internal import Synchronization

/// The lock that a call of a worker waits for, or has waited for.
final class LockTurn: Sendable {
    /// That of the call in progress; nil for one that waits on its own thread.
    @TaskLocal private static var current: LockTurn?

    private enum Wanted: Sendable {
        case file(LockWaiter)
        case mutex(SharedMemoryMutex, deadline: ContinuousClock.Instant?)

        func isFor(_ file: LockFile) -> Bool {
            if case .file(let waiter) = self { waiter.file.site === file.site } else { false }
        }

        func isFor(_ mutex: SharedMemoryMutex) -> Bool {
            if case .mutex(let wanted, _) = self { wanted.key == mutex.key } else { false }
        }
    }

    private struct State: ~Copyable {
        var wanted: Wanted?
        /// What was waited for, and what came of it.
        var awaited: Wanted?
        var lock: HeldLock?
        var mutex: HeldMutex?
        var failure: LockError?
        /// Whether the call may not be made again.
        var isSpent = false
    }

    private let state = Mutex(State())

    init() {}

    /// Runs code of a user of the library, after which the call is not made again.
    static func callOut<Result>(_ body: () throws -> Result) rethrows -> Result {
        current?.state.withLock { $0.isSpent = true }
        return try $current.withValue(nil, operation: body)
    }

    /// Makes the call; nil if it needs a lock that has to be waited for.
    func attempt<Value>(_ body: () -> Value) -> Value? {
        let value = Self.$current.withValue(self, operation: body)
        letGo()
        return state.withLock { $0.wanted == nil } ? value : nil
    }

    /// Waits for the lock that the last attempt needed.
    ///
    /// Whether it is granted or not the next attempt finds out.
    func wait() async {
        guard let wanted = state.withLock({ $0.wanted.take() }) else { return }
        do throws(LockError) {
            switch wanted {
            case .file(let waiter):
                await waiter.suspend()
                keep(try waiter.outcome())
            case .mutex(let mutex, let deadline):
                keep(try await mutex.lock(deadline: deadline))
            }
        } catch {
            state.withLock { $0.failure = error }
        }
        state.withLock { $0.awaited = wanted }
    }

    private func keep(_ lock: consuming HeldLock) {
        var kept: HeldLock? = consume lock
        state.withLock { $0.lock = kept.take() }
    }

    private func keep(_ lock: consuming HeldMutex) {
        var kept: HeldMutex? = consume lock
        state.withLock { $0.mutex = kept.take() }
    }

    /// Releases what the attempt did not ask for.
    private func letGo() {
        let lock = state.withLock { state in
            state.awaited = nil
            state.failure = nil
            return state.lock.take()
        }
        let mutex = state.withLock { $0.mutex.take() }
        _ = consume lock
        _ = consume mutex
    }
}

extension LockTurn {
    /// Takes the lock file exclusively.
    ///
    /// - Throws: ``LockError`` as `LockFile.lock(deadline:)`; in a turn also `.busy`, which ends the call.
    static func lock(_ file: LockFile, deadline: ContinuousClock.Instant?) throws(LockError) -> HeldLock {
        guard let turn = repeatable else { return try file.lock(.exclusive, deadline: deadline) }
        if let failure = turn.takeFailure(where: { $0.isFor(file) }) { throw failure }
        let holder = HolderID.current
        if var lock = turn.takeLock(of: file) {
            lock.hand(to: holder)
            return lock
        }
        switch try file.attemptUnlessQueued(.exclusive, holder: holder) {
        case .acquired(let lock): return lock
        case let failed:
            try turn.checkWantsNothing(path: file.path)
            let waiter = try file.waiter(after: failed, .exclusive, holder: holder, deadline: deadline)
            turn.state.withLock { $0.wanted = .file(waiter) }
            throw busy(file.path)
        }
    }

    /// Takes the mutex.
    ///
    /// - Throws: ``LockError`` as `SharedMemoryMutex.lock(deadline:)`; in a turn also `.busy`, which ends the call.
    static func lock(_ mutex: SharedMemoryMutex, deadline: ContinuousClock.Instant?) throws(LockError) -> HeldMutex {
        // To try once is not to wait.
        guard let turn = repeatable, deadline.map({ $0 > .now }) ?? true else {
            return try mutex.lock(deadline: deadline)
        }
        if let failure = turn.takeFailure(where: { $0.isFor(mutex) }) { throw failure }
        if let lock = turn.takeLock(of: mutex) { return lock }
        if let lock = try mutex.takeIfFree() { return lock }
        try turn.checkWantsNothing(path: mutex.arena.path)
        turn.state.withLock { $0.wanted = .mutex(mutex, deadline: deadline) }
        throw busy(mutex.arena.path)
    }

    /// The turn of a call that may be made again.
    private static var repeatable: LockTurn? {
        guard let turn = current, turn.state.withLock({ !$0.isSpent }) else { return nil }
        return turn
    }

    private func takeFailure(where isMeant: (Wanted) -> Bool) -> LockError? {
        state.withLock { state in
            guard let awaited = state.awaited, isMeant(awaited) else { return nil }
            return state.failure.take()
        }
    }

    private func takeLock(of file: LockFile) -> HeldLock? {
        state.withLock { state in
            state.awaited?.isFor(file) == true ? state.lock.take() : nil
        }
    }

    private func takeLock(of mutex: SharedMemoryMutex) -> HeldMutex? {
        state.withLock { state in
            state.awaited?.isFor(mutex) == true ? state.mutex.take() : nil
        }
    }

    /// A call that went on without the lock that it could not have waits for that one first.
    private func checkWantsNothing(path: String) throws(LockError) {
        if state.withLock({ $0.wanted != nil }) { throw Self.busy(path) }
    }

    private static func busy(_ path: String) -> LockError {
        LockError(.busy, path: path, reason: "another process or task holds it")
    }
}

extension Worker {
    /// Makes a blocking call, which may take locks of states, on a thread that is not of the cooperative pool.
    ///
    /// This task is suspended meanwhile, and no thread waits for a lock. The call is made again for each lock that had to be
    /// waited for. A cancelled task gives up waiting for a lock; a call that is being made comes to its end.
    ///
    /// - Parameter body: Calls code of a user of the library only by `LockTurn.callOut`.
    /// - Returns: What the body returned when it had its locks.
    /// - Throws: ``SystemError`` if no thread can be started; nothing is done then.
    func runTakingLocks<Value: Sendable>(
        _ body: @escaping @Sendable () -> Value
    ) async throws(SystemError) -> Value {
        let turn = LockTurn()
        while true {
            if let value = try await run({ turn.attempt(body) }) { return value }
            await turn.wait()
        }
    }
}
