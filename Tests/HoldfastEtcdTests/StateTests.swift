// SPDX-License-Identifier: Apache-2.0
//
// States over one healthy server.

#if Etcd
import Foundation
import Holdfast
import HoldfastEtcd
import Testing

@Suite struct EtcdStateTests {
    private func withCluster(_ body: (EtcdCluster, Servers) async throws -> Void) async throws {
        guard let servers = try sharedServer() else { return }
        try await HoldfastEtcdTests.withCluster(servers.urls) { try await body($0, servers) }
    }

    private func code(_ body: () async throws -> Void) async -> EtcdError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? EtcdError)?.code
        }
    }

    @Test func savesAndLoads() async throws {
        try await withCluster { cluster, _ in
            let state = EtcdState<[UInt8]>("state", in: cluster)
            #expect(try await state.snapshot() == nil)
            #expect(await code { _ = try await state.load() } == .notFound)
            let first = try await state.save([1, 2])
            let snapshot = try #require(try await state.snapshot())
            #expect(snapshot.value == [1, 2] && snapshot.generation == first.generation && snapshot.token == nil)
            let second = try await state.save([])
            #expect(second.generation > first.generation)
            #expect(try await state.load() == [])
            #expect(try await state.loadIfPresent(.serializable) == [])
        }
    }

    @Test func generationIsExact() async throws {
        try await withCluster { cluster, servers in
            let state = EtcdState<[UInt8]>("state", in: cluster)
            let other = EtcdState<[UInt8]>("state", in: cluster)
            let first = try await state.save([1], ifGeneration: .absent)
            #expect(await code { try await state.save([2], ifGeneration: .absent) } == .conflict)
            let second = try await other.save([2], ifGeneration: first.generation)
            let error = await #expect(throws: EtcdError.self) {
                try await state.save([3], ifGeneration: first.generation)
            }
            #expect(error?.code == .conflict && error?.found == second.generation.value)
            #expect(error?.expected == first.generation.value)
            // Without a generation it is saved over whatever is there, and this object need not have seen it.
            try await state.save([4])
            #expect(try await other.load() == [4])
            #expect(await code { try await state.save([5], ifGeneration: Generation(.max)) } == .refused)
            if Servers.control != nil {
                try servers.control("del", "\(cluster.namespace)/s/state")
                #expect(try await state.loadIfPresent() == nil)
                let after = try await state.save([6])
                #expect(after.generation > second.generation)
            }
        }
    }

    @Test func olderTokenIsRefused() async throws {
        try await withCluster { cluster, _ in
            let state = EtcdState<[UInt8]>("state", in: cluster)
            try await state.save([1], fence: EtcdFence(FencingToken(5)))
            #expect(try await state.snapshot()?.token == FencingToken(5))
            let error = await #expect(throws: EtcdError.self) {
                try await state.save([2], fence: EtcdFence(FencingToken(4)))
            }
            #expect(error?.code == .fenced && error?.expected == 5 && error?.found == 4)
            try await state.save([3], fence: EtcdFence(FencingToken(5)))
            // 256 > 5 as numbers and as bytes.
            try await state.save([4], fence: EtcdFence(FencingToken(256)))
            #expect(await code { try await state.save([5], fence: EtcdFence(FencingToken(255))) } == .fenced)
            #expect(try await state.load() == [4])
        }
    }

    @Test func saveUnderALockNeedsTheLock() async throws {
        try await withCluster { cluster, _ in
            try await cluster.withSession(ttl: .seconds(60)) { session in
                let state = EtcdState<[UInt8]>("state", in: cluster)
                let lock = EtcdLock("lock", in: session)
                let first = try await lock.lock()
                let commit = try await state.save([1], fence: first.fence)
                #expect(commit.token == first.token)
                try await first.release()
                // Refused before the next holder has saved, and although the generation is right.
                #expect(
                    await code { try await state.save([2], ifGeneration: commit.generation, fence: first.fence) }
                        == .fenced
                )
                let second = try await lock.lock()
                #expect(await code { try await state.save([2], fence: first.fence) } == .fenced)
                try await state.save([3], fence: second.fence)
                #expect(await code { try await state.save([4], fence: EtcdFence(first.token)) } == .fenced)
                #expect(try await state.load() == [3])
                try await second.release()
            }
        }
    }

    @Test func noUpdateIsLostOrDoneTwice() async throws {
        try await withCluster { cluster, _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<6 {
                    group.addTask {
                        let state = EtcdState<[UInt8]>("counter", in: cluster)
                        for _ in 0..<10 { try await state.update(initial: [0], timeout: .seconds(120)) { $0[0] += 1 } }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await EtcdState<[UInt8]>("counter", in: cluster).load() == [60])
        }
    }

    @Test func valuesNeverGoBackAndEndWithTheLast() async throws {
        try await withCluster { cluster, servers in
            let state = EtcdState<[UInt8]>("state", in: cluster)
            let seen = Shared<[Generation]>([])
            let reader = Task {
                for try await snapshot in state.values {
                    seen.withLock { $0.append(snapshot.generation) }
                    if snapshot.value == [99] { return }
                }
            }
            // The reader waits for a first value, goes on over a compaction, and over a state that is deleted and made
            // again.
            var last = try await state.save([0]).generation
            try await eventually { seen.withLock { $0.last } == last }
            for number in 1...20 { last = try await state.save([UInt8(number)]).generation }
            if Servers.control != nil {
                try servers.control("del", "\(cluster.namespace)/s/state")
                last = try await state.save([50]).generation
                try servers.control("compact", "\(last)")
            }
            last = try await state.save([99]).generation
            try await reader.value
            let all = seen.withLock { $0 }
            #expect(all == all.sorted() && Set(all).count == all.count && all.last == last)
        }
    }

    @Test func valuesEndWithTheirTask() async throws {
        try await withCluster { cluster, _ in
            let reader = Task { for try await _ in EtcdState<[UInt8]>("nothing", in: cluster).values {} }
            try await Task.sleep(for: .milliseconds(200))
            reader.cancel()
            try await reader.value
        }
    }

    @Test func tooLargeIsRefusedBeforeItIsSent() async throws {
        try await withCluster { cluster, _ in
            let state = EtcdState<[UInt8]>("state", in: cluster)
            let largest = [UInt8](repeating: 7, count: 1 << 20)
            try await state.save(largest)
            #expect(try await state.load() == largest)
            let error = await #expect(throws: EtcdError.self) { try await state.save(largest + [7]) }
            #expect(error?.code == .tooLarge && error?.expected == 1 << 20 && error?.found == 1 << 20 + 1)
            #expect(try await state.load() == largest)
        }
    }

    @Test func serversOwnLimitIsAClearErrorToo() async throws {
        guard let servers = try sharedServer() else { return }
        var options = patient
        options.maximumStateSize = 8 << 20
        try await HoldfastEtcdTests.withCluster(servers.urls, options: options) { cluster in
            let state = EtcdState<[UInt8]>("state", in: cluster)
            for count in [1_600_000, 3 << 20] {
                #expect(await code { try await state.save([UInt8](repeating: 1, count: count)) } == .tooLarge)
            }
            let present = try await state.loadIfPresent()
            #expect(present == nil)
        }
    }

    @Test func foreignBytesAreNotLoaded() async throws {
        guard Servers.control != nil else { return }
        try await withCluster { cluster, servers in
            let state = EtcdState<[UInt8]>("state", in: cluster)
            try servers.control("put", "\(cluster.namespace)/s/state", "other")
            #expect(await code { _ = try await state.load() } == .corrupt)
            // A save without a generation replaces it, as it replaces every value.
            try await state.save([1])
            #expect(try await state.load() == [1])
        }
    }

    @Test func schemasAreMigratedAndNewerOnesRefused() async throws {
        try await withCluster { cluster, _ in
            func state(_ schema: UInt32, _ migrations: [StateMigration] = []) throws -> EtcdState<[UInt8]> {
                try EtcdState("state", in: cluster, codec: BytesCodec(), schema: schema, migrations: migrations)
            }
            try await state(1).save([1])
            let second = try state(2, [StateMigration(from: 1) { $0 + [2] }])
            #expect(try await second.load() == [1, 2])
            #expect(try await second.snapshot()?.schema == 1)
            #expect(await code { _ = try await state(2).load() } == .missingMigration)
            #expect(
                await code { _ = try await state(2, [StateMigration(from: 1) { _ in throw Oops() }]).load() }
                    == .migrationFailed
            )
            try await second.save([3])
            let error = await #expect(throws: EtcdError.self) { _ = try await state(1).load() }
            #expect(error?.code == .newerSchema && error?.found == 2 && error?.expected == 1)
        }
    }

    #if JSON
    @Test func codableValuesAreJSON() async throws {
        struct Report: Codable, Equatable, Sendable { var runs = 0 }
        try await withCluster { cluster, _ in
            let state = try EtcdState<Report>("report", in: cluster)
            try await state.update(initial: Report()) { $0.runs += 1 }
            #expect(try await state.load() == Report(runs: 1))
            try await EtcdState<[UInt8]>("report", in: cluster).save(Array("{".utf8))
            #expect(await code { _ = try await state.load() } == .decodingFailed)
        }
    }
    #endif

    @Test func errorOfTheBodyLeavesTheStateAlone() async throws {
        try await withCluster { cluster, _ in
            let state = EtcdState<[UInt8]>("state", in: cluster)
            #expect(await code { try await state.update { $0 = [1] } } == .notFound)
            await #expect(throws: Oops.self) { try await state.update(initial: []) { _ in throw Oops() } }
            let present = try await state.loadIfPresent()
            #expect(present == nil)
        }
    }
}
#endif
