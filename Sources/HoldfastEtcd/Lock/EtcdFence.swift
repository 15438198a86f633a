// SPDX-License-Identifier: Apache-2.0

#if Etcd
public import Holdfast

/// What a save proves about the lock that it is made under.
///
/// The fence of a held lock names the lock's key: etcd accepts the save only while that lock is held, and so refuses
/// the old holder from the moment that the lock is given up, before the next holder has saved. The fence of a token
/// alone is only compared with the tokens of earlier saves: it is for a token that travelled, to another process or
/// another machine.
public struct EtcdFence: Sendable {
    /// The token.
    public let token: FencingToken
    /// The key that must have been created at the token's revision.
    let key: [UInt8]?

    /// Makes a fence of a token that travelled without its lock.
    public init(_ token: FencingToken) {
        self.token = token
        key = nil
    }

    init(_ token: FencingToken, key: [UInt8]) {
        self.token = token
        self.key = key
    }
}
#endif
