// SPDX-License-Identifier: Apache-2.0
//
// Every operation that is awaited does what its blocking form does, and no thread of the cooperative pool waits for it.

import Foundation
import Holdfast
import Testing

@Suite(.temporaryDirectory)
struct AwaitedStateTests {
    private var path: String { TemporaryDirectory.current + "/state" }

    private func counter(_ strategy: StateStrategy, keepsPrevious: Bool = false) throws -> StateFile<Int> {
        let options = StateOptions(strategy: strategy, keepsPrevious: keepsPrevious)
        return try StateFile(path, codec: DecimalCodec(), options: options)
    }

    @Test("Loads, updates, conversions and restorations are awaited", arguments: [StateStrategy.replace, .twoSlot])
    func twins(strategy: StateStrategy) async throws {
        let state = try counter(strategy, keepsPrevious: true)
        #expect(try await state.loadIfPresent() == nil)
        #expect(try await state.snapshot() == nil)
        let missing = await #expect(throws: StateError.self) { try await state.update { $0 += 1 } }
        #expect(missing?.code == .notFound)
        let first = try await state.update(initial: 40) { $0 += 1 }
        #expect(first.generation == 1)
        try await state.update(fence: Fence(FencingToken(7)), timeout: .seconds(600)) { $0 += 1 }
        #expect(try await state.load() == 42)
        #expect(try await state.loadIfPresent() == 42)
        let (value, report) = try await state.loadWithReport()
        #expect(value == 42)
        #expect(report.generation == 2)
        #expect(try await state.verify().token == FencingToken(7))
        let snapshot = try #require(try await state.snapshot())
        #expect(snapshot.value == 42)
        #expect(snapshot.generation == 2)
        #expect(snapshot.token == FencingToken(7))
        #expect(snapshot.copy == .current)
        #expect(snapshot.rejected == nil)
        let fenced = await #expect(throws: StateError.self) {
            try await state.update(fence: Fence(FencingToken(6))) { $0 = 0 }
        }
        #expect(fenced?.code == .fenced)
        try await state.restorePrevious()
        #expect(try await state.load() == 41)
        let other: StateStrategy = strategy == .replace ? .twoSlot : .replace
        #expect(try await state.convert(to: other, timeout: .seconds(600))?.strategy == other)
        #expect(try await state.convert(to: other) == nil)
        #expect(try await state.load() == 41)
    }

    @Test("The blocking forms without a catch")
    func blockingForms() throws {
        let state = try counter(.replace)
        #expect(try state.loadIfPresent() == nil)
        #expect(try state.snapshot() == nil)
        try state.save(3)
        #expect(try state.loadIfPresent() == 3)
        #expect(try state.snapshot()?.generation == 1)
        try Data("damage".utf8).write(to: URL(filePath: path))
        #expect(try stateError { _ = try state.loadIfPresent() }.code == .corrupt)
        #expect(try stateError { _ = try state.snapshot() }.code == .corrupt)
    }

    @Test("An error of the body, and only that, comes out of an awaited update")
    func bodyThrows() async throws {
        struct Mine: Error {}
        let state = try counter(.twoSlot)
        try await state.save(1)
        await #expect(throws: Mine.self) { try await state.update { _ in throw Mine() } }
        #expect(try await state.load() == 1)
    }

    @Test("A reader that is awaited sees each save", arguments: [StateStrategy.replace, .twoSlot])
    func reader(strategy: StateStrategy) async throws {
        let state = try counter(strategy)
        try await state.save(0)
        var reader = state.reader()
        for value in 1...20 {
            try await state.save(value)
            #expect(try await reader.read() == value)
            #expect(try await reader.read() == value)
            #expect(try await reader.readWithReport().report.generation == Generation(UInt64(value + 1)))
        }
    }

    @Test("Updates that wait for another writer leave the cooperative pool to others")
    func thePoolStaysFree() async throws {
        let state = try counter(.replace)
        try await state.save(0)
        let lock = try LockFile(sidecar: ".state.lock", in: OpenDirectory(TemporaryDirectory.current))
        let turn = KeptLock(try await lock.lock())
        let count = min(4 * ProcessInfo.processInfo.activeProcessorCount + 4, 60)
        let updates = (0..<count).map { _ in Task { try await state.update { $0 += 1 } } }
        try await waitUntil { lock.site.waitingCount == count }
        // With the pool's threads blocked, neither this task nor the next would run.
        #expect(await Task { 1 }.value == 1)
        #expect(try await state.load() == 0)
        let late = await #expect(throws: StateError.self) {
            try await state.update(timeout: .milliseconds(1)) { $0 = -1 }
        }
        #expect(late?.code == .timedOut)
        try turn.release()
        for update in updates { _ = try await update.value }
        #expect(try await state.load() == count)
    }

    @Test("More loads than there are threads for them all return")
    func manyLoads() async throws {
        let state = try counter(.replace)
        try await state.save(5)
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<500 { group.addTask { try await state.load() } }
            for try await value in group { #expect(value == 5) }
        }
    }
}
