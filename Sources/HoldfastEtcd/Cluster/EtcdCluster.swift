// SPDX-License-Identifier: Apache-2.0
//
// The members of an etcd cluster, and what goes on in the background: connections, the stream of keepalives, the stream
// of watches.
//
// One gRPC client for each endpoint, and our own choice among them. A single client with a list of addresses stays with
// a member that is cut off from the majority, because the TCP connection to it is sound.
//
// Keys, below the namespace NS:
//
//     NS/l/NAME/q/LEASE-NONCE   one for each acquisition, leased; its create revision is the fencing token
//     NS/l/NAME/t/LEASE-NONCE   an acquisition that was given up while its request may still be under way, leased
//     NS/l/NAME/j/LEASE-NONCE   journal of a grant, not leased, until a holder releases: tells of holders that did not
//     NS/s/NAME                 frame of a state; its mod revision is the generation
//     NS/s/NAME/f               the largest token that the state was saved with, 8 bytes big-endian

#if Etcd
internal import GRPCCore
internal import GRPCNIOTransportHTTP2Posix
internal import Holdfast
public import Logging
package import Synchronization

typealias Transport = HTTP2ClientTransport.Posix
package typealias Instant = ContinuousClock.Instant

/// An etcd cluster, and a namespace in it.
///
/// ```swift
/// let cluster = try EtcdCluster([EtcdEndpoint("etcd-1:2379"), EtcdEndpoint("etcd-2:2379")], namespace: "billing")
/// try await withThrowingTaskGroup { group in
///     group.addTask { try await cluster.run() }
///     try await cluster.withSession { session in
///         try await EtcdLock("nightly", in: session).withLock { held in … }
///     }
///     group.cancelAll()
/// }
/// ```
///
/// Nothing is connected before ``run()``, and nothing works without it. Any number of tasks may use a cluster at the
/// same time. Every program with write access below the namespace can break all that is promised for it: grant the
/// prefix `NAMESPACE/` to a user of its own.
public final class EtcdCluster: Sendable {
    /// A member and the connection to it.
    final class Member: Sendable {
        let endpoint: EtcdEndpoint
        let client: GRPCClient<Transport>
        /// Whether its version and its cluster were seen to be right since the last failure.
        let isVerified = Atomic(false)

        init(_ endpoint: EtcdEndpoint, client: GRPCClient<Transport>) {
            self.endpoint = endpoint
            self.client = client
        }
    }

    let members: [Member]
    package let namespace: String
    let options: EtcdOptions
    let logger: Logger
    let authenticator: Authenticator?
    let keepalives = Keepalives()
    let watches = Watches()
    /// The member that the next call goes to.
    let current: Atomic<Int>
    /// The cluster that has answered; 0 before an answer.
    let clusterID = Atomic<UInt64>(0)
    /// The greatest revision of an answer.
    let revision = Atomic<Int64>(0)
    package let failovers = Atomic<Int>(0)
    package let authentications = Atomic<Int>(0)

    /// Names a cluster and a namespace in it; connects to nothing.
    ///
    /// - Parameters:
    ///   - endpoints: At least one, all of the same cluster. The first call goes to one of them at random.
    ///   - namespace: What every key begins with: letters, digits, `.`, `_`, `-`, and `/` between parts that are not
    ///     empty. No other program writes there, and no namespace in use lies inside another one.
    ///   - security: How connections are secured; its files are read now.
    ///   - credentials: For a cluster that authenticates users by passwords.
    ///   - options: Time limits and sizes.
    ///   - logger: Is told of failovers, lost sessions and unsupported servers, never of a password.
    /// - Throws: `refused` for a configuration that cannot work.
    public init(
        _ endpoints: [EtcdEndpoint],
        namespace: String,
        security: EtcdSecurity = .tls,
        credentials: EtcdCredentials? = nil,
        options: EtcdOptions = EtcdOptions(),
        logger: Logger = Logger(label: "holdfast.etcd")
    ) throws(EtcdError) {
        guard !endpoints.isEmpty else { throw EtcdError(.refused, "etcd", "no endpoint is given") }
        let parts = namespace.split(separator: "/", omittingEmptySubsequences: false)
        let isPlain = namespace.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: "._-/".utf8.contains(byte)
            }
        }
        guard isPlain, !parts.contains("") else {
            throw EtcdError(
                .refused,
                "namespace '\(namespace)'",
                "is not made of letters, digits, '.', '_', '-' and '/' between parts"
            )
        }
        for endpoint in endpoints where endpoint.isSecure != nil && endpoint.isSecure != (security.files != nil) {
            let scheme = endpoint.isSecure == true ? "https" : "http"
            throw EtcdError(
                .refused,
                "endpoint '\(endpoint)'",
                "is given with \(scheme), which the security of the cluster is not"
            )
        }
        let transportSecurity = try security.transportSecurity()
        var members: [Member] = []
        for endpoint in endpoints {
            let transport: Transport
            do {
                transport = try Transport(
                    target: endpoint.target,
                    transportSecurity: transportSecurity,
                    config: .defaults { config in
                        // etcd closes connections that ping more often than every 5 seconds. No coalescing of flushes:
                        // it delays each of the few small requests that this module makes.
                        config.connection = .init(
                            maxIdleTime: .seconds(30 * 60),
                            keepalive: .init(time: .seconds(10), timeout: .seconds(3), allowWithoutCalls: false)
                        )
                        config.backoff = .init(
                            initial: .milliseconds(50),
                            max: .seconds(2),
                            multiplier: 1.6,
                            jitter: 0.2
                        )
                        if let name = security.files?.serverName { config.http2.authority = name }
                    }
                )
            } catch {
                throw EtcdError(
                    .refused,
                    "endpoint '\(endpoint)'",
                    "cannot be used: \(Self.words(for: error))",
                    underlying: error
                )
            }
            members.append(Member(endpoint, client: GRPCClient(transport: transport)))
        }
        self.members = members
        self.namespace = namespace
        self.options = options
        self.logger = logger
        authenticator = credentials.map(Authenticator.init)
        current = Atomic(Int.random(in: members.indices))
    }

    /// Drives the connections and the streams until the task is cancelled; then every session is lost.
    ///
    /// Call it once, in a task of its own.
    ///
    /// - Throws: What the transport throws if it cannot go on.
    public func run() async throws {
        defer { keepalives.endAll("the cluster's run() has ended") }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for member in members {
                group.addTask { try await member.client.runConnections() }
            }
            group.addTask { await self.keepalives.run(over: self) }
            group.addTask { await self.watches.run(over: self) }
            try await group.waitForAll()
        }
    }
}
#endif
