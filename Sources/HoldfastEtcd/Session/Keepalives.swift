// SPDX-License-Identifier: Apache-2.0
//
// The keepalives of all sessions, on one stream.
//
// Invariants: `unanswered` has, for each lease and in the order of sending, the moments at which keepalives of this
// stream were sent that have no answer yet. etcd answers the keepalives of a stream in their order, so the oldest
// moment belongs to the next answer of its lease. The moment is taken before the request is sent, so that it is earlier
// than what etcd counts from.

#if Etcd
internal import SwiftProtobuf
internal import GRPCCore
internal import Synchronization

final class Keepalives: Sendable {
    private struct State {
        var sessions: [Int64: EtcdSession] = [:]
        var requests: AsyncStream<Int64>.Continuation?
        var unanswered: [Int64: [Instant]] = [:]
        /// Opened to leave the present stream.
        var leaving = Latch()
    }

    private let state = Mutex(State())
    private let isWanted = Latch()

    func add(_ session: EtcdSession) {
        state.withLock { $0.sessions[session.lease] = session }
        isWanted.open()
    }

    func remove(_ session: EtcdSession) {
        state.withLock { state in
            state.sessions[session.lease] = nil
            state.unanswered[session.lease] = nil
        }
    }

    func endAll(_ reason: String) {
        for session in state.withLock({ Array($0.sessions.values) }) { session.end(reason) }
    }

    /// Sends a keepalive if there is a stream; a stream that opens later begins with one for each session.
    func send(for session: EtcdSession) {
        _ = state.withLock { $0.requests }?.yield(session.lease)
    }

    /// Leaves the stream if a keepalive of this session has been without an answer for too long.
    func leaveIfSilent(for session: EtcdSession, since limit: Instant) {
        let leaving = state.withLock { state in
            (state.unanswered[session.lease]?.first).map { $0 < limit } == true ? state.leaving : nil
        }
        leaving?.open()
    }

    func run(over cluster: EtcdCluster) async {
        await isWanted.wait()
        var backoff = Backoff()
        while !Task.isCancelled {
            let index = cluster.current.load(ordering: .relaxed)
            let opened = ContinuousClock.now
            do {
                try await stream(over: cluster, at: index)
            } catch {
                let failure = EtcdCluster.failure(error, at: cluster.members[index], token: nil)
                if case .anotherEndpoint = failure.remedy { cluster.moveOn(from: index, because: failure.reason) }
            }
            if ContinuousClock.now - opened > .seconds(5) { backoff = Backoff() }
            try? await Task.sleep(for: backoff.next())
        }
    }

    private func stream(over cluster: EtcdCluster, at index: Int) async throws {
        let member = cluster.members[index]
        let (metadata, token) = try await cluster.prepare(member, until: .now + cluster.options.attemptTimeout)
        let (requests, input) = AsyncStream.makeStream(of: Int64.self)
        let leaving = Latch()
        state.withLock { state in
            state.requests = input
            state.unanswered = [:]
            state.leaving = leaving
            for lease in state.sessions.keys { input.yield(lease) }
        }
        defer {
            state.withLock { $0.requests = nil }
            input.finish()
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                do {
                    try await Etcdserverpb_Lease.Client(wrapping: member.client).leaseKeepAlive(metadata: metadata) {
                        writer in
                        for await lease in requests {
                            self.state.withLock { state in
                                if state.sessions[lease] != nil { state.unanswered[lease, default: []].append(.now) }
                            }
                            try await writer.write(.with { $0.id = lease })
                        }
                    } onResponse: { response in
                        for try await answer in response.messages {
                            try cluster.check(answer.header, of: member)
                            self.received(answer)
                        }
                    }
                } catch let error as RPCError where error.code == .unauthenticated {
                    cluster.authenticator?.forget(token)
                    throw error
                }
                throw RPCError(code: .unavailable, message: "the stream of keepalives has ended")
            }
            group.addTask {
                await leaving.wait()
                throw RPCError(code: .unavailable, message: "keepalives are not answered")
            }
            try await group.next()
        }
    }

    private func received(_ answer: Etcdserverpb_LeaseKeepAliveResponse) {
        let (session, sent) = state.withLock { state -> (EtcdSession?, Instant?) in
            guard let session = state.sessions[answer.id], state.unanswered[answer.id]?.isEmpty == false else {
                return (nil, nil)
            }
            return (session, state.unanswered[answer.id]?.removeFirst())
        }
        guard let session, let sent else { return }
        if answer.ttl > 0 {
            session.renew(sent: sent, seconds: answer.ttl)
        } else {
            session.end("etcd has ended the lease")
        }
    }
}
#endif
