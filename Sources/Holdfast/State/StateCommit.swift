// SPDX-License-Identifier: Apache-2.0
//
// What a save achieved, in place of a Bool.

/// What a save that returned has done: the new state is in place, and every load from now on sees it or a later one.
public struct StateCommit: Hashable, Codable, Sendable {
    /// The store that it belongs to.
    public let store: StoreID
    /// The number of this save.
    public let generation: Generation
    /// How the file is kept.
    public let strategy: StateStrategy
    /// What the new state survives: less than was asked for if ``directorySyncError`` is not nil.
    public let durability: StateDurability
    /// Why the directory could not be flushed after the rename, if it could not.
    ///
    /// The new state is visible, and its bytes are flushed; a power cut may bring back the old state, whole. EINVAL and
    /// ENOTSUP mean that this file system does not flush directories at all; EIO is a failing device. Saving again is
    /// the way to try again: a second fsync(2) of the same directory may say that all is well when it is not.
    public let directorySyncError: SystemError?
    /// The largest fencing token that the store was saved with; nil if none ever.
    public let token: FencingToken?
    /// The bytes of the payload.
    public let length: Int
}
