// SPDX-License-Identifier: Apache-2.0
//
// The values of a state: look, then watch from the revision after the look. When the watch ends, for whatever reason,
// look again. Only a greater generation than the last one is given out, so nothing comes twice or goes back.

#if Etcd
internal import SwiftProtobuf
#if canImport(FoundationEssentials)
internal import FoundationEssentials
#else
internal import Foundation
#endif
internal import Holdfast

/// The present value of a state and later ones.
///
/// ``EtcdState/values`` makes it. Keeps one value that was not read yet: a slow reader skips.
public struct EtcdValues<Value: Sendable>: AsyncSequence, Sendable {
    /// A value with its generation.
    public typealias Element = EtcdSnapshot<Value>
    /// What makes a value unreadable.
    public typealias Failure = EtcdError

    private let state: EtcdState<Value>

    init(of state: EtcdState<Value>) {
        self.state = state
    }

    /// Begins with the present value.
    public func makeAsyncIterator() -> Iterator { Iterator(of: state) }

    /// Reads the values one after another.
    public struct Iterator: AsyncIteratorProtocol {
        private let state: EtcdState<Value>
        private var last = Generation.absent
        private var watch: Watch.Iterator?
        private var isOver = false

        init(of state: EtcdState<Value>) {
            self.state = state
        }

        /// The next value; nil when the task is cancelled.
        ///
        /// - Throws: `corrupt`, `newerFormat`, `newerSchema`, `permissionDenied` and what else no repetition mends.
        public mutating func next() async throws(EtcdError) -> EtcdSnapshot<Value>? {
            do throws(EtcdError) {
                while !isOver, !Task.isCancelled {
                    if let snapshot = try await step(), snapshot.generation > last {
                        last = snapshot.generation
                        return snapshot
                    }
                }
            } catch {
                isOver = true
                if error.code == .cancelled { return nil }
                throw error
            }
            return nil
        }

        /// The next value.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(EtcdError) -> EtcdSnapshot<Value>? {
            try await next()
        }

        /// One answer of the watch, or one look if there is no watch.
        private mutating func step() async throws(EtcdError) -> EtcdSnapshot<Value>? {
            if var watch {
                let answer = await watch.next(isolation: nil)
                self.watch = watch
                if let pair = answer?.events.last(where: { $0.kind == .put })?.pair {
                    return try state.snapshot(of: pair)
                }
                if answer != nil { return nil }
                self.watch = nil
                try? await Task.sleep(for: .milliseconds(100))
                return nil
            }
            do throws(EtcdError) {
                let cluster = state.cluster
                let look = try await state.look(.linearizable, until: cluster.deadline(nil))
                let request = Etcdserverpb_WatchCreate.with {
                    $0.key = Data(state.key)
                    $0.startRevision = look.revision + 1
                }
                watch = cluster.watches.watch(request, buffering: .bufferingNewest(1)).makeAsyncIterator()
                return look.snapshot
            } catch {
                guard error.code == .unavailable else { throw error }
                return nil
            }
        }
    }
}
#endif
