// SPDX-License-Identifier: Apache-2.0
//
// The two numbers by which a state is known: which store it is, and which of its saves.

/// Which save of a store a state is: 1 for the first, then one more with each.
///
/// Compare it to learn whether another save came in between: ``StateFile/save(_:ifGeneration:fence:durability:deadline:timeout:)``.
public struct Generation: Hashable, Comparable, Sendable, ExpressibleByIntegerLiteral, CustomStringConvertible {
    /// There is no state yet.
    public static let absent = Generation(0)

    /// The number; 0 is ``absent``.
    public let value: UInt64

    /// Makes a generation from its number.
    public init(_ value: UInt64) {
        self.value = value
    }

    /// Makes a generation from a literal.
    public init(integerLiteral value: UInt64) {
        self.init(value)
    }

    /// The number in decimal.
    public var description: String { "\(value)" }

    /// Whether one was saved before another of the same store.
    public static func < (first: Generation, second: Generation) -> Bool {
        first.value < second.value
    }
}

extension Generation: Codable {
    /// Reads the number.
    public init(from decoder: any Decoder) throws {
        self.init(try decoder.singleValueContainer().decode(UInt64.self))
    }

    /// Writes the number alone.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }
}

extension Generation {
    /// The next one; nil after the largest number, which only a forged file can reach.
    var next: Generation? {
        let (sum, overflow) = value.addingReportingOverflow(1)
        return overflow ? nil : Generation(sum)
    }
}

/// Which store a state belongs to: a random number made at the first save and kept by every later one.
///
/// It tells a state from another one that was copied over it, which is as valid as the one that was there.
public struct StoreID: Hashable, Sendable, LosslessStringConvertible {
    /// The number.
    public let value: UInt64

    /// Makes an identity from its number.
    public init(value: UInt64) {
        self.value = value
    }

    /// Reads 16 lower-case hexadecimal digits, as ``description`` writes them.
    public init?(_ description: String) {
        guard let value = UInt64(description, radix: 16), hexadecimal(value) == description else { return nil }
        self.init(value: value)
    }

    /// 16 lower-case hexadecimal digits.
    public var description: String { hexadecimal(value) }

    /// A new one.
    ///
    /// 2^64 are enough that no two stores of one machine meet.
    static func random() -> StoreID {
        StoreID(value: .random(in: 1 ... .max))
    }
}

extension StoreID: Codable {
    /// Reads the 16 hexadecimal digits.
    ///
    /// - Throws: `DecodingError` for any other text.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let store = StoreID(try container.decode(String.self)) else {
            let reason = "a store's identity has 16 lower-case hexadecimal digits"
            throw DecodingError.dataCorruptedError(in: container, debugDescription: reason)
        }
        self = store
    }

    /// Writes the 16 hexadecimal digits.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
