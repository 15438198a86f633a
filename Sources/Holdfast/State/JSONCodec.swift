// SPDX-License-Identifier: Apache-2.0
//
// JSON over FoundationEssentials, which is all of Foundation that it needs. Without the package trait JSON this file is
// empty, and a service that uses its own codec links no Foundation.

#if JSON
#if canImport(FoundationEssentials)
internal import FoundationEssentials
#else
internal import Foundation
#endif

/// Stores values as JSON with sorted keys: equal values are equal bytes.
///
/// Needs the package trait `JSON`, which is on by default.
public struct JSONCodec<Value: Codable>: StateCodec {
    /// Makes the codec.
    public init() {}

    /// The value as JSON on one line, keys sorted, slashes not escaped.
    public func encode(_ value: Value) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return [UInt8](try encoder.encode(value))
    }

    /// The value of a JSON text.
    public func decode(_ bytes: [UInt8]) throws -> Value {
        try JSONDecoder().decode(Value.self, from: Data(bytes))
    }
}

extension StateFile where Value: Codable {
    /// Names a state file whose payload is JSON.
    ///
    /// As ``init(_:in:codec:schema:migrations:options:)`` with ``JSONCodec``; needs the package trait `JSON`.
    public init(
        _ name: FileName,
        in directory: OpenDirectory,
        schema: UInt32 = 1,
        migrations: [StateMigration] = [],
        options: StateOptions = StateOptions()
    ) throws(StateError) {
        try self.init(
            name,
            in: directory,
            codec: JSONCodec(),
            schema: schema,
            migrations: migrations,
            options: options
        )
    }

    /// Opens the directory of a path and names a state file in it whose payload is JSON.
    ///
    /// As ``init(_:codec:schema:migrations:options:)`` with ``JSONCodec``; needs the package trait `JSON`.
    public init(
        _ path: String,
        schema: UInt32 = 1,
        migrations: [StateMigration] = [],
        options: StateOptions = StateOptions()
    ) throws(StateError) {
        try self.init(path, codec: JSONCodec(), schema: schema, migrations: migrations, options: options)
    }
}
#endif
