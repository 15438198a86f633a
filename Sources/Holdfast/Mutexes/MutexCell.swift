// SPDX-License-Identifier: Apache-2.0
//
// The bytes of one mutex, and of a slot, in the mapped file. docs/file-format.md has the same table.
//
// Invariants: `word` and `published` are changed by every process at any time; `epoch` and `deadToken` only by one that
// holds the maintenance lock, `epoch` while nobody can take the mutex. All are atomic.

public import Synchronization

/// One mutex: a cache line of its own.
@usableFromInline
struct MutexCell: ~Copyable {
    /// A ``MutexWord``.
    @usableFromInline let word: Atomic<UInt64>
    /// The high half of the tokens; see ``MutexArena``.
    @usableFromInline let epoch: Atomic<UInt32>
    private let unused: UInt32
    /// Acquisitions of earlier epochs.
    let earlierAcquisitions: Atomic<UInt64>
    /// Acquisitions that had to wait.
    let contended: Atomic<UInt64>
    /// Dead holders.
    let abandoned: Atomic<UInt64>
    /// The token of the holder that died, if the word says that one has.
    let deadToken: Atomic<UInt64>
    /// What the holders tell each other and those who only look; 0 at the start of every boot.
    @usableFromInline let published: Atomic<UInt64>
    private let unusedToo: UInt64

    static let size = 64
    static let publishedOffset = 48
}

extension MutexCell {
    /// The token that belongs to a word.
    func token(of word: MutexWord) -> UInt64 {
        UInt64(epoch.load(ordering: .relaxed)) << 32 | UInt64(word.count)
    }

    /// Says of a mutex whose holder has died that it has, for whoever takes it next; false if the word has changed.
    ///
    /// Under the maintenance lock: a token stored late would overwrite that of a later death.
    @discardableResult
    private func bury(_ seen: MutexWord) -> Bool {
        deadToken.store(token(of: seen), ordering: .releasing)
        return replace(seen, by: seen.buried)
    }

    /// Buries every holder that had a slot.
    ///
    /// Under the maintenance lock, by the slot's new owner before its first acquisition.
    func buryHolder(inSlot slot: Int) {
        while true {
            let seen = MutexWord(raw: word.load(ordering: .acquiring))
            guard case .slot(slot, _) = seen.holder, !bury(seen) else { return }
        }
    }

    /// Exchanges the word if it is still the one that was seen.
    func replace(_ seen: MutexWord, by new: MutexWord) -> Bool {
        word.compareExchange(
            expected: seen.raw,
            desired: new.raw,
            successOrdering: .acquiringAndReleasing,
            failureOrdering: .relaxed
        ).exchanged
    }

    /// Begins a new epoch of a mutex that nobody can use at this moment.
    ///
    /// The stores are in this order so that a crash between any two loses nothing to whoever begins again.
    func restart(epoch: UInt32) {
        var seen = MutexWord(raw: word.load(ordering: .relaxed))
        // Somebody may set a flag meanwhile.
        while case .slot = seen.holder {
            bury(seen)
            seen = MutexWord(raw: word.load(ordering: .relaxed))
        }
        earlierAcquisitions.wrappingAdd(UInt64(seen.count), ordering: .relaxed)
        self.epoch.store(epoch, ordering: .releasing)
        word.store(seen.holder == .nobody ? 0 : seen.renewed.raw, ordering: .releasing)
    }
}

/// One process's place in an arena.
///
/// The kernel keeps a lock on its first byte for as long as the process lives.
struct ArenaSlot: ~Copyable {
    /// Counts the processes that had the slot.
    let generation: Atomic<UInt32>
    /// For messages: the process's PID in its own namespace.
    let pid: Atomic<UInt32>

    static let size = 8
}
