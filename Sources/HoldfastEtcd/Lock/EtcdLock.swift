// SPDX-License-Identifier: Apache-2.0
//
// A lock: the oldest key of its queue holds it.
//
//   1. One transaction puts this acquisition's key, and its journal if the queue was empty: then the lock is held. The
//      key has a nonce, so that the transaction can be repeated after a lost answer: a queue that has the key already
//      was joined by it.
//   2. Else wait for the key that was created last before ours. Watch it from the revision after the one of the look
//      that found it: etcd serves a watch of an earlier revision only every 100 ms. Look again after each event, each
//      broken stream, and every 2 seconds, because watches have lost events.
//   3. Take possession: a transaction that proves that our key is still there, and puts our journal. A journal of
//      another acquisition is that of a holder that did not release.
//   4. Release: a transaction that deletes the key and every journal, if the key is still ours. Not earlier: an
//      acquisition that is repeated after a lost answer must find the journals of the first time.
//   5. Give up: delete the key and the journal, in a task that no cancellation ends. If the request of 1 may still be
//      under way, a tombstone that it compares with keeps it from making the key later. The tombstone hangs on the
//      lease, as the key does. A release puts it too if an attempt of 1 was without an answer before the one that was
//      answered.
//
// A key for each acquisition, and not for each session: two tasks of one session exclude each other.

#if Etcd
internal import GRPCCore
internal import Logging
#if canImport(FoundationEssentials)
internal import FoundationEssentials
#else
internal import Foundation
#endif
internal import Holdfast
internal import SwiftProtobuf

/// A lock that one task on one of many machines holds at a time.
///
/// Waiters are granted the lock in the order in which they asked. A task that waits for a lock that it holds itself
/// waits until its deadline. A holder can lose the lock at any moment, by a pause or a cut of the network longer than
/// the session's TTL, and what it does then outside etcd is not stopped: pass the token along, or save under the fence
/// of the lock.
///
/// Meant for work of 100 ms and more; an acquisition and a release are each written to the logs of a majority of
/// members.
public struct EtcdLock: Sendable {
    /// What became of a try.
    public enum Attempt: Sendable {
        /// The lock is held.
        case acquired(EtcdHeldLock)
        /// Another acquisition holds the lock; nothing is left behind.
        case busy(EtcdHolder)
    }

    let session: EtcdSession
    let subject: String
    let queue: [UInt8]
    let journals: [UInt8]
    private let tombstones: [UInt8]
    private let label: String?
    private var cluster: EtcdCluster { session.cluster }

    /// Names a lock; asks no server.
    ///
    /// - Parameters:
    ///   - name: The name of the lock in the cluster's namespace.
    ///   - session: The session whose end is the end of the lock.
    ///   - label: What other processes and operators are told of this holder; the name of the program by default.
    public init(_ name: EtcdName, in session: EtcdSession, label: String? = nil) {
        self.session = session
        self.label = label
        subject = "lock '\(name)'"
        let root = "\(session.cluster.namespace)/l/\(name.encoded)"
        queue = Array("\(root)/q/".utf8)
        journals = Array("\(root)/j/".utf8)
        tombstones = Array("\(root)/t/".utf8)
    }

    /// Waits for the lock.
    ///
    /// Costs one request if the lock is free.
    ///
    /// - Parameter timeout: How long to wait; without it, as long as the session lives.
    /// - Returns: The held lock, which ends with ``EtcdHeldLock/release()`` or with the session.
    /// - Throws: `timedOut` with the holder, `cancelled`, `lost` if the session is, `unavailable`, `noSpace` and
    ///   others. Nothing is held then, and no key of this acquisition is left longer than the session.
    public func lock(timeout: Duration? = nil) async throws(EtcdError) -> EtcdHeldLock {
        switch try await acquire(timeout: timeout ?? .seconds(3600 * 24 * 365), waits: true) {
        case .acquired(let held): return held
        case .busy(let holder):
            throw EtcdError(.timedOut, subject, "the lock was not free before the deadline", holder: holder)
        }
    }

    /// Takes the lock if it is free, or becomes free in time.
    ///
    /// - Parameter timeout: How long to wait for it; without it, not at all: one request that puts nothing if the lock
    ///   is held or waited for.
    /// - Returns: The held lock, or who holds it.
    /// - Throws: As ``lock(timeout:)``, but not `timedOut`.
    public func tryLock(timeout: Duration? = nil) async throws(EtcdError) -> Attempt {
        try await acquire(timeout: timeout ?? cluster.options.requestTimeout, waits: timeout != nil)
    }

    /// Runs a body while the lock is held, and cancels the body's task if the lock is lost.
    ///
    /// - Parameters:
    ///   - timeout: How long to wait for the lock; without it, as long as the session lives.
    ///   - body: Is lent the held lock. Runs in a task of its own.
    /// - Returns: What the body returns.
    /// - Throws: As ``lock(timeout:)``, and what the body throws. If the lock was lost, `lost` after the body has
    ///   ended, also if the body returned: another holder may have come before it did.
    @discardableResult
    public func withLock<Result: Sendable>(
        timeout: Duration? = nil,
        _ body: @escaping @Sendable (EtcdHeldLock) async throws -> Result
    ) async throws -> Result {
        let held = try await lock(timeout: timeout)
        let outcome = await withTaskGroup(of: Event<Result>?.self) { group in
            group.addTask {
                do { return .ended(.success(try await body(held))) } catch { return .ended(.failure(error)) }
            }
            group.addTask { await held.lost() == nil ? nil : .lost }
            var outcome: Swift.Result<Result, any Error>?
            while let event = await group.next() {
                switch event {
                case .ended(let result):
                    outcome = result
                    group.cancelAll()
                case .lost: group.cancelAll()
                case nil: break  // this task was cancelled, and the body's with it
                }
            }
            return outcome
        }
        if !held.isReleased {
            // A lost lock is not released: the network may be what took it, and nothing is to be waited for.
            try held.check()
            do throws(EtcdError) {
                try await held.release()
            } catch {
                if case .success? = outcome { throw error }
            }
        }
        guard let outcome else { throw EtcdError(.cancelled, subject, "the task was cancelled") }
        return try outcome.get()
    }

    /// The keys of an acquisition.
    private struct Names {
        let key: [UInt8]
        let journal: [UInt8]
        let tombstone: [UInt8]
    }

    private enum Event<Result: Sendable> {
        case ended(Swift.Result<Result, any Error>)
        case lost
    }

    private func acquire(timeout: Duration, waits: Bool) async throws(EtcdError) -> Attempt {
        try session.check()
        let deadline = cluster.deadline(timeout)
        let id = "\(hexadecimal(UInt64(bitPattern: session.lease)))-\(hexadecimal(UInt64.random(in: 0 ... .max)))"
        let names = Names(
            key: queue + Array(id.utf8),
            journal: journals + Array(id.utf8),
            tombstone: tombstones + Array(id.utf8)
        )
        let record = Etcdserverpb_HolderRecord.ofThisProcess(label: label).bytes
        do throws(EtcdError) {
            return try await acquire(names, record, until: deadline, waits: waits)
        } catch {
            await giveUp(names, mayMakeKey: error.mayHaveHappened)
            try session.check()
            throw error
        }
    }

    private func acquire(
        _ names: Names,
        _ record: [UInt8],
        until deadline: Instant,
        waits: Bool
    ) async throws(EtcdError) -> Attempt {
        let put = Etcdserverpb_Request.put(names.key, record, lease: session.lease)
        let isWanted = Etcdserverpb_Compare.created(names.tombstone, at: 0)
        let request = Txn(
            if: [.nothing(below: queue), isWanted],
            then: [lastJournals, put, .put(names.journal, record)],
            else: [
                // Not free: perhaps because of this very request, whose first answer was lost.
                .txn(
                    if: [.created(names.key, at: 0), isWanted],
                    then: waits ? [put] : [.get(.oldest(below: queue))],
                    else: [.get(names.key)]
                )
            ]
        )
        let (reply, isRepetition) = try await txn(request, until: deadline)
        let tombstone = isRepetition ? names.tombstone : nil
        do throws(EtcdError) {
            if reply.succeeded {
                try session.check()
                return .acquired(held(names, reply.header.revision, reply, tombstone))
            }
            let inner = reply.responses[0].txn
            var mine = reply.header.revision
            if inner.succeeded, !waits {
                let oldest = inner.responses[0].range.pairs.first
                if isRepetition { await giveUp(names, mayMakeKey: true) }
                return .busy(EtcdHolder(record: oldest?.value ?? Data()))
            } else if !inner.succeeded {
                guard let pair = inner.responses[0].range.pairs.first else {
                    throw EtcdError(.lost, subject, "another program deleted the key of this acquisition")
                }
                mine = pair.createRevision
            }
            if let holder = try await predecessors(of: mine, until: deadline) {
                await giveUp(names, mayMakeKey: isRepetition)
                return .busy(holder)
            }
            return .acquired(try await takePossession(of: names, mine, record, tombstone))
        } catch {
            // Later requests make no key; only an attempt of the first one does.
            var error = error
            error.mayHaveHappened = isRepetition
            throw error
        }
    }

    /// Repeats a transaction until the deadline, or as long as the session lives, which is renewed meanwhile.
    private func txn(
        _ request: Txn,
        until deadline: Instant
    ) async throws(EtcdError) -> (reply: Etcdserverpb_TxnResponse, isRepetition: Bool) {
        var mayHaveHappened = false
        while true {
            try session.check()
            do throws(EtcdError) {
                let end = min(deadline, session.safeUntil)
                let (reply, isRepetition) = try await cluster.answer(to: subject, until: end) {
                    client,
                    metadata,
                    options in
                    try await Etcdserverpb_KV.Client(wrapping: client).txn(
                        request,
                        metadata: metadata,
                        options: options
                    )
                }
                return (reply, mayHaveHappened || isRepetition)
            } catch {
                mayHaveHappened = mayHaveHappened || error.mayHaveHappened
                if error.code == .lost { session.end(error.reason) }
                if error.code == .unavailable, ContinuousClock.now < deadline { continue }
                var error = error
                error.mayHaveHappened = mayHaveHappened
                throw error
            }
        }
    }

    /// Step 2: returns nil when no key before ours is left, and the holder when the deadline is over.
    private func predecessors(of mine: Int64, until deadline: Instant) async throws(EtcdError)
        -> EtcdHolder?
    {
        var holder = EtcdHolder(record: [])
        var isKnown = false
        while true {
            try session.check()
            if Task.isCancelled {
                throw EtcdError(.cancelled, subject, "the task was cancelled while it waited", holder: holder)
            }
            if isKnown, ContinuousClock.now >= deadline { return holder }
            let look: Etcdserverpb_TxnResponse
            do throws(EtcdError) {
                let ranges = [
                    Etcdserverpb_Request.get(.last(below: queue, createdBefore: mine)), .get(.oldest(below: queue)),
                ]
                look = try await txn(Txn(if: [], then: ranges), until: deadline).reply
            } catch {
                if isKnown, error.code == .unavailable { return holder }
                throw error
            }
            guard let predecessor = look.responses[0].range.pairs.first else { return nil }
            if let oldest = look.responses[1].range.pairs.first { holder = EtcdHolder(record: oldest.value) }
            isKnown = true
            let now = ContinuousClock.now
            let watch = cluster.watches.watch(
                .deletions(of: Array(predecessor.key), from: look.header.revision + 1),
                buffering: .bufferingNewest(1)
            )
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    for await _ in watch { return }
                    // The stream has ended without an event: it may be a while before there is another one.
                    try? await Task.sleep(for: .milliseconds(100))
                }
                group.addTask { try? await Task.sleep(until: min(deadline, now + .seconds(2)), clock: .continuous) }
                group.addTask { await session.over.wait() }
                await group.next()
                group.cancelAll()
            }
        }
    }

    /// Step 3.
    private func takePossession(
        of names: Names,
        _ mine: Int64,
        _ record: [UInt8],
        _ tombstone: [UInt8]?
    ) async throws(EtcdError) -> EtcdHeldLock {
        // The lock is ours already: no deadline of the wait applies.
        let end = ContinuousClock.now + cluster.options.requestTimeout
        let proof = Txn(if: [.created(names.key, at: mine)], then: [lastJournals, .put(names.journal, record)])
        let reply = try await txn(proof, until: end).reply
        guard reply.succeeded else {
            throw EtcdError(.lost, subject, "etcd gave up the lock before it was granted")
        }
        try session.check()
        return held(names, mine, reply, tombstone)
    }

    /// The journals of a lock that is held: ours if this is a repetition, and before it that of a holder that did not
    /// release.
    private var lastJournals: Etcdserverpb_Request { .get(.newest(2, below: journals)) }

    private func held(
        _ names: Names,
        _ token: Int64,
        _ reply: Etcdserverpb_TxnResponse,
        _ tombstone: [UInt8]?
    ) -> EtcdHeldLock {
        let abandoned = reply.responses[0].range.pairs.first { Array($0.key) != names.journal }.map {
            EtcdHolder(record: $0.value)
        }
        if let abandoned {
            cluster.logger.notice(
                "the last holder of an etcd lock did not release it",
                metadata: ["lock": "\(subject)", "holder": "\(abandoned)"]
            )
        }
        return EtcdHeldLock(
            of: self,
            key: names.key,
            token: FencingToken(UInt64(token)),
            abandoned: abandoned,
            tombstone: tombstone
        )
    }

    /// Step 5.
    private func giveUp(_ names: Names, mayMakeKey: Bool) async {
        let deletions = [Etcdserverpb_Request.delete(names.key), .delete(names.journal)]
        var requests = [Txn(if: [], then: deletions)]
        if mayMakeKey {
            // Without space there is no tombstone, but then no key either.
            requests.insert(Txn(if: [], then: deletions + [.put(names.tombstone, [], lease: session.lease)]), at: 0)
        }
        _ = await session.settle(subject, requests)
    }
}

extension EtcdSession {
    /// Sends a request, and the next one where the server has no space for it; repeats until it is answered or the
    /// session is over.
    ///
    /// Waits for one attempt only, and also in a cancelled task; the rest happens in the background.
    ///
    /// - Returns: The answer, if it was that to the first attempt.
    func settle(_ subject: String, _ requests: [Etcdserverpb_TxnRequest]) async -> Etcdserverpb_TxnResponse? {
        guard reason == nil else { return nil }
        return await Task {
            if let answer = await self.settleOnce(subject, requests) { return answer.isRepetition ? nil : answer.reply }
            Task {
                while self.reason == nil {
                    if await self.settleOnce(subject, requests) != nil { return }
                    try? await Task.sleep(for: .milliseconds(100))
                }
            }
            return nil
        }.value
    }

    private func settleOnce(
        _ subject: String,
        _ requests: [Etcdserverpb_TxnRequest]
    ) async -> (reply: Etcdserverpb_TxnResponse, isRepetition: Bool)? {
        let deadline = min(ContinuousClock.now + cluster.options.attemptTimeout, safeUntil)
        for request in requests {
            do throws(EtcdError) {
                return try await cluster.answer(to: subject, until: deadline) { client, metadata, options in
                    try await Etcdserverpb_KV.Client(wrapping: client).txn(
                        request,
                        metadata: metadata,
                        options: options
                    )
                }
            } catch {
                if error.code != .noSpace { return nil }
            }
        }
        return nil
    }
}

extension Etcdserverpb_HolderRecord {
    /// As it is stored.
    var bytes: [UInt8] { (try? serializedBytes()) ?? [] }
}
#endif
