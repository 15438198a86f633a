// SPDX-License-Identifier: Apache-2.0
//
// Taking the lock: at once, by waiting on a thread, by waiting in a task.

internal import _HoldfastCShims

extension HeldLock {
    // Frozen: only then can another module take the lock out of it by a pattern.
    /// What became of an attempt that does not wait.
    @frozen public enum Attempt: ~Copyable, Sendable {
        /// The lock is held.
        case acquired(HeldLock)
        /// Another holder has it, or the guard that new tokens need, or others of this process wait for it already.
        case busy(LockHolder)
    }
}

extension LockFile {
    /// Takes the lock if it is free, or becomes free in time; blocks this thread for as long as the timeout.
    ///
    /// Eight system calls for an exclusive lock, seven if an earlier one left the file open, seven for a shared one. No flush
    /// but for the first token of a boot and of each further 2²⁰ tokens. The corresponding C function is `flock`, with
    /// `LOCK_NB`.
    ///
    /// A file that this process may only read (EACCES, EROFS) is locked as flock(1) does it, exclusively too if the family is
    /// flock: then nothing is written, and the lock has no ``HeldLock/token``. Any other file of which the whole is not a lock
    /// record, a bare PID, or nothing is refused by an exclusive lock, and left as it is.
    ///
    /// - Parameters:
    ///   - mode: Exclusive or shared.
    ///   - timeout: How long to wait for it; without a positive one the lock is tried once.
    /// - Returns: The held lock, or the holder that is in the way.
    /// - Throws: ``LockError``: `.unsupported`, `.refused`, `.familyMismatch`, `.compromised` or `.systemFailure`, and with a
    ///   timeout `.reentrant`; nothing is held then.
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    public func tryLock(
        _ mode: HeldLock.Mode = .exclusive,
        timeout: Duration = .zero
    ) throws(LockError) -> HeldLock.Attempt {
        if timeout <= .zero { return try tryOnce(mode) }
        do throws(LockError) {
            return .acquired(try lock(mode, timeout: timeout))
        } catch {
            return .busy(try error.holderInTheWay())
        }
    }

    /// Takes the lock if it is free, or becomes free in time; suspends this task meanwhile.
    ///
    /// Costs what the blocking method of the same name does. Without a timeout the task is not suspended, and its thread may
    /// flush the first token of a boot.
    ///
    /// - Parameters:
    ///   - mode: Exclusive or shared.
    ///   - timeout: How long to wait for it; without a positive one the lock is tried once.
    /// - Returns: The held lock, or the holder that is in the way.
    /// - Throws: ``LockError`` as the blocking method, and with a timeout `.cancelled`; nothing is held then.
    public func tryLock(
        _ mode: HeldLock.Mode = .exclusive,
        timeout: Duration = .zero
    ) async throws(LockError) -> HeldLock.Attempt {
        if timeout <= .zero { return try tryOnce(mode) }
        do throws(LockError) {
            return .acquired(try await lock(mode, timeout: timeout))
        } catch {
            return .busy(try error.holderInTheWay())
        }
    }

    private func tryOnce(_ mode: HeldLock.Mode) throws(LockError) -> HeldLock.Attempt {
        switch try attemptUnlessQueued(mode, holder: .current) {
        case .acquired(let lock): return .acquired(lock)
        case let failed: return .busy(failed.holder(of: self))
        }
    }

    /// Takes the lock, and blocks this thread until it is granted.
    ///
    /// - Parameters:
    ///   - mode: Exclusive or shared.
    ///   - deadline: When to give up; one in the past tries once. Nil waits forever.
    ///   - timeout: How long to wait; with a deadline as well, the earlier of the two counts.
    /// - Returns: The held lock.
    /// - Throws: ``LockError``: `.timedOut`, `.reentrant`, or as ``tryLock(_:timeout:)``; nothing is held then.
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    public func lock(
        _ mode: HeldLock.Mode = .exclusive,
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil
    ) throws(LockError) -> HeldLock {
        let deadline = earlier(deadline, timeout)
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
    ///   - deadline: When to give up; one in the past tries once. Nil waits forever.
    ///   - timeout: How long to wait; with a deadline as well, the earlier of the two counts.
    /// - Returns: The held lock.
    /// - Throws: ``LockError``: `.timedOut`, `.cancelled`, `.reentrant`, or as ``tryLock(_:timeout:)``; nothing is held then. A
    ///   cancellation that comes after the grant does not take it back.
    public func lock(
        _ mode: HeldLock.Mode = .exclusive,
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil
    ) async throws(LockError) -> HeldLock {
        if Task.isCancelled { throw LockError(.cancelled, path: path, reason: "the task was cancelled") }
        let deadline = earlier(deadline, timeout)
        let holder = HolderID.current
        // A flush would hold the cooperative thread for milliseconds; a task without time to wait for the reactor's accepts it.
        let isInTime = deadline.map { $0 > .now } ?? true
        switch try attemptUnlessQueued(mode, holder: holder, mayFlush: !isInTime) {
        case .acquired(let lock): return lock
        case let failed:
            let waiter = try waiter(after: failed, mode, holder: holder, deadline: deadline)
            await waiter.suspend()
            return try waiter.outcome()
        }
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
