// SPDX-License-Identifier: Apache-2.0
//
// What a mutex grants. Its token is of another type than those of lock files, because a reboot may repeat it.

/// A number that grows with each acquisition of a ``SharedMemoryMutex``, for as long as its arena's file lives.
///
/// It tells one acquisition of a mutex from another. It is no ``Fence``: on tmpfs the tokens begin again with each boot,
/// and a state that was fenced with one of before would refuse every save.
public struct MutexToken: Hashable, Sendable {
    /// The number, at least 1 for a token that a mutex gave out.
    public let value: UInt64

    /// Makes a token from its number.
    @inlinable
    public init(_ value: UInt64) {
        self.value = value
    }
}

extension MutexToken: Comparable {
    /// Whether the first was given out before the second.
    @inlinable
    public static func < (first: MutexToken, second: MutexToken) -> Bool {
        first.value < second.value
    }
}

extension MutexToken: Codable {
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

extension MutexToken: CustomStringConvertible {
    /// The decimal number.
    public var description: String { String(value) }
}

/// What an acquisition of a ``SharedMemoryMutex`` gives to its holder.
public struct MutexGrant: Sendable {
    /// The mutex's word while it is held and no other process waits.
    @usableFromInline let held: UInt64
    /// The token of this acquisition, greater than that of every earlier one of this mutex.
    public let token: MutexToken
    @usableFromInline let deadToken: UInt64

    @inlinable
    init(held: UInt64, token: MutexToken, deadToken: UInt64 = 0) {
        self.held = held
        self.token = token
        self.deadToken = deadToken
    }

    /// The token of the previous holder if that died while it held the mutex, or its machine stopped; nil if it released.
    ///
    /// What the mutex protects may be half changed. Reported once for each death, to the next holder.
    @inlinable public var abandoned: MutexToken? { deadToken == 0 ? nil : MutexToken(deadToken) }
}
