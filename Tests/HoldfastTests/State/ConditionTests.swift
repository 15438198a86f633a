// SPDX-License-Identifier: Apache-2.0
//
// Saves that depend on what is there: the generation, the fencing token, the store, the lock.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite
struct ConditionTests {
    let fileSystem = SimulatedFileSystem()
    let directory: OpenDirectory
    let state: StateFile<[UInt8]>

    init() throws {
        directory = try fileSystem.directory()
        state = try directory.state()
    }

    @Test("a save for another generation is refused, with both numbers")
    func conflict() throws {
        #expect(try stateError { try state.save([1], ifGeneration: 5) }.code == .conflict)
        #expect(fileSystem.contents(of: "state") == nil)
        try state.save([1], ifGeneration: .absent)
        try state.save([2], ifGeneration: 1)
        // Another StateFile, as another process has it, saves in between.
        try directory.state().save([3])
        let error = try stateError { try state.save([4], ifGeneration: 2) }
        #expect(error.code == .conflict)
        #expect((error.expected, error.found) == (2, 3))
        #expect(error.description.contains("generation 3, not 2"))
        #expect(try stateError { try state.save([4], ifGeneration: .absent) }.code == .conflict)
        #expect(try state.load() == [3])
        #expect(try state.save([4], ifGeneration: 3).generation == 4)
    }

    @Test("an older fencing token is refused, with both numbers; a newer one is kept")
    func fence() throws {
        #expect(try state.save([1]).token == nil)
        #expect(try state.save([2], fence: Fence(FencingToken(7))).token == FencingToken(7))
        let error = try stateError { try state.save([3], fence: Fence(FencingToken(6))) }
        #expect(error.code == .fenced)
        #expect((error.expected, error.found) == (7, 6))
        #expect(error.description.contains("6 is older than the state's, 7"))
        #expect(try stateError { try state.update(fence: Fence(FencingToken(0))) { $0 = [] } }.code == .fenced)
        #expect(try state.load() == [2])
        #expect(try state.save([4]).token == FencingToken(7), "kept without a new one")
        try state.save([5], fence: Fence(FencingToken(7)))
        #expect(try directory.state().update(fence: Fence(FencingToken(8))) { $0.append(6) }.token == FencingToken(8))
        #expect(try state.loadWithReport().report.token == FencingToken(8))
    }

    @Test("the body of an update does not run for an older token")
    func fencedUpdate() throws {
        try state.save([1], fence: Fence(FencingToken(2)))
        var ran = false
        _ = try stateError { try state.update(fence: Fence(FencingToken(1))) { _ in ran = true } }
        #expect(!ran)
    }

    @Test("what the body of an update throws changes nothing, and frees the lock")
    func throwingUpdate() throws {
        struct Unwilling: Error {}
        try state.save([1])
        #expect(throws: Unwilling.self) {
            try state.update {
                $0 = [2]
                throw Unwilling()
            }
        }
        #expect(try state.load() == [1])
        try state.save([3], deadline: .now)
    }

    @Test("another store's state is neither loaded nor replaced")
    func store() throws {
        let mine = try state.save([1]).store
        #expect(try state.save([2]).store == mine)
        let strict = try directory.state(options: StateOptions(expectedStore: mine))
        #expect(try strict.load() == [2])
        let foreign = SampleFrame().bytes
        try fileSystem.write("state", foreign)
        let calls: [() throws -> Void] = [
            { _ = try strict.load() }, { _ = try strict.verify() }, { try strict.save([3]) },
        ]
        for call in calls {
            let error = try stateError(nil, call)
            #expect(error.code == .wrongStore)
            #expect((error.expected, error.found) == (mine.value, 0x00c0_ffee_00c0_ffee))
            #expect(error.description.contains("00c0ffee00c0ffee"))
        }
        #expect(fileSystem.contents(of: "state") == foreign)
        #expect(try state.load() == bytes("payload"), "who expects no store takes any")
        #expect(StoreID(mine.description) == mine)
        #expect(StoreID("00C0FFEE00C0FFEE") == nil)
    }

    @Test("a deadline ends the wait for the lock, and nothing is changed")
    func deadline() throws {
        try state.save([1])
        // Somebody who knows nothing of records holds it.
        let lock = try directory.open(directory.name(".state.lock"), .readWrite)
        #expect(try lock.tryLock(.flock, exclusive: true))
        let error = try stateError { try state.save([2], deadline: .now + .milliseconds(20)) }
        #expect(error.code == .timedOut)
        #expect(error.description.contains("The old state stands."))
        #expect(try state.load() == [1], "a reader needs no lock")
        try lock.close()
        try state.save([2], deadline: .now)
    }

    @Test("a save within an update is an error and no deadlock")
    func reentry() throws {
        try state.save([1])
        let error = try stateError { try state.update { _ in try state.save([2]) } }
        #expect(error.code == .notLocked)
        #expect((error.underlying as? LockError)?.code == .reentrant)
        #expect(try state.load() == [1])
        try state.save([3])
    }

    @Test("a file that somebody else replaced is read again; one that was saved here is not")
    func knownState() throws {
        try state.save([UInt8](repeating: 1, count: 1000))
        fileSystem.resetCalls()
        try state.save([2])
        // Only its header, which says that it is the same.
        let reads = fileSystem.calls.filter { $0.function == "preadv" && $0.path == "/state" }
        #expect(reads.map(\.result) == [128])
        try fileSystem.write("state", SampleFrame(generation: padded(41)).bytes)
        #expect(try state.save([3]).generation == 42)
        // The same length, in place, by somebody who knows nothing of frames.
        var damaged = try #require(fileSystem.contents(of: "state"))
        damaged[damaged.count - 1] ^= 1
        try fileSystem.write("state", damaged)
        #expect(try stateError { try state.save([4]) }.code == .corrupt)
        #expect(fileSystem.contents(of: "state") == damaged)
    }

    /// The number of a replaced file's inode goes to the next file, and where the clock ticks slowly that one may have the
    /// same times, too: then only what is in it tells it from the one that was saved here.
    @Test("a save is not taken for this writer's last one because its inode and times are the same")
    func slowClock() throws {
        fileSystem.changesPerTick = 1_000_000
        let other = try directory.state()
        for round in 0..<10 as Range<UInt64> {
            #expect(try state.save([1]).generation.value == 1 + round * 3)
            let mine = try directory.status("state")
            try other.save([2])
            try other.save([3])
            #expect(try directory.status("state") == mine, "or this tests nothing")
        }
    }
}
