// SPDX-License-Identifier: Apache-2.0
//
// A state in one key. Every save is one transaction, judged by etcd alone:
//
//     if MOD(state) == generation, and for the fence of a held lock CREATE(lock's key) == token
//     then, for a fence:  if VALUE(f) > token  then nothing  else put state, put f
//          without one:   put state
//     else get state, get lock's key
//
// No save is blind: a request that arrives late, after its caller gave up, must find another generation and change
// nothing. A save without `ifGeneration` takes the generation that this object saw last, and takes the present one
// after a conflict.
//
// "Is a later token there?" and not "is no later token there?": a comparison of values is false where there is no key.
//
// After a lost answer the same transaction is sent again. If it fails because the generation has moved, the first
// change after the expected generation, in the history, has a nonce: ours, then the save happened there; another one,
// then it never will. "There is no state" is no such generation, for a state that is deleted has it again: then the
// first change tells only if it is the last one too.

#if Etcd
internal import GRPCCore
internal import SwiftProtobuf
#if canImport(FoundationEssentials)
internal import FoundationEssentials
#else
internal import Foundation
#endif
public import Holdfast
internal import Synchronization

/// A state that a save returned.
public struct EtcdCommit: Hashable, Sendable {
    /// The generation of the state that was saved.
    public let generation: Generation
    /// The token of the save's fence; nil without one.
    public let token: FencingToken?
}

/// A state that was loaded.
public struct EtcdSnapshot<Value: Sendable>: Sendable {
    /// The value.
    public let value: Value
    /// Its generation: greater than that of every earlier value, and never used twice, but not consecutive.
    public let generation: Generation
    /// The token of the fence that it was saved with; nil without one.
    public let token: FencingToken?
    /// The schema in which it is stored.
    public let schema: UInt32
}

/// Which value a load may return.
public struct EtcdReadConsistency: Hashable, Sendable {
    let isSerializable: Bool

    /// The newest value: every save that returned before the load began is seen.
    ///
    /// Needs a majority of the members.
    public static let linearizable = EtcdReadConsistency(isSerializable: false)
    /// The value of the member that is asked, which may be older.
    ///
    /// Needs one member.
    public static let serializable = EtcdReadConsistency(isSerializable: true)
}

/// A value in etcd, checked, versioned, and saved by compare and swap.
///
/// ```swift
/// let report = try EtcdState<[UInt8]>("report", in: cluster, codec: BytesCodec())
/// try await lock.withLock { held in
///     try await report.update(initial: [], fence: held.fence) { $0.append(1) }
/// }
/// ```
///
/// A save under the fence of a lock is refused from the moment that etcd has given up the lock, whatever the holder
/// believes.
public struct EtcdState<Value: Sendable>: Sendable {
    /// The generation that this object saw last.
    private final class Seen: Sendable {
        let generation = Atomic<UInt64>(0)
    }

    let cluster: EtcdCluster
    let subject: String
    let key: [UInt8]
    private let fenceKey: [UInt8]
    private let codec: any StateCodec<Value> & Sendable
    private let migrations: MigrationPath
    private let seen = Seen()

    /// Names a state; asks no server.
    ///
    /// - Parameters:
    ///   - name: The name of the state in the cluster's namespace.
    ///   - cluster: The cluster.
    ///   - codec: Between values and bytes.
    ///   - schema: The schema of what is saved, from 1 on.
    ///   - migrations: The steps from older schemas, as of a `StateFile`.
    /// - Throws: ``EtcdError`` with ``EtcdError/Code/refused`` for two steps from one schema, or one that leads past `schema`.
    public init(
        _ name: EtcdName,
        in cluster: EtcdCluster,
        codec: any StateCodec<Value> & Sendable,
        schema: UInt32 = 1,
        migrations: [StateMigration] = []
    ) throws(EtcdError) {
        do throws(MigrationFault) {
            self.init(name, in: cluster, codec, try MigrationPath(migrations, to: schema))
        } catch {
            throw EtcdError(.refused, "state '\(name)'", error.reason)
        }
    }

    init(
        _ name: EtcdName,
        in cluster: EtcdCluster,
        _ codec: any StateCodec<Value> & Sendable,
        _ migrations: MigrationPath
    ) {
        self.cluster = cluster
        self.codec = codec
        self.migrations = migrations
        subject = "state '\(name)'"
        key = Array("\(cluster.namespace)/s/\(name.encoded)".utf8)
        fenceKey = key + Array("/f".utf8)
    }

    /// The present value, with its generation; nil if there is none.
    ///
    /// Costs one request.
    ///
    /// - Parameters:
    ///   - consistency: Whether an older value may be returned.
    ///   - timeout: How long to try; the options' `requestTimeout` by default.
    /// - Returns: The value with its generation.
    /// - Throws: `unavailable`, `corrupt`, `newerFormat`, `newerSchema`, `decodingFailed` and others.
    public func snapshot(
        _ consistency: EtcdReadConsistency = .linearizable,
        timeout: Duration? = nil
    ) async throws(EtcdError) -> EtcdSnapshot<Value>? {
        try await look(consistency, until: cluster.deadline(timeout)).snapshot
    }

    /// The present value; nil if there is none.
    ///
    /// As ``snapshot(_:timeout:)``.
    public func loadIfPresent(
        _ consistency: EtcdReadConsistency = .linearizable,
        timeout: Duration? = nil
    ) async throws(EtcdError) -> Value? {
        try await snapshot(consistency, timeout: timeout)?.value
    }

    /// The present value.
    ///
    /// As ``snapshot(_:timeout:)``.
    ///
    /// - Throws: `notFound` if there is none.
    public func load(
        _ consistency: EtcdReadConsistency = .linearizable,
        timeout: Duration? = nil
    ) async throws(EtcdError) -> Value {
        guard let value = try await loadIfPresent(consistency, timeout: timeout) else {
            throw EtcdError(.notFound, subject, "there is none")
        }
        return value
    }

    /// Saves a value.
    ///
    /// Costs one request, written to the logs of a majority; without `ifGeneration` one more for each other save that
    /// came between.
    ///
    /// - Parameters:
    ///   - value: What to save.
    ///   - generation: The generation that the state must have, `absent` if there must be none; without it, any.
    ///   - fence: The fence of a held lock, or of a token.
    ///   - timeout: How long to try; the options' `requestTimeout` by default.
    /// - Returns: The generation of what was saved.
    /// - Throws: `conflict`, `fenced`, `tooLarge`, `noSpace`, `unavailable` and others, which mean that it has not
    ///   happened and never will; and `outcomeUnknown`.
    @discardableResult
    public func save(
        _ value: Value,
        ifGeneration generation: Generation? = nil,
        fence: EtcdFence? = nil,
        timeout: Duration? = nil
    ) async throws(EtcdError) -> EtcdCommit {
        try await save(encode(value), ifGeneration: generation, fence, until: cluster.deadline(timeout))
    }

    /// Loads the value, changes it and saves it, as often as needed until no other save comes between.
    ///
    /// Costs two requests for each try.
    ///
    /// - Parameters:
    ///   - initial: The value to begin with if there is none.
    ///   - fence: The fence of a held lock, or of a token.
    ///   - timeout: How long to try; the options' `requestTimeout` by default.
    ///   - body: Changes the value. It may run again after another save came between, and must have no other effect.
    /// - Returns: The generation of what was saved.
    /// - Throws: `notFound` if there is no value and no initial one, `timedOut` if other saves kept coming first, what
    ///   the body throws, and as ``save(_:ifGeneration:fence:timeout:)``.
    @discardableResult
    public func update(
        initial: Value? = nil,
        fence: EtcdFence? = nil,
        timeout: Duration? = nil,
        _ body: (inout Value) throws -> Void
    ) async throws -> EtcdCommit {
        let deadline = cluster.deadline(timeout)
        var backoff = Backoff()
        while true {
            let snapshot = try await look(.linearizable, until: deadline).snapshot
            guard var value = snapshot?.value ?? initial else { throw EtcdError(.notFound, subject, "there is none") }
            try body(&value)
            do throws(EtcdError) {
                return try await save(
                    encode(value),
                    ifGeneration: snapshot?.generation ?? .absent,
                    fence,
                    until: deadline
                )
            } catch {
                guard error.code == .conflict else { throw error }
            }
            try await pause(&backoff, until: deadline)
        }
    }

    /// The present value and later ones, as they are saved.
    ///
    /// Values may be skipped; the last one never is, and none comes after a later one. A state that does not exist, or
    /// was deleted, is waited for. The sequence goes on over broken connections, elections and compactions, and ends
    /// when its task is cancelled; it throws what makes a value unreadable, and then ends.
    public var values: EtcdValues<Value> { EtcdValues(of: self) }

    private func pause(_ backoff: inout Backoff, until deadline: Instant) async throws(EtcdError) {
        try? await Task.sleep(until: min(deadline, .now + backoff.next()), clock: .continuous)
        if Task.isCancelled { throw EtcdError(.cancelled, subject, "the task was cancelled") }
        if ContinuousClock.now >= deadline {
            throw EtcdError(.timedOut, subject, "other saves came first until the deadline")
        }
    }

    private func encode(_ value: Value) throws(EtcdError) -> [UInt8] {
        do {
            return try codec.encode(value)
        } catch {
            throw EtcdError(.encodingFailed, subject, "the codec cannot encode the value: \(error)", underlying: error)
        }
    }
}

// MARK: - Loading

extension EtcdState {
    /// The present value, and the revision at which it was looked at.
    func look(
        _ consistency: EtcdReadConsistency,
        until deadline: Instant
    ) async throws(EtcdError) -> (snapshot: EtcdSnapshot<Value>?, revision: Int64) {
        var request = Etcdserverpb_RangeRequest.get(key)
        request.serializable = consistency.isSerializable
        let reply = try await cluster.range(subject, until: deadline, request)
        guard let pair = reply.pairs.first else { return (nil, reply.header.revision) }
        return (try snapshot(of: pair), reply.header.revision)
    }

    /// The value of the state's key.
    func snapshot(of pair: Etcdserverpb_KeyValue) throws(EtcdError) -> EtcdSnapshot<Value> {
        let frame = try EtcdFrame(Array(pair.value), of: subject)
        let payload: [UInt8]
        do throws(StateError) {
            payload = try migrations.migrate(frame.payload, from: frame.schema, .loading, path: subject)
        } catch {
            let code: EtcdError.Code =
                switch error.code {
                case .newerSchema: .newerSchema
                case .missingMigration: .missingMigration
                default: .migrationFailed
                }
            throw EtcdError(
                code,
                subject,
                "its schema is \(frame.schema), and this program's \(migrations.schema)",
                expected: error.expected,
                found: error.found,
                underlying: error.underlying
            )
        }
        let value: Value
        do {
            value = try codec.decode(payload)
        } catch {
            throw EtcdError(.decodingFailed, subject, "the codec cannot decode it: \(error)", underlying: error)
        }
        saw(pair.modRevision)
        return EtcdSnapshot(
            value: value,
            generation: Generation(UInt64(pair.modRevision)),
            token: frame.token == 0 ? nil : FencingToken(frame.token),
            schema: frame.schema
        )
    }

    private func saw(_ generation: Int64) {
        seen.generation.max(UInt64(generation), ordering: .relaxed)
    }
}

// MARK: - Saving

extension EtcdState {
    private func save(
        _ payload: [UInt8],
        ifGeneration generation: Generation?,
        _ fence: EtcdFence?,
        until deadline: Instant
    ) async throws(EtcdError) -> EtcdCommit {
        guard payload.count <= cluster.options.maximumStateSize else {
            throw EtcdError(
                .tooLarge,
                subject,
                "the payload has \(payload.count) bytes, over the limit of \(cluster.options.maximumStateSize)",
                expected: UInt64(cluster.options.maximumStateSize),
                found: UInt64(payload.count)
            )
        }
        let frame = EtcdFrame(
            schema: migrations.schema,
            nonce: UInt64.random(in: 1 ... .max),
            token: fence?.token.value ?? 0,
            payload: payload
        )
        if let generation {
            guard let expected = Int64(exactly: generation.value) else {
                throw EtcdError(.refused, subject, "there is no generation \(generation)")
            }
            return try await save(frame, over: expected, fence, until: deadline)
        }
        var expected = Int64(seen.generation.load(ordering: .relaxed))
        var backoff = Backoff()
        while true {
            do throws(EtcdError) {
                return try await save(frame, over: expected, fence, until: deadline)
            } catch {
                guard error.code == .conflict, let found = error.found else { throw error }
                // The first conflict is this object's own ignorance.
                if expected != Int64(seen.generation.load(ordering: .relaxed)) {
                    try await pause(&backoff, until: deadline)
                }
                expected = Int64(found)
            }
        }
    }

    private func save(
        _ frame: EtcdFrame,
        over expected: Int64,
        _ fence: EtcdFence?,
        until deadline: Instant
    ) async throws(EtcdError) -> EtcdCommit {
        var request = Txn(if: [.changed(key, at: expected)], then: [.put(key, frame.bytes)], else: [.get(key)])
        if let fence {
            if let lock = fence.key {
                request.compare.append(.created(lock, at: Int64(clamping: fence.token.value)))
                request.failure.append(.get(lock))
            }
            let token = bigEndian(fence.token.value)
            let save = request.success + [.put(fenceKey, token)]
            request.success = [
                .txn(if: [.value(of: fenceKey, isGreaterThan: token)], then: [.get(fenceKey)], else: save)
            ]
        }
        // No attempt of this save happens at a revision that was answered before.
        let before = max(expected, cluster.revision.load(ordering: .relaxed))
        let reply: Etcdserverpb_TxnResponse
        let isRepetition: Bool
        do throws(EtcdError) {
            (reply, isRepetition) = try await cluster.answer(to: subject, until: deadline) {
                [request] client, metadata, options in
                try await Etcdserverpb_KV.Client(wrapping: client).txn(request, metadata: metadata, options: options)
            }
        } catch {
            guard error.mayHaveHappened else { throw error }
            throw Self.unknown(subject, error.reason, error)
        }
        let commit = { (generation: Int64) in
            self.saw(generation)
            return EtcdCommit(generation: Generation(UInt64(generation)), token: fence?.token)
        }
        if reply.succeeded {
            guard let fence, reply.responses[0].txn.succeeded else { return commit(reply.header.revision) }
            let found = reply.responses[0].txn.responses[0].range.pairs.first.map {
                $0.value.reduce(0) { $0 << 8 | UInt64($1) }
            }
            throw EtcdError(
                .fenced,
                subject,
                "it was saved with a later token than \(fence.token)",
                expected: found,
                found: fence.token.value
            )
        }
        let present = reply.responses[0].range.pairs.first
        let generation = present?.modRevision ?? 0
        // Has an earlier attempt of this very save moved the generation?
        if isRepetition, generation != expected {
            if let present, (try? EtcdFrame(Array(present.value), of: subject))?.nonce == frame.nonce {
                return commit(generation)
            }
            let first = try await firstChange(after: before, until: deadline)
            if let first, first.nonce == frame.nonce { return commit(first.generation) }
            guard expected > 0 || first?.generation == generation else {
                throw Self.unknown(subject, "the state was deleted meanwhile")
            }
        }
        if let fence, fence.key != nil,
            reply.responses[1].range.pairs.first?.createRevision != Int64(clamping: fence.token.value)
        {
            throw EtcdError(
                .fenced,
                subject,
                "the lock that it is saved under is not held any more",
                found: fence.token.value
            )
        }
        throw EtcdError(
            .conflict,
            subject,
            "its generation is \(generation) and not \(expected)",
            expected: UInt64(expected),
            found: UInt64(generation)
        )
    }

    /// The first change of the state after a generation, from the history; nil if that is a deletion.
    private func firstChange(
        after generation: Int64,
        until deadline: Instant
    ) async throws(EtcdError) -> (generation: Int64, nonce: UInt64)? {
        let request = Etcdserverpb_WatchCreate.with {
            $0.key = Data(key)
            $0.startRevision = generation + 1
        }
        while ContinuousClock.now < deadline, !Task.isCancelled {
            let watch = cluster.watches.watch(request, buffering: .bufferingOldest(1))
            let answer = await withTaskGroup(of: Etcdserverpb_WatchResponse?.self) { group in
                group.addTask {
                    for await answer in watch { return answer }
                    try? await Task.sleep(for: .milliseconds(100))
                    return nil
                }
                group.addTask {
                    try? await Task.sleep(until: deadline, clock: .continuous)
                    return nil
                }
                defer { group.cancelAll() }
                return await group.next() ?? nil
            }
            if let event = answer?.events.first {
                guard event.kind == .put else { return nil }
                let nonce = (try? EtcdFrame(Array(event.pair.value), of: subject))?.nonce ?? 0
                return (event.pair.modRevision, nonce)
            }
            if let answer, answer.canceled { break }
        }
        throw Self.unknown(subject, "the history that would tell is compacted or not to be had")
    }

    private static func unknown(_ subject: String, _ reason: String, _ underlying: (any Error)? = nil) -> EtcdError {
        EtcdError(
            .outcomeUnknown,
            subject,
            "no answer tells whether the save happened: \(reason)",
            underlying: underlying
        )
    }
}
#endif
