// SPDX-License-Identifier: Apache-2.0
//
// Many writers and readers at once: none loses an update, none sees half of one.

import Foundation
import Holdfast
import Testing

@Suite(.temporaryDirectory, .timeLimit(.minutes(60)))
struct ManyWritersTests {
    @Test("eight processes lose no update")
    func processes() async throws {
        let path = "\(TemporaryDirectory.current)/counter"
        await withTaskGroup { group in
            for _ in 0..<8 {
                group.addTask {
                    await #expect(processExitsWith: .success) { [path = path as String] in
                        let state = try StateFile(path, codec: DecimalCodec())
                        try block {
                            for _ in 0..<25 { try state.update(initial: 0, durability: .processCrash) { $0 += 1 } }
                        }
                    }
                }
            }
        }
        let (value, report) = try await StateFile(path, codec: DecimalCodec()).loadWithReport()
        #expect(value == 200)
        #expect(report.generation == 200)
    }

    @Test("each save of several writers has a generation of its own")
    func generations() async throws {
        let path = "\(TemporaryDirectory.current)/state"
        let generations = await withTaskGroup { group in
            for writer in 0..<4 {
                group.addTask {
                    var generations: [Generation] = []
                    #expect(throws: Never.self) {
                        let state = try StateFile<[UInt8]>(path, options: StateOptions(durability: .processCrash))
                        for _ in 0..<100 { generations.append(try state.save([UInt8(writer)]).generation) }
                    }
                    return generations
                }
            }
            return await group.reduce(into: []) { $0 += $1 }
        }
        #expect(generations.sorted() == (1...400).map { Generation($0) })
    }

    @Test("threads of one process lose no update, through one state file and through several")
    func threads() async throws {
        let path = "\(TemporaryDirectory.current)/counter"
        let shared = try StateFile(path, codec: DecimalCodec())
        await withTaskGroup { group in
            for index in 0..<4 {
                group.addTask {
                    #expect(throws: Never.self) {
                        let state = index % 2 == 0 ? shared : try StateFile(path, codec: DecimalCodec())
                        for _ in 0..<25 { try state.update(initial: 0, durability: .processCrash) { $0 += 1 } }
                    }
                }
            }
        }
        #expect(try await shared.load() == 100)
    }

    @Test("a reader without a lock sees whole states only, and never an older one than before")
    func readers() async throws {
        let path = "\(TemporaryDirectory.current)/state"
        let state = try StateFile<[UInt8]>(path, options: StateOptions(durability: .processCrash))
        try await state.save([UInt8](repeating: 0, count: 5000))
        await withTaskGroup { group in
            group.addTask {
                #expect(throws: Never.self) {
                    for round in 1...200 {
                        try state.save([UInt8](repeating: UInt8(round), count: 5000 + round * 7))
                    }
                }
            }
            group.addTask {
                #expect(throws: Never.self) {
                    var last = Generation.absent
                    while last < 201 {
                        let (value, report) = try state.loadWithReport()
                        #expect(report.generation >= last)
                        last = report.generation
                        let round = Int(last.value) - 1
                        #expect(value.count == 5000 + round * 7)
                        #expect(value.allSatisfy { $0 == UInt8(round) })
                    }
                }
            }
        }
    }
}
