// SPDX-License-Identifier: Apache-2.0
//
// How much a save survives. The two words are a contract; docs/crash-contract.md says how each is kept and tested.

/// What a saved state survives.
public enum StateDurability: String, Hashable, Codable, Sendable, CaseIterable {
    /// The death of this process at any moment, however it dies, while the kernel lives.
    ///
    /// Whoever loads sees the old state or the new one, whole. After a power cut or a kernel crash the file may hold
    /// the old state, the new one, or damage, which a load reports as ``StateError/Code/corrupt``; it is never taken
    /// for a state. No flush.
    case processCrash
    /// A power cut or a kernel crash at any moment, too.
    ///
    /// During the save: whoever loads afterwards sees the old state or the new one, whole. After the save has returned
    /// with this durability in its ``StateCommit``: the new one. It rests on a device that keeps what it acknowledged as
    /// flushed. Two fsync(2), one of the file before the rename and one of the directory after it.
    case powerLoss
}
