// SPDX-License-Identifier: Apache-2.0
//
// A lock for as long as a body runs. The blocking forms are disfavoured: in a task the other one is meant, also for a body
// that does not suspend.

extension LockFile {
    /// Runs the body while this thread holds the lock exclusively.
    ///
    /// Blocks as ``lock(_:deadline:timeout:)`` does.
    ///
    /// - Parameters:
    ///   - deadline: When to give up waiting for the lock; one in the past tries once. Nil waits forever.
    ///   - timeout: How long to wait for it; with a deadline as well, the earlier of the two counts.
    ///   - body: What is done while it is held.
    /// - Returns: What the body returned.
    /// - Throws: ``LockError`` if the lock was not taken, or not released cleanly, and `.refused` for a file that this process
    ///   may only read, whose lock has no token to lend (``withLock(_:deadline:timeout:_:)``); what the body throws.
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    @_disfavoredOverload
    @discardableResult
    public func withLock<Result>(
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil,
        _ body: (LockGrant) throws -> Result
    ) throws -> Result {
        let lock = try lock(deadline: deadline, timeout: timeout)
        let result = try body(lock.grant)
        try lock.release()
        return result
    }

    /// Runs the body while this task holds the lock exclusively.
    ///
    /// Suspends as ``lock(_:deadline:timeout:)`` does.
    ///
    ///     try await file.withLock(timeout: .seconds(2)) { grant in
    ///         if let dead = grant.abandoned { try await repair(after: dead) }
    ///         try await state.save(report, fence: grant.fence)
    ///     }
    ///
    /// - Parameters:
    ///   - deadline: When to give up waiting for the lock; one in the past tries once. Nil waits forever.
    ///   - timeout: How long to wait for it; with a deadline as well, the earlier of the two counts.
    ///   - body: What is done while it is held.
    /// - Returns: What the body returned.
    /// - Throws: ``LockError`` if the lock was not taken, or not released cleanly, and `.refused` for a file that this process
    ///   may only read, whose lock has no token to lend (``withLock(_:deadline:timeout:_:)``); what the body throws.
    @discardableResult
    public func withLock<Result>(
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil,
        _ body: (LockGrant) async throws -> Result
    ) async throws -> Result {
        let lock = try await lock(deadline: deadline, timeout: timeout)
        let result = try await body(lock.grant)
        try lock.release()
        return result
    }

    /// Runs the body while this thread holds a lock without a token: a shared one, or that of a file that it may only read.
    ///
    /// Blocks as ``lock(_:deadline:timeout:)`` does.
    ///
    /// - Parameters:
    ///   - mode: Exclusive or shared.
    ///   - deadline: When to give up waiting for the lock; one in the past tries once. Nil waits forever.
    ///   - timeout: How long to wait for it; with a deadline as well, the earlier of the two counts.
    ///   - body: What is done while it is held.
    /// - Returns: What the body returned.
    /// - Throws: ``LockError`` if the lock was not taken, or not released cleanly; what the body throws.
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    @_disfavoredOverload
    @discardableResult
    public func withLock<Result>(
        _ mode: HeldLock.Mode,
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil,
        _ body: (LockHold) throws -> Result
    ) throws -> Result {
        let lock = try lock(mode, deadline: deadline, timeout: timeout)
        let result = try body(lock.lent)
        try lock.release()
        return result
    }

    /// Runs the body while this task holds a lock without a token: a shared one, or that of a file that it may only read.
    ///
    /// Suspends as ``lock(_:deadline:timeout:)`` does.
    ///
    /// - Parameters:
    ///   - mode: Exclusive or shared.
    ///   - deadline: When to give up waiting for the lock; one in the past tries once. Nil waits forever.
    ///   - timeout: How long to wait for it; with a deadline as well, the earlier of the two counts.
    ///   - body: What is done while it is held.
    /// - Returns: What the body returned.
    /// - Throws: ``LockError`` if the lock was not taken, or not released cleanly; what the body throws.
    @discardableResult
    public func withLock<Result>(
        _ mode: HeldLock.Mode,
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil,
        _ body: (LockHold) async throws -> Result
    ) async throws -> Result {
        let lock = try await lock(mode, deadline: deadline, timeout: timeout)
        let result = try await body(lock.lent)
        try lock.release()
        return result
    }
}
