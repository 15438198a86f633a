// SPDX-License-Identifier: Apache-2.0
//
// Between a value and the bytes that are stored. The checksum is taken of the bytes, so a codec needs no care for it.

/// Turns values into the bytes that are stored, and back.
///
/// Encode deterministically if equal states should be equal files. Both methods run on the calling thread;
/// ``StateFile/update(initial:fence:durability:deadline:timeout:_:)`` calls them while it holds the state's lock.
public protocol StateCodec<Value>: Sendable {
    /// What is stored.
    associatedtype Value

    /// The bytes to store.
    ///
    /// - Parameter value: What to store.
    /// - Returns: Any bytes, also none.
    /// - Throws: Anything; the save then throws ``StateError/Code/encodingFailed`` with it, and nothing is changed.
    func encode(_ value: Value) throws -> [UInt8]

    /// The value of bytes whose checksum is right and whose schema is the current one.
    ///
    /// - Parameter bytes: The payload, after migrations.
    /// - Returns: The value.
    /// - Throws: Anything; the load then throws ``StateError/Code/decodingFailed`` with it.
    func decode(_ bytes: [UInt8]) throws -> Value
}

/// Stores bytes as they are, without copying them.
public struct BytesCodec: StateCodec {
    /// Makes the codec.
    public init() {}

    /// The bytes themselves.
    public func encode(_ value: [UInt8]) -> [UInt8] { value }

    /// The bytes themselves.
    public func decode(_ bytes: [UInt8]) -> [UInt8] { bytes }
}
