// SPDX-License-Identifier: Apache-2.0
//
// A fence is not a number. What may fence makes one, so that a number that a reboot may repeat does not pass for one.

/// What a save proves about the lock that it is made under: `fence:` of ``StateFile``.
///
/// The state keeps the largest token that it was saved with, and refuses a save with a smaller one
/// (``StateError/Code/fenced``): a holder that was paused past its time cannot overwrite what a later holder saved.
///
///     try await file.withLock { grant in
///         try await state.save(report, fence: grant.fence)
///     }
///
/// An exclusive ``LockFile`` grants one. A ``MutexToken`` makes none, because a reboot may repeat it.
public struct Fence: Hashable, Sendable {
    /// The token of the acquisition.
    public let token: FencingToken
    /// The key of the lock in a store that can compare it at the save; nil for a token alone.
    package let key: [UInt8]?

    /// Makes a fence of a token that travelled without its lock: to another process, or to another machine.
    public init(_ token: FencingToken) {
        self.init(token, key: nil)
    }

    package init(_ token: FencingToken, key: [UInt8]?) {
        self.token = token
        self.key = key
    }
}
