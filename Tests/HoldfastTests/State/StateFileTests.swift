// SPDX-License-Identifier: Apache-2.0
//
// What a state file promises its caller, on the real file system.

import Foundation
import Holdfast
import Testing

private struct Settings: Codable, Equatable {
    var port: Int
    var hosts: [String]
}

@Suite(.temporaryDirectory)
struct StateFileTests {
    let directory: Directory

    init() throws {
        directory = try Directory(TemporaryDirectory.current)
    }

    @Test("a saved value is loaded again, and each save has the next generation")
    func roundTrip() throws {
        let state = try StateFile<Settings>(#require(FileName("settings")), in: directory)
        let first = try state.save(Settings(port: 1, hosts: ["a"]))
        #expect(first.generation == 1)
        #expect(first.durability == .powerLoss)
        #expect(first.directorySyncError == nil)
        let second = try state.update { $0.port = 2 }
        #expect(second.generation == 2)
        #expect(second.store == first.store)
        let (value, report) = try state.loadWithReport()
        #expect(value == Settings(port: 2, hosts: ["a"]))
        #expect(report.generation == 2)
        #expect(try state.load() == value)
        #expect(try Set(directory.names()) == ["settings", ".settings.lock"])
    }

    @Test("bytes are stored as they are, also none")
    func bytes() throws {
        let state = try StateFile<[UInt8]>(#require(FileName("bytes")), in: directory)
        for payload in [[], [0], Array(0...255), [UInt8](repeating: 7, count: 100_000)] as [[UInt8]] {
            let commit = try state.save(payload, durability: .processCrash)
            #expect(commit.length == payload.count)
            #expect(commit.durability == .processCrash)
            #expect(try state.load() == payload)
        }
    }
}
