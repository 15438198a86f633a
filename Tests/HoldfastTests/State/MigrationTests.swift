// SPDX-License-Identifier: Apache-2.0
//
// Schemas: forward by steps, never backward.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite
struct MigrationTests {
    let fileSystem = SimulatedFileSystem()
    let directory: OpenDirectory

    init() throws {
        directory = try fileSystem.directory()
    }

    private func state(schema: UInt32, _ migrations: [StateMigration] = []) throws -> StateFile<[UInt8]> {
        try StateFile(directory.name("state"), in: directory, schema: schema, migrations: migrations)
    }

    /// Each adds its number.
    private func step(_ from: UInt32) -> StateMigration {
        StateMigration(from: from) { $0 + [UInt8(from)] }
    }

    @Test("steps are applied in order, from the stored schema on, and the report says so")
    func forward() throws {
        try state(schema: 1).save([0])
        let newer = try state(schema: 4, [step(3), step(1), step(2)])
        let (value, report) = try newer.loadWithReport()
        #expect(value == [0, 1, 2, 3])
        #expect((report.schema, report.migratedFrom) == (1, 1))
        #expect(try newer.verify().migratedFrom == nil)
        try newer.update { $0.append(9) }
        let (saved, after) = try newer.loadWithReport()
        #expect(saved == [0, 1, 2, 3, 9])
        #expect((after.schema, after.migratedFrom) == (4, nil))
    }

    @Test("a newer schema is neither loaded nor replaced by an older program")
    func backward() throws {
        try state(schema: 3).save([1])
        let older = try state(schema: 2)
        for call in [{ _ = try older.load() }, { try older.save([2]) }, { try older.update { $0 = [2] } }]
            as [() throws -> Void]
        {
            let error = try stateError(nil, call)
            #expect(error.code == .newerSchema)
            #expect((error.expected, error.found) == (2, 3))
        }
        #expect(try state(schema: 3).load() == [1])
        #expect(try older.verify().schema == 3)
    }

    @Test("a missing step is an error of its own, not damage")
    func missing() throws {
        try state(schema: 1).save([0])
        let error = try stateError { _ = try state(schema: 4, [step(1), step(3)]).load() }
        #expect(error.code == .missingMigration)
        #expect((error.expected, error.found) == (4, 2))
    }

    @Test("what a step throws is passed on")
    func failing() throws {
        struct Broken: Error {}
        try state(schema: 1).save([0])
        let broken = try state(schema: 2, [StateMigration(from: 1) { _ in throw Broken() }])
        let error = try stateError { _ = try broken.load() }
        #expect(error.code == .migrationFailed)
        #expect(error.underlying is Broken)
        #expect(throws: StateError.self) { try broken.update { $0 = [] } }
        #expect(try state(schema: 1).load() == [0])
    }

    @Test("steps that overlap or lead past the schema are a mistake in the program")
    func mistakes() async {
        await #expect(processExitsWith: .failure) {
            _ = try StateFile<[UInt8]>(
                FileName("a"),
                in: SimulatedFileSystem().directory(),
                schema: 2,
                migrations: [StateMigration(from: 1) { $0 }, StateMigration(from: 1) { $0 }]
            )
        }
        await #expect(processExitsWith: .failure) {
            _ = try StateFile<[UInt8]>(
                FileName("a"),
                in: SimulatedFileSystem().directory(),
                schema: 2,
                migrations: [StateMigration(from: 2) { $0 }]
            )
        }
    }
}
