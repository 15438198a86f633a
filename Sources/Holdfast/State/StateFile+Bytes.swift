// SPDX-License-Identifier: Apache-2.0
//
// Bytes need no codec to be named; without these, the ones for Codable values would store them as a list of numbers.

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
    /// As ``init(path:codec:schema:migrations:options:)`` with ``BytesCodec``.
    public init(
        path: String,
        schema: UInt32 = 1,
        migrations: [StateMigration] = [],
        options: StateOptions = StateOptions()
    ) throws(StateError) {
        try self.init(path: path, codec: BytesCodec(), schema: schema, migrations: migrations, options: options)
    }
}
