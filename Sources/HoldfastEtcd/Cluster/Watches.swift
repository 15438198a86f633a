// SPDX-License-Identifier: Apache-2.0
//
// The watches of all locks and states, on one stream.
//
// A watch ends when its stream does: a broken connection, a member that is left, a compaction. Its user then looks at
// the keys again and watches from the revision of what it saw. So nothing here needs to be repeated, and no event can
// be missed between two streams.
//
// A stream that is silent for 10 seconds is left. While there are watches, a request for the progress every 3 seconds
// makes sure that a sound stream is never silent.

#if Etcd
internal import SwiftProtobuf
internal import GRPCCore
internal import Synchronization

/// Responses with events, and as the last one perhaps one that is canceled, until the stream ends.
typealias Watch = AsyncStream<Etcdserverpb_WatchResponse>

final class Watches: Sendable {
    private struct Entry {
        var request: Etcdserverpb_WatchCreate
        var output: Watch.Continuation
    }

    private struct State {
        var entries: [Int64: Entry] = [:]
        /// Never used twice, so that a late response of a watch that was cancelled belongs to no other one.
        var lastID: Int64 = 0
        var requests: AsyncStream<Etcdserverpb_WatchRequest>.Continuation?
        var index: Int?
        var leaving = Latch()
        var heard = ContinuousClock.now
    }

    private let state = Mutex(State())
    private let isWanted = Latch()

    /// Watches from a revision on, keeping as many unread responses as `buffering` says.
    func watch(
        _ request: Etcdserverpb_WatchCreate,
        buffering: Watch.Continuation.BufferingPolicy
    ) -> Watch {
        let (responses, output) = AsyncStream.makeStream(
            of: Etcdserverpb_WatchResponse.self,
            bufferingPolicy: buffering
        )
        let id = state.withLock { state in
            state.lastID += 1
            var request = request
            request.watch = state.lastID
            state.entries[state.lastID] = Entry(request: request, output: output)
            state.requests?.yield(.with { $0.create = request })
            return state.lastID
        }
        output.onTermination = { _ in self.cancel(id) }
        isWanted.open()
        return responses
    }

    private func cancel(_ id: Int64) {
        state.withLock { state in
            guard state.entries.removeValue(forKey: id) != nil else { return }
            state.requests?.yield(.with { $0.cancel = .with { $0.watch = id } })
        }
    }

    /// Leaves the stream if it is one to this member.
    func leave(_ index: Int) {
        state.withLock { $0.index == index ? $0.leaving : nil }?.open()
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
        let (requests, input) = AsyncStream.makeStream(of: Etcdserverpb_WatchRequest.self)
        let leaving = Latch()
        state.withLock { state in
            state.requests = input
            state.index = index
            state.leaving = leaving
            state.heard = .now
            for entry in state.entries.values { input.yield(.with { $0.create = entry.request }) }
        }
        defer {
            let entries = state.withLock { state in
                state.requests = nil
                state.index = nil
                defer { state.entries = [:] }
                return state.entries.values
            }
            input.finish()
            for entry in entries { entry.output.finish() }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                do {
                    try await Etcdserverpb_Watch.Client(wrapping: member.client).watch(metadata: metadata) { writer in
                        for await request in requests { try await writer.write(request) }
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
                throw RPCError(code: .unavailable, message: "the stream of watches has ended")
            }
            group.addTask {
                await leaving.wait()
                throw RPCError(code: .unavailable, message: "the member was left")
            }
            group.addTask {
                while true {
                    try await Task.sleep(for: .seconds(3))
                    let heard = self.state.withLock { state in
                        if !state.entries.isEmpty {
                            input.yield(.with { $0.progress = .init() })
                        } else {
                            state.heard = .now
                        }
                        return state.heard
                    }
                    if ContinuousClock.now - heard > .seconds(10) {
                        throw RPCError(code: .unavailable, message: "the stream of watches is silent")
                    }
                }
            }
            try await group.next()
        }
    }

    private func received(_ answer: Etcdserverpb_WatchResponse) {
        let output = state.withLock { state -> Watch.Continuation? in
            state.heard = .now
            guard !answer.events.isEmpty || answer.canceled else { return nil }
            // Refused without saying which: all look again, over another stream.
            if answer.canceled, answer.watch < 0 { state.leaving.open() }
            return answer.canceled
                ? state.entries.removeValue(forKey: answer.watch)?.output : state.entries[answer.watch]?.output
        }
        guard let output else { return }
        output.yield(answer)
        if answer.canceled { output.finish() }
    }
}
#endif
