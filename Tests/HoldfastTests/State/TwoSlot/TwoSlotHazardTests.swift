// SPDX-License-Identifier: Apache-2.0
//
// Two-slot files in what seldom happens: files removed, put back and copied over, second crashes, passing failures of
// readers, deadlines of awaited saves.

import Foundation
import Holdfast
import HoldfastTesting
import Synchronization
import Testing

@Suite
struct TwoSlotHazardTests {
    let fileSystem = SimulatedFileSystem()
    let directory: OpenDirectory
    let state: StateFile<[UInt8]>

    init() throws {
        directory = try fileSystem.directory()
        state = try directory.slots()
    }

    private func onState(_ functions: String...) -> [String] {
        fileSystem.calls.filter { $0.path == "/state" && functions.contains($0.function) }.map(\.function)
    }

    /// Of the state's name: that of its arena is durable.
    private func failOneNameFlush() throws {
        _ = try MutexArena(directory.name(".state.arena"), in: directory, count: 1)
        fileSystem.faults = .failEvery(with: EIO, times: 1) { $0.function == "fsync" && $0.isOnDirectory }
    }

    /// Does the work, and leaves the published word as it was before a call of it, as if it had died there.
    private func dying(before matches: @escaping @Sendable (Call) -> Bool, _ work: () -> Void) throws {
        // Where the arena's only mutex has the word (docs/file-format.md).
        let place = 12288 + 48..<12288 + 56
        let left = Journal<[UInt8]>()
        let fileSystem = fileSystem
        fileSystem.onCall = { _, call in
            if matches(call), let arena = fileSystem.contents(of: ".state.arena") { left.write(Array(arena[place])) }
        }
        work()
        fileSystem.onCall = nil
        fileSystem.faults = .none
        let word = try #require(left.entries.last)
        let arena = try directory.open(directory.name(".state.arena"), .readWrite)
        try unsafe word.withUnsafeBytes { try unsafe arena.writeAll($0, at: Int64(place.lowerBound)) }
    }

    private func hideArena() {
        fileSystem.faults = .failEvery(with: EACCES) { $0.function == "openat" && $0.path == "/.state.arena" }
    }

    @Test("a load returns the newest state of a file that was put here, whatever was published")
    func newerBackup() throws {
        for value: UInt8 in 1...4 { try state.save([value]) }
        let backup = try #require(fileSystem.contents(of: "state"))
        fileSystem.remove("state")
        for value: UInt8 in 11...13 { try state.save([value]) }
        fileSystem.remove("state")
        try fileSystem.write("state", backup)
        #expect(try directory.state().load() == [4])
        #expect(try state.load() == [4])
        fileSystem.forgetSharedMemory()
        #expect(try directory.state().load() == [4])
    }

    @Test("the first load after a reboot does not write over the newest state, which may be all that is left")
    func rewritingTheOnlyCopy() throws {
        try state.save([1])
        try state.save([2])
        try state.save([3])
        // The power fails in the middle of the save of generation 4, and again while the system comes up.
        try fileSystem.damage { $0[firstSlot + 128] ^= 1 }
        fileSystem.forgetSharedMemory()
        fileSystem.resetCalls()
        let rebooted = try directory.state()
        #expect(try rebooted.load() == [3])
        #expect(onState("pwritev").isEmpty)
    }

    @Test("after a failed flush of the file's name the next durable save makes a new file: a second flush might lie")
    func nameInDoubt() throws {
        for strict in [false, true] {
            fileSystem.remove("state")
            try failOneNameFlush()
            let options = StateOptions(strategy: .twoSlot, requiresDirectorySync: strict)
            let state = try directory.state(options: options)
            let outcome = Result { try state.save([1]) }
            #expect((try? outcome.get())?.durability == (strict ? nil : .processCrash))
            let name = try directory.status("state").identity
            // In place, because nothing is promised; then anew.
            #expect(try directory.slots().save([2], durability: .processCrash).durability == .processCrash)
            #expect(try directory.status("state").identity == name)
            #expect(try directory.slots().save([3]).durability == .powerLoss)
            #expect(try directory.status("state").identity != name)
            let renamed = try directory.status("state").identity
            #expect(try directory.slots().save([4]).durability == .powerLoss)
            #expect(try directory.status("state").identity == renamed, "once is enough")
            #expect(try directory.state().load() == [4])
        }
    }

    @Test("a flush of the name that fails before a save, or for a reader, leaves it in doubt too")
    func nameInDoubtBeforeSave() throws {
        for value: UInt8 in 1...2 { try state.save([value], durability: .processCrash) }
        var name = try directory.status("state").identity
        try failOneNameFlush()
        #expect(try directory.slots().save([3]).durability == .powerLoss)
        #expect(try directory.status("state").identity != name)

        try state.save([4], durability: .processCrash)
        name = try directory.status("state").identity
        try failOneNameFlush()
        for _ in 0..<2 {
            #expect(try stateError { _ = try directory.state().load(durable: true) }.code == .notDurable)
        }
        #expect(try directory.state().load() == [4])
        #expect(try directory.slots().save([5]).durability == .powerLoss)
        #expect(try directory.status("state").identity != name)
        #expect(try directory.state().load(durable: true) == [5])
    }

    @Test("that the directory could not be opened to be flushed leaves nothing in doubt")
    func noDescriptorForName() throws {
        for durable in [state, try directory.state("plain")] {
            try durable.save([1], durability: .processCrash)
            fileSystem.faults = .failEvery(with: EMFILE, times: 1) { $0.function == "openat" && $0.name == "." }
            #expect(try stateError { _ = try durable.load(durable: true) }.code == .notDurable)
            #expect(try durable.load(durable: true) == [1])
        }
    }

    @Test("a state that is put back while the file's name is in doubt is put into a new file")
    func nameInDoubtAtRestore() throws {
        for value: UInt8 in 1...3 { try state.save([value], durability: .processCrash) }
        try failOneNameFlush()
        #expect(try stateError { _ = try directory.state().load(durable: true) }.code == .notDurable)
        let name = try directory.status("state").identity
        #expect(try state.restorePrevious().durability == .powerLoss)
        #expect(try directory.status("state").identity != name)
        #expect(try directory.state().load() == [2])
    }

    @Test("the name of a file stays in doubt though somebody dies who makes a new one because of that")
    func nameInDoubtAndDeath() throws {
        for value: UInt8 in 1...2 { try state.save([value], durability: .processCrash) }
        try failOneNameFlush()
        #expect(try stateError { _ = try directory.state().load(durable: true) }.code == .notDurable)
        try dying(before: { $0.function == "renameat" }) {
            fileSystem.faults = .failEvery(with: EBUSY) { $0.function == "renameat" }
            #expect(throws: StateError.self) { try directory.slots().save([3]) }
        }
        #expect(try directory.state().load() == [2])
        #expect(try stateError { _ = try directory.state().load(durable: true) }.code == .notDurable)
        let name = try directory.status("state").identity
        #expect(try directory.slots().save([4]).durability == .powerLoss)
        #expect(try directory.status("state").identity != name)
        #expect(try directory.state().load(durable: true) == [4])
    }

    @Test("who died after a rename may have seen the flush of the name fail: the next durable save makes a new file")
    func deathAfterFailedNameFlush() throws {
        for length in [1, 9000] {
            try dying(before: { $0.function == "fsync" && $0.isOnDirectory }) {
                #expect(throws: Never.self) { try directory.slots().save([UInt8](repeating: 1, count: length)) }
            }
            let name = try directory.status("state").identity
            #expect(try directory.slots().save([2], durability: .processCrash).durability == .processCrash)
            #expect(try directory.status("state").identity == name)
            #expect(try directory.slots().save([3]).durability == .powerLoss)
            let renamed = try directory.status("state").identity
            #expect(renamed != name)
            try directory.slots().save([4])
            #expect(try directory.status("state").identity == renamed, "once is enough")
        }
    }

    @Test(
        "after a failed flush of a file that nobody had flushed a second one is not believed, and the next save makes a new file"
    )
    func fileInDoubt() throws {
        for isUnpublished in [false, true] {
            fileSystem.remove("state")
            for value: UInt8 in 1...2 { try directory.slots().save([value], durability: .processCrash) }
            if isUnpublished { fileSystem.forgetSharedMemory() }
            let name = try directory.status("state").identity
            for isLoad in [false, true] {
                fileSystem.faults = .failEvery(with: EIO, times: 1) {
                    $0.function == "fdatasync" && $0.path == "/state"
                }
                let error = try stateError {
                    if isLoad { _ = try directory.state().load(durable: true) } else { try directory.slots().save([3]) }
                }
                #expect(error.code == (isLoad ? .notDurable : .notSaved))
                fileSystem.faults = .none
                #expect(try stateError { _ = try directory.state().load(durable: true) }.code == .notDurable)
            }
            #expect(try directory.state().load() == [2])
            #expect(try directory.slots().save([4]).durability == .powerLoss)
            #expect(try directory.status("state").identity != name)
            #expect(try directory.state().load(durable: true) == [4])
        }
    }

    @Test("a file that could not be opened for writing is saved once it can be")
    func writableAgain() throws {
        try state.save([1])
        let other = try directory.slots()
        fileSystem.faults = .failEvery(with: EROFS) {
            $0.function == "openat" && $0.path == "/state" && $0.flags.contains("O_RDWR")
        }
        #expect(try stateError { try other.save([2]) }.code == .notSaved)
        fileSystem.faults = .none
        #expect(throws: Never.self) { try other.save([3]) }
        #expect(try state.load() == [3])
    }

    @Test("a durable load throws if the directory cannot be flushed")
    func durableLoadWithoutName() throws {
        _ = try MutexArena(directory.name(".state.arena"), in: directory, count: 1)
        fileSystem.faults = .failEvery(with: EIO) { $0.function == "fsync" && $0.isOnDirectory }
        #expect(try state.save([1]).durability == .processCrash)
        #expect(try stateError { _ = try directory.state().load(durable: true) }.code == .notDurable)
    }

    @Test("a durable load of who may not open the arena flushes the name too")
    func durableLoadWithoutArena() throws {
        try failOneNameFlush()
        try state.save([1])
        // What this process has open of the arena another one has not.
        fileSystem.forgetSharedMemory()
        hideArena()
        fileSystem.resetCalls()
        _ = try directory.state().load(durable: true)
        #expect(fileSystem.calls.contains { $0.function == "fsync" && $0.isOnDirectory })
    }

    @Test("a durable load flushes the older state that it falls back to")
    func durableFallback() throws {
        try state.save([1], durability: .processCrash)
        try state.save([2], durability: .processCrash)
        try state.save([3], durability: .processCrash)
        try fileSystem.damage { $0[secondSlot + 128] ^= 1 }
        fileSystem.resetCalls()
        let (value, report) = try directory.state().loadWithReport(durable: true)
        #expect(value == [2])
        #expect(report.rejected != nil)
        #expect(!onState("fdatasync").isEmpty)
        try failOneNameFlush()
        for _ in 0..<2 {
            #expect(try stateError { _ = try directory.state().load(durable: true) }.code == .notDurable)
        }
    }

    @Test("a flush by who could not write the state again does not excuse the next writer from it")
    func flushWithoutRewriting() throws {
        try state.save([1])
        try state.save([2])
        try state.save([3], durability: .processCrash)
        fileSystem.faults = .failEvery(with: EACCES) {
            $0.function == "openat" && $0.path == "/state" && $0.flags.contains("O_RDWR")
        }
        #expect(try directory.state().load(durable: true) == [3])
        fileSystem.faults = .none
        fileSystem.resetCalls()
        try state.save([4])
        #expect(onState("pwritev", "fdatasync") == ["pwritev", "fdatasync", "pwritev", "fdatasync"])
    }

    @Test(
        "a reader that cannot open the arena for a moment is given no save that has not returned, and never goes back"
    )
    func unflushedWithoutArena() throws {
        try state.save([1])
        try state.save([2])
        let seen = Journal<[UInt8]>()
        let directory = directory
        let began = Flag()
        fileSystem.faults = .failEvery(with: EMFILE, times: 1) {
            began.isSet && $0.function == "openat" && $0.path == "/.state.arena"
        }
        fileSystem.onCall = { _, call in
            guard call.function == "fdatasync", call.path == "/state" else { return }
            guard began.set() else { return }
            let done = DispatchSemaphore(value: 0)
            // A thread of its own: what the hook does itself is not failed.
            Thread {
                if let reader = try? directory.state() {
                    for _ in 0..<2 { if let value = try? reader.load() { seen.write(value) } }
                }
                done.signal()
            }.start()
            done.wait()
        }
        try state.save([3])
        fileSystem.onCall = nil
        #expect(seen.entries == [[2]], "one load fails, and none is given the bytes that are being flushed")
    }

    @Test("a reader does not wait for a writer that makes a larger file")
    func readersDuringGrowth() throws {
        try state.save([1])
        let directory = directory
        let began = Atomic(false)
        let done = DispatchSemaphore(value: 0)
        let inTime = Journal<Bool>()
        fileSystem.onCall = { _, call in
            // The larger file is being written; its flush may take seconds.
            guard call.function == "fsync", !call.isOnDirectory, !began.exchange(true, ordering: .relaxed) else {
                return
            }
            let thread = Thread {
                _ = try? directory.state().load()
                done.signal()
            }
            thread.start()
            inTime.write(done.wait(timeout: .now() + 5) == .success)
        }
        try state.save([UInt8](repeating: 2, count: 9000))
        fileSystem.onCall = nil
        #expect(inTime.entries == [true])
    }

    @Test("no generation in doubt is given away after a reboot, if the mark of the failed save is there")
    func generationInDoubt() throws {
        try state.save([1])
        try state.save([2])
        fileSystem.faults = .failEvery(with: EIO, times: 2) { $0.function == "fdatasync" }
        #expect(try stateError { try state.save([3]) }.found == 3)
        #expect(try stateError { try state.save([3]) }.found == 5)
        fileSystem.forgetSharedMemory()
        #expect(try directory.slots().save([4]).generation > 5)
    }

    @Test("no generation in doubt is given away after a conversion that failed")
    func generationInDoubtAfterConversion() throws {
        try state.save([1])
        try state.save([2])
        fileSystem.faults = .failEvery(with: EIO, times: 2) { $0.function == "fdatasync" }
        #expect(try stateError { try state.save([3]) }.found == 3)
        #expect(try stateError { try state.save([3]) }.found == 5)
        fileSystem.faults = .failEvery(with: EBUSY) { $0.function == "renameat" }
        #expect(throws: StateError.self) { try directory.state(options: StateOptions(strategy: .replace)).save([4]) }
        fileSystem.faults = .none
        #expect(try directory.slots().save([5]).generation > 5)
    }

    @Test("a state beyond 48 bits of generation is not converted")
    func convertHugeGeneration() throws {
        try directory.put("state", SampleFrame(generation: padded(UInt64(1) << 48)).bytes)
        #expect(throws: StateError.self) { try directory.state().convert(to: .twoSlot) }
        #expect(throws: Never.self) { try directory.state().save([1]) }
    }

    @Test("an older state over the reader's limit does not keep it from the newest one")
    func olderStateTooLarge() throws {
        try state.save([UInt8](repeating: 1, count: 6000))
        try state.save([2])
        let limited = try directory.state(options: StateOptions(maximumLength: 5000))
        #expect(try limited.load() == [2])
        #expect(throws: Never.self) { try limited.save([3], ifGeneration: 2) }
        fileSystem.forgetSharedMemory()
        #expect(throws: Never.self) { _ = try directory.state(options: StateOptions(maximumLength: 5000)).load() }
    }

    @Test("a file that grows has twice the room, also if a capacity was asked for")
    func growthWithCapacity() throws {
        let state = try directory.slots(capacity: 100)
        try state.save([UInt8](repeating: 1, count: 30_000))
        let first = try directory.status("state").size
        try state.save([UInt8](repeating: 1, count: 34_000))
        #expect(try directory.status("state").size >= 2 * first - 4096)
    }

    @Test("with previous copies kept, a conversion to an ordinary file keeps the state before, not an ancient one")
    func previousOfConversion() throws {
        let keeping = StateOptions(strategy: .replace, keepsPrevious: true)
        try directory.state(options: keeping).save([1])
        try directory.state(options: keeping).save([2])
        for value: UInt8 in 3...6 { try state.save([value]) }
        try directory.state(options: keeping).save([7])
        try fileSystem.damage { $0[128] ^= 1 }
        #expect(try directory.state(options: keeping).load(orPrevious: true) == [6])
    }

    @Test("of saves that were made together, one that would have been possible alone is not failed by another's size")
    func failedTogether() async throws {
        try await state.save([1])
        let state = state
        fileSystem.faults = .failEvery(with: EBUSY) { $0.function == "renameat" }
        let began = Atomic(false)
        fileSystem.onCall = { _, call in
            guard call.function == "fdatasync", !began.exchange(true, ordering: .relaxed) else { return }
            usleep(500_000)
        }
        let first = Task { try await state.save([2]) }
        while !began.load(ordering: .relaxed) { await Task.yield() }
        let small = Task { try await state.save([3]) }
        usleep(100_000)
        let large = Task { try await state.save([UInt8](repeating: 4, count: 9000)) }
        _ = try await first.value
        _ = await large.result
        await #expect(throws: Never.self) { try await small.value }
    }
}
