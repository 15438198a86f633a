// SPDX-License-Identifier: Apache-2.0
//
// The 64 bits that say who holds a mutex, and the count of its acquisitions: one compare-and-exchange takes the mutex and
// its token together, so that whoever dies holding it is known with its token, wherever it died.

/// The word of a mutex: a 32-bit futex word in the low half, the count of acquisitions in the high half.
///
/// The futex word: bit 31 somebody waits; bit 30 the next turn is a waiter's; bits 19 to 29 the holder's slot plus one,
/// 0 for nobody, ``deadOwner`` for a holder that has died; bits 0 to 18 the generation of the slot.
@usableFromInline
package struct MutexWord: Hashable, Sendable {
    /// As it stands in memory.
    package let raw: UInt64

    package init(raw: UInt64) { self.raw = raw }

    package init(futex: UInt32, count: UInt32) {
        raw = UInt64(count) << 32 | UInt64(futex)
    }

    package static let waiting: UInt32 = 1 << 31
    package static let reserved: UInt32 = 1 << 30
    package static let generations: UInt32 = 1 << 19
    private static let ownerMask: UInt32 = 0x7ff << 19
    private static let deadOwner: UInt32 = 0x7ff << 19
    /// Where the count ends: the next acquisition needs a new epoch.
    package static let lastCount = UInt32.max

    /// What a process with this slot writes to take a mutex; never 0.
    package static func owner(slot: Int, generation: UInt32) -> UInt32 {
        UInt32(slot + 1) << 19 | generation % generations
    }

    /// What the kernel compares when somebody sleeps at the word.
    package var futex: UInt32 { UInt32(truncatingIfNeeded: raw) }
    /// The acquisitions of this epoch.
    package var count: UInt32 { UInt32(truncatingIfNeeded: raw >> 32) }
    /// Slot and generation of the holder, 0 if nobody holds it.
    package var owner: UInt32 { futex & ~(Self.waiting | Self.reserved) }
    package var isWaitedFor: Bool { futex & Self.waiting != 0 }
    package var isReserved: Bool { futex & Self.reserved != 0 }

    package enum Holder: Hashable, Sendable {
        case nobody
        /// It died, and whoever found that out could not take the mutex.
        case dead
        case slot(Int, generation: UInt32)
    }

    package var holder: Holder {
        switch owner & Self.ownerMask {
        case 0: .nobody
        case Self.deadOwner: .dead
        case let field: .slot(Int(field >> 19) - 1, generation: owner % Self.generations)
        }
    }

    /// Whether nobody holds it, and nobody can take it before a new epoch begins.
    package var isUsedUp: Bool {
        if case .slot = holder { return false }
        return count == Self.lastCount
    }

    /// The word once this owner has taken the mutex, with the next count.
    package func taken(by owner: UInt32, waiting: Bool) -> MutexWord {
        MutexWord(futex: owner | (waiting ? Self.waiting : 0), count: count &+ 1)
    }

    /// The word with these flags set besides.
    package func with(_ flags: UInt32) -> MutexWord {
        MutexWord(futex: futex | flags, count: count)
    }

    /// The word as its holder wrote it: slot, generation and count.
    package var unflagged: MutexWord { MutexWord(futex: owner, count: count) }

    /// The word once its holder has let go: free, or free for somebody who waits.
    package var released: MutexWord {
        MutexWord(futex: isReserved ? Self.waiting | Self.reserved : 0, count: count)
    }

    /// The word once its holder was found dead by somebody who does not take it.
    package var buried: MutexWord {
        MutexWord(futex: Self.deadOwner | futex & Self.waiting, count: count)
    }

    /// The word at the start of a new epoch.
    package var renewed: MutexWord { MutexWord(futex: futex, count: 0) }
}
