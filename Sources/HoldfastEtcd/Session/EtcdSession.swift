// SPDX-License-Identifier: Apache-2.0
//
// A lease that is kept alive, and the moment until which this process may believe in it.
//
// The moment is nine tenths of the granted TTL after a keepalive was SENT. etcd counts the whole TTL from when it
// received the keepalive, which is later, so its end is after ours as long as the two clocks run at rates less than a
// tenth apart. A client that counts from the answer can believe in a lease that another client has followed already.
// `ContinuousClock` goes on while the machine sleeps, and cannot be set.
//
// Invariants: `until` only grows while the session lives, and `end` happens once: a session that is lost never comes
// back, even if an answer arrives later that renews the lease.

#if Etcd
internal import SwiftProtobuf
internal import Logging
internal import GRPCCore
internal import Synchronization

/// A lease of etcd that this process keeps alive: what its locks hang on.
///
/// ``EtcdCluster/withSession(ttl:_:)`` lends one. A session is lost if it cannot be renewed in time; then all its locks
/// are lost with it, and a new session is needed. Keep one session for each process; its locks are independent of each
/// other.
public final class EtcdSession: Sendable {
    private struct State {
        var until: Instant
        var ending: String?
    }

    let cluster: EtcdCluster
    package let lease: Int64
    /// The TTL that the server granted, which may be longer than what was asked for.
    public let ttl: Duration
    private let state: Mutex<State>
    let over = Latch()

    package init(of cluster: EtcdCluster, lease: Int64, seconds: Int64, sent: Instant) {
        self.cluster = cluster
        self.lease = lease
        ttl = .seconds(seconds)
        state = Mutex(State(until: sent + .seconds(seconds) * 9 / 10))
    }

    /// Until when this process may believe in the session if nothing more is heard of etcd.
    public var safeUntil: ContinuousClock.Instant { state.withLock { $0.until } }

    /// Throws if the session is lost.
    ///
    /// Compares the clock, and asks no server.
    ///
    /// - Throws: `lost`.
    public func check() throws(EtcdError) {
        let (until, ending) = state.withLock { ($0.until, $0.ending) }
        if ending == nil, ContinuousClock.now >= until { end(Self.late) }
        if let ending = ending ?? reason { throw EtcdError(.lost, "the session", ending) }
    }

    /// Returns when the session is lost, with the reason, or nil when the task is cancelled first.
    public func lost() async -> EtcdError? {
        await over.wait()
        return reason.map { EtcdError(.lost, "the session", $0) }
    }

    /// Why it is over; nil while it lives.
    var reason: String? { state.withLock { $0.ending } }

    static let late = "etcd could not be reached to renew the lease in time"

    func end(_ reason: String) {
        let isFirst = state.withLock { state in
            guard state.ending == nil else { return false }
            state.ending = reason
            return true
        }
        guard isFirst else { return }
        cluster.keepalives.remove(self)
        over.open()
        if reason != Self.closed {
            cluster.logger.warning("an etcd session is lost", metadata: ["reason": "\(reason)"])
        }
    }

    private static let closed = "the session is closed"

    /// Takes note of an answer to a keepalive that was sent at a moment.
    package func renew(sent: Instant, seconds: Int64) {
        let isLate = state.withLock { state in
            // It was lost already, although no task has said so yet: this process may have been stopped.
            if ContinuousClock.now >= state.until { return true }
            state.until = max(state.until, sent + .seconds(seconds) * 9 / 10)
            return false
        }
        if isLate { end(Self.late) }
    }

    /// Sends a keepalive each quarter of the TTL, and ends the session when its time is over, whatever the network
    /// does.
    func keep() async {
        let period = ttl / 4
        var next = ContinuousClock.now + period
        while reason == nil, !Task.isCancelled {
            let now = ContinuousClock.now
            let until = safeUntil
            if now >= until { return end(Self.late) }
            if now >= next {
                cluster.keepalives.send(for: self)
                next = now + period
            }
            cluster.keepalives.leaveIfSilent(for: self, since: now - period)
            try? await Task.sleep(until: min(until, next), tolerance: .zero, clock: .continuous)
        }
    }

    func close() async {
        end(Self.closed)
        // In a task of its own: a cancelled one could not say goodbye. Without an answer the lease ends by itself.
        await Task {
            _ = try? await cluster.call("the session", until: .now + .seconds(1)) { client, metadata, options in
                try await Etcdserverpb_Lease.Client(wrapping: client)
                    .leaseRevoke(.with { $0.id = lease }, metadata: metadata, options: options)
            }
        }.value
    }
}

extension EtcdCluster {
    /// Runs a body with a session, and ends the session with all its locks when the body returns or throws.
    ///
    /// Costs a request to open and another to close, each written to the logs of a majority, and one keepalive each
    /// quarter of the TTL.
    ///
    /// - Parameters:
    ///   - ttl: How long etcd keeps the locks of a process that is gone: 2 seconds to 1 hour, in whole seconds. A
    ///     shorter time frees locks sooner; a longer one survives longer pauses, elections and cuts of the network. The
    ///     server may grant more.
    ///   - timeout: How long to try to open it; the options' `requestTimeout` by default.
    ///   - body: Runs on the calling task, and is not cancelled when the session is lost: see ``EtcdSession/lost()``,
    ///     and ``EtcdLock/withLock(timeout:_:)``, which cancels.
    /// - Returns: What the body returns.
    /// - Throws: `unavailable`, `noSpace`, `authenticationFailed`, `unsupportedServer` and others if there is no
    ///   session, and what the body throws.
    public func withSession<Result>(
        ttl: Duration = .seconds(15),
        timeout: Duration? = nil,
        _ body: (EtcdSession) async throws -> Result
    ) async throws -> Result {
        let session = try await openSession(ttl: ttl, timeout: timeout)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await session.keep() }
            do {
                let result = try await body(session)
                await session.close()
                group.cancelAll()
                return result
            } catch {
                await session.close()
                group.cancelAll()
                throw error
            }
        }
    }

    private func openSession(ttl: Duration, timeout: Duration?) async throws(EtcdError) -> EtcdSession {
        let seconds = ttl.components.seconds
        guard (2...3600).contains(seconds) else {
            throw EtcdError(.refused, "the session", "asks for a TTL of \(ttl) and not of 2 seconds to 1 hour")
        }
        let deadline = deadline(timeout)
        // The moment of the attempt that was answered. A lease of an attempt without an answer ends by itself.
        var sent = ContinuousClock.now
        let reply = try await call("the session", until: deadline) { client, metadata, options in
            sent = .now
            return try await Etcdserverpb_Lease.Client(wrapping: client)
                .leaseGrant(.with { $0.ttl = seconds }, metadata: metadata, options: options)
        }
        guard reply.error.isEmpty, reply.ttl > 0 else {
            throw EtcdError(.refused, "the session", "etcd grants no lease: \(reply.error)")
        }
        let session = EtcdSession(of: self, lease: reply.id, seconds: reply.ttl, sent: sent)
        keepalives.add(session)
        return session
    }

    /// The end of a call's time; far away stays representable.
    func deadline(_ timeout: Duration?) -> Instant {
        .now + min(max(timeout ?? options.requestTimeout, .zero), .seconds(3600 * 24 * 365))
    }
}
#endif
