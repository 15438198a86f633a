// SPDX-License-Identifier: Apache-2.0
//
// The mutex that is carried: for holders that cannot do their work in a body of `withLock`.

/// A held ``SharedMemoryMutex``, for as long as this value lives.
///
/// It may be moved to another task and stored; it is released by ``release()``, or silently when it goes out of scope. A
/// process that ends in whatever way while it holds one has abandoned it.
public struct HeldMutex: ~Copyable, Sendable {
    /// What became of an attempt.
    public enum Attempt: ~Copyable, Sendable {
        /// The mutex is held.
        case acquired(HeldMutex)
        /// Another process, or another thread or task of this one, holds it.
        case busy(LockHolder)
    }

    private let mutex: SharedMemoryMutex
    private let grant: MutexGrant
    private var isHeld = true

    init(_ mutex: SharedMemoryMutex, _ grant: MutexGrant) {
        self.mutex = mutex
        self.grant = grant
    }

    deinit {
        if isHeld { try? mutex.release(grant) }
    }

    /// The token of this acquisition, greater than that of every earlier one of this mutex.
    public var token: MutexToken { grant.token }

    /// The token of the previous holder if that died while it held the mutex; nil if it released.
    ///
    /// See ``MutexGrant/abandoned``.
    public var abandoned: MutexToken? { grant.abandoned }

    /// Releases the mutex and reports what went wrong with that.
    ///
    /// - Throws: ``LockError``: `.compromised` if the mutex is not held by this value any more, because a program overwrote
    ///   the file; `.unsupported` in a forked child, whose parent holds it.
    public consuming func release() throws(LockError) {
        isHeld = false
        try mutex.release(grant)
    }

    /// Tells every process that looks at ``SharedMemoryMutex/published``.
    package func publish(_ value: UInt64) {
        mutex.publish(value)
    }
}
