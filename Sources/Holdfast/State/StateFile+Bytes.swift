// SPDX-License-Identifier: Apache-2.0
//
// Bytes need no codec to be named; without these, the ones for Codable values would store them as a list of numbers. A value
// that is neither is told here what it needs.

extension StateFile where Value == [UInt8] {
    /// Names a state file whose payload is bytes.
    ///
    /// As ``init(_:in:codec:schema:migrations:options:)`` with ``BytesCodec``.
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
            codec: BytesCodec(),
            schema: schema,
            migrations: migrations,
            options: options
        )
    }

    /// Opens the directory of a path and names a state file in it whose payload is bytes.
    ///
    /// As ``init(_:codec:schema:migrations:options:)`` with ``BytesCodec``.
    public init(
        _ path: String,
        schema: UInt32 = 1,
        migrations: [StateMigration] = [],
        options: StateOptions = StateOptions()
    ) throws(StateError) {
        try self.init(path, codec: BytesCodec(), schema: schema, migrations: migrations, options: options)
    }
}

extension StateFile {
    /// Not available: the value needs a codec.
    @available(*, unavailable, message: "a value that is neither Codable nor [UInt8] needs a codec: pass 'codec:'")
    @_disfavoredOverload
    public init(
        _ name: FileName,
        in directory: OpenDirectory,
        schema: UInt32 = 1,
        migrations: [StateMigration] = [],
        options: StateOptions = StateOptions()
    ) throws(StateError) {
        preconditionFailure("unavailable")
    }

    /// Not available: the value needs a codec.
    @available(*, unavailable, message: "a value that is neither Codable nor [UInt8] needs a codec: pass 'codec:'")
    @_disfavoredOverload
    public init(
        _ path: String,
        schema: UInt32 = 1,
        migrations: [StateMigration] = [],
        options: StateOptions = StateOptions()
    ) throws(StateError) {
        preconditionFailure("unavailable")
    }
}
