// SPDX-License-Identifier: Apache-2.0
//
// The same on the real file system, with readers that stay open and processes that die.

import Foundation
import Holdfast
import HoldfastTesting
import Synchronization
import Testing

@Suite(.temporaryDirectory, .timeLimit(.minutes(60)))
struct TwoSlotHazardProcessTests {
    private var path: String { "\(TemporaryDirectory.current)/state" }

    private func counter(_ strategy: StateStrategy = .twoSlot) throws -> StateFile<Int> {
        try StateFile(path, codec: DecimalCodec(), options: StateOptions(strategy: strategy))
    }

    /// The next value; nil if there is none within ten minutes.
    private func next(of values: sending StateValues<Int>.AsyncIterator) async throws -> Int? {
        let next = Task { [values] in
            var values = values
            return try await values.next()?.value
        }
        Task {
            try await Task.sleep(for: .seconds(600))
            next.cancel()
        }
        return try await next.value
    }

    @Test("a reader sees a save after the file was removed")
    func readerOfRemovedFile() throws {
        let state = try counter()
        try state.save(1)
        var reader = state.reader()
        #expect(try reader.read() == 1)
        try FileManager.default.removeItem(atPath: path)
        try state.save(2)
        #expect(try state.load() == 2)
        #expect(try reader.read() == 2)
    }

    @Test("a reader sees the save after a backup was put back")
    func readerOfBackup() throws {
        let state = try counter()
        try state.save(1)
        try state.save(2)
        let backup = try Data(contentsOf: URL(filePath: path))
        try state.save(3)
        var reader = state.reader()
        #expect(try reader.read() == 3)
        try backup.write(to: URL(filePath: path + ".backup"))
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.moveItem(atPath: path + ".backup", toPath: path)
        try state.save(4)
        #expect(try state.load() == 4)
        #expect(try reader.read() == 4)
    }

    @Test("values yields the save after the file was removed")
    func valuesOfRemovedFile() async throws {
        let watched = try counter()
        let state = try counter()
        try await state.save(1)
        let seen = Journal<Int>()
        let watching = Task { for try await snapshot in watched.values { seen.write(snapshot.value) } }
        while seen.entries.isEmpty { try await Task.sleep(for: .milliseconds(10)) }
        // It has looked again, and knows the word.
        try await Task.sleep(for: .milliseconds(300))
        try FileManager.default.removeItem(atPath: path)
        try await state.save(2)
        for _ in 0..<200 where seen.entries.count < 2 { try await Task.sleep(for: .milliseconds(10)) }
        watching.cancel()
        #expect(seen.entries == [1, 2])
    }

    @Test("what is under the arena's name and no arena is in the way of saves in place, not of replacements")
    func foreignArena() throws {
        let arena = TemporaryDirectory.current + "/." + (path as NSString).lastPathComponent + ".arena"
        try String(repeating: "somebody's data ", count: 2000).write(toFile: arena, atomically: false, encoding: .utf8)
        let plain = try counter(.replace)
        for value in 1...2 { try plain.save(value) }
        try plain.update { $0 += 1 }
        #expect(try plain.load() == 3)
        #expect(try stateError { _ = try counter().save(4) }.code == .notLocked)
        #expect(try plain.load() == 3)
        #expect(try String(contentsOfFile: arena, encoding: .utf8).hasPrefix("somebody's data"))
    }

    @Test("a reader and values see a save after the file was removed, though the new one is an ordinary file")
    func readersOfRemovedFileThatIsPlainNow() async throws {
        let state = try counter()
        try await state.save(1)
        var reader = state.reader()
        #expect(try await reader.read() == 1)
        let watched = try counter()
        var values = watched.values.makeAsyncIterator()
        #expect(try await values.next()?.value == 1)
        try FileManager.default.removeItem(atPath: path)
        try await counter(.replace).save(2)
        #expect(try await state.load() == 2)
        #expect(try await reader.read() == 2)
        #expect(try await next(of: values) == 2)
    }

    @Test("values yields a save after the file was removed, though store and generation are those of the one before")
    func valuesOfSameStore() async throws {
        let options = StateOptions(expectedStore: StoreID(value: 7))
        let state = try StateFile(path, codec: DecimalCodec(), options: options)
        try await state.save(1)
        var values = state.values.makeAsyncIterator()
        #expect(try await values.next()?.value == 1)
        try FileManager.default.removeItem(atPath: path)
        try await state.save(2)
        #expect(try await next(of: values) == 2)
    }

    @Test("a condition is kept and a load is current though somebody deleted the arena meanwhile")
    func deletedArena() async throws {
        let state = try counter()
        try await state.save(1)
        try await state.save(2)
        try FileManager.default.removeItem(atPath: "\(TemporaryDirectory.current)/.state.arena")
        let input = CommandLineTool.Stream.text("3")
        #expect(try await CommandLineTool.holdfastctl.run("state", "save", path, input: input).status == 0)
        #expect(try await state.load() == 3)
        #expect(throws: StateError.self) { try state.save(9, ifGeneration: 2) }
    }

    @Test("an awaited save gives up at its deadline, whatever is before it in the queue")
    func deadlineInQueue() async throws {
        // A process of its own: in the pool of this one other tests block the threads.
        await #expect(processExitsWith: .success) { [path = path as String] in
            let state = try StateFile<[UInt8]>(path, options: StateOptions(strategy: .twoSlot))
            try await state.save([1])
            let (entered, release) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
            Thread.detachNewThread {
                let holder = try? StateFile<[UInt8]>(path)
                _ = try? holder?.update { _ in
                    entered.signal()
                    // Without a deadline in the queue nobody else would end the test.
                    _ = release.wait(timeout: .now() + 60)
                }
            }
            await withCheckedContinuation { continuation in
                Thread.detachNewThread {
                    entered.wait()
                    continuation.resume()
                }
            }
            let patient = Task { try await state.save([2]) }
            // Alone in the queue it would have its turn, and the lock's deadline.
            try await Task.sleep(for: .milliseconds(300))
            let outcome = await Task { try await state.save([3], deadline: .now + .milliseconds(10)) }.result
            release.signal()
            #expect(throws: StateError.self) { try outcome.get() }
            #expect(try await patient.value.generation == 3)
        }
    }

    @Test("an awaited save gives up at its deadline though others came before it in one go")
    func deadlineBehindOthers() async throws {
        await #expect(processExitsWith: .success) {
            let fileSystem = SimulatedFileSystem()
            let state = try fileSystem.directory().slots()
            try await state.save([1])
            let (first, second) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
            let flushes = Atomic(0)
            fileSystem.onCall = { _, call in
                guard call.function == "fdatasync" else { return }
                let number = flushes.add(1, ordering: .relaxed).newValue
                // Without a deadline in the queue nobody else would end the test.
                _ = (number == 1 ? first : second).wait(timeout: .now() + 20)
            }
            let one = Task { try await state.save([2]) }
            while flushes.load(ordering: .relaxed) == 0 { try await Task.sleep(for: .milliseconds(10)) }
            for _ in 0..<100 {
                let late = await Task { try await state.save([9], deadline: .now - .seconds(1)) }.result
                #expect(throws: StateError.self, "others are being saved") { try late.get() }
            }
            let two = Task { try await state.save([3]) }
            try await Task.sleep(for: .milliseconds(200))
            let three = Task { try await state.save([4], deadline: .now + .seconds(1)) }
            try await Task.sleep(for: .milliseconds(200))
            first.signal()
            let outcome = await three.result
            second.signal()
            #expect(throws: StateError.self) { try outcome.get() }
            #expect(try await one.value.generation == 2)
            #expect(try await two.value.generation == 3)
        }
    }

    @Test("state files of one path are opened and closed by many threads")
    func openAndClose() throws {
        try counter().save(1)
        let path = path
        let done = DispatchSemaphore(value: 0)
        let failures = Journal<String>()
        for _ in 0..<4 {
            Thread {
                for _ in 0..<15_000 {
                    do {
                        let state = try StateFile(path, codec: DecimalCodec())
                        if try state.load() != 1 { failures.write("another value") }
                    } catch {
                        failures.write("\(error)")
                    }
                }
                done.signal()
            }.start()
        }
        for _ in 0..<4 { done.wait() }
        #expect(failures.entries.count == 0, "\(failures.entries.prefix(3))")
    }

    @Test("a capacity beyond every file is refused, and no trap")
    func hugeCapacity() async throws {
        await #expect(processExitsWith: .success) { [path = path as String] in
            let state = try StateFile<[UInt8]>(path, options: StateOptions(strategy: .twoSlot, capacity: .max))
            #expect(throws: StateError.self) { try state.save([1]) }
        }
    }
}
