// SPDX-License-Identifier: Apache-2.0
//
// Damage to a two-slot file: the sound slot is loaded and the report says so, or nothing is.

import Holdfast
import HoldfastTesting
import Testing

@Suite
struct TwoSlotCorruptionTests {
    let fileSystem = SimulatedFileSystem()
    let directory: OpenDirectory
    let sound: [UInt8]

    /// Generation 1 is in the second slot, generation 2 in the first.
    init() throws {
        directory = try fileSystem.directory()
        let state = try directory.slots()
        try state.save(bytes("older"))
        try state.save(bytes("newer"))
        sound = try #require(fileSystem.contents(of: "state"))
    }

    /// As if nothing had happened.
    private func restore() throws {
        try fileSystem.write("state", sound)
        fileSystem.forgetSharedMemory()
        #expect(try directory.state().load() == bytes("newer"))
    }

    /// A load falls back to the older state, before and after a reboot, and says why.
    private func expectFallback(_ what: Comment) throws {
        for reboots in [false, true] {
            if reboots { fileSystem.forgetSharedMemory() }
            let (value, report) = try directory.state().loadWithReport()
            #expect(value == bytes("older"), what)
            #expect(report.copy == .older, what)
            #expect(report.rejected?.code == .corrupt, what)
            #expect(report.rejected?.corruption != nil, what)
            #expect(report.generation == 1, what)
        }
    }

    /// A load, a check and a save find damage, before and after a reboot.
    private func expectCorrupt(_ what: Comment, _ code: [StateError.Code] = [.corrupt]) throws {
        let damaged = fileSystem.contents(of: "state")
        for reboots in [false, true] {
            if reboots { fileSystem.forgetSharedMemory() }
            let state = try directory.state()
            for call in [
                { _ = try state.load() }, { _ = try state.verify() }, { try state.save([1]) },
                { try state.update { $0 = [1] } }, { try directory.slots().save([1]) },
            ] as [() throws -> Void] {
                let error = try stateError(what, call)
                #expect(code.contains(error.code), what)
                #expect((error.corruption != nil) == (error.code == .corrupt), what)
            }
            // What is not known as a two-slot file might have a previous copy beside it.
            let restoring = try stateError(what) { try state.restorePrevious() }
            #expect(code.contains(restoring.code) || restoring.code == .notFound, what)
        }
        #expect(fileSystem.contents(of: "state") == damaged, what)
        #expect(try directory.temporaries().isEmpty, what)
    }

    @Test("every flip of one bit of the newer state leads to the older one")
    func newerSlot() throws {
        for bit in (firstSlot * 8)..<((firstSlot + 128 + 5) * 8) {
            try fileSystem.damage { $0[bit / 8] ^= 1 << (bit % 8) }
            try expectFallback("bit \(bit % 8) of byte \(bit / 8)")
            try restore()
        }
    }

    @Test("no flip of a bit of the older state is taken for the newer one")
    func olderSlot() throws {
        for bit in (secondSlot * 8)..<((secondSlot + 128 + 5) * 8) {
            try fileSystem.damage { $0[bit / 8] ^= 1 << (bit % 8) }
            let (value, report) = try directory.state().loadWithReport()
            #expect(value == bytes("newer"), "bit \(bit)")
            #expect(report.rejected == nil, "bit \(bit)")
            fileSystem.forgetSharedMemory()
            let rebooted = try directory.state().loadWithReport()
            #expect(rebooted.value == bytes("newer"), "bit \(bit)")
            #expect(
                rebooted.report.rejected != nil,
                "after a reboot nothing tells which slot was the newer: bit \(bit)"
            )
            try restore()
        }
    }

    @Test("every flip of one bit of the first page is found")
    func firstPage() throws {
        for bit in 0..<(4096 * 8) where bit < 128 * 8 || bit % 997 == 0 {
            try fileSystem.damage { $0[bit / 8] ^= 1 << (bit % 8) }
            // A flip of the format's digit may make it format 3.
            let codes: [StateError.Code] = bit / 8 == 9 ? [.corrupt, .newerFormat] : [.corrupt]
            try expectCorrupt("bit \(bit % 8) of byte \(bit / 8)", codes)
            try fileSystem.write("state", sound)
        }
    }

    @Test("a first page of zeros, and an old file's in its place, are found")
    func replacedPage() throws {
        try fileSystem.damage { $0.replaceSubrange(0..<4096, with: [UInt8](repeating: 0, count: 4096)) }
        try expectCorrupt("zeros")
        var other = SampleSlots(capacity: 4096 - 128)
        other.first = 1
        try fileSystem.damage { $0.replaceSubrange(0..<4096, with: sound[..<4096]) }
        try fileSystem.damage { $0.replaceSubrange(0..<4096, with: other.page) }
        try expectCorrupt("another file's")
    }

    @Test("a file cut off at any length, or longer than it was made, is found")
    func truncation() throws {
        let file = try directory.open(directory.name("state"), .readWrite)
        for length in (0..<sound.count).reversed() {
            try file.truncate(to: Int64(length))
            // Every operation, at some of the lengths: a load is the first step of each.
            if length < 140 || length % 331 == 0 || [4095, 4096, 4097, 8192, 12287].contains(length) {
                try expectCorrupt("\(length) bytes")
            }
            do {
                _ = try directory.state().load()
                Issue.record("\(length) bytes load")
            } catch let error as StateError where error.code == .corrupt {}
        }
        for extra in [1, 4096, 8192] {
            try fileSystem.write("state", sound + [UInt8](repeating: 0, count: extra))
            try expectCorrupt("\(extra) bytes more")
        }
        try fileSystem.write("state", sound)
        #expect(try directory.state().load() == bytes("newer"))
    }

    @Test("two damaged slots are corrupt, never absent")
    func bothSlots() throws {
        for offsets in [
            [firstSlot, secondSlot], [firstSlot + 130, secondSlot + 3], [firstSlot + 127, secondSlot + 132],
        ] {
            try fileSystem.damage { bytes in offsets.forEach { bytes[$0] ^= 0x10 } }
            try expectCorrupt("\(offsets)")
            try fileSystem.write("state", sound)
        }
    }

    @Test("a slot of zeros is only where nothing was saved yet")
    func emptySlots() throws {
        let state = try directory.slots()
        try state.save(bytes("third"))
        let zeros = [UInt8](repeating: 0, count: 4096)
        try fileSystem.damage { $0.replaceSubrange(secondSlot..., with: zeros) }
        for reboots in [false, true] {
            if reboots { fileSystem.forgetSharedMemory() }
            let (value, report) = try directory.state().loadWithReport()
            #expect(value == bytes("newer"))
            #expect(report.rejected?.corruption?.check == .slot)
        }
        try fileSystem.damage { $0.replaceSubrange(firstSlot..<secondSlot, with: zeros) }
        try expectCorrupt("both empty")
    }

    @Test("a slot copied over the other one, and a slot of another file, do not count")
    func foreignSlots() throws {
        try fileSystem.damage { $0.replaceSubrange(firstSlot..<secondSlot, with: sound[secondSlot...]) }
        try expectFallback("the older over the newer")
        try fileSystem.write("state", sound)
        fileSystem.forgetSharedMemory()
        try fileSystem.damage { $0.replaceSubrange(secondSlot..., with: sound[firstSlot..<secondSlot]) }
        let copied = try directory.state().loadWithReport()
        #expect(copied.value == bytes("newer"))
        #expect(copied.report.rejected?.corruption?.check == .slot)
        try fileSystem.write("state", sound)

        let other = try directory.slots("other")
        for round in 0..<4 { try other.save([UInt8(round)]) }
        let foreign = try #require(fileSystem.contents(of: "other"))
        try fileSystem.damage { $0.replaceSubrange(firstSlot..<secondSlot, with: foreign[firstSlot..<secondSlot]) }
        try expectFallback("another store's")
        let corruption = try #require(try directory.state().loadWithReport().report.rejected?.corruption)
        #expect(corruption.check == .slot)
        #expect(corruption.description.contains("store"))
        try fileSystem.damage { $0.replaceSubrange(secondSlot..., with: foreign[secondSlot...]) }
        try expectCorrupt("both another store's")
    }

    @Test("what was saved and is damaged is not replaced, unless one says so")
    func damagedStateStays() throws {
        try fileSystem.damage { $0[firstSlot + 130] ^= 1 }
        let damaged = fileSystem.contents(of: "state")
        let state = try directory.state()
        #expect(try stateError { try state.save([1]) }.code == .corrupt)
        #expect(try stateError { try state.update { $0.append(1) } }.code == .corrupt)
        #expect(fileSystem.contents(of: "state") == damaged)
        let commit = try state.restorePrevious()
        #expect(commit.generation == 4, "the lost generation is not given away again, and the sound slot stays")
        #expect(fileSystem.contents(of: "state")?[secondSlot...] == sound[secondSlot...])
        #expect(try state.load() == bytes("older"))
        #expect(try state.save([1]).generation == 5)
    }

    @Test("after a power cut in the middle of a save the older state counts, and the next save goes on from it")
    func tornSave() throws {
        for cut in [0, 64, 128, 130] {
            try fileSystem.write("state", sound)
            fileSystem.forgetSharedMemory()
            try directory.slots().save(bytes("third, longer than the others"))
            var torn = try #require(fileSystem.contents(of: "state"))
            torn.replaceSubrange(
                (secondSlot + cut)..<(secondSlot + 140),
                with: sound[(secondSlot + cut)..<(secondSlot + 140)]
            )
            try fileSystem.write("state", torn)
            fileSystem.forgetSharedMemory()
            let state = try directory.state()
            #expect(try state.load() == bytes("newer"))
            let commit = try state.update { $0.append(UInt8(ascii: "!")) }
            #expect(
                commit.generation == (cut == 0 ? 3 : 5),
                "a generation that may have been told is not given away again"
            )
            #expect(try state.load() == bytes("newer!"))
        }
    }
}
