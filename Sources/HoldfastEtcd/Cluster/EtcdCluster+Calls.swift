// SPDX-License-Identifier: Apache-2.0
//
// One call: at one endpoint after another, until it is answered or its time is over.
//
//   1. A member that has not been verified since its last failure is asked for its version and its cluster first.
//   2. The request goes out with the user's token. No answer in `attemptTimeout`, a broken connection, and a member
//      without a leader lead to the next endpoint, after a pause with jitter.
//   3. A refusal of the token leads to one new token and one more attempt.
//   4. Anything else is the caller's answer.
//
// Every request that comes here can be repeated without harm: it is a read, or a transaction whose compares see that it
// was applied already. gRPC does not say whether a request that failed had left this machine, so each failure after
// step 1 counts as "may have happened", and the caller is told.

#if Etcd
internal import SwiftProtobuf
internal import Logging
internal import GRPCCore
internal import Synchronization

/// What every answer of etcd has.
protocol Answer: Sendable {
    var header: Etcdserverpb_Header { get }
}

extension Etcdserverpb_RangeResponse: Answer {}
extension Etcdserverpb_PutResponse: Answer {}
extension Etcdserverpb_DeleteRangeResponse: Answer {}
extension Etcdserverpb_TxnResponse: Answer {}
extension Etcdserverpb_CompactResponse: Answer {}
extension Etcdserverpb_WatchResponse: Answer {}
extension Etcdserverpb_LeaseGrantResponse: Answer {}
extension Etcdserverpb_LeaseRevokeResponse: Answer {}
extension Etcdserverpb_LeaseKeepAliveResponse: Answer {}
extension Etcdserverpb_StatusResponse: Answer {}

/// An attempt that came to nothing.
struct Failure: Error {
    enum Remedy { case none, anotherEndpoint, anotherToken(String?) }

    var code: EtcdError.Code
    var reason: String
    var remedy = Remedy.none
    /// Whether the request may have reached the server, and may still be acted on.
    var mayHaveHappened = false
    var underlying: (any Error)?
}

/// Pauses that double from 20 ms to 2 s, each of a random part of its length.
struct Backoff {
    private var limit = Duration.milliseconds(20)

    mutating func next() -> Duration {
        defer { limit = min(limit * 2, .seconds(2)) }
        return limit * Double.random(in: 0.5...1)
    }
}

extension EtcdCluster {
    typealias Request<Reply> = (GRPCClient<Transport>, Metadata, CallOptions) async throws -> Reply

    /// The answer to a request that can be repeated, and whether an earlier attempt of it may have happened.
    func answer<Reply: Answer>(
        to subject: String,
        until deadline: Instant,
        _ request: Request<Reply>
    ) async throws(EtcdError) -> (reply: Reply, isRepetition: Bool) {
        var backoff = Backoff()
        var mayHaveHappened = false
        var tokens = 0
        while true {
            let index = current.load(ordering: .relaxed)
            let failure: Failure
            let allowed = deadline - .now
            do throws(Failure) {
                return (try await attempt(at: members[index], until: deadline, request), mayHaveHappened)
            } catch {
                failure = error
            }
            mayHaveHappened = mayHaveHappened || failure.mayHaveHappened
            var isOver = ContinuousClock.now >= deadline
            switch failure.remedy {
            case .none: isOver = true
            // An attempt that had hardly any time says nothing about the member.
            case .anotherEndpoint where isOver && allowed < .milliseconds(250): break
            case .anotherEndpoint: moveOn(from: index, because: failure.reason)
            case .anotherToken(let token):
                authenticator?.forget(token)
                tokens += 1
                // A second one may be needed while an administrator changes the user database; more would be a loop.
                isOver = isOver || tokens > 2 || authenticator == nil
            }
            if Task.isCancelled {
                throw EtcdError(.cancelled, subject, "the task was cancelled", mayHaveHappened: mayHaveHappened)
            }
            if isOver {
                throw EtcdError(
                    failure.code,
                    subject,
                    failure.reason,
                    underlying: failure.underlying,
                    mayHaveHappened: mayHaveHappened
                )
            }
            if case .anotherEndpoint = failure.remedy {
                try? await Task.sleep(until: min(deadline, .now + backoff.next()), clock: .continuous)
            }
        }
    }

    /// The answer to a request that can be repeated.
    func call<Reply: Answer>(
        _ subject: String,
        until deadline: Instant,
        _ request: Request<Reply>
    ) async throws(EtcdError) -> Reply {
        try await answer(to: subject, until: deadline, request).reply
    }

    package func txn(
        _ subject: String,
        until deadline: Instant,
        _ request: Etcdserverpb_TxnRequest
    ) async throws(EtcdError) -> Etcdserverpb_TxnResponse {
        try await call(subject, until: deadline) { client, metadata, options in
            try await Etcdserverpb_KV.Client(wrapping: client).txn(request, metadata: metadata, options: options)
        }
    }

    package func range(
        _ subject: String,
        until deadline: Instant,
        _ request: Etcdserverpb_RangeRequest
    ) async throws(EtcdError) -> Etcdserverpb_RangeResponse {
        try await call(subject, until: deadline) { client, metadata, options in
            try await Etcdserverpb_KV.Client(wrapping: client).range(request, metadata: metadata, options: options)
        }
    }

    /// Leaves a member for the next one, if no other task has done so.
    func moveOn(from index: Int, because reason: String) {
        members[index].isVerified.store(false, ordering: .relaxed)
        let next = (index + 1) % members.count
        guard next != index, current.compareExchange(expected: index, desired: next, ordering: .relaxed).exchanged
        else { return }
        failovers.add(1, ordering: .relaxed)
        logger.notice(
            "goes to another etcd endpoint",
            metadata: [
                "from": "\(members[index].endpoint)", "to": "\(members[next].endpoint)", "reason": "\(reason)",
            ]
        )
        watches.leave(index)
    }

    /// Step 1 of the file's head, and what requests to a member carry.
    func prepare(_ member: Member, until deadline: Instant) async throws(Failure) -> (
        metadata: Metadata, token: String?
    ) {
        var sentToken: String?
        do {
            // A member that has no leader says so instead of letting the request wait.
            var metadata: Metadata = ["hasleader": "true"]
            if let authenticator {
                let token = try await authenticator.token { try await self.authenticate(at: member, until: deadline) }
                metadata.addString(token, forKey: "token")
                sentToken = token
            }
            if !member.isVerified.load(ordering: .relaxed) { try await verify(member, metadata, until: deadline) }
            return (metadata, sentToken)
        } catch {
            // None of this was the request itself.
            var failure = Self.failure(error, at: member, token: sentToken)
            failure.mayHaveHappened = false
            // A server that accepts no token when it is asked for one will not accept the next one.
            if case .anotherToken(nil) = failure.remedy { failure.remedy = .none }
            throw failure
        }
    }

    private func attempt<Reply: Answer>(
        at member: Member,
        until deadline: Instant,
        _ request: Request<Reply>
    ) async throws(Failure) -> Reply {
        let (metadata, token) = try await prepare(member, until: deadline)
        do {
            let reply = try await request(member.client, metadata, callOptions(until: deadline))
            try check(reply.header, of: member)
            return reply
        } catch {
            throw Self.failure(error, at: member, token: token)
        }
    }

    private func callOptions(until deadline: Instant) -> CallOptions {
        var callOptions = CallOptions.defaults
        callOptions.timeout = max(.milliseconds(1), min(options.attemptTimeout, deadline - .now))
        callOptions.waitForReady = false
        // Any state that a server with a raised limit can hold.
        callOptions.maxResponseMessageBytes = 64 << 20
        return callOptions
    }

    private func authenticate(at member: Member, until deadline: Instant) async throws -> String {
        guard let credentials = authenticator?.credentials else { return "" }
        authentications.add(1, ordering: .relaxed)
        let request = Etcdserverpb_AuthenticateRequest.with {
            $0.name = credentials.user
            $0.password = credentials.password
        }
        return try await Etcdserverpb_Auth.Client(wrapping: member.client)
            .authenticate(request, options: callOptions(until: deadline)).token
    }

    private func verify(_ member: Member, _ metadata: Metadata, until deadline: Instant) async throws {
        let status: Etcdserverpb_StatusResponse
        do {
            status = try await Etcdserverpb_Maintenance.Client(wrapping: member.client)
                .status(.init(), metadata: metadata, options: callOptions(until: deadline))
        } catch let error as RPCError where error.code == .permissionDenied {
            // 3.5.30 shows its version to an administrator only, if it has users. Servers that are too old show it to
            // all.
            logger.notice(
                "an etcd server does not show its version to this user",
                metadata: ["endpoint": "\(member.endpoint)"]
            )
            return member.isVerified.store(true, ordering: .relaxed)
        }
        try check(status.header, of: member)
        if ServerVersion(status.version)?.isSupported != true {
            guard options.allowsUnsupportedServer else {
                throw Failure(
                    code: .unsupportedServer,
                    reason:
                        "\(member.endpoint) has version '\(status.version)'; supported are 3.5.28 and later, 3.6.9 and later, and 3.7"
                )
            }
            logger.warning(
                "uses an etcd server of an unsupported version",
                metadata: ["endpoint": "\(member.endpoint)", "version": "\(status.version)"]
            )
        }
        member.isVerified.store(true, ordering: .relaxed)
    }

    /// Sees that an answer is of the same cluster as those before it.
    func check(_ header: Etcdserverpb_Header, of member: Member) throws {
        let known = clusterID.compareExchange(expected: 0, desired: header.cluster, ordering: .relaxed)
        if known.exchanged || known.original == header.cluster {
            revision.max(header.revision, ordering: .relaxed)
            return
        }
        member.isVerified.store(false, ordering: .relaxed)
        keepalives.endAll("\(member.endpoint) answers as another cluster than before")
        throw Failure(
            code: .wrongCluster,
            reason:
                "\(member.endpoint) answers as another cluster than before: a restored backup, or another deployment"
        )
    }

    /// What became of an attempt that threw.
    static func failure(_ error: any Error, at member: Member, token: String?) -> Failure {
        if let failure = error as? Failure { return failure }
        guard let error = error as? RPCError else {
            return Failure(
                code: .unavailable,
                reason: "\(member.endpoint): \(words(for: error))",
                remedy: .anotherEndpoint,
                mayHaveHappened: true,
                underlying: error
            )
        }
        let text = error.message
        func answered(_ code: EtcdError.Code, _ reason: String, _ remedy: Failure.Remedy = .none) -> Failure {
            Failure(code: code, reason: "\(member.endpoint) \(reason): \(text)", remedy: remedy, underlying: error)
        }
        switch error.code {
        case .unauthenticated:
            return answered(.authenticationFailed, "accepts no token", .anotherToken(token))
        case .invalidArgument where text.contains("auth store is old") || text.contains("user name is empty"):
            return answered(.authenticationFailed, "accepts no token", .anotherToken(token))
        case .invalidArgument where text.contains("authentication failed"):
            return answered(.authenticationFailed, "refuses the user and the password")
        case .failedPrecondition where text.contains("authentication is not enabled"):
            return answered(.authenticationFailed, "has no users")
        case .permissionDenied: return answered(.permissionDenied, "denies it")
        case .invalidArgument where text.contains("too large"): return answered(.tooLarge, "refuses it")
        case .resourceExhausted where text.contains("space exceeded"): return answered(.noSpace, "has no space")
        case .resourceExhausted where text.contains("too many requests"):
            return answered(.unavailable, "is overloaded", .anotherEndpoint)
        case .resourceExhausted: return answered(.tooLarge, "refuses it")
        case .notFound where text.contains("lease not found"): return answered(.lost, "has ended the lease")
        case .invalidArgument, .notFound, .failedPrecondition, .outOfRange, .unimplemented, .alreadyExists:
            return answered(.refused, "refuses it")
        default:
            return Failure(
                code: .unavailable,
                reason: "\(member.endpoint): \(words(for: error))",
                remedy: .anotherEndpoint,
                mayHaveHappened: true,
                underlying: error
            )
        }
    }

    /// What an error says, with the cause that a transport often has the whole truth in.
    static func words(for error: any Error) -> String {
        if let error = error as? RPCError {
            let cause = error.cause.map { " (\(words(for: $0)))" } ?? ""
            return "\(error.code): \(error.message)\(cause)"
        }
        if let error = error as? RuntimeError {
            let cause = error.cause.map { " (\(words(for: $0)))" } ?? ""
            return "\(error.message)\(cause)"
        }
        return "\(error)"
    }
}
#endif
