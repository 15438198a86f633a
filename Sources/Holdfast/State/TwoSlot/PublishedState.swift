// SPDX-License-Identifier: Apache-2.0
//
// The 64 bits beside a two-slot file that tell every process which state counts. A reader acts on no later generation than
// the one that stands here, so no reader sees bytes whose flush has not returned.

/// What the last writer of a two-slot file published.
struct PublishedState: Hashable, Sendable {
    /// The newest state that counts.
    var generation: Generation
    /// Whether no power cut takes it back, as long as the file has its name.
    var isFlushed: Bool
    /// How many saves after it failed in a way that left its successor's generation in doubt.
    var failures: UInt64 = 0
    var nameDoubt = NameDoubt.none

    /// Why a flush of the file's name might succeed and do nothing.
    enum NameDoubt: UInt64, Sendable {
        case none
        /// The process that flushed it died; the flush may have failed first.
        case flusherDied
        /// A flush of it, or one of the file for what others wrote, has failed.
        case flushFailed

        /// After a flush with this outcome.
        init(_ error: SystemError?) {
            self = error?.isFailedFlush ?? false ? .flushFailed : .none
        }

        func or(_ other: NameDoubt) -> NameDoubt { rawValue < other.rawValue ? other : self }
    }

    // Bit 0: flushed. Bit 1: void. Bits 2 and 3: the doubt about the name. Bits 4 to 15: failures. The rest: generation.
    private static let shift = 16
    private static let voidBit: UInt64 = 2
    private static let mostFailures: UInt64 = (1 << 12) - 1

    /// Whether no power cut takes it back.
    var isDurable: Bool { isFlushed && nameDoubt != .flushFailed }

    /// Nil if nothing is known, as after a reboot.
    init?(word: UInt64) {
        if word == 0 || word & Self.voidBit != 0 { return nil }
        self.init(anyWord: word)
    }

    private init(anyWord word: UInt64) {
        generation = Generation(word >> Self.shift)
        isFlushed = word & 1 == 1
        failures = (word >> 4) & Self.mostFailures
        nameDoubt = NameDoubt(rawValue: (word >> 2) & 3) ?? .flushFailed
    }

    init(generation: Generation, isFlushed: Bool, failures: UInt64 = 0, nameDoubt: NameDoubt = .none) {
        self.generation = generation
        self.isFlushed = isFlushed
        self.failures = failures
        self.nameDoubt = nameDoubt
    }

    /// What stands in the word, also if it does not count any more: no later state may have the same word.
    static func last(in word: UInt64) -> PublishedState { PublishedState(anyWord: word) }

    /// The word in which nothing counts any more, while another file is given the name.
    static func void(_ word: UInt64) -> UInt64 {
        var last = last(in: word)
        last.nameDoubt = last.nameDoubt.or(.flusherDied)
        return last.word | voidBit
    }

    /// The word while the file's name is being flushed.
    static func flushingName(_ word: UInt64) -> UInt64 {
        if word == 0 || word & voidBit != 0 { return void(word) }
        var last = last(in: word)
        last.nameDoubt = last.nameDoubt.or(.flusherDied)
        return last.word
    }

    /// The word after a failed flush of the file or of its name.
    static func doubted(_ word: UInt64) -> UInt64 {
        var last = last(in: word)
        last.nameDoubt = .flushFailed
        return last.word | (word == 0 ? voidBit : word & voidBit)
    }

    /// 0 for a generation beyond 48 bits, which readers then have to look for in the file each time.
    var word: UInt64 {
        guard generation.value >> (64 - Self.shift) == 0 else { return 0 }
        let flags = (isFlushed ? 1 : 0) | nameDoubt.rawValue << 2
        return generation.value << Self.shift | min(failures, Self.mostFailures) << 4 | flags
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
