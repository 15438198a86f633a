// SPDX-License-Identifier: Apache-2.0
//
// Taking the lock: at once, by waiting on a thread, by waiting in a task.

internal import _HoldfastCShims

extension HeldLock {
    /// What became of an attempt that does not wait.
    public enum Attempt: ~Copyable, Sendable {
        /// The lock is held.
        case acquired(HeldLock)
        /// Somebody else holds it, or the guard that new tokens need, or others of this process wait for it already.
        case busy(LockHolder)
    }
}

extension LockFile {
    /// Takes the lock if it is free.
    ///
    /// Eight system calls for an exclusive lock, seven if an earlier one left the file open, seven for a shared one. No flush
    /// but for the first token of a boot and of each further 2²⁰ tokens. The corresponding C function is `flock`, with
    /// `LOCK_NB`.
    ///
    /// A file that this process may only read (EACCES, EROFS) is locked as flock(1) does it, exclusively too if the family is
    /// flock: then nothing is written, and the lock has no ``HeldLock/token``. Any other file of which the whole is not a lock
    /// record, a bare PID, or nothing is refused by an exclusive lock, and left as it is.
    ///
    /// - Parameter mode: Exclusive or shared.
    /// - Returns: The held lock, or who is in the way.
    /// - Throws: ``LockError``: `.unsupported`, `.refused`, `.familyMismatch`, `.compromised` or `.systemFailure`;
    ///   nothing is held then.
    public func tryLock(_ mode: HeldLock.Mode = .exclusive) throws(LockError) -> HeldLock.Attempt {
        switch try attemptUnlessQueued(mode, holder: .current) {
        case .acquired(let lock): return .acquired(lock)
        case let failed: return .busy(failed.holder(of: self))
        }
    }

    /// Takes the lock, and blocks this thread until it is granted.
    ///
    /// Do not call it from a task: it would occupy a thread of the cooperative pool. There is a method of the same name
    /// that suspends instead.
    ///
    /// - Parameters:
    ///   - mode: Exclusive or shared.
    ///   - deadline: When to give up; one in the past tries once. Nil waits for ever.
    /// - Returns: The held lock.
    /// - Throws: ``LockError``: `.timedOut`, `.reentrant`, or as ``tryLock(_:)``; nothing is held then.
    public func lock(
        _ mode: HeldLock.Mode = .exclusive,
        deadline: ContinuousClock.Instant? = nil
    ) throws(LockError) -> HeldLock {
        let holder = HolderID.current
        switch try attemptUnlessQueued(mode, holder: holder) {
        case .acquired(let lock): return lock
        case let failed:
            let waiter = try waiter(after: failed, mode, holder: holder, deadline: deadline)
            waiter.block()
            return try waiter.outcome()
        }
    }

    /// Takes the lock, and suspends this task until it is granted.
    ///
    /// No thread is held meanwhile.
    ///
    /// - Parameters:
    ///   - mode: Exclusive or shared.
    ///   - deadline: When to give up; one in the past tries once. Nil waits for ever.
    /// - Returns: The held lock.
    /// - Throws: ``LockError``: `.timedOut`, `.cancelled`, `.reentrant`, or as ``tryLock(_:)``; nothing is held then. A
    ///   cancellation that comes after the grant does not take it back.
    public func lock(
        _ mode: HeldLock.Mode = .exclusive,
        deadline: ContinuousClock.Instant? = nil
    ) async throws(LockError) -> HeldLock {
        if Task.isCancelled { throw LockError(.cancelled, path: path, reason: "the task was cancelled") }
        let holder = HolderID.current
        // A flush would hold the cooperative thread for milliseconds; who has no time to wait for the reactor's accepts it.
        let isInTime = deadline.map { $0 > .now } ?? true
        switch try attemptUnlessQueued(mode, holder: holder, mayFlush: !isInTime) {
        case .acquired(let lock): return lock
        case let failed:
            let waiter = try waiter(after: failed, mode, holder: holder, deadline: deadline)
            await waiter.suspend()
            return try waiter.outcome()
        }
    }

    /// Runs the body while this thread holds the lock.
    ///
    /// Blocks as ``lock(_:deadline:)`` does.
    ///
    /// - Parameters:
    ///   - mode: Exclusive or shared.
    ///   - deadline: When to give up waiting for the lock.
    ///   - body: What is done while it is held.
    /// - Returns: What the body returned.
    /// - Throws: ``LockError`` if the lock was not taken, or not released cleanly; what the body throws.
    @_disfavoredOverload  // in a task the other one is meant, also for a body that does not suspend
    public func withLock<Result>(
        _ mode: HeldLock.Mode = .exclusive,
        deadline: ContinuousClock.Instant? = nil,
        _ body: (borrowing HeldLock) throws -> Result
    ) throws -> Result {
        let lock = try lock(mode, deadline: deadline)
        let result = try body(lock)
        try lock.release()
        return result
    }

    /// Runs the body while this task holds the lock.
    ///
    /// Suspends as ``lock(_:deadline:)`` does.
    ///
    /// - Parameters:
    ///   - mode: Exclusive or shared.
    ///   - deadline: When to give up waiting for the lock.
    ///   - body: What is done while it is held.
    /// - Returns: What the body returned.
    /// - Throws: ``LockError`` if the lock was not taken, or not released cleanly; what the body throws.
    public func withLock<Result>(
        _ mode: HeldLock.Mode = .exclusive,
        deadline: ContinuousClock.Instant? = nil,
        _ body: (borrowing HeldLock) async throws -> Result
    ) async throws -> Result {
        let lock = try await lock(mode, deadline: deadline)
        let result = try await body(lock)
        try lock.release()
        return result
    }
}

extension LockFile {
    /// One attempt, unless others of this process came first.
    func attemptUnlessQueued(
        _ mode: HeldLock.Mode,
        holder: HolderID,
        mayFlush: Bool = true
    ) throws(LockError) -> LockAttempt {
        if site.hasWaiters { return .busy(nil) }
        return try attempt(mode, holder: holder, mayFlush: mayFlush)
    }

    /// A waiter for this lock, or the error if waiting makes no sense.
    ///
    /// Takes the open file that the failed attempt left, for the next one.
    func waiter(
        after attempt: consuming LockAttempt,
        _ mode: HeldLock.Mode,
        holder: HolderID,
        deadline: ContinuousClock.Instant?
    ) throws(LockError) -> LockWaiter {
        if !site.isOfThisProcess {
            throw LockError(
                .unsupported,
                path: path,
                reason: "this lock was named before a fork; name it anew in the child"
            )
        }
        try site.checkNotHeld(by: holder, path: path)
        if let deadline, deadline <= .now {
            throw LockError(.timedOut, path: path, reason: "the deadline passed", holder: attempt.holder(of: self))
        }
        if case .busy(.some(let candidate)) = consume attempt { site.offer(candidate) }
        return LockWaiter(self, mode, holder, deadline: deadline)
    }
}
