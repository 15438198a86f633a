// SPDX-License-Identifier: Apache-2.0
//
// A service that is written on the two protocols: what it is given decides where it runs.

#if JSON
import Holdfast
import Testing

@Suite(.temporaryDirectory)
struct StateStoreTests {
    private struct Report: Codable, Sendable, Equatable {
        var runs = 0
    }

    private func nightly(_ lock: any FencedLock, _ report: any StateStore<Report>) async throws {
        try await lock.withLock { grant in
            try await report.update(initial: Report(), fence: grant.fence) { $0.runs += 1 }
        }
    }

    private func path(_ name: String) -> String { "\(TemporaryDirectory.current)/\(name)" }

    @Test("The example of the documentation, on files")
    func example() async throws {
        let (lock, state) = (try LockFile(path("nightly.lock")), try StateFile<Report>(path("report")))
        for _ in 0..<3 { try await nightly(lock, state) }
        let snapshot = try #require(try await state.snapshot())
        #expect(snapshot.value == Report(runs: 3))
        #expect(snapshot.token == FencingToken(3))
    }

    @Test("A store behind the protocol refuses what is too late, and shows its values")
    func existential() async throws {
        let store: any StateStore<Report> = try StateFile<Report>(path("report"))
        #expect(try await store.snapshot() == nil)
        try await store.save(Report(runs: 1), fence: Fence(FencingToken(2)))
        let commit = try await store.save(Report(runs: 2), ifGeneration: 1, fence: nil, timeout: .seconds(600))
        #expect(commit.generation == 2)
        let conflict = await #expect(throws: StateError.self) {
            try await store.save(Report(), ifGeneration: .absent, fence: nil, timeout: nil)
        }
        #expect(conflict?.code == .conflict)
        let fenced = await #expect(throws: StateError.self) {
            try await store.save(Report(), fence: Fence(FencingToken(1)))
        }
        #expect(fenced?.code == .fenced)
        try await store.update { $0.runs += 1 }
        for try await snapshot in store.values {
            #expect(snapshot.value.runs == 3)
            #expect(snapshot.generation == 3)
            break
        }
    }

    @Test("Generic code takes both as they are")
    func generic() async throws {
        func count(_ lock: some FencedLock, _ store: some StateStore<Report>) async throws -> Int {
            try await lock.withLock(timeout: .seconds(600)) { grant in
                try await store.update(initial: Report(), fence: grant.fence, timeout: nil) { $0.runs += 1 }
            }
            return try await store.snapshot()?.value.runs ?? 0
        }
        let runs = try await count(LockFile(path("nightly.lock")), StateFile<Report>(path("report")))
        #expect(runs == 1)
    }
}
#endif
