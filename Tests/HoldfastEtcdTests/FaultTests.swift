// SPDX-License-Identifier: Apache-2.0
//
// What happens when answers are lost, clients are cut off, stopped or killed, and members are stopped or killed.

#if Etcd
import Foundation
import Holdfast
import HoldfastEtcd
import Synchronization
import Testing

@Suite struct EtcdFaultTests {
    /// A cluster of its own, reached through a proxy.
    private func withProxy(_ body: (EtcdCluster, Proxy) async throws -> Void) async throws {
        guard let servers = try sharedServer() else { return }
        let proxy = Proxy(to: servers.ports[0])
        defer { proxy.end() }
        try await withCluster([proxy.url]) { cluster in
            // The member is verified and connected, so that the next answer is that to what the test sends.
            _ = try await EtcdState<[UInt8]>("nothing", in: cluster).loadIfPresent()
            try await body(cluster, proxy)
        }
    }

    /// The save has happened, the answer is lost, the repetition is refused by the generation: the nonce tells that it
    /// was this save.
    @Test func saveWhoseAnswerIsLostFindsItself() async throws {
        try await withProxy { cluster, proxy in
            let state = EtcdState<[UInt8]>("state", in: cluster)
            var last = Generation.absent
            for number in 1...5 {
                proxy.loseAnswer()
                let commit = try await state.save([UInt8(number)], ifGeneration: last)
                let snapshot = try #require(try await state.snapshot())
                #expect(snapshot.value == [UInt8(number)] && snapshot.generation == commit.generation)
                #expect(commit.generation > last)
                last = commit.generation
            }
            #expect(proxy.lost == 5)
        }
    }

    @Test func updateWhoseAnswersAreLostCountsEachTimeOnce() async throws {
        try await withProxy { cluster, proxy in
            let state = EtcdState<[UInt8]>("counter", in: cluster)
            for _ in 0..<10 {
                proxy.loseAnswer()
                try await state.update(initial: [0]) { $0[0] += 1 }
            }
            #expect(try await state.load() == [10])
            #expect(proxy.lost >= 9)
        }
    }

    /// An acquisition whose answer is lost is found again by its nonce, is held once, and leaves nothing after its
    /// release.
    @Test func lockWhoseAnswerIsLostIsHeldOnce() async throws {
        try await withProxy { cluster, proxy in
            try await cluster.withSession(ttl: .seconds(120)) { session in
                let lock = EtcdLock("lock", in: session, label: "first")
                for _ in 0..<5 {
                    proxy.loseAnswer()
                    let held = try await lock.lock()
                    #expect(
                        held.abandoned == nil,
                        "the journal of this very acquisition was taken for that of the last holder"
                    )
                    #expect(try await cluster.keys("l/lock/q/").count == 1)
                    proxy.loseAnswer()
                    try await held.release()
                    try await eventually { try await cluster.keys("l/lock/q/").isEmpty }
                }
                #expect(proxy.lost >= 9)
            }
        }
    }

    /// The first attempt of an acquisition arrives after the second was answered, and the lock was released again: it
    /// makes no key.
    @Test func acquisitionThatArrivesLateMakesNoKey() async throws {
        try await withProxy { cluster, proxy in
            try await cluster.withSession(ttl: .seconds(120)) { session in
                let lock = EtcdLock("lock", in: session)
                proxy.holdRequest()
                let held = try await lock.lock()
                #expect(proxy.hasRequest)
                try await held.release()
                proxy.deliverRequest()
                // Nothing tells when the server has acted on it; the lock stays free meanwhile.
                for _ in 0..<20 {
                    let keys = try await cluster.keys("l/lock/q/")
                    #expect(keys == [])
                    try await Task.sleep(for: .milliseconds(10))
                }
                guard case .acquired(let next) = try await lock.tryLock() else {
                    Issue.record("a request that arrived late holds the lock")
                    return
                }
                try await next.release()
            }
        }
    }

    @Test func givenUpAcquisitionThatArrivesLateMakesNoKey() async throws {
        try await withProxy { cluster, proxy in
            try await cluster.withSession(ttl: .seconds(120)) { session in
                let lock = EtcdLock("lock", in: session)
                proxy.holdRequest()
                let waiter = Task { try await lock.lock() }
                try await eventually { proxy.hasRequest }
                waiter.cancel()
                // Cancelled in the middle of its second attempt, or granted before it noticed.
                if case .success(let held) = await waiter.result { try await held.release() }
                proxy.deliverRequest()
                for _ in 0..<20 {
                    let keys = try await cluster.keys("l/lock/q/")
                    #expect(keys == [])
                    try await Task.sleep(for: .milliseconds(10))
                }
            }
        }
    }

    /// The first attempt of a save arrives after the second was answered, and another save came after it: it changes
    /// nothing.
    @Test func saveThatArrivesLateChangesNothing() async throws {
        try await withProxy { cluster, proxy in
            let state = EtcdState<[UInt8]>("state", in: cluster)
            let first = try await state.save([1], ifGeneration: .absent)
            proxy.holdRequest()
            let second = try await state.save([2], ifGeneration: first.generation)
            #expect(proxy.hasRequest)
            let third = try await state.save([3], ifGeneration: second.generation)
            proxy.deliverRequest()
            for _ in 0..<20 {
                let snapshot = try await state.snapshot()
                #expect(snapshot?.value == [3] && snapshot?.generation == third.generation)
                try await Task.sleep(for: .milliseconds(10))
            }
        }
    }

    /// A holder that is cut off hears of the loss by its own clock, before etcd grants the lock to the next one.
    @Test func holderThatIsCutOffKnowsBeforeTheNextIsGranted() async throws {
        guard let servers = try sharedServer() else { return }
        try await withProxy { cluster, proxy in
            let granted = Shared<(token: FencingToken, abandoned: EtcdHolder?)?>(nil)
            try await cluster.withSession(ttl: .seconds(5)) { session in
                let state = EtcdState<[UInt8]>("state", in: cluster)
                let held = try await EtcdLock("lock", in: session, label: "cut off").lock()
                try await state.save([1], fence: held.fence)
                let next = Task {
                    try await withCluster(servers.urls, namespace: cluster.namespace) { other in
                        try await other.withSession(ttl: .seconds(5)) { session in
                            let held = try await EtcdLock("lock", in: session, label: "next").lock()
                            granted.withLock { $0 = (held.token, held.abandoned) }
                            try await EtcdState<[UInt8]>("state", in: other).save([2], fence: held.fence)
                        }
                    }
                }
                try await eventually {
                    let looked = try servers.control("get", "--prefix", "--keys-only", "\(cluster.namespace)/l/lock/q/")
                    return looked.split(separator: "\n").count == 2
                }
                proxy.freeze(true)
                let loss = await held.lost()
                #expect(granted.withLock { $0 } == nil, "two holders")
                #expect(loss?.code == .lost)
                try await next.value
                proxy.freeze(false)
                let grant = granted.withLock { $0 }
                #expect(grant?.abandoned?.label == "cut off")
                #expect(grant.map { $0.token > held.token } == true)
                let error = await #expect(throws: EtcdError.self) { try await state.save([3], fence: held.fence) }
                #expect(error?.code == .fenced)
                #expect(try await state.load() == [2])
            }
        }
    }

    @Test func givenUpAcquisitionLeavesNothingAfterItsCutOffIsOver() async throws {
        try await withProxy { cluster, proxy in
            try await cluster.withSession(ttl: .seconds(120)) { session in
                let lock = EtcdLock("lock", in: session)
                proxy.freeze(true)
                let error = await #expect(throws: EtcdError.self) {
                    _ = try await lock.lock(timeout: .milliseconds(500))
                }
                #expect(error?.code == .unavailable)
                proxy.freeze(false)
                // What was under way arrives now, in whatever order: sooner or later the lock is free, and stays so.
                try await eventually {
                    guard case .acquired(let held) = try await lock.tryLock() else { return false }
                    try await held.release()
                    return true
                }
                try await eventually { try await cluster.keys("l/lock/q/").isEmpty }
            }
        }
    }

    @Test func saveWithoutAServerHasNotHappened() async throws {
        var options = EtcdOptions()
        options.requestTimeout = .milliseconds(500)
        try await withCluster(["127.0.0.1:\(freePort())"], options: options) { cluster in
            let state = EtcdState<[UInt8]>("state", in: cluster)
            let save = await #expect(throws: EtcdError.self) { try await state.save([1]) }
            #expect(save?.code == .unavailable)
            let load = await #expect(throws: EtcdError.self) { _ = try await state.load() }
            #expect(load?.code == .unavailable)
            let session = await #expect(throws: EtcdError.self) { try await cluster.withSession { _ in } }
            #expect(session?.code == .unavailable)
        }
    }

    @Test func saveThatIsCutOffDoesNotSayThatItDidNotHappen() async throws {
        try await withProxy { cluster, proxy in
            let state = EtcdState<[UInt8]>("state", in: cluster)
            let first = try await state.save([1])
            proxy.freeze(true)
            let error = await #expect(throws: EtcdError.self) { try await state.save([2], timeout: .seconds(1)) }
            #expect(error?.code == .outcomeUnknown)
            proxy.freeze(false)
            // Either it happens, or never: once the generation has moved it cannot.
            let next = try await state.save([3])
            #expect(next.generation > first.generation)
            #expect(try await state.load() == [3])
        }
    }

    /// A worker in a process of its own, which holds the lock.
    private final class Worker: Sendable {
        let pid: Int32
        private let input = Pipe()
        private let lines = Mutex<[String]>([])

        init(_ url: String, namespace: String, ttl: Int) throws {
            let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            let process = Process()
            process.executableURL = URL(filePath: program).deletingLastPathComponent().appending(
                path: "holdfast-etcd-worker"
            )
            process.arguments = [url, namespace, "\(ttl)"]
            process.standardInput = input
            let output = Pipe()
            process.standardOutput = output
            try process.run()
            pid = process.processIdentifier
            Thread.detachNewThread { [self] in
                var text = ""
                while true {
                    let data = output.fileHandleForReading.availableData
                    if data.isEmpty { return }
                    text += String(decoding: data, as: UTF8.self)
                    lines.withLock { $0 = text.split(separator: "\n").map(String.init) }
                }
            }
        }

        deinit {
            kill(pid, SIGKILL)
            kill(pid, SIGCONT)
        }

        var said: [String] { lines.withLock { $0 } }
        func save() throws { try input.fileHandleForWriting.write(contentsOf: Data("\n".utf8)) }
    }

    @Test(arguments: [SIGKILL, SIGSTOP])
    func holderThatDiesOrSleepsIsFollowedAndCannotSave(_ signal: Int32) async throws {
        guard let servers = try sharedServer() else { return }
        try await withCluster(servers.urls) { cluster in
            let worker = try Worker(servers.urls[0], namespace: cluster.namespace, ttl: 2)
            try await eventually { worker.said.contains { $0.hasPrefix("held ") } }
            kill(worker.pid, signal)
            try await cluster.withSession(ttl: .seconds(60)) { session in
                let held = try await EtcdLock("lock", in: session).lock(timeout: .seconds(60))
                #expect(held.abandoned?.label == "worker" && held.abandoned?.pid == worker.pid)
                let token = try #require(worker.said.first.flatMap { UInt64($0.dropFirst(5)) })
                #expect(held.token > FencingToken(token))
                let state = EtcdState<[UInt8]>("state", in: cluster)
                if signal == SIGSTOP {
                    // It wakes, with its request ready, before this holder has saved anything.
                    try worker.save()
                    kill(worker.pid, SIGCONT)
                    try await eventually { worker.said.contains("fenced") }
                    try await eventually { worker.said.contains("lost") }
                    #expect(!worker.said.contains("saved"))
                    #expect(try await state.loadIfPresent() == nil)
                }
                try await state.save([2], fence: held.fence)
                try await held.release()
            }
        }
    }

    /// Three members: the leader is killed, comes back, another member sleeps.
    ///
    /// Saves and `values` go on, a lock stays held.
    @Test func membersThatDieOrSleepAreLeft() async throws {
        guard let program = Servers.supported, Servers.control != nil else {
            print("NOT RUN: tests of an etcd cluster of three members: HOLDFAST_ETCD or HOLDFAST_ETCDCTL is not set")
            return
        }
        let servers = try Servers(program, count: 3)
        try await withCluster(servers.urls) { cluster in
            try await cluster.withSession(ttl: .seconds(30)) { session in
                let held = try await EtcdLock("lock", in: session).lock()
                let state = EtcdState<[UInt8]>("counter", in: cluster)
                let seen = Shared<[Generation]>([])
                let reader = Task {
                    for try await snapshot in state.values {
                        seen.withLock { $0.append(snapshot.generation) }
                        if snapshot.value[0] == 9 { return }
                    }
                }
                func count() async throws {
                    for _ in 0..<3 { try await state.update(initial: [0], fence: held.fence) { $0[0] += 1 } }
                }
                try await count()
                let leader = try (0..<3).first { index in
                    try servers.control("endpoint", "status").split(separator: "\n")
                        .first { $0.contains(":\(servers.ports[index]),") }?.contains("true, false") == true
                }
                servers.end(leader ?? 0)
                try await count()
                try servers.start(leader ?? 0)
                let sleeper = ((leader ?? 0) + 1) % 3
                servers.send(SIGSTOP, to: sleeper)
                try await count()
                servers.send(SIGCONT, to: sleeper)
                try await reader.value
                #expect(try await state.load() == [9])
                let all = seen.withLock { $0 }
                #expect(all == all.sorted() && Set(all).count == all.count)
                try held.check()
                try await held.release()
            }
        }
    }

    /// Without a majority there is no lock, no session and no certainty; when it returns, everything goes on.
    @Test func lossOfTheMajorityEndsTheSessionByItsOwnClock() async throws {
        guard let program = Servers.supported else {
            print("NOT RUN: tests of an etcd cluster of three members: HOLDFAST_ETCD is not set")
            return
        }
        let servers = try Servers(program, count: 3)
        try await withCluster(servers.urls) { cluster in
            let state = EtcdState<[UInt8]>("state", in: cluster)
            try await state.save([1])
            try await cluster.withSession(ttl: .seconds(5)) { session in
                let held = try await EtcdLock("lock", in: session).lock()
                for index in 0..<2 { servers.send(SIGSTOP, to: index) }
                let loss = await held.lost()
                #expect(loss?.code == .lost && ContinuousClock.now >= held.safeUntil)
                let error = await #expect(throws: EtcdError.self) { try await state.save([2], timeout: .seconds(3)) }
                #expect(error?.code == .outcomeUnknown || error?.code == .unavailable)
                for index in 0..<2 { servers.send(SIGCONT, to: index) }
            }
            try await state.save([3])
            #expect(try await state.load() == [3])
            try await cluster.withSession(ttl: .seconds(5)) { session in
                try await EtcdLock("lock", in: session).lock(timeout: .seconds(60)).release()
            }
        }
    }

    @Test func everyMemberRestartsAndNothingIsLost() async throws {
        guard let program = Servers.supported else {
            print("NOT RUN: tests of an etcd server that restarts: HOLDFAST_ETCD is not set")
            return
        }
        let servers = try Servers(program)
        try await withCluster(servers.urls) { cluster in
            try await cluster.withSession(ttl: .seconds(60)) { session in
                let held = try await EtcdLock("lock", in: session).lock()
                let state = EtcdState<[UInt8]>("state", in: cluster)
                let commit = try await state.save([1], fence: held.fence)
                servers.end(0)
                try servers.start(0)
                #expect(try await state.snapshot()?.generation == commit.generation)
                try await state.save([2], ifGeneration: commit.generation, fence: held.fence)
                try held.check()
                try await held.release()
            }
        }
    }
}
#endif
