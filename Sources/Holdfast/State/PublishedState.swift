// SPDX-License-Identifier: Apache-2.0
//
// The 64 bits beside a two-slot file that tell every process which state counts. A reader acts on no later generation than
// the one that stands here, so nobody sees bytes whose flush has not returned.

/// What the last writer of a two-slot file published.
struct PublishedState: Hashable, Sendable {
    /// The newest state that counts.
    var generation: Generation
    /// Whether no power cut takes it back.
    var isFlushed: Bool
    /// How many saves after it failed in a way that left its successor's generation in doubt.
    var failures: UInt64 = 0
    /// Whether a flush of the file's name, or one of the file for what others wrote, has failed: a second one might
    /// succeed and do nothing.
    var isNameInDoubt = false
    /// Whether somebody died who gave the file its name, before he could tell whether the flush of it has failed.
    var isNameUntold = false

    // Bit 0: flushed. Bit 1: void. Bit 2: the name is in doubt. Bit 3: nobody told of it. Bits 4 to 15: failures. The rest:
    // generation.
    private static let shift = 16
    private static let voidBit: UInt64 = 2
    private static let nameBit: UInt64 = 4
    private static let untoldBit: UInt64 = 8
    private static let failuresShift: UInt64 = 4
    private static let mostFailures: UInt64 = (1 << 12) - 1

    /// Nil if nothing is known, as after a reboot.
    init?(word: UInt64) {
        if word == 0 || word & Self.voidBit != 0 { return nil }
        self.init(anyWord: word)
    }

    private init(anyWord word: UInt64) {
        generation = Generation(word >> Self.shift)
        isFlushed = word & 1 == 1
        failures = (word >> Self.failuresShift) & Self.mostFailures
        isNameInDoubt = word & Self.nameBit != 0
        // While a file takes another's place nothing counts, and who does that tells when it is done.
        isNameUntold = word & (Self.untoldBit | Self.voidBit) != 0
    }

    init(
        generation: Generation,
        isFlushed: Bool,
        failures: UInt64 = 0,
        isNameInDoubt: Bool = false,
        isNameUntold: Bool = false
    ) {
        self.generation = generation
        self.isFlushed = isFlushed
        self.failures = failures
        self.isNameInDoubt = isNameInDoubt
        self.isNameUntold = isNameUntold
    }

    /// What stands in the word, also if it does not count any more: no later state may have the same word.
    static func last(in word: UInt64) -> PublishedState { PublishedState(anyWord: word) }

    /// The word in which nothing counts any more.
    static func void(_ word: UInt64) -> UInt64 { word | voidBit }

    /// The word in which the file and its name are in doubt besides.
    static func doubted(_ word: UInt64) -> UInt64 { (word == 0 ? void(word) : word) | nameBit }

    /// 0 for a generation beyond 48 bits, which readers then have to look for in the file each time.
    var word: UInt64 {
        guard generation.value >> (64 - Self.shift) == 0 else { return 0 }
        let name = (isNameInDoubt ? Self.nameBit : 0) | (isNameUntold ? Self.untoldBit : 0)
        let failures = min(failures, Self.mostFailures) << Self.failuresShift
        return generation.value << Self.shift | failures | name | (isFlushed ? 1 : 0)
    }

    /// The same after one more failed save.
    func failedAgain() -> PublishedState {
        var later = self
        later.failures += 1
        return later
    }

    /// The same, but with no next generation that the other one has, or that is in doubt after it.
    func behind(_ last: PublishedState) -> PublishedState {
        guard let limit = last.next()?.value, let next = next()?.value, next < limit else { return self }
        var later = self
        later.failures += (limit - next + 1) / 2
        return later
    }

    /// The generation that the next save has: always in the other slot, and never one that a failed save had.
    func next() -> Generation? {
        let (sum, overflow) = generation.value.addingReportingOverflow(1 + 2 * failures)
        return overflow ? nil : Generation(sum)
    }
}
