// SPDX-License-Identifier: Apache-2.0
//
// States without naming a codec: bytes, and JSON with the trait JSON.

#if Etcd
public import Holdfast

extension EtcdState where Value == [UInt8] {
    /// Names a state whose payload is bytes; asks no server.
    public init(_ name: EtcdName, in cluster: EtcdCluster) {
        self.init(name, in: cluster, BytesCodec(), MigrationPath(to: 1))
    }
}

#if JSON
extension EtcdState where Value: Codable {
    /// Names a state whose payload is JSON; asks no server.
    ///
    /// As ``init(_:in:codec:schema:migrations:)`` with `JSONCodec`; needs the package trait `JSON`.
    ///
    /// - Throws: ``EtcdError`` as there.
    public init(
        _ name: EtcdName,
        in cluster: EtcdCluster,
        schema: UInt32 = 1,
        migrations: [StateMigration] = []
    ) throws(EtcdError) {
        try self.init(name, in: cluster, codec: JSONCodec(), schema: schema, migrations: migrations)
    }
}
#endif
#endif
