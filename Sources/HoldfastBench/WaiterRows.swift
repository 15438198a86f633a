// SPDX-License-Identifier: Apache-2.0
//
// What one waiter costs when many wait at once in one process, beside what it costs when a tenth of them do: the ratio grows
// with the crowd if the work of one does.

internal import Holdfast
internal import Synchronization

/// Rows of crowds of waiters.
enum WaiterRows {
    private static let crowd = 1000

    /// Tasks that wait for one mutex, with deadlines, from its release to the last of them.
    static func mutex(_ bench: Bench) throws -> BenchRow {
        let mutex = try MutexArena("\(bench.ground.path)/waiters.arena", count: 1)[0]
        return try row("mutex.waiters", bench) { count in
            let held = try await mutex.lock()
            let before = try mutex.statistics.contended
            let all = tasks(count) { try await mutex.withLock(deadline: .now + .seconds(3600)) { _ in } }
            while try mutex.statistics.contended < before + UInt64(count) {
                try await Task.sleep(for: .milliseconds(1))
            }
            let start = Clock.now
            try held.release()
            try await all.value
            return Clock.now - start
        }
    }

    /// The same for a lock file.
    static func lockFile(_ bench: Bench) throws -> BenchRow {
        let file = try LockFile("\(bench.ground.path)/waiters.lock")
        return try row("lock.waiters", bench) { count in
            let held = try await file.lock()
            let all = tasks(count) { try await file.withLock(deadline: .now + .seconds(3600)) { _ in } }
            while file.site.waitingCount < count { try await Task.sleep(for: .milliseconds(1)) }
            let start = Clock.now
            try held.release()
            try await all.value
            return Clock.now - start
        }
    }

    /// Tasks that save at once, each with a deadline of its own, so that no save stands for another.
    static func savers(_ bench: Bench) throws -> BenchRow {
        let options = StateOptions(strategy: .twoSlot, durability: .processCrash)
        let state = try StateFile<[UInt8]>("\(bench.ground.path)/waiters", options: options)
        try state.save([1])
        return try row("state.waiters", bench) { count in
            let start = Clock.now
            try await tasks(count) { try await state.save([1], deadline: .now + .seconds(3600)) }.value
            return Clock.now - start
        }
    }

    /// Readers of one state, each of which reads after a save.
    static func readers(_ bench: Bench) throws -> BenchRow {
        let options = StateOptions(strategy: .twoSlot, durability: .processCrash)
        let state = try StateFile<[UInt8]>("\(bench.ground.path)/readers", options: options)
        return try row("state.readers", bench) { count in
            try await state.save([1])
            let start = Clock.now
            try await tasks(count) { try readOnce(state) }.value
            return Clock.now - start
        }
    }

    private static func readOnce(_ state: StateFile<[UInt8]>) throws {
        var reader = state.reader()
        _ = try reader.read()
    }

    private static func tasks(
        _ count: Int,
        _ body: @escaping @Sendable () async throws -> Void
    ) -> Task<Void, any Error> {
        Task {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<count { group.addTask { try await body() } }
                try await group.waitForAll()
            }
        }
    }

    private static func row(
        _ work: String,
        _ bench: Bench,
        _ run: @escaping @Sendable (_ count: Int) async throws -> UInt64
    ) throws -> BenchRow {
        func contestant(_ name: String, _ count: Int) -> Contestant {
            .timingItself(name) { _ in
                let time = Elapsed()
                try waitFor { time.nanoseconds.store(try await run(count), ordering: .relaxed) }
                return max(1, time.nanoseconds.load(ordering: .relaxed) / UInt64(count))
            }
        }
        let few = contestant("a tenth as many wait", crowd / 10)
        return try bench.row(work, [few, contestant("\(crowd) wait", crowd)], goal: .ratio(2), samples: 15)
    }
}

private final class Elapsed: Sendable {
    let nanoseconds = Atomic<UInt64>(0)
}
