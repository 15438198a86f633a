// SPDX-License-Identifier: Apache-2.0
//
// Without the package trait Etcd this module has nothing but these names, so that the compiler says what is missing.

#if !Etcd
/// Needs the package trait `Etcd`.
@available(*, unavailable, message: "enable the trait Etcd: .package(url: …, traits: [.defaults, \"Etcd\"])")
public enum EtcdCluster {}

/// Needs the package trait `Etcd`.
@available(*, unavailable, message: "enable the trait Etcd: .package(url: …, traits: [.defaults, \"Etcd\"])")
public enum EtcdSession {}

/// Needs the package trait `Etcd`.
@available(*, unavailable, message: "enable the trait Etcd: .package(url: …, traits: [.defaults, \"Etcd\"])")
public enum EtcdLock {}

/// Needs the package trait `Etcd`.
@available(*, unavailable, message: "enable the trait Etcd: .package(url: …, traits: [.defaults, \"Etcd\"])")
public enum EtcdState<Value> {}
#endif
