// SPDX-License-Identifier: Apache-2.0
//
// Every deadline of the library, at both ends of what an instant can be: one that is past tries once, one that is far in the
// future is waited for without end. None traps.

import Foundation
import Holdfast
import Testing

@Suite(.temporaryDirectory, .serialized, .timeLimit(.minutes(60)))
struct DeadlineExtremesTests {
    /// From the first instant that there is to the last, as far from now.
    private static let offsets: [Duration] = {
        let seconds: [Int64] = [0, 1, 1 << 31, 9_223_372_036, 9_223_372_037, 10_000_000_000, 1 << 55, .max]
        let ends = seconds.map { Duration.seconds($0) } + [Duration(attoseconds: .max - (1 << 100))]
        return ends.map { .zero - $0 } + ends.dropFirst(2)
    }()

    private static let pastOffsets = offsets.filter { $0 <= .zero }
    private static let futureOffsets = offsets.filter { $0 > .zero }

    private func instant(_ offset: Duration) -> ContinuousClock.Instant { .now + offset }

    private var path: String { TemporaryDirectory.current }

    @Test("What is free is had with every deadline", arguments: offsets)
    func free(offset: Duration) async throws {
        let deadline = instant(offset)
        let file = try LockFile(path + "/file.lock")
        let pidFile = try PIDFile(path + "/file.pid")
        let mutex = try MutexArena(path + "/file.arena", count: 1)[0]
        try block { try file.lock(deadline: deadline).release() }
        try block { try file.withLock(deadline: deadline) { _ in } }
        try await file.lock(deadline: deadline).release()
        try await file.withLock(deadline: deadline) { _ in await Task.yield() }
        try block { try pidFile.lock(deadline: deadline).release() }
        try await pidFile.lock(deadline: deadline).release()
        try block { try mutex.lock(deadline: deadline).release() }
        try block { try mutex.withLock(deadline: deadline) { _ in } }
        try await mutex.lock(deadline: deadline).release()
        try await mutex.withLock(deadline: deadline) { _ in await Task.yield() }
    }

    @Test("A state is saved, changed, converted and restored with every deadline", arguments: offsets)
    func states(offset: Duration) async throws {
        let deadline = instant(offset)
        for strategy in [StateStrategy.replace, .twoSlot] {
            let options = StateOptions(strategy: strategy, durability: .processCrash, keepsPrevious: true)
            let state = try StateFile<[UInt8]>("\(path)/\(strategy)", options: options)
            try block { try state.save([1]) }
            try block { try state.save([1]) }
            // One that does not wait may find that a process which is being spawned has a copy of the lock's descriptor.
            func inTime(_ body: () async throws -> Void) async throws {
                do {
                    try await body()
                } catch let error as StateError {
                    #expect(error.code == .timedOut && offset <= .zero)
                }
            }
            try await inTime { try block { try state.save([2], deadline: deadline) } }
            try await inTime { try await state.save([2], deadline: deadline) }
            try await inTime { try block { try state.update(deadline: deadline) { $0 = [3] } } }
            try await inTime { try block { try state.restorePrevious(deadline: deadline) } }
            for other in [StateStrategy.twoSlot, .replace] {
                try await inTime { try block { try state.convert(to: other, deadline: deadline) } }
            }
            #expect(try await !state.load().isEmpty)
        }
    }

    @Test("A wait for what is held ends at once if the deadline is past", arguments: pastOffsets)
    func past(offset: Duration) async throws {
        let deadline = instant(offset)
        let file = try LockFile(path + "/file.lock")
        let mutex = try MutexArena(path + "/file.arena", count: 1)[0]
        let state = try StateFile<[UInt8]>(path + "/state", options: StateOptions(strategy: .twoSlot))
        let heldFile = KeptLock(try await file.lock())
        let heldMutex = KeptMutex(try await mutex.lock())
        // In a task of its own: who holds a lock already is told so instead.
        let codes = try await Task.detached {
            var codes: [LockError.Code?] = []
            codes.append(await code { try await file.lock(deadline: deadline).release() })
            codes.append(await code { try block { try file.lock(deadline: deadline).release() } })
            codes.append(await code { try await mutex.lock(deadline: deadline).release() })
            codes.append(await code { try block { try mutex.lock(deadline: deadline).release() } })
            try block { try state.save([1]) }
            return codes
        }.value
        #expect(codes == [.timedOut, .timedOut, .timedOut, .timedOut])
        _ = try block {
            try state.update { value in
                let error = try stateError { try other(state).save([2], deadline: deadline) }
                #expect(error.code == .timedOut || error.code == .notLocked)
                value = [3]
            }
        }
        #expect(try await state.load() == [3])
        try heldFile.release()
        try heldMutex.release()
    }

    /// Another object for the same state.
    private func other(_ state: StateFile<[UInt8]>) throws -> StateFile<[UInt8]> {
        try StateFile<[UInt8]>(state.path)
    }

    @Test(
        "A wait for what is held goes on until it is released if the deadline is far in the future",
        arguments: futureOffsets
    )
    func future(offset: Duration) async throws {
        let deadline = instant(offset)
        let file = try LockFile(path + "/file.lock")
        let mutex = try MutexArena(path + "/file.arena", count: 1)[0]
        let heldFile = KeptLock(try await file.lock())
        let heldMutex = KeptMutex(try await mutex.lock())
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<2 {
                group.addTask { try await file.lock(deadline: deadline).release() }
                group.addTask { try await mutex.lock(deadline: deadline).release() }
            }
            group.addTask { try await onThread { try mutex.lock(deadline: deadline).release() } }
            group.addTask { try await onThread { try file.lock(deadline: deadline).release() } }
            try await waitUntil { try file.site.waitingCount >= 2 && mutex.statistics.contended >= 2 }
            try heldFile.release()
            try heldMutex.release()
            try await group.waitForAll()
        }
    }

    @Test("Awaited saves that wait for one another are made, whatever their far deadlines")
    func awaitedSaves() async throws {
        let state = try StateFile<[UInt8]>(path + "/state", options: StateOptions(durability: .processCrash))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, offset) in (Self.futureOffsets + Self.futureOffsets).enumerated() {
                let deadline = instant(offset)
                group.addTask { try await state.save([UInt8(number)], deadline: deadline) }
            }
            try await group.waitForAll()
        }
    }
}

/// The code of the error that the body throws.
private func code(_ body: () async throws -> Void) async -> LockError.Code? {
    do {
        try await body()
        return nil
    } catch {
        return (error as? LockError)?.code
    }
}

/// Runs the body on a thread of its own: one that waits must not take a cooperative thread from the task that it waits for.
private func onThread(_ body: @escaping @Sendable () throws -> Void) async throws {
    try await withCheckedThrowingContinuation { continuation in
        Thread { continuation.resume(with: Result { try body() }) }.start()
    }
}
