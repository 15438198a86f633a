// SPDX-License-Identifier: Apache-2.0
//
// What a mutex does for threads and tasks of one process.

import Foundation
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
        let isBusy = acquired(try mutex.tryLock()) == nil
        #expect(isBusy)
        #expect(throws: LockError.self) { try mutex.withLock(deadline: .now + .milliseconds(5)) { _ in } }
        try held.release()
        let isFree = acquired(try mutex.tryLock()) != nil
        #expect(isFree)
    }

    @Test func mutexesOfOneArenaDoNotExcludeEachOther() throws {
        let arena = try arena(count: 3)
        let held = try arena[0].lock()
        try arena[1].withLock { _ in }
        try arena[2].withLock { _ in }
        try held.release()
    }

    @Test func aDamagedGenerationIsNoTrap() throws {
        _ = try arena().count
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: "\(TemporaryDirectory.current)/test.arena"))
        try file.seek(toOffset: 4096)
        try file.write(contentsOf: Data(repeating: 0xff, count: 4))
        try file.close()
        let mutex = try arena()[0]
        try mutex.withLock { _ in }
        #expect(try mutex.statistics.acquisitions == 1)
    }

    @Test func threadsExcludeEachOther() async throws {
        let mutex = try arena()[0]
        nonisolated(unsafe) var counter = 0
        await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    try block { for _ in 0..<20_000 { try mutex.withLock { _ in unsafe counter += 1 } } }
                }
            }
        }
        let total = unsafe counter
        #expect(total == 80_000)
        #expect(try mutex.statistics.acquisitions == 80_000)
    }

    @Test("64 tasks that wait leave the cooperative threads to other tasks, and all get the mutex, one after another")
    func tasksThatWaitLeaveTheirThreads() async throws {
        let mutex = try arena()[0]
        let held = KeptMutex(try await mutex.lock())
        let entered = Entered()
        let tokens = try await withThrowingTaskGroup(of: MutexToken.self) { group in
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
            try await waitUntil { try mutex.statistics.contended == 64 }
            // There are two cooperative threads on a machine of two cores: with one blocked task each, none of these ran.
            let others = await withTaskGroup(of: Int.self) { group in
                for number in 0..<1000 { group.addTask { await Task { number }.value } }
                return await group.reduce(0, +)
            }
            #expect(others == 499_500)
            #expect(try mutex.statistics.acquisitions == 1)
            try held.release()
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(tokens).count == 64)
        #expect(try mutex.statistics.acquisitions == 65)
    }

    @Test("Tasks that wait for more mutexes than the kernel sleeps at in one call all get theirs")
    func manyMutexes() async throws {
        let arena = try arena(count: 300)
        let held = try (0..<300).map { KeptMutex(try arena[$0].lock()) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<300 {
                group.addTask { try await arena[index].withLock { _ in } }
            }
            try await waitUntil { try (0..<300).allSatisfy { try arena[$0].statistics.contended == 1 } }
            for lock in held.reversed() { try lock.release() }
            try await group.waitForAll()
        }
    }

    @Test("A cancelled wait holds nothing, whatever the grant does meanwhile")
    func cancellation() async throws {
        let mutex = try arena()[0]
        for round in 0..<300 {
            let lock = try await mutex.lock()
            let before = try mutex.statistics.contended
            let waiter = Task { () -> Bool in
                do {
                    try await mutex.lock().release()
                    return true
                } catch let error as LockError {
                    #expect(error.code == .cancelled)
                    return false
                }
            }
            if round % 3 != 0 { try await waitUntil { try mutex.statistics.contended > before } }
            // Release and cancellation race in half of the rounds.
            if round % 2 == 0 {
                waiter.cancel()
                try lock.release()
            } else {
                try lock.release()
                waiter.cancel()
            }
            _ = try await waiter.value
            let isFree = acquired(try await mutex.tryLock()) != nil
            #expect(isFree)
        }
    }

    @Test("A cancelled wait ends although the mutex stays held, and the next in line is served")
    func cancellationOfTheFirst() async throws {
        let mutex = try arena()[0]
        let held = KeptMutex(try await mutex.lock())
        let first = Task { try await mutex.lock().release() }
        try await waitUntil { try mutex.statistics.contended == 1 }
        let second = Task { try await mutex.lock().release() }
        try await waitUntil { try mutex.statistics.contended == 2 }
        first.cancel()
        let error = await #expect(throws: LockError.self) { try await first.value }
        #expect(error?.code == .cancelled)
        try held.release()
        try await second.value
        let late = Task { try await mutex.lock().release() }
        late.cancel()
        _ = await late.result
        let isFree = acquired(try await mutex.tryLock()) != nil
        #expect(isFree)
    }

    @Test("A deadline ends a wait, of a thread and of a task, and one in the past tries once")
    func deadlines() async throws {
        let mutex = try arena()[0]
        let held = KeptMutex(try await mutex.lock())
        for delay in [-1000, 0, 3, 30] {
            let deadline = ContinuousClock.now + .milliseconds(delay)
            let task = await #expect(throws: LockError.self) { try await mutex.lock(deadline: deadline).release() }
            #expect(task?.code == .timedOut)
            #expect(task?.holder?.pid == ProcessIdentity.current.pid)
            let thread = #expect(throws: LockError.self) { try block { try mutex.lock(deadline: deadline).release() } }
            #expect(thread?.code == .timedOut)
            #expect(delay < 0 || ContinuousClock.now >= deadline)
        }
        try held.release()
        try await mutex.lock(deadline: .now - .seconds(1)).release()
        try block { try mutex.lock(deadline: .now - .seconds(1)).release() }
    }

    @Test("A body that throws releases, and its error comes through")
    func bodyThatThrows() async throws {
        struct Mine: Error {}
        let mutex = try arena()[0]
        #expect(throws: Mine.self) { try block { try mutex.withLock { _ in throw Mine() } } }
        await #expect(throws: Mine.self) {
            try await mutex.withLock { _ in
                await Task.yield(); throw Mine()
            }
        }
        let isFree = acquired(try await mutex.tryLock()) != nil
        #expect(isFree)
    }

    @Test("A guard that goes out of scope releases; one that is passed to another thread is released there")
    func scopes() async throws {
        let mutex = try arena()[0]
        do {
            let lock = try await mutex.lock()
            _ = lock.token
        }
        let held = KeptMutex(try await mutex.lock())
        try await Task.detached { try held.release() }.value
        try await mutex.withLock { #expect($0.abandoned == nil) }
    }

    @Test("Mutexes outlive the arena object that they came from, and its descriptor is closed with the last")
    func lifetime() throws {
        let path = TemporaryDirectory.current
        // Whoever makes the file has it open under no name.
        _ = try MutexArena("\(path)/a.arena", count: 2)
        do {
            let mutex = try MutexArena("\(path)/a.arena", count: 2)[1]
            try mutex.withLock { _ in }
            let lock = try mutex.lock()
            #expect(Processes.openDescriptors(below: "\(path)/a.arena") == 1)
            _ = lock.token
        }
        #expect(Processes.openDescriptors(below: "\(path)/a.arena") == 0)
    }
}

/// How many are inside.
private final class Entered: Sendable {
    let count = Atomic(0)
}
