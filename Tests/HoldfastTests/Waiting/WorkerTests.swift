// SPDX-License-Identifier: Apache-2.0
//
// The threads that do what tasks await: how many there are, what they wait for, and what they do not wait for.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory, .timeLimit(.minutes(60)))
struct WorkerTests {
    let path = TemporaryDirectory.current

    @Test("Work is begun in its order, outside of any task, on at most as many threads as there may be")
    func order() async throws {
        let worker = Worker(mostThreads: 1)
        let begun = Journal<Int>()
        try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<100 {
                // Called from one task, one after another.
                try worker.begin {
                    begun.write(number)
                    return false
                }
            }
            for number in 100..<200 { group.addTask { try await worker.run { number } } }
            var values: Set<Int> = []
            for try await value in group { values.insert(value) }
            #expect(values == Set(100..<200))
        }
        #expect(begun.entries == Array(0..<100))
        let isInTask = try await worker.run { unsafe withUnsafeCurrentTask { unsafe $0 != nil } }
        #expect(!isInTask)
        #expect(worker.threads <= 1)
    }

    @Test("Work that is called again is called after what waits already")
    func again() async throws {
        let worker = Worker(mostThreads: 1)
        let calls = Journal<String>()
        let gate = DispatchSemaphore(value: 0)
        try worker.begin {
            calls.write("first")
            if calls.entries.count == 1 { gate.wait() }
            return calls.entries.count == 1
        }
        try worker.begin {
            calls.write("second")
            return false
        }
        gate.signal()
        try await worker.run {}
        while calls.entries.count < 3 { try await worker.run {} }
        #expect(calls.entries == ["first", "second", "first"])
    }

    @Test("Work that hangs on some threads delays no other work")
    func hanging() async throws {
        let worker = Worker(mostThreads: 4)
        let gate = DispatchSemaphore(value: 0)
        for _ in 0..<3 {
            try worker.begin {
                gate.wait()
                return false
            }
        }
        for number in 0..<100 {
            let value = try await worker.run { number }
            #expect(value == number)
        }
        #expect(worker.threads == 4)
        for _ in 0..<3 { gate.signal() }
    }

    @Test("A thousand states that are saved at the same time share a few threads")
    func manyStates() async {
        await #expect(processExitsWith: .success) { [path = path as String] in
            let directory = try OpenDirectory(path)
            let states = try (0..<1000).map { number in
                let options = StateOptions(
                    strategy: number % 2 == 0 ? .replace : .twoSlot,
                    durability: .processCrash
                )
                return try StateFile<[UInt8]>("\(path)/state\(number)", options: options)
            }
            let counts = Journal<Int>()
            let before = WorkerTests.threads
            try await withThrowingTaskGroup(of: Void.self) { group in
                for state in states {
                    group.addTask {
                        try await state.save([1])
                        counts.write(WorkerTests.threads)
                    }
                }
                try await group.waitForAll()
            }
            precondition(Worker.of(directory).threads <= Worker.mostThreads)
            // The cooperative pool's are among them, and those that wait for locks.
            let added = (counts.entries.max() ?? 0) - before
            precondition(added <= Worker.mostThreads + 64, "\(added) threads")
            for state in states {
                let saved = try await state.load()
                precondition(saved == [1])
            }
        }
    }

    private static var threads: Int {
        ((try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task")) ?? []).count
    }

    @Test("Saves whose locks others hold occupy no thread", arguments: [StateStrategy.replace, .twoSlot])
    func heldLocks(strategy: StateStrategy) async throws {
        let directory = try OpenDirectory(path)
        let options = StateOptions(strategy: strategy, durability: .processCrash)
        let states = try (0..<(3 * Worker.mostThreads)).map { try directory.state("state\($0)", options: options) }
        for state in states { try await state.save([1]) }
        let locks = try states.indices.map { try SaveLock(of: "state\($0)", in: directory, strategy) }
        try await withThrowingTaskGroup(of: StateCommit.self) { group in
            for state in states { group.addTask { try await state.save([2]) } }
            while try locks.contains(where: { try !$0.isWaitedFor }) { try await Task.sleep(for: .milliseconds(1)) }
            #expect(Worker.of(directory).threads <= Worker.mostThreads)
            let other = try directory.state("other", options: options)
            for value in [UInt8](1...5) { try await other.save([value]) }
            #expect(try await other.load() == [5])
            for state in states { #expect(try await state.load() == [1]) }
            for lock in locks { try lock.release() }
            for try await commit in group { #expect(commit.generation.value == 2) }
        }
        for state in states { #expect(try await state.load() == [2]) }
    }

    @Test("A save waits for its lock until its deadline", arguments: [StateStrategy.replace, .twoSlot])
    func deadlines(strategy: StateStrategy) async throws {
        let directory = try OpenDirectory(path)
        let state = try directory.state(options: StateOptions(strategy: strategy, durability: .processCrash))
        try await state.save([1])
        let lock = try SaveLock(of: "state", in: directory, strategy)
        for deadline in [ContinuousClock.now, .now + .milliseconds(20)] {
            let error = await #expect(throws: StateError.self) { try await state.save([2], deadline: deadline) }
            #expect(error?.code == .timedOut)
        }
        try lock.release()
        try await state.save([3], deadline: .now + .seconds(3600))
        #expect(try await state.load() == [3])
    }

    @Test("A file system that hangs delays neither saves nor locks on another one")
    func hangingFileSystem() async throws {
        let (source, point, beside) = ("\(path)/source", "\(path)/point", "\(path)/beside")
        for path in [source, point, beside] { _ = try OpenDirectory(makingPath: path) }
        guard isRoot(), let server = try Self.mount(source, at: point) else { return }
        defer {
            server.signal(SIGCONT)
            for tool in [["fusermount", "-uz", point], ["fusermount3", "-uz", point], ["umount", "-l", point]] {
                if let unmount = try? Child("/usr/bin/env", tool), unmount.wait() == 0 { break }
            }
        }
        let options = StateOptions(durability: .processCrash)
        let directory = try OpenDirectory(point)
        let other = try OpenDirectory(beside)
        let hanging = try (0..<4).map { try directory.state("state\($0)", options: options) }
        for state in hanging { try await state.save([1]) }
        let hangingLock = try LockFile("\(point)/lock")
        let held = KeptLock(try await hangingLock.lock())
        let done = Flag()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await hangingLock.lock().release() }
            while hangingLock.site.waitingCount < 1 { try await Task.sleep(for: .milliseconds(1)) }
            server.signal(SIGSTOP)
            for state in hanging {
                group.addTask {
                    try await state.save([2])
                    _ = done.set()
                }
            }
            // Has the thread that waits for locks there make an attempt, which hangs.
            group.addTask { try await hangingLock.lock().release() }
            while hangingLock.site.waitingCount < 2 { try await Task.sleep(for: .milliseconds(1)) }

            let state = try other.state(options: options)
            for value in [UInt8](1...5) { try await state.save([value]) }
            let lock = try SaveLock(of: "state", in: other, .replace)
            group.addTask { _ = try await state.save([6]) }
            while try !lock.isWaitedFor { try await Task.sleep(for: .milliseconds(1)) }
            try lock.release()
            while try await state.load() != [6] { try await Task.sleep(for: .milliseconds(1)) }
            #expect(!done.isSet)
            #expect(hangingLock.site.waitingCount == 2)

            server.signal(SIGCONT)
            try held.release()
            try await group.waitForAll()
        }
        for state in hanging { #expect(try await state.load() == [2]) }
    }

    /// Serves one directory at another by FUSE; nil, and a line in the output, if that is not possible.
    private static func mount(_ source: String, at point: String) throws -> Child? {
        let server = try Child("/usr/bin/env", ["bindfs", "-f", source, point])
        for _ in 0..<120_000 where server.isRunning {
            if try String(contentsOfFile: "/proc/self/mounts", encoding: .utf8).contains(" \(point) fuse") {
                return server
            }
            usleep(1000)
        }
        print("NOT RUN: bindfs is not installed, or may not mount here")
        return nil
    }
}

/// The lock that makes a writer of a state the only one, as another writer holds it.
private struct SaveLock {
    private let file: (site: LockSite, held: KeptLock)?
    private let mutex: (mutex: SharedMemoryMutex, contended: UInt64, held: KeptMutex)?

    init(of name: String, in directory: OpenDirectory, _ strategy: StateStrategy) throws {
        if strategy == .twoSlot {
            let mutex = try MutexArena(directory.name(".\(name).arena"), in: directory, count: 1)[0]
            self.mutex = (mutex, try mutex.statistics.contended, KeptMutex(try mutex.lock()))
            file = nil
        } else {
            let lock = try LockFile(sidecar: directory.name(".\(name).lock"), in: directory)
            file = (lock.site, KeptLock(try lock.lock()))
            mutex = nil
        }
    }

    var isWaitedFor: Bool {
        get throws {
            if let mutex {
                try mutex.mutex.statistics.contended > mutex.contended
            } else {
                file?.site.waitingCount ?? 0 > 0
            }
        }
    }

    func release() throws {
        try file?.held.release()
        try mutex?.held.release()
    }
}
