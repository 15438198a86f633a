// SPDX-License-Identifier: Apache-2.0
//
// What a state file promises its caller, on the real file system.

import Foundation
import Holdfast
import Testing

@Suite(.temporaryDirectory)
struct StateFileTests {
    let directory: OpenDirectory

    init() throws {
        directory = try OpenDirectory(TemporaryDirectory.current)
    }

    @Test("a saved value is loaded again, and each save has the next generation", arguments: Ground.allCases)
    func roundTrip(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let state = try StateFile(directory.name("counter"), in: directory, codec: DecimalCodec())
        let first = try state.save(41)
        #expect(first.generation == 1)
        #expect(first.durability == .powerLoss)
        #expect(first.directorySyncError == nil)
        let second = try state.update { $0 += 1 }
        #expect(second.generation == 2)
        #expect(second.store == first.store)
        #expect(second.length == 2)
        let (value, report) = try state.loadWithReport()
        #expect(value == 42)
        #expect((report.generation, report.store, report.schema, report.length) == (2, first.store, 1, 2))
        #expect(report.copy == .current && report.rejected == nil && report.token == nil)
        #expect(try state.load() == value)
        #expect(try state.verify().generation == 2)
        #expect(try Set(directory.names()) == ["counter", ".counter.lock"])
    }

    @Test("a path names the directory and the file in it")
    func path() throws {
        let path = "\(TemporaryDirectory.current)/state"
        let state = try StateFile<[UInt8]>(path)
        #expect(state.path == path)
        try state.save([1])
        #expect(try directory.state().load() == [1])
        #expect(try stateError { _ = try StateFile<[UInt8]>("\(path)/..") }.code == .notRead)
    }

    @Test("bytes are stored as they are, also none")
    func bytes() throws {
        let state = try StateFile<[UInt8]>(FileName("bytes"), in: directory)
        for payload in [[], [0], Array(0...255), [UInt8](repeating: 7, count: 100_000)] as [[UInt8]] {
            let commit = try state.save(payload, durability: .processCrash)
            #expect(commit.length == payload.count)
            #expect(commit.durability == .processCrash)
            #expect(try state.load() == payload)
        }
    }
}
