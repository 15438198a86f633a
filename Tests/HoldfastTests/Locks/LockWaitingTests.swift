// SPDX-License-Identifier: Apache-2.0
//
// Waiting for a lock in tasks and threads of one process.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory, .timeLimit(.minutes(60)))
struct LockWaitingTests {
    private var path: String { TemporaryDirectory.current + "/a.lock" }

    @Test("64 tasks that wait leave the cooperative threads to other tasks")
    func tasksDoNotBlock() async throws {
        let file = try LockFile(path)
        let held = KeptLock(try await file.lock())
        let granted = Journal<Int>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<64 {
                group.addTask {
                    let lock = try await file.lock()
                    granted.write(number)
                    try lock.release()
                }
            }
            try await waitUntil { file.site.waitingCount == 64 }
            // There are two cooperative threads on a machine of two cores: with one blocked task each, none of these ran.
            let others = await withTaskGroup(of: Int.self) { group in
                for number in 0..<1000 { group.addTask { await Task { number }.value } }
                return await group.reduce(0, +)
            }
            #expect(others == 499_500)
            #expect(granted.entries.isEmpty)
            try held.release()
            try await group.waitForAll()
        }
        #expect(granted.entries.count == 64)
    }

    @Test("Waiters of one process are served in the order in which they came, whatever file object they use")
    func firstComeFirstServed() async throws {
        let path = path
        let file = try LockFile(path)
        let held = KeptLock(try await file.lock())
        let order = Journal<Int>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<32 {
                group.addTask {
                    let own = try LockFile(path)
                    let lock = try await own.lock()
                    order.write(number)
                    try lock.release()
                }
                try await waitUntil { file.site.waitingCount == number + 1 }
            }
            try held.release()
            try await group.waitForAll()
        }
        #expect(order.entries == Array(0..<32))
    }

    @Test("A try does not overtake those that wait")
    func tryDoesNotOvertake() async throws {
        let file = try LockFile(path)
        let lock = try await file.lock()
        let waiter = Task { [path] in try await LockFile(path).lock().release() }
        try await waitUntil { file.site.waitingCount == 1 }
        try lock.release()
        // Free now, or the waiter's: either way it is not for the one who did not wait, until the waiter is through.
        if case .busy = try await file.tryLock() {} else { #expect(file.site.waitingCount == 0) }
        try await waiter.value
        try require(try await file.tryLock()).release()
    }

    @Test("Readers that wait together are served together")
    func sharedWaiters() async throws {
        let file = try LockFile(path)
        let held = KeptLock(try await file.lock())
        let inside = Journal<Int>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<8 {
                group.addTask {
                    let lock = try await file.lock(.shared)
                    inside.write(number)
                    try await waitUntil { inside.entries.count == 8 }
                    try lock.release()
                }
            }
            try await waitUntil { file.site.waitingCount == 8 }
            try held.release()
            try await group.waitForAll()
        }
    }

    @Test("A cancelled wait ends at once, and holds nothing whatever the grant does meanwhile")
    func cancellation() async throws {
        let path = path
        let file = try LockFile(path)
        for round in 0..<300 {
            let lock = try await file.lock()
            let waiter = Task { () -> Bool in
                do {
                    try await LockFile(path).lock().release()
                    return true
                } catch let error as LockError {
                    #expect(error.code == .cancelled)
                    return false
                }
            }
            if round % 3 != 0 { try await waitUntil { file.site.waitingCount == 1 } }
            // Release and cancellation race in half of the rounds.
            if round % 2 == 0 {
                waiter.cancel()
                try lock.release()
            } else {
                try lock.release()
                waiter.cancel()
            }
            _ = try await waiter.value
            try require(try await LockFile(path).tryLock()).release()
        }
    }

    @Test("A task that is cancelled already does not even try")
    func cancelledBefore() async throws {
        let path = path
        let task = Task {
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return await #expect(throws: LockError.self) { try await LockFile(path).lock().release() }?.code
        }
        #expect(await task.value == .cancelled)
        #expect(try LockFile(path).status() == .absent)
    }

    @Test("A wait that times out ends near its deadline, holds nothing, and names the holder")
    func deadline() async throws {
        let path = path
        let lock = try await LockFile(path).lock()
        let start = ContinuousClock.now
        let error = await #expect(throws: LockError.self) {
            try await Task.detached { try await LockFile(path).lock(deadline: .now + .milliseconds(50)).release() }
                .value
        }
        let waited = start.duration(to: .now)
        #expect(error?.code == .timedOut)
        #expect(error?.holder?.pid == getpid())
        #expect(waited >= .milliseconds(50) && waited < .seconds(600))
        try lock.release()
        try require(try await LockFile(path).tryLock()).release()
    }

    @Test("A thread waits too, and its deadline holds")
    func blockingWait() async throws {
        let path = path
        let lock = try await LockFile(path).lock()
        let waiter = Task.detached { try block { try LockFile(path).lock().release() } }
        try await waitUntil { (try? LockFile(path).site.waitingCount) == 1 }
        let timedOut = Task.detached {
            try block { try LockFile(path).lock(deadline: .now + .milliseconds(20)).release() }
        }
        let error = await #expect(throws: LockError.self) { try await timedOut.value }
        #expect(error?.code == .timedOut)
        try lock.release()
        try await waiter.value
    }

    @Test(
        "To lock again what this task holds is an error, not a deadlock",
        arguments: [HeldLock.Mode.exclusive, .shared]
    )
    func reentry(mode: HeldLock.Mode) async throws {
        let path = path
        let file = try LockFile(path)
        let lock = try await file.lock(mode)
        let error = await #expect(throws: LockError.self) { try await LockFile(path).lock(.exclusive).release() }
        #expect(error?.code == .reentrant)
        // Another task waits as usual.
        let other = Task.detached { try await LockFile(path).lock(.exclusive).release() }
        try await waitUntil { file.site.waitingCount == 1 }
        try lock.release()
        try await other.value
        try await file.lock(.exclusive).release()
    }

    @Test("A lock on a simulated file system is waited for without inotify")
    func simulated() async throws {
        let directory = try SimulatedFileSystem().directory()
        let file = try LockFile(try directory.name("a.lock"), in: directory)
        let lock = try await file.lock()
        let waiter = Task { try await file.lock().release() }
        try await waitUntil { file.site.waitingCount == 1 }
        try lock.release()
        try await waiter.value
    }

    @Test("A file that is replaced while it is waited for is waited for anew")
    func replacedWhileWaiting() async throws {
        let path = path
        let file = try LockFile(path)
        let lock = try await file.lock()
        let waiter = Task { try await file.lock().release() }
        try await waitUntil { file.site.waitingCount == 1 }
        try FileManager.default.removeItem(atPath: path)
        try await waiter.value
        try lock.release()
    }

    @Test("A writer that waits behind a reader is not given the reader's descriptor")
    func readOnlyCandidate() async throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        let file = try LockFile(try directory.name("a.lock"), in: directory)
        let lock = try await file.lock()
        // The reader may not write to the file, so it opens it for reading only.
        fileSystem.faults = .failEvery(with: EACCES, times: 1) { $0.name == "a.lock" && $0.flags.contains("O_RDWR") }
        let reader = Task { try await file.lock(.shared).release() }
        try await waitUntil { file.site.waitingCount == 1 }
        let writer = Task { try await file.lock().release() }
        try await waitUntil { file.site.waitingCount == 2 }
        reader.cancel()
        await #expect(throws: LockError.self) { try await reader.value }
        try lock.release()
        try await writer.value
    }

    @Test("No descriptor and no waiter is left by waits that came to nothing")
    func leavesNothing() async throws {
        let path = path
        let file = try LockFile(path)
        let lock = try await file.lock()
        for _ in 0..<20 {
            let error = await #expect(throws: LockError.self) {
                try await Task.detached { try await LockFile(path).lock(deadline: .now + .milliseconds(1)).release() }
                    .value
            }
            #expect(error?.code == .timedOut)
        }
        #expect(file.site.waitingCount == 0)
        try lock.release()
        // The reactor drops its own descriptor when it sees that nobody waits.
        let directory = TemporaryDirectory.current
        try await waitUntil { Processes.openDescriptors(below: directory) <= 2 }
    }
}

/// Waits for something that another task or thread does.
func waitUntil(_ condition: () throws -> Bool) async throws {
    for _ in 0..<120_000 {
        if try condition() { return }
        try await Task.sleep(for: .milliseconds(1))
    }
    throw Failed("waited in vain")
}

/// Runs blocking code from a task on purpose.
func block(_ body: () throws -> Void) throws {
    try body()
}
