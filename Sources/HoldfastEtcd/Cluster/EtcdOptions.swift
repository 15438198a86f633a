// SPDX-License-Identifier: Apache-2.0

#if Etcd
/// What of a cluster's behaviour can be set.
public struct EtcdOptions: Sendable {
    /// How long one attempt at one endpoint may take before the next endpoint is tried: 2 seconds.
    ///
    /// A cluster that has lost its leader needs 1 to 3 seconds to elect another one.
    public var attemptTimeout: Duration = .seconds(2)
    /// How long a load, a save or the opening of a session may take if the call has no timeout of its own: 10 seconds.
    public var requestTimeout: Duration = .seconds(10)
    /// The largest payload of a state, in bytes: 1 MiB.
    ///
    /// A server refuses requests over its `--max-request-bytes`, 1.5 MiB by default; leave 64 KiB of that for the rest
    /// of a request. Each save sends the whole payload to every member. Keep larger data elsewhere, and its address
    /// here.
    public var maximumStateSize = 1 << 20
    /// Whether servers are used whose defects break what this module promises.
    ///
    /// Supported are 3.5.28 and later, 3.6.9 and later, and 3.7. Others hand out stale values as linearizable or lose
    /// events of watches. They are refused by default, and written to the log with this.
    public var allowsUnsupportedServer = false

    /// Makes the default options.
    public init() {}
}
#endif
