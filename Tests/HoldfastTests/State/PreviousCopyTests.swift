// SPDX-License-Identifier: Apache-2.0
//
// The kept previous copy: what is in it, when a load falls back to it, and going back to it.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory)
struct PreviousCopyTests {
    static let keeping = StateOptions(keepsPrevious: true)

    @Test("each save keeps the state before it", arguments: Ground.allCases)
    func kept(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let state = try directory.state(options: Self.keeping)
        try state.save([1])
        #expect(try !directory.has(".state.previous"))
        for value in 2...5 as ClosedRange<UInt8> {
            try state.save([value])
            #expect(try directory.state(".state.previous").load() == [value - 1])
        }
        #expect(try directory.temporaries().isEmpty)
    }

    @Test("another program's data in the place of the previous copy stays, and the save is refused")
    func foreignData() throws {
        let directory = try SimulatedFileSystem().directory()
        let foreign = Array("my data".utf8)
        try directory.put(".state.previous", foreign)
        try directory.state().save([1])
        for strategy in [StateStrategy.replace, .twoSlot] {
            try directory.state().convert(to: strategy)
            let state = try directory.state(options: StateOptions(strategy: .replace, keepsPrevious: true))
            let error = try stateError { try state.save([2]) }
            #expect(error.code == .refused && error.path == "/.state.previous", "\(error)")
            #expect(try directory.state().load() == [1])
        }
        #expect(try directory.bytes(of: ".state.previous") == foreign)
    }

    @Test("a load falls back if it is told to and the current copy is damaged, and says so", arguments: Ground.allCases)
    func fallback(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let state = try directory.state(options: Self.keeping)
        try state.save([1])
        try state.save([2])
        #expect(try state.loadWithReport(orPrevious: true).report.copy == .current)
        try directory.put("state", [])
        #expect(try stateError { _ = try state.load() }.code == .corrupt)
        let (value, report) = try state.loadWithReport(orPrevious: true)
        #expect(value == [1])
        #expect(report.copy == .previous)
        #expect(report.rejected?.code == .corrupt)
        #expect(report.generation == 1)
        #expect(try state.load(orPrevious: true, durable: true) == [1])
        // What somebody removed does not come back by itself.
        try directory.unlink(directory.name("state"))
        #expect(try stateError { _ = try state.load(orPrevious: true) }.code == .notFound)
        // Both damaged: the current one is what matters.
        try directory.put("state", [])
        try directory.put(".state.previous", [1])
        #expect(try stateError { _ = try state.load(orPrevious: true) }.corruption?.found == 0)
    }

    @Test("a load falls back if the device fails")
    func fallbackAfterReadError() throws {
        let fileSystem = SimulatedFileSystem()
        let state = try fileSystem.directory().state(options: Self.keeping)
        try state.save([1])
        try state.save([2])
        let plan = FaultPlan.failEvery(with: EIO) { $0.function == "preadv" && $0.path == "/state" }
        fileSystem.faults = plan
        #expect(try stateError { _ = try state.load() }.code == .notRead)
        #expect(try state.loadWithReport(orPrevious: true).report.rejected?.cause?.code == EIO)
        #expect(try state.restorePrevious().generation == 3, "after 1, and after the 2 that cannot be read")
        fileSystem.faults = .none
        #expect(try state.load() == [1])
        // A lack of permission or of descriptors says nothing about the file.
        fileSystem.faults = .failEvery(with: EACCES) { $0.function == "openat" && $0.name == "state" }
        #expect(try stateError { _ = try state.load(orPrevious: true) }.cause?.code == EACCES)
    }

    @Test("going back, and forth again", arguments: Ground.allCases)
    func restore(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let state = try directory.state(options: Self.keeping)
        #expect(try stateError { try state.restorePrevious() }.code == .notFound)
        let store = try state.save([1]).store
        try state.save([2], fence: Fence(FencingToken(5)))
        let commit = try state.restorePrevious()
        #expect(commit.generation == 3)
        #expect(commit.store == store)
        #expect(commit.durability == .powerLoss)
        #expect(commit.token == FencingToken(5), "a token never goes back")
        #expect(try state.load() == [1])
        #expect(try directory.state(".state.previous").load() == [2])
        #expect(try state.restorePrevious().generation == 4)
        #expect(try state.load() == [2])
        #expect(try stateError { try state.restorePrevious(fence: Fence(FencingToken(4))) }.code == .fenced)
        #expect(try directory.temporaries().isEmpty)
    }

    @Test("a damaged state whose rights cannot be read does not get those of the previous copy")
    func restoreWithoutMetadata() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        let state = try directory.state(options: Self.keeping)
        for value in [1, 2] as [UInt8] { try state.save([value]) }
        try directory.setPermissions(of: ".state.previous", 0o644)
        try directory.put("state", [1])
        fileSystem.faults = .failEvery(with: EIO) { $0.function == "flistxattr" && $0.path == "/state" }
        #expect(try stateError { try state.restorePrevious() }.cause?.code == EIO)
        #expect(try directory.bytes(of: "state") == [1])
        fileSystem.faults = .none
        try state.restorePrevious()
        #expect(try directory.status("state").permissions == 0o600)
    }

    @Test("going back from a damaged state leaves the good copy where it is", arguments: Ground.allCases)
    func restoreFromDamage(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let state = try directory.state(options: Self.keeping)
        for value in 1...6 as ClosedRange<UInt8> { try state.save([value]) }
        let file = try directory.open(directory.name("state"), .readWrite)
        try directory.fileSystem.setPermissions(file.rawValue, 0o640)
        // The payload is damaged; the header still tells its generation.
        var damaged = try directory.bytes(of: "state")
        damaged[128] ^= 1
        try directory.put("state", damaged)
        #expect(try state.restorePrevious().generation == 7)
        #expect(try state.load() == [5])
        #expect(try directory.state(".state.previous").load() == [5])
        #expect(try directory.status("state").permissions == 0o640)
        // Nothing is left of the header: then it is the one after the previous copy's.
        try directory.put("state", [UInt8](repeating: 0, count: 300))
        #expect(try state.restorePrevious().generation == 7)
        try directory.put("state", [])
        try directory.unlink(directory.name("state"))
        #expect(try state.restorePrevious().generation == 6, "after the previous copy, which is all there is")
        #expect(try state.load() == [5])
    }

    @Test("a damaged previous copy is not restored, and another store's neither", arguments: Ground.allCases)
    func badPrevious(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let state = try directory.state(options: Self.keeping)
        try state.save([1])
        try state.save([2])
        try directory.put(".state.previous", SampleFrame(checksum: "0000000000000000").bytes)
        let error = try stateError { try state.restorePrevious() }
        #expect(error.code == .corrupt)
        #expect(error.path.hasSuffix(".state.previous"))
        try directory.put(".state.previous", SampleFrame().bytes)
        #expect(try stateError { try state.restorePrevious() }.code == .wrongStore)
        #expect(try state.load() == [2])
    }

    @Test("a save that failed after keeping the state before it leaves no second name of it behind")
    func linkedTwice() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        let state = try directory.state(options: Self.keeping)
        try state.save([1])
        fileSystem.faults = .failEvery(with: EBUSY) { $0.function == "renameat" && $0.newName == "state" }
        #expect(try stateError { try state.save([2]) }.code == .notSaved)
        fileSystem.faults = .none
        // Now `state` and `.state.previous` are one file, and renaming one name of a file over another does nothing.
        try state.save([3])
        #expect(try directory.temporaries().isEmpty)
        #expect(try directory.state(".state.previous").load() == [1])
        #expect(try state.load() == [3])
    }
}
