// SPDX-License-Identifier: Apache-2.0
//
// The value that is stressed: how often each writer has updated it, and a filling that makes it grow and shrink.

internal import Holdfast

/// How often each writer has updated the state.
struct Tallies {
    var counts: [UInt64]

    init(writers: Int) {
        counts = Array(repeating: 0, count: writers)
    }

    /// By how much the state has been updated.
    var sum: UInt64 { counts.reduce(0, +) }

    /// Whether nothing in it is less than in the other one.
    func isNotBefore(_ other: Tallies) -> Bool {
        zip(counts, other.counts).allSatisfy { $0 >= $1 }
    }
}

/// One line of decimal numbers, and a filling whose length and bytes follow from their sum.
struct TalliesCodec: StateCodec {
    struct Torn: Error {}

    func encode(_ value: Tallies) -> [UInt8] {
        Array((value.counts.map { "\($0)" }.joined(separator: " ") + "\n").utf8) + Self.filling(value.sum)
    }

    func decode(_ bytes: [UInt8]) throws -> Tallies {
        guard let end = bytes.firstIndex(of: UInt8(ascii: "\n")) else { throw Torn() }
        let numbers = String(decoding: bytes[..<end], as: UTF8.self).split(separator: " ").map { UInt64($0) }
        var value = Tallies(writers: numbers.count)
        value.counts = numbers.compactMap { $0 }
        guard value.counts.count == numbers.count, bytes[(end + 1)...].elementsEqual(Self.filling(value.sum)) else {
            throw Torn()
        }
        return value
    }

    private static func filling(_ sum: UInt64) -> [UInt8] {
        // Now and then larger than any before, so that a two-slot file has to grow.
        let length = sum % 97 == 0 ? 4096 + sum * 4 % (1 << 16) : sum &* 0x9E37_79B9 % 6000
        return [UInt8](repeating: UInt8(truncatingIfNeeded: sum), count: Int(length))
    }
}
