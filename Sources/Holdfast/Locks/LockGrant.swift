// SPDX-License-Identifier: Apache-2.0
//
// What `withLock` lends: what was granted. A grant can be copied and stored; the lock that it tells of is the body's only
// until the body ends.

/// What an exclusive lock of a ``LockFile``, or of any ``FencedLock``, grants.
public struct LockGrant: Hashable, Sendable {
    /// The token of this acquisition, greater than that of every earlier one.
    public let token: FencingToken
    /// The previous holder if it never released the lock: it died, or its machine did.
    ///
    /// What the lock protects may be half changed. See ``HeldLock/abandoned``.
    public let abandoned: LockHolder?
    private let key: [UInt8]?

    package init(_ fence: Fence, abandoned: LockHolder?) {
        token = fence.token
        key = fence.key
        self.abandoned = abandoned
    }

    /// What a save under this lock proves.
    public var fence: Fence { Fence(token, key: key) }
}

/// What a lock without a token grants: a ``PIDFile``, a shared lock, a lock of a file that this process may only read.
public struct LockHold: Hashable, Sendable {
    /// The previous exclusive holder if it never released the lock; nil for a shared lock.
    ///
    /// See ``HeldLock/abandoned``.
    public let abandoned: LockHolder?
}

extension HeldLock {
    /// What `withLock` lends while this lock is held.
    var lent: LockHold { LockHold(abandoned: abandoned) }

    /// What `withLock` lends while this exclusive lock is held, which must have a token.
    var grant: LockGrant {
        get throws(LockError) {
            guard let fence else {
                let reason = """
                    this process may only read it, so its lock has no fencing token; withLock(.exclusive) locks it without one
                    """
                throw LockError(.refused, path: file.path, reason: reason)
            }
            return LockGrant(fence, abandoned: abandoned)
        }
    }
}
