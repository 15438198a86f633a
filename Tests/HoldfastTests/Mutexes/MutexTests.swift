// SPDX-License-Identifier: Apache-2.0
//
// What a mutex does for threads and tasks of one process.

import Holdfast
import Synchronization
import Testing

@Suite(.temporaryDirectory)
struct MutexTests {
    private func arena(count: Int = 1) throws -> MutexArena {
        try MutexArena("\(TemporaryDirectory.current)/test.arena", count: count)
    }

    @Test func aFreeMutexIsTakenAndReleased() throws {
        let mutex = try arena()[0]
        let first = try mutex.lock()
        let token = first.token
        let abandoned = first.abandoned
        #expect(abandoned == nil)
        try first.release()
        let second = try mutex.withLock { $0.token }
        #expect(second > token)
        #expect(try mutex.statistics.acquisitions == 2)
        #expect(try mutex.statistics.contended == 0)
    }

    @Test func whoeverComesSecondIsToldThatItIsTaken() throws {
        let mutex = try arena()[0]
        let held = try mutex.lock()
        let isBusy = try mutex.tryLock() == nil
        #expect(isBusy)
        #expect(throws: LockError.self) { try mutex.withLock(deadline: .now + .milliseconds(5)) { _ in } }
        try held.release()
        let isFree = try mutex.tryLock() != nil
        #expect(isFree)
    }

    @Test func mutexesOfOneArenaDoNotExcludeEachOther() throws {
        let arena = try arena(count: 3)
        let held = try arena[0].lock()
        try arena[1].withLock { _ in }
        try arena[2].withLock { _ in }
        try held.release()
    }

    @Test func threadsExcludeEachOther() async throws {
        let mutex = try arena()[0]
        nonisolated(unsafe) var counter = 0
        await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<20_000 { try mutex.withLock { _ in unsafe counter += 1 } }
                }
            }
        }
        let total = unsafe counter
        #expect(total == 80_000)
        #expect(try mutex.statistics.acquisitions == 80_000)
    }

    @Test func tasksThatWaitLeaveTheirThreads() async throws {
        let mutex = try arena()[0]
        let held = HeldMutex(try await mutex.lock())
        let entered = Entered()
        let tokens = try await withThrowingTaskGroup(of: FencingToken.self) { group in
            for _ in 0..<64 {
                group.addTask {
                    try await mutex.withLock { acquisition in
                        #expect(entered.count.wrappingAdd(1, ordering: .relaxed).newValue == 1)
                        await Task.yield()
                        entered.count.wrappingSubtract(1, ordering: .relaxed)
                        return acquisition.token
                    }
                }
            }
            // The pool has two threads: this task would never go on if those that wait kept theirs.
            for _ in 0..<200 { await Task.yield() }
            try held.release()
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(tokens).count == 64)
    }
}

/// How many are inside.
private final class Entered: Sendable {
    let count = Atomic(0)
}
