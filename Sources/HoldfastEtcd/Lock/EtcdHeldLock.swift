// SPDX-License-Identifier: Apache-2.0
//
// A lock that is held, until it is released or lost.

#if Etcd
internal import SwiftProtobuf
public import Holdfast
internal import Synchronization

/// A lock that this process was granted.
///
/// It lasts until ``release()``, the end of its session, or until an operator deletes its key. A held lock that is let
/// go without a release stays held as long as the session lives.
public final class EtcdHeldLock: Sendable {
    private enum State { case held, released, lost(String) }

    private let lock: EtcdLock
    private let key: [UInt8]
    /// The token of this grant: greater than that of every earlier grant of the lock.
    public let token: FencingToken
    /// The last holder, if it ended without a release: what the lock protects may be half changed.
    public let abandoned: EtcdHolder?
    /// What keeps a late attempt of the acquisition from making the key again, if there may be one.
    private let tombstone: [UInt8]?
    private let state = Mutex(State.held)

    init(of lock: EtcdLock, key: [UInt8], token: FencingToken, abandoned: EtcdHolder?, tombstone: [UInt8]?) {
        self.lock = lock
        self.key = key
        self.token = token
        self.abandoned = abandoned
        self.tombstone = tombstone
    }

    /// What a save under this lock is made with.
    public var fence: EtcdFence { EtcdFence(token, key: key) }

    /// Until when this process may believe that it holds the lock if nothing more is heard of etcd.
    public var safeUntil: ContinuousClock.Instant { lock.session.safeUntil }

    var isReleased: Bool {
        state.withLock { if case .released = $0 { true } else { false } }
    }

    /// Throws if the lock is known to be lost, or was released.
    ///
    /// Compares the clock, and asks no server: a lock that was not known to be lost a moment ago may be so now. What
    /// must not happen under a lost lock is a save under ``fence``.
    ///
    /// - Throws: `lost`.
    public func check() throws(EtcdError) {
        switch state.withLock({ $0 }) {
        case .released: throw EtcdError(.lost, lock.subject, "it was released")
        case .lost(let reason): throw EtcdError(.lost, lock.subject, reason)
        case .held:
            do throws(EtcdError) {
                try lock.session.check()
            } catch {
                throw EtcdError(.lost, lock.subject, error.reason)
            }
        }
    }

    /// Returns when the lock is lost, with the reason, or nil when the task is cancelled first.
    ///
    /// Costs nothing in the first second, then one watch of the lock's key: short holders pay nothing, and a holder
    /// whose key an operator deletes is told.
    public func lost() async -> EtcdError? {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.lock.session.over.wait() }
            group.addTask { await self.watchKey() }
            await group.next()
            group.cancelAll()
        }
        if Task.isCancelled { return nil }
        do throws(EtcdError) {
            try check()
            return nil
        } catch {
            return error
        }
    }

    /// Gives the lock back.
    ///
    /// Costs one request. If no server answers it goes on in the background until it is done or the session is over; a
    /// lock that was released once is not released again.
    ///
    /// - Throws: `lost` if etcd had given up the lock before. The lock is not held in either case.
    public func release() async throws(EtcdError) {
        try check()
        state.withLock { $0 = .released }
        let isHeld = Etcdserverpb_Compare.created(key, at: Int64(token.value))
        let deletions = [Etcdserverpb_Request.delete(key), .delete(below: lock.journals)]
        var requests = [Txn(if: [isHeld], then: deletions)]
        if let tombstone {
            let change = Etcdserverpb_Request.put(tombstone, [], lease: lock.session.lease)
            requests.insert(Txn(if: [isHeld], then: deletions + [change]), at: 0)
        }
        let reply = await lock.session.settle(lock.subject, requests)
        if let reply, !reply.succeeded { throw EtcdError(.lost, lock.subject, Self.deleted) }
    }

    private static let deleted = "etcd had given it up: its key is gone"

    /// Returns when the key is gone, the session is over or the task is cancelled.
    private func watchKey() async {
        try? await Task.sleep(for: .seconds(1))
        var revision = Int64(token.value) + 1
        while !Task.isCancelled, lock.session.reason == nil {
            let cluster = lock.session.cluster
            let watch = cluster.watches.watch(.deletions(of: key, from: revision), buffering: .bufferingNewest(1))
            for await answer in watch where !answer.events.isEmpty {
                return state.withLock { if case .held = $0 { $0 = .lost(Self.deleted) } }
            }
            // The stream has ended, or its revision is compacted: look.
            try? await Task.sleep(for: .milliseconds(100))
            guard let look = try? await cluster.range(lock.subject, until: safeUntil, .get(key)) else { continue }
            if look.pairs.first?.createRevision != Int64(token.value) {
                return state.withLock { if case .held = $0 { $0 = .lost(Self.deleted) } }
            }
            revision = look.header.revision + 1
        }
    }
}
#endif
