// SPDX-License-Identifier: Apache-2.0
//
// Locks over one healthy server.

#if Etcd
import Foundation
import Holdfast
import HoldfastEtcd
import Testing

@Suite struct EtcdLockTests {
    /// Runs a body with a session of a cluster in a new namespace, where there is a server.
    private func withSession(_ body: (EtcdSession, EtcdCluster) async throws -> Void) async throws {
        guard let servers = try sharedServer() else { return }
        try await withCluster(servers.urls) { cluster in
            try await cluster.withSession(ttl: .seconds(60)) { try await body($0, cluster) }
        }
    }

    @Test func tokensGrowAndAReleaseIsNotAbandoned() async throws {
        try await withSession { session, cluster in
            let lock = EtcdLock("jobs/nightly", in: session)
            var last = FencingToken(0)
            for _ in 0..<3 {
                let held = try await lock.lock()
                try held.check()
                #expect(held.token > last && held.abandoned == nil)
                last = held.token
                try await held.release()
                let error = #expect(throws: EtcdError.self) { try held.check() }
                #expect(error?.code == .lost)
            }
            #expect(try await cluster.keys("l/") == [])
        }
    }

    @Test func busyLockSaysWhoHoldsItAndIsLeftAlone() async throws {
        try await withSession { session, cluster in
            let held = try await EtcdLock("lock", in: session, label: "first").lock()
            for timeout in [nil, Duration.seconds(3)] {
                guard
                    case .busy(let holder) = try await EtcdLock("lock", in: session, label: "second").tryLock(
                        timeout: timeout
                    )
                else {
                    Issue.record("two holders")
                    return
                }
                #expect(holder.label == "first" && holder.pid == getpid() && !holder.host.isEmpty)
                #expect(try await cluster.keys("l/lock/q/").count == 1)
            }
            let error = await #expect(throws: EtcdError.self) {
                _ = try await EtcdLock("lock", in: session).lock(timeout: .seconds(3))
            }
            #expect(error?.code == .timedOut && error?.holder?.label == "first")
            #expect("\(error.map { "\($0)" } ?? "")".contains("held by first"))
            #expect(try await cluster.keys("l/lock/q/").count == 1)
            try held.check()
            try await held.release()
            guard case .acquired(let next) = try await EtcdLock("lock", in: session).tryLock() else {
                Issue.record("a free lock is busy")
                return
            }
            try await next.release()
        }
    }

    @Test func waitersAreServedInTheOrderInWhichTheyAsked() async throws {
        try await withSession { session, cluster in
            let lock = EtcdLock("lock", in: session)
            let order = Shared<[Int]>([])
            let held = try await lock.lock()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<5 {
                    group.addTask {
                        try await lock.withLock { _ in order.withLock { $0.append(number) } }
                    }
                    try await eventually { try await cluster.keys("l/lock/q/").count == number + 2 }
                }
                try await held.release()
                try await group.waitForAll()
            }
            #expect(order.withLock { $0 } == [0, 1, 2, 3, 4])
            #expect(try await cluster.keys("l/lock/q/").isEmpty)
        }
    }

    @Test func cancelledWaiterLeavesNothing() async throws {
        try await withSession { session, cluster in
            let lock = EtcdLock("lock", in: session)
            let held = try await lock.lock()
            let waiter = Task { try await lock.lock() }
            try await eventually { try await cluster.keys("l/lock/q/").count == 2 }
            waiter.cancel()
            let error = await #expect(throws: EtcdError.self) { _ = try await waiter.value }
            #expect(error?.code == .cancelled)
            try await eventually { try await cluster.keys("l/lock/q/").count == 1 }
            try await held.release()
        }
    }

    @Test func tasksOfOneSessionExcludeEachOther() async throws {
        try await withSession { session, _ in
            let lock = EtcdLock("lock", in: session)
            let inside = Shared((now: 0, most: 0))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<16 {
                    group.addTask {
                        try await lock.withLock { held in
                            inside.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
                            try await Task.sleep(for: .milliseconds(2))
                            try held.check()
                            inside.withLock { $0.now -= 1 }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(inside.withLock { $0.most } == 1)
        }
    }

    @Test func resultAndErrorOfTheBodyComeThroughAndTheLockIsFreeThen() async throws {
        try await withSession { session, cluster in
            let lock = EtcdLock("lock", in: session)
            let result = try await lock.withLock { _ in 42 }
            #expect(result == 42)
            await #expect(throws: Oops.self) { try await lock.withLock { _ in throw Oops() } }
            #expect(try await cluster.keys("l/lock/q/").isEmpty)
        }
    }

    @Test func cancelledHolderReleases() async throws {
        try await withSession { session, cluster in
            let lock = EtcdLock("lock", in: session)
            let holder = Task { try await lock.withLock { _ in try await Task.sleep(for: .seconds(600)) } }
            try await eventually { try await cluster.keys("l/lock/q/").count == 1 }
            holder.cancel()
            await #expect(throws: CancellationError.self) { try await holder.value }
            try await eventually { try await cluster.keys("l/lock/q/").isEmpty }
            #expect(try await lock.lock().abandoned == nil)
        }
    }

    /// An operator deletes the key of a holder: the holder's body is cancelled, and it hears of the loss.
    @Test func deletedKeyEndsTheHolder() async throws {
        guard let servers = try sharedServer(), Servers.control != nil else { return }
        try await withSession { session, cluster in
            let lock = EtcdLock("lock", in: session)
            let holder = Task { try await lock.withLock { _ in try await Task.sleep(for: .seconds(600)) } }
            try await eventually { try await cluster.keys("l/lock/q/").count == 1 }
            try servers.control("del", "--prefix", "\(cluster.namespace)/l/lock/q/")
            let error = await #expect(throws: EtcdError.self) { try await holder.value }
            #expect(error?.code == .lost)
            // The session lives on, and so do its other locks. The next holder is told.
            try session.check()
            #expect(try await lock.lock().abandoned?.pid == getpid())
        }
    }

    @Test func endOfTheSessionEndsItsLocksAndTheNextHolderIsTold() async throws {
        guard let servers = try sharedServer() else { return }
        try await withCluster(servers.urls) { cluster in
            let held = try await cluster.withSession { try await EtcdLock("lock", in: $0, label: "sloppy").lock() }
            let error = #expect(throws: EtcdError.self) { try held.check() }
            #expect(error?.code == .lost)
            let loss = await held.lost()
            #expect(loss?.code == .lost)
            try await cluster.withSession { session in
                let next = try await EtcdLock("lock", in: session).lock()
                #expect(next.abandoned?.label == "sloppy" && next.token > held.token)
            }
        }
    }

    @Test func ttlThatCannotBeIsRefused() async throws {
        let cluster = try EtcdCluster([EtcdEndpoint("localhost:1")], namespace: "a", security: .plaintext)
        for ttl in [Duration.zero, .seconds(1), .seconds(-5), .seconds(3601)] {
            let error = await #expect(throws: EtcdError.self) { try await cluster.withSession(ttl: ttl) { _ in } }
            #expect(error?.code == .refused)
        }
    }
}
#endif
