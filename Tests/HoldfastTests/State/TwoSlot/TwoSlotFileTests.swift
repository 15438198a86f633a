// SPDX-License-Identifier: Apache-2.0
//
// Two-slot files that nothing goes wrong with: their bytes, their growth, and what becomes of them.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite
struct TwoSlotFileTests {
    let fileSystem = SimulatedFileSystem()
    let directory: OpenDirectory

    init() throws {
        directory = try fileSystem.directory()
    }

    /// Files that were written once and are never written again.
    static let golden = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Golden/format-2")

    @Test("golden files of format 2 load, and are saved to", arguments: [("first", 1, nil), ("both", 5, 9)])
    func goldenFiles(_ name: String, _ generation: UInt64, _ token: UInt64?) throws {
        let payload = [UInt8](try Data(contentsOf: Self.golden.appending(path: "\(name).payload")))
        try directory.put("state", [UInt8](try Data(contentsOf: Self.golden.appending(path: "\(name).state"))))
        let state = try StateFile<[UInt8]>(directory.name("state"), in: directory, schema: 2)
        let (value, report) = try state.loadWithReport()
        #expect(value == payload)
        #expect(report.generation == Generation(generation))
        #expect(report.schema == 2)
        #expect(report.token == token.map { FencingToken($0) })
        #expect(report.strategy == .twoSlot)
        #expect(report.rejected == nil)
        #expect(try state.save([1, 2]).generation == Generation(generation + 1))
        #expect(try state.restorePrevious().length == payload.count)
        #expect(try state.load() == payload)
    }

    @Test("a file that another program wrote by the documentation loads")
    func sample() throws {
        try directory.put("state", SampleSlots().bytes)
        let (value, report) = try directory.state().loadWithReport()
        #expect(value == bytes("payload"))
        #expect(report.generation == 7)
        #expect(report.strategy == .twoSlot)
        #expect(report.copy == .current)
        #expect(report.rejected == nil)
    }

    @Test("the bytes of a file are those of the documentation")
    func layout() throws {
        try directory.put("state", SampleFrame(generation: padded(6), token: padded(3)).bytes)
        let state = try directory.slots(capacity: 5000)
        let commit = try state.save(bytes("payload"))
        #expect(commit.generation == 7)
        #expect(commit.strategy == .twoSlot)
        var sample = SampleSlots()
        sample.slots = [[], SampleFrame(token: padded(3)).bytes]
        #expect(fileSystem.contents(of: "state") == sample.bytes)
        try state.save(bytes("next"))
        sample.slots[0] = SampleFrame(generation: padded(8), token: padded(3), payload: bytes("next")).bytes
        #expect(fileSystem.contents(of: "state") == sample.bytes)
    }

    @Test("round trip", arguments: [0, 1, 127, 128, 3968, 3969, 4096, 65_537])
    func roundTrip(_ count: Int) throws {
        let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let state = try directory.slots()
        for round in 1...4 {
            #expect(try state.save(payload).generation == Generation(UInt64(round)))
            #expect(try state.load() == payload)
            #expect(try directory.state().load() == payload, "another process finds the strategy by itself")
            #expect(try state.verify().length == count)
        }
    }

    @Test("a save in place is one write and one flush")
    func calls() throws {
        let state = try directory.slots()
        try state.save([1])
        try state.save([2])
        fileSystem.resetCalls()
        try state.save([3])
        let onState = fileSystem.calls.filter { $0.path == "/state" && !["statx", "fstatat"].contains($0.function) }
        #expect(onState.map(\.function) == ["pwritev", "fdatasync"])
        #expect(fileSystem.calls("fsync").isEmpty)
        fileSystem.resetCalls()
        try state.save([4], durability: .processCrash)
        #expect(fileSystem.calls("fdatasync").isEmpty && fileSystem.calls("fsync").isEmpty)
    }

    @Test("a durable save over one that is not makes that durable first, so that the older slot is not all there is")
    func mixedDurability() throws {
        let state = try directory.slots()
        try state.save([1])
        try state.save([2], durability: .processCrash)
        fileSystem.resetCalls()
        try state.save([3])
        #expect(
            fileSystem.calls.filter { $0.path == "/state" && ["pwritev", "fdatasync"].contains($0.function) }.count == 4
        )
        fileSystem.resetCalls()
        try state.save([4])
        #expect(fileSystem.calls("fdatasync").count == 1)
    }

    @Test("a payload beyond the capacity makes a larger file, with twice the room")
    func growth() throws {
        let state = try directory.slots(capacity: 100)
        try state.save([UInt8](repeating: 1, count: 100))
        #expect(try directory.status("state").size == 3 * 4096)
        let commit = try state.save([UInt8](repeating: 2, count: 4000))
        #expect(commit.generation == 2)
        #expect(try directory.status("state").size == 5 * 4096)
        #expect(try state.load() == [UInt8](repeating: 2, count: 4000))
        try state.save([3])
        #expect(try directory.status("state").size == 5 * 4096, "a smaller value does not shrink it")
        #expect(try state.load() == [3])
        #expect(try directory.state().load() == [3])
        #expect(try directory.temporaries().isEmpty)
        // A file with the room that is asked for is not made anew.
        let identity = try directory.status("state").identity
        try directory.slots(capacity: 8064).save([4])
        #expect(try directory.status("state").identity == identity)
        try directory.slots(capacity: 8065).save([5])
        #expect(try directory.status("state").size == 7 * 4096)
    }

    @Test("growth stops at the limit, and a payload over it is refused")
    func limit() throws {
        let options = StateOptions(strategy: .twoSlot, maximumLength: 5000)
        let state = try directory.state(options: options)
        try state.save([1])
        try state.save([UInt8](repeating: 2, count: 4500))
        #expect(try directory.status("state").size == 5 * 4096)
        let error = try stateError { try state.save([UInt8](repeating: 3, count: 5001)) }
        #expect(error.code == .tooLarge)
        #expect(try stateError { try state.update { $0 = [UInt8](repeating: 3, count: 5001) } }.code == .tooLarge)
        #expect(try state.load() == [UInt8](repeating: 2, count: 4500))
        let small = try directory.state(options: StateOptions(maximumLength: 4499))
        #expect(try stateError { _ = try small.load() }.code == .tooLarge)
    }

    @Test("a conversion keeps store, generation, schema and token, there and back")
    func conversion() throws {
        let plain = try directory.state(options: StateOptions(strategy: .replace))
        let first = try plain.save([1], fence: Fence(FencingToken(5)))
        let slots = try directory.slots()
        let second = try slots.save([2])
        #expect(second.store == first.store)
        #expect(second.generation == 2)
        #expect(second.token == FencingToken(5))
        #expect(try plain.loadWithReport().report.strategy == .twoSlot)
        // Who keeps it as it is found changes nothing about the strategy.
        #expect(try directory.state().save([3]).strategy == .twoSlot)
        let fourth = try plain.save([4])
        #expect(fourth.strategy == .replace)
        #expect(fourth.store == first.store)
        #expect(fourth.generation == 4)
        #expect(fourth.token == FencingToken(5))
        #expect(try slots.load() == [4])
        #expect(try slots.verify().schema == 1)
        #expect(try directory.state().update { $0.append(5) }.strategy == .replace)
        #expect(try slots.update { $0.append(6) }.strategy == .twoSlot)
        #expect(try slots.load() == [4, 5, 6])
        #expect(try directory.temporaries().isEmpty)
    }

    @Test("a conversion without a save keeps the state as it is, with all that is said of it")
    func pureConversion() throws {
        let writer = try StateFile<[UInt8]>(directory.name("state"), in: directory, schema: 3)
        try writer.save([1])
        try writer.save([2], fence: Fence(FencingToken(5)))
        // Of any schema, because nothing is decoded.
        let state = try directory.state()
        var reader = writer.reader()
        for strategy in [StateStrategy.twoSlot, .replace, .twoSlot] {
            let before = try writer.verify()
            let commit = try #require(try state.convert(to: strategy))
            #expect(commit.strategy == strategy)
            #expect(commit.durability == .powerLoss)
            #expect(try state.convert(to: strategy) == nil, "it is done")
            #expect(try state.convert(to: .asFound) == nil)
            let (value, report) = try reader.readWithReport()
            #expect(value == [2])
            #expect(report.strategy == strategy)
            #expect((report.store, report.generation, report.schema) == (before.store, 2, 3))
            #expect(report.token == FencingToken(5))
        }
        try writer.save([3])
        #expect(try reader.read() == [3])
        #expect(try directory.temporaries().isEmpty)
    }

    @Test("what is not there, or damaged, is not converted", arguments: [StateStrategy.twoSlot, .replace, .asFound])
    func nothingToConvert(_ strategy: StateStrategy) throws {
        let state = try directory.state()
        #expect(try stateError { try state.convert(to: strategy) }.code == .notFound)
        #expect(try directory.status(of: directory.name("state")) == nil)
        try directory.put("state", Array("damage".utf8))
        #expect(try stateError { try state.convert(to: strategy) }.code == .corrupt)
        #expect(try directory.bytes(of: "state") == Array("damage".utf8))
    }

    @Test("a conversion does not give away the generation of a save whose outcome is not known")
    func conversionAfterFailedFlush() throws {
        let state = try directory.slots()
        try state.save([1])
        fileSystem.faults = .failEvery(with: EIO, times: 1) { $0.function == "fdatasync" }
        #expect(try stateError { try state.save([2]) }.found == 2)
        #expect(try #require(try state.convert(to: .replace)).generation > 2)
        #expect(try state.load() == [1])
    }

    @Test("a conversion keeps mode, owner and attributes")
    func metadata() throws {
        try directory.state().save([1])
        let file = try directory.open(directory.name("state"), .readWrite)
        try fileSystem.setOwner(file.rawValue, owner: 7, group: 8)
        try fileSystem.setPermissions(file.rawValue, 0o640)
        try fileSystem.setAttribute("user.note", of: file.rawValue, to: [1, 2])
        for capacity in [100, 5000] {
            try directory.slots(capacity: capacity).save([2])
            let status = try directory.status("state")
            #expect((status.owner, status.group, status.permissions) == (7, 8, 0o640))
            let file = try directory.open(directory.name("state"), .read)
            #expect(try fileSystem.attribute("user.note", of: file.rawValue) == [1, 2])
        }
    }

    @Test("conditions and fences hold as for the other strategy")
    func conditions() throws {
        let state = try directory.slots()
        #expect(try stateError { try state.save([1], ifGeneration: 1) }.code == .conflict)
        try state.save([1], ifGeneration: .absent, fence: Fence(FencingToken(9)))
        let conflict = try stateError { try state.save([2], ifGeneration: .absent) }
        #expect((conflict.code, conflict.expected, conflict.found) == (.conflict, 0, 1))
        #expect(try stateError { try state.save([2], fence: Fence(FencingToken(8))) }.code == .fenced)
        #expect(try state.save([2], ifGeneration: 1).token == FencingToken(9))
        let older = try StateFile<[UInt8]>(directory.name("state"), in: directory, schema: 0)
        #expect(try stateError { try older.save([3]) }.code == .newerSchema)
        struct Thrown: Error {}
        #expect(throws: Thrown.self) { try state.update { _ in throw Thrown() } }
        #expect(try state.load() == [2])
        let stranger = try directory.state(options: StateOptions(expectedStore: StoreID(value: 1)))
        #expect(try stateError { _ = try stranger.load() }.code == .wrongStore)
        #expect(try stateError { try stranger.save([3]) }.code == .wrongStore)
    }

    @Test("the state before can be put back, from the other slot")
    func restore() throws {
        let state = try directory.slots()
        try state.save([1])
        #expect(try stateError { try state.restorePrevious() }.code == .notFound)
        try state.save([2], fence: Fence(FencingToken(4)))
        let commit = try state.restorePrevious()
        #expect(commit.generation == 3)
        #expect(commit.token == FencingToken(4))
        #expect(try state.load() == [1])
        #expect(try state.restorePrevious().generation == 4)
        #expect(try state.load() == [2])
        #expect(try state.save([3]).generation == 5)
    }

    @Test("a backup that is put back counts, though it is older than what was published")
    func backup() throws {
        let state = try directory.slots()
        try state.save([1])
        let backup = try #require(fileSystem.contents(of: "state"))
        try state.save([2])
        try state.save([3])
        fileSystem.remove("state")
        try fileSystem.write("state", backup)
        for state in [state, try directory.state()] {
            #expect(try state.load() == [1])
        }
        #expect(try state.save([4]).generation > 3, "no generation that was published comes again")
        #expect(try directory.state().load() == [4])
        try fileSystem.write("state", backup)
        #expect(try state.load() == [1], "also if it is copied into the file")
    }

    @Test("a removed state is absent, and the next one begins anew")
    func removed() throws {
        let state = try directory.slots()
        let first = try state.save([1])
        fileSystem.remove("state")
        #expect(try stateError { _ = try state.load() }.code == .notFound)
        let store = try state.save([2], ifGeneration: .absent).store
        #expect(try state.load() == [2])
        #expect(store != first.store)
    }
}
