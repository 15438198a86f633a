// SPDX-License-Identifier: Apache-2.0
//
// The promise that locks of one machine and of many have in common, so that a service grows past one machine by another
// argument.

/// A lock whose grants can fence: a ``LockFile``, or a lock that several machines share.
///
///     func nightly(_ lock: any FencedLock, _ report: any StateStore<Report>) async throws {
///         try await lock.withLock { grant in
///             try await report.update(initial: Report(), fence: grant.fence) { $0.runs += 1 }
///         }
///     }
///
/// A lock may be lost while its body runs: a process is paused past the end of its session. What must not happen then is
/// a save under ``LockGrant/fence``.
public protocol FencedLock: Sendable {
    /// Runs the body while this task holds the lock.
    ///
    /// Suspends the task until the lock is granted.
    ///
    /// - Parameters:
    ///   - timeout: How long to wait for the lock; nil waits forever.
    ///   - body: What is done while it is held. Another task may run it, which is cancelled if the lock is lost.
    /// - Returns: What the body returned.
    /// - Throws: The lock's own error if the lock was not taken in time, was lost, or was not released cleanly; what the body
    ///   throws.
    @discardableResult
    func withLock<Result: Sendable>(
        timeout: Duration?,
        _ body: @escaping @Sendable (LockGrant) async throws -> Result
    ) async throws -> Result
}

extension FencedLock {
    /// Runs the body while this task holds the lock, however long that takes.
    ///
    /// As ``withLock(timeout:_:)`` without a timeout.
    @_disfavoredOverload
    @discardableResult
    public func withLock<Result: Sendable>(
        _ body: @escaping @Sendable (LockGrant) async throws -> Result
    ) async throws -> Result {
        try await withLock(timeout: nil, body)
    }
}

extension LockFile: FencedLock {
    /// Runs the body while this task holds the lock exclusively.
    ///
    /// As the method with a deadline, for ``FencedLock``.
    @_disfavoredOverload
    @discardableResult
    public func withLock<Result: Sendable>(
        timeout: Duration?,
        _ body: @escaping @Sendable (LockGrant) async throws -> Result
    ) async throws -> Result {
        try await withLock(deadline: nil, timeout: timeout, body)
    }
}
