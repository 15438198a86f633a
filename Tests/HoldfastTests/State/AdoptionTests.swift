// SPDX-License-Identifier: Apache-2.0
//
// An empty file that becomes a state, and only if that is asked for.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory)
struct AdoptionTests {
    private static func options(_ strategy: StateStrategy) -> StateOptions {
        StateOptions(strategy: strategy, keepsPrevious: true, adoptsEmpty: true)
    }

    @Test("an empty file counts as corrupt, and the error says what makes it a state", arguments: Ground.allCases)
    func notWithoutTheOption(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.put("state", [])
        for strategy in [StateStrategy.replace, .twoSlot] {
            let state = try directory.state(options: StateOptions(strategy: strategy))
            for error in [try stateError { try state.save([1]) }, try stateError { _ = try state.load() }] {
                #expect(error.code == .corrupt)
                #expect(error.corruption?.check == .tooShort)
                #expect(error.description.contains("the file is empty"), "\(error)")
                #expect(error.description.contains("adoptsEmpty (holdfastctl state save --adopt-empty)"), "\(error)")
            }
            #expect(try directory.status("state").size == 0)
        }
    }

    @Test(
        "an empty file becomes the first state, with its own owner, mode and attributes",
        arguments: Ground.allCases,
        [StateStrategy.replace, .twoSlot]
    )
    func adopted(_ ground: Ground, _ strategy: StateStrategy) throws {
        let directory = try ground.makeDirectory()
        try directory.put("state", [])
        try directory.setPermissions(of: "state", 0o664)
        if ground == .simulation { try directory.setOwner(of: "state", 4711, group: 4712) }
        let before = try directory.status("state")
        let state = try directory.state(options: Self.options(strategy))
        #expect(try state.update(initial: [7]) { $0.append(8) }.generation == Generation(1))
        #expect(try state.load() == [7, 8])
        let after = try directory.status("state")
        #expect((after.owner, after.group, after.permissions) == (before.owner, before.group, 0o664))
        #expect(try directory.status(".state.lock").permissions == 0o660)
        #expect(try !directory.has(".state.previous"))
        #expect(try state.save([9]).generation == Generation(2))
    }

    @Test("nothing but an empty file is adopted, and none while there is a previous copy", arguments: Ground.allCases)
    func refused(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        for strategy in [StateStrategy.replace, .twoSlot] {
            let state = try directory.state(options: Self.options(strategy))
            for contents in [[0], Array("x".utf8), [UInt8](repeating: 0, count: 12288)] as [[UInt8]] {
                try directory.put("state", contents)
                #expect(try stateError { try state.save([1]) }.code == .corrupt)
                #expect(try directory.bytes(of: "state") == contents)
            }
        }
        try directory.unlink(directory.name("state"))
        let state = try directory.state(options: Self.options(.replace))
        try state.save([1])
        try state.save([2])
        try directory.put("state", [])
        #expect(try stateError { try state.save([3]) }.code == .corrupt)
        try state.restorePrevious()
        #expect(try state.load() == [1])
    }

    @Test("in place: every call fails once, and the file is empty again or the state")
    func everyFault() throws {
        var made = 0
        for trial in FaultTrials(.failure(EIO), .failure(ENOSPC), .shortWrite(bytes: 1)) {
            let directory = try trial.fileSystem.directory()
            try directory.put("state", [])
            let state = try directory.state(options: Self.options(.twoSlot))
            let outcome = trial.run {
                let isMountPoint = FaultPlan.failEvery(with: EBUSY) { $0.function == "renameat" }
                trial.fileSystem.faults = trial.fileSystem.faults.and(isMountPoint)
                return try state.save([1])
            }
            switch outcome {
            case .success:
                made += 1
                #expect(try directory.state().load() == [1], "\(trial)")
                #expect(trial.calls.contains { $0.failure == EBUSY } || trial.faultedCall != nil)
            case .failure:
                #expect(try directory.bytes(of: "state").isEmpty, "\(trial)")
                #expect(try directory.temporaries().isEmpty, "\(trial)")
                try state.save([2])
                #expect(try directory.state().load() == [2], "\(trial)")
            }
        }
        #expect(made > 0)
    }

    enum Note: Hashable, Sendable {
        case saved
    }

    @Test("in place: a crash leaves the state, or a file that is refused and can be emptied and adopted again")
    func crash() throws {
        var explorer = CrashExplorer(.posix)
        // What a crash leaves of the pages counts, not of their sectors: a checksum covers each slot and the first page.
        explorer.sectorSize = 4096
        explorer.limit = 32
        explorer.recoveryLimit = 2
        let report = try explorer.explore { (run: CrashRun<Note>) in
            try run.fileSystem.write("/state", [])
        } workload: { run in
            run.fileSystem.faults = .failEvery(with: EBUSY) { $0.function == "renameat" }
            try run.fileSystem.directory().state(options: Self.options(.twoSlot)).save([1])
            run.note(.saved)
        } recovery: { run in
            let directory = try run.fileSystem.directory()
            let state = try directory.state(options: Self.options(.twoSlot))
            do {
                guard try state.load() == [1] else { throw CrashViolation(.neverSaved, "another state") }
                return
            } catch let error as StateError {
                if run.notes.contains(.saved) { throw CrashViolation(.lost, "\(error)") }
                guard error.code == .corrupt else { throw CrashViolation(.unreadable, "\(error)") }
            }
            if try directory.status("state").size > 0 {
                let refusal = try stateError { try state.save([2]) }
                guard refusal.code == .corrupt else {
                    throw CrashViolation(.unreadable, "it was overwritten")
                }
                try directory.put("state", [])
            }
            try state.save([1])
            run.note(.saved)
        }
        #expect(report.isSound, "\(report)")
    }
}
