// SPDX-License-Identifier: Apache-2.0
//
// Two-slot files on the real file system: several processes, some of them killed, and tasks that save together.

import Foundation
import Holdfast
import HoldfastTesting
import Synchronization
import Testing

@Suite(.temporaryDirectory, .timeLimit(.minutes(60)))
struct TwoSlotProcessTests {
    private var path: String { "\(TemporaryDirectory.current)/state" }
    private static let options = StateOptions(strategy: .twoSlot)

    private func counter() throws -> StateFile<Int> {
        try StateFile(path, codec: DecimalCodec(), options: Self.options)
    }

    @Test("a payload of 100 MiB, and an empty one after it")
    func large() throws {
        let state = try StateFile<[UInt8]>(
            path,
            options: StateOptions(strategy: .twoSlot, durability: .processCrash)
        )
        try state.save([1])
        let payload = [UInt8](repeating: 0xA5, count: 100 << 20)
        try state.save(payload)
        #expect(try state.load() == payload)
        try state.save([])
        #expect(try state.load().isEmpty)
        #expect(try StateFile<[UInt8]>(path).load().isEmpty)
    }

    @Test("a save within an update is an error and no deadlock")
    func reentrance() throws {
        let state = try counter()
        let other = try counter()
        try state.save(1)
        try state.update { value in
            for state in [state, other] {
                let error = try stateError { try state.save(2) }
                #expect(error.code == .notLocked)
                #expect((error.underlying as? LockError)?.code == .reentrant)
            }
            #expect(try state.load() == 1)
            value = 3
        }
        #expect(try other.load() == 3)
    }

    @Test("a reader sees what another process has saved, and every later value arrives")
    func anotherProcess() async throws {
        let state = try counter()
        try await state.save(1)
        var reader = state.reader()
        #expect(try await reader.read() == 1)
        for value in 2...5 {
            let payload = CommandLineTool.Stream.text("\(value)")
            #expect(try await CommandLineTool.holdfastctl.run("state", "save", path, input: payload).status == 0)
            #expect(try await reader.read() == value)
            #expect(try await reader.readWithReport().report.generation == Generation(UInt64(value)))
        }
    }

    @Test("64 tasks that save together flush together", arguments: [StateStrategy.twoSlot, .replace])
    func coalescing(_ strategy: StateStrategy) async throws {
        let options = StateOptions(strategy: strategy, durability: strategy == .twoSlot ? .powerLoss : .processCrash)
        let state = try StateFile(path, codec: DecimalCodec(), options: options)
        let rounds = strategy == .twoSlot ? 200 : 20
        let clock = ContinuousClock()
        let alone = try clock.measure { for value in 1...50 { try save(state, value) } } / 50
        let first = try await state.verify().generation
        let start = clock.now
        let last = try await withThrowingTaskGroup { group in
            for task in 0..<64 {
                group.addTask {
                    var generation = Generation.absent
                    for round in 0..<rounds {
                        let commit = try await state.save(task * 1000 + round)
                        #expect(commit.generation > generation)
                        generation = commit.generation
                        // What was acknowledged is there, or something that was saved later.
                        if round % 20 == 0 { #expect(try await state.verify().generation >= generation) }
                    }
                    return generation
                }
            }
            return try await group.reduce(Generation.absent) { max($0, $1) }
        }
        #expect(try await state.verify().generation == last)
        let saves = 64 * rounds
        let written = last.value - first.value
        let together = (clock.now - start) / saves
        print(
            "\(saves) saves of 64 tasks by \(strategy): \(written) written, \(together) each; one by one \(alone) each"
        )
        #expect(written <= UInt64(saves / 8))
    }

    @Test("no flush blocks the cooperative pool: other tasks run while 64 wait for one that does not end")
    func poolStaysFree() async throws {
        // A process of its own, whose pool nothing else blocks.
        await #expect(processExitsWith: .success) {
            for (strategy, flush) in [(StateStrategy.twoSlot, "fdatasync"), (.replace, "fsync")] {
                let fileSystem = SimulatedFileSystem()
                let state = try fileSystem.directory().state(options: StateOptions(strategy: strategy))
                try await state.save([0])
                let isFlushing = Atomic(false)
                let end = DispatchSemaphore(value: 0)
                fileSystem.onCall = { _, call in
                    guard call.function == flush, !isFlushing.exchange(true, ordering: .relaxed) else { return }
                    end.wait()
                }
                // Ends the process if no thread is left to go on.
                alarm(60)
                let savers = (1...64).map { value in Task { try await state.save([UInt8(value)]) } }
                while !isFlushing.load(ordering: .relaxed) { await Task.yield() }
                let others = await withTaskGroup { group in
                    for _ in 0..<64 { group.addTask { await Task.yield() } }
                    return await group.reduce(into: 0) { count, _ in count += 1 }
                }
                #expect(others == 64)
                end.signal()
                for saver in savers { #expect(try await saver.value.generation > 1) }
                fileSystem.onCall = nil
            }
        }
    }

    private func save(_ state: StateFile<Int>, _ value: Int) throws {
        try state.save(value)
    }

    @Test("awaited saves keep their order and their conditions")
    func conditions() async throws {
        let state = try counter()
        #expect(try await state.save(1, ifGeneration: .absent).generation == 1)
        await #expect(throws: StateError.self) { try await state.save(2, ifGeneration: .absent) }
        let outcomes = await withTaskGroup { group in
            for value in 0..<8 {
                group.addTask { (try? await state.save(value, ifGeneration: 1)) != nil }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(outcomes == 1, "only one finds the generation that it expects")
        #expect(try await state.verify().generation == 2)
    }

    @Test(
        "values are seen one after the other, the last one always, across processes",
        arguments: [StateStrategy.twoSlot, .replace]
    )
    func values(_ strategy: StateStrategy) async throws {
        let state = try StateFile(path, codec: DecimalCodec(), options: StateOptions(strategy: strategy))
        let seen = Journal<Int>()
        let watching = Task {
            for try await snapshot in state.values {
                seen.write(snapshot.value)
                if snapshot.value == 40 { break }
            }
        }
        let writer = try StateFile(path, codec: DecimalCodec(), options: StateOptions(strategy: strategy))
        for value in 1...30 { try await writer.save(value) }
        for value in [35, 40] {
            let payload = CommandLineTool.Stream.text("\(value)")
            #expect(try await CommandLineTool.holdfastctl.run("state", "save", path, input: payload).status == 0)
        }
        try await watching.value
        #expect(seen.entries.last == 40)
        #expect(seen.entries == seen.entries.sorted())
        #expect(Set(seen.entries).count == seen.entries.count)
    }

    @Test("watching ends with its task, also before there is a state, and throws what a load throws")
    func watchingEnds() async throws {
        let state = try counter()
        let waiting = Task {
            var count = 0
            for try await _ in state.values { count += 1 }
            return count
        }
        waiting.cancel()
        #expect(try await waiting.value == 0)
        try Data("damage".utf8).write(to: URL(filePath: path))
        await #expect(throws: StateError.self) { for try await _ in state.values {} }
    }

    @Test("a process without the right to write reads, and is not given what is not flushed")
    func readOnlyProcess() async throws {
        guard geteuid() == 0 else {
            print("NOT RUN: \(#function) needs root")
            return
        }
        try await counter().save(1)
        try await counter().save(2)
        for name in [path, TemporaryDirectory.current] {
            try FileManager.default.setAttributes([.posixPermissions: name == path ? 0o644 : 0o755], ofItemAtPath: name)
        }
        await #expect(processExitsWith: .success) { [path = path as String] in
            #expect(setgid(65534) == 0 && setuid(65534) == 0)
            let state = try StateFile(path, codec: DecimalCodec())
            let (value, report) = try await state.loadWithReport()
            #expect(value == 2)
            #expect(report.strategy == .twoSlot)
            #expect(report.rejected == nil)
            let error = try await #require(throws: StateError.self) { try await state.save(3) }
            #expect(error.code == .notLocked || error.code == .notSaved)
        }
        #expect(try await counter().load() == 2)
    }
}
