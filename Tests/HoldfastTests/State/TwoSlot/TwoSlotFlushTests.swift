// SPDX-License-Identifier: Apache-2.0
//
// Nobody acts on bytes whose flush has not returned, or has failed.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite
struct TwoSlotFlushTests {
    let fileSystem = SimulatedFileSystem()
    let directory: OpenDirectory
    let state: StateFile<[UInt8]>

    init() throws {
        directory = try fileSystem.directory()
        state = try directory.slots()
        try state.save([1])
        try state.save([2])
    }

    private func failFlushes(_ times: Int = .max, with code: Int32 = EIO) {
        fileSystem.faults = .failEvery(with: code, times: times) { $0.function == "fdatasync" && $0.path == "/state" }
    }

    @Test("no reader sees a save before its flush has returned")
    func beforeTheFlush() throws {
        let seen = Journal<[UInt8]>()
        let directory = directory
        let reader = try directory.state()
        fileSystem.onCall = { _, call in
            guard ["fdatasync", "pwritev"].contains(call.function), call.path == "/state" else { return }
            for state in [reader, try? directory.state()] {
                if let state, let value = try? state.load() { seen.write(value) }
            }
        }
        try state.save([3])
        fileSystem.onCall = nil
        #expect(seen.entries == [[2], [2], [2], [2]])
        #expect(try reader.load() == [3])
    }

    @Test("after a failed flush readers see the old state, the outcome is unknown, and the next save heals")
    func failedFlush() throws {
        failFlushes(1)
        let error = try stateError { try state.save([3]) }
        #expect(error.code == .outcomeUnknown)
        #expect(error.found == 3)
        #expect(error.cause == SystemError(call: "fdatasync", code: EIO))
        #expect(try state.load() == [2])
        #expect(try directory.state().load() == [2])
        fileSystem.forgetSharedMemory()
        #expect(try directory.state().load() == [2], "also where nothing tells but the slots")
        let newer = try #require(fileSystem.contents(of: "state"))[firstSlot..<secondSlot]
        fileSystem.resetCalls()
        #expect(try directory.slots().save([4]).generation == 5, "a generation is skipped")
        #expect(try directory.state().load() == [4])
        #expect(
            try #require(fileSystem.contents(of: "state"))[firstSlot..<secondSlot] == newer,
            "the good slot is not touched"
        )
    }

    @Test("each failure takes a generation, for every process")
    func failures() throws {
        failFlushes()
        #expect(try stateError { try state.save([3]) }.found == 3)
        #expect(try stateError { try directory.slots().save([4]) }.found == 5)
        #expect(try stateError { try state.save([5]) }.found == 7)
        fileSystem.faults = .none
        #expect(try directory.slots().save([6]).generation == 9)
        #expect(try state.load() == [6])
    }

    @Test("a lack of room, and failures that are not in a row, do not stop a state file")
    func noLatch() throws {
        try state.save([3], durability: .processCrash)
        fileSystem.faults = .failEvery(with: ENOSPC) { $0.function == "pwritev" }
        for _ in 0..<4 { #expect(try stateError { try directory.slots().save([4]) }.code == .notSaved) }
        for _ in 0..<4 { #expect(try stateError { try state.save([4]) }.code == .notSaved) }
        fileSystem.faults = .none
        try state.save([4])
        for length in [9000, 20_000] {
            failFlushes(2)
            for _ in 0..<2 { #expect(try stateError { try state.save([5]) }.code == .outcomeUnknown) }
            #expect(throws: Never.self) { try state.save([UInt8](repeating: 6, count: length)) }
        }
    }

    @Test("repeated failure stops a state file until it is opened anew; one success in between does not count as two")
    func latch() throws {
        failFlushes(2)
        #expect(try stateError { try state.save([3]) }.code == .outcomeUnknown)
        #expect(try stateError { try state.save([3]) }.code == .outcomeUnknown)
        try state.save([3])
        failFlushes(3)
        for _ in 0..<3 { #expect(try stateError { try state.save([4]) }.code == .outcomeUnknown) }
        fileSystem.resetCalls()
        let error = try stateError { try state.save([4]) }
        #expect(error.code == .latched)
        #expect(error.cause?.code == EIO)
        #expect(error.description.contains("The old state stands."))
        #expect(fileSystem.calls("pwritev").isEmpty)
        #expect(try stateError { try state.update { $0 = [] } }.code == .latched)
        #expect(try state.load() == [3])
        try directory.state().save([4])
        #expect(try state.load() == [4])
    }

    @Test("a file system that went read-only stops it at once")
    func readOnly() throws {
        failFlushes(1, with: EROFS)
        #expect(try stateError { try state.save([3]) }.code == .outcomeUnknown)
        #expect(try stateError { try state.save([3]) }.code == .latched)
    }

    @Test("a slot whose mark could not be written either is not read: its generation was not published")
    func markFails() throws {
        fileSystem.faults = .failEvery(with: EIO, times: 1) { $0.function == "fdatasync" }
            .and(.failEvery(with: EIO, times: 1) { $0.function == "pwritev" && $0.description.contains("[128, 0]") })
        #expect(try stateError { try state.save([3]) }.code == .outcomeUnknown)
        #expect(fileSystem.calls.last { $0.function == "pwritev" }?.failure == EIO)
        #expect(try state.load() == [2])
        #expect(try directory.state().load() == [2])
        // The next writer finds it whole, makes it durable and goes on from it.
        #expect(try directory.state().update { $0.append(4) }.generation > 4)
        #expect(try directory.state().load() == [3, 4])
    }

    @Test("what a writer wrote before it died is flushed again before anybody acts on it")
    func deathBeforeTheFlush() throws {
        let frame = SampleFrame(store: "\(try state.verify().store)", generation: padded(3), payload: [3]).bytes
        try directory.simulateDeathOfWriter(frame, at: secondSlot)
        #expect(try directory.state().load() == [2], "nobody was told of it")
        func changes() -> [String] {
            let changes = fileSystem.calls.filter { $0.path == "/state" }.map(\.function)
            return changes.filter { ["pwritev", "fdatasync"].contains($0) }
        }
        fileSystem.resetCalls()
        try directory.state().update { $0.append(4) }
        #expect(changes() == ["pwritev", "fdatasync", "pwritev", "fdatasync"], "written again: a flush alone may lie")
        #expect(try directory.state().load() == [3, 4])
    }

    @Test(
        "after a reboot the newest state is flushed, and not written again: that might damage what somebody was told of"
    )
    func reboot() throws {
        fileSystem.forgetSharedMemory()
        fileSystem.resetCalls()
        #expect(try directory.state().load() == [2])
        let changes = fileSystem.calls.filter { $0.path == "/state" }.map(\.function)
        #expect(changes.contains("fdatasync") && !changes.contains("pwritev"))
        fileSystem.resetCalls()
        #expect(try directory.state().load() == [2])
        #expect(fileSystem.calls("fdatasync").isEmpty, "once is enough")
    }

    @Test("if it cannot be flushed, nobody is given it")
    func deathAndFailingDevice() throws {
        let frame = SampleFrame(store: "\(try state.verify().store)", generation: padded(3), payload: [3]).bytes
        try directory.simulateDeathOfWriter(frame, at: secondSlot)
        fileSystem.forgetSharedMemory()
        failFlushes()
        #expect(try stateError { _ = try directory.state().load() }.code == .notDurable)
        #expect(try stateError { try directory.state().save([4]) }.code == .notSaved)
        fileSystem.faults = .none
        #expect(try directory.state().load() == [3])
    }

    @Test("who may not write flushes what it reads, if nothing tells that it was flushed")
    func readOnlyReader() throws {
        fileSystem.forgetSharedMemory()
        fileSystem.faults = .failEvery(with: EROFS) { call in
            call.function == "openat" && (call.flags.contains("O_RDWR") || call.flags.contains("O_CREAT"))
        }
        let reader = try directory.state()
        fileSystem.resetCalls()
        #expect(try reader.load() == [2])
        #expect(fileSystem.calls("fdatasync").count == 1)
        #expect(fileSystem.calls("pwritev").isEmpty)
        #expect(try stateError { try reader.save([3]) }.cause?.code == EROFS)
        // Of two sound slots the newer counts, of one and a half the sound one.
        try fileSystem.damage { $0[firstSlot + 128] ^= 1 }
        let (value, report) = try reader.loadWithReport()
        #expect(value == [1])
        #expect(report.rejected != nil)
    }

    @Test("a reader makes nothing beside the file, which it would own")
    func missingArena() throws {
        fileSystem.remove(".state.arena")
        // Those who used it are gone.
        fileSystem.forgetSharedMemory()
        let names = try directory.names()
        fileSystem.resetCalls()
        let reader = try directory.state()
        #expect(try reader.load() == [2])
        #expect(fileSystem.calls("fdatasync").count == 1)
        #expect(fileSystem.calls("pwritev").isEmpty)
        #expect(try directory.names() == names)
        try directory.state().save([3])
        #expect(try reader.load() == [3])
        fileSystem.resetCalls()
        #expect(try reader.load() == [3])
        #expect(fileSystem.calls("fdatasync").isEmpty)
    }

    @Test("a durable load makes a state durable that was saved without a flush, once")
    func durableLoad() throws {
        try state.save([3], durability: .processCrash)
        fileSystem.resetCalls()
        #expect(try directory.state().load() == [3])
        #expect(fileSystem.calls("fdatasync").isEmpty)
        #expect(try directory.state().load(durable: true) == [3])
        #expect(fileSystem.calls("fdatasync").count == 1)
        #expect(try directory.state().load(durable: true) == [3])
        #expect(fileSystem.calls("fdatasync").count == 1)
    }

    @Test("a save whose file was not durably named says so until it is")
    func unsyncedName() throws {
        fileSystem.remove("state")
        fileSystem.faults = .failEvery(with: EIO, times: 2) { $0.function == "fsync" && $0.isOnDirectory }
        for value: UInt8 in 1...2 {
            let commit = try directory.slots().save([value])
            #expect(commit.durability == .processCrash)
            #expect(commit.directorySyncError?.code == EIO)
        }
        #expect(try directory.slots().save([3]).durability == .powerLoss)
        fileSystem.resetCalls()
        #expect(try directory.slots().save([4]).durability == .powerLoss)
        #expect(fileSystem.calls("fsync").isEmpty)
    }

    @Test("the failed flush of a replaced file leaves the old state")
    func replaceStrategy() throws {
        let plain = try directory.state("plain", options: StateOptions(strategy: .replace))
        try plain.save([1])
        fileSystem.faults = .failEvery(with: EIO, times: 1) { $0.function == "fsync" && !$0.isOnDirectory }
        #expect(try stateError { try plain.save([2]) }.code == .notSaved)
        #expect(try plain.load() == [1])
        #expect(try plain.save([3]).generation == 2)
    }
}
