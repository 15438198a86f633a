// SPDX-License-Identifier: Apache-2.0
//
// A token lets the protected resource, not the lock, turn away a holder that was paused past its time.

/// A number that only grows: one for each exclusive acquisition of a ``LockFile``.
///
/// Pass it to what the lock protects, and let that refuse a token older than the newest it has seen, as
/// ``StateFile`` does with a ``Fence``. A later holder has a greater token than every earlier one, across processes,
/// crashes and power cuts, as long as the lock file's hidden companion `.NAME.guard` is not deleted. Tokens may skip.
public struct FencingToken: Hashable, Sendable {
    /// The number, at least 1 for a token that a lock gave out.
    public let value: UInt64

    /// Makes a token from its number, for example from the environment of a child process.
    public init(_ value: UInt64) {
        self.value = value
    }
}

extension FencingToken: Comparable {
    /// Whether the first was given out before the second.
    public static func < (first: FencingToken, second: FencingToken) -> Bool {
        first.value < second.value
    }
}

extension FencingToken: Codable {
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

extension FencingToken: CustomStringConvertible {
    /// The decimal number.
    public var description: String { String(value) }
}
