// SPDX-License-Identifier: Apache-2.0
//
// Every call of every operation on a two-slot file fails once. What was acknowledged stays; what the caller is told is
// true; nothing is left behind.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite
struct TwoSlotFaultTests {
    private static let faults: [Fault] = [
        .failure(EIO), .failure(ENOSPC), .failure(EINTR), .failure(EROFS), .shortWrite(bytes: 1),
        .shortWrite(bytes: 130), .shortWrite(bytes: 0),
    ]

    enum Work: CaseIterable, Sendable {
        case firstSave, save, saveOfKnownState, saveAfterReboot, saveAfterDeath, update, updateAfterReboot, growth
        case makingSlots, makingPlain, restore, unflushedSave, saveOverUnflushed
    }

    private static let old = bytes("the old state")
    private static let new = bytes("the new state, which is longer than the old one")

    @Test("every call of a save fails in every way", arguments: Work.allCases)
    func everyCall(_ work: Work) throws {
        let sound = FaultTrial(.failure(EIO), call: .max)
        try verify(work, sound)
        let faulted = Set(sound.calls.map(\.function))
        let flushed = sound.calls.filter { $0.function == "fdatasync" }.map(\.path)
        for (index, call) in sound.calls.enumerated() {
            for code in call.plausibleErrnos { try verify(work, FaultTrial(.failure(code), call: index + 1)) }
        }
        for trial in FaultTrials(.shortWrite(bytes: 0), .shortWrite(bytes: 1), .shortWrite(bytes: 130)) {
            try verify(work, trial)
        }
        for function in ["openat", "pwritev", "statx"] where function != "openat" || work != .saveOfKnownState {
            #expect(faulted.contains(function), "\(function) never failed")
        }
        #expect(
            flushed.contains("/state") == ![.firstSave, .growth, .makingSlots, .makingPlain, .unflushedSave]
                .contains(work)
        )
        #expect(faulted.contains("renameat") == [.firstSave, .growth, .makingSlots, .makingPlain].contains(work))
    }

    @Test("every call of a conversion fails once", arguments: [StateStrategy.twoSlot, .replace])
    func everyCallOfAConversion(_ strategy: StateStrategy) throws {
        for trial in FaultTrials(Self.faults) {
            let directory = try trial.fileSystem.directory()
            let other = StateOptions(strategy: strategy == .twoSlot ? .replace : .twoSlot)
            try directory.state(options: other).save([1])
            let first = try directory.state(options: other).save(Self.old, fence: Fence(FencingToken(7)))
            let state = try directory.state()
            let outcome = trial.run { () throws(StateError) in try state.convert(to: strategy) }
            let (value, report) = try directory.state().loadWithReport()
            #expect(value == Self.old, "\(trial)")
            #expect((report.store, report.generation, report.schema) == (first.store, 2, 1), "\(trial)")
            #expect(report.token == FencingToken(7), "\(trial)")
            switch outcome {
            case .success(let commit): #expect(commit != nil && report.strategy == strategy, "\(trial)")
            case .failure(let error):
                #expect([.notSaved, .notLocked].contains(error.code), "\(trial): \(error)")
                #expect(report.strategy == other.strategy, "\(trial)")
            }
            #expect(try directory.temporaries().isEmpty, "\(trial)")
            #expect(try directory.state().save(Self.new, deadline: .now).generation == 3, "\(trial)")
        }
    }

    /// Does the work with one fault, and checks what is left.
    private func verify(_ work: Work, _ trial: FaultTrial) throws {
        let fileSystem = trial.fileSystem
        let directory = try fileSystem.directory()
        var state = try prepare(directory, work)
        let old = try? directory.state().loadWithReport()
        if work == .saveAfterReboot || work == .updateAfterReboot { fileSystem.forgetSharedMemory() }
        if work != .saveOfKnownState { state = try self.state(directory, work) }
        let before = (descriptors: fileSystem.openDescriptorCount, names: Set(try directory.names()))

        let outcome = trial.run { () throws in try perform(work, state) }

        // The file stays open, and its arena, for writing and for reading.
        let open = fileSystem.openDescriptorCount - before.descriptors
        #expect((0...3).contains(open), "a descriptor is left open: \(trial)")
        let known = before.names.union(["state", ".state.lock", ".state.arena"])
        #expect(Set(try directory.names()).isSubset(of: known), "something is left behind: \(trial)")
        try check(outcome, old, directory, trial)
        // The lock is free, and the next save works; by a new state file, since an EROFS is not forgotten by the old one.
        let generation = (try? directory.state().verify().generation) ?? .absent
        let next = try self.state(directory, work).save([1, 2, 3], deadline: .now)
        #expect(next.generation > generation, "\(trial)")
        if case .failure(let error as StateError) = outcome, error.code == .outcomeUnknown {
            #expect(
                next.generation.value > error.found ?? .max,
                "the generation in doubt is not given away: \(trial)"
            )
        }
        #expect(try directory.state().load() == [1, 2, 3], "\(trial)")
        fileSystem.forgetSharedMemory()
        #expect(try directory.state().load() == [1, 2, 3], "\(trial)")
    }

    private func state(_ directory: OpenDirectory, _ work: Work) throws -> StateFile<[UInt8]> {
        switch work {
        case .makingPlain: try directory.state(options: StateOptions(strategy: .replace))
        case .growth: try directory.slots(capacity: 5000)
        default: try directory.slots()
        }
    }

    private func prepare(_ directory: OpenDirectory, _ work: Work) throws -> StateFile<[UInt8]> {
        let state = try directory.slots()
        switch work {
        case .firstSave: break
        case .makingSlots: try directory.state().save(Self.old)
        case .restore:
            try state.save(Self.new)
            try state.save(Self.old)
        case .saveOverUnflushed:
            try state.save(bytes("the one before"))
            try state.save(Self.old, durability: .processCrash)
        case .saveAfterDeath:
            try state.save(bytes("the one before"))
            try state.save(Self.old)
            // A writer died after it had written: the record in its lock says so, and the next state is there.
            try directory.simulateDeathOfWriter(
                SampleFrame(
                    store: "\(try state.verify().store)",
                    generation: padded(3),
                    payload: Self.old
                ).bytes,
                at: secondSlot
            )
        default:
            try state.save(bytes("the one before"))
            try state.save(Self.old)
        }
        return state
    }

    private func perform(_ work: Work, _ state: StateFile<[UInt8]>) throws -> StateCommit {
        switch work {
        case .update, .updateAfterReboot: try state.update { $0 = Self.new }
        case .restore: try state.restorePrevious()
        case .unflushedSave: try state.save(Self.new, durability: .processCrash)
        default: try state.save(Self.new)
        }
    }

    /// Returned: the new state.
    ///
    /// Thrown: the old one, which is also what readers see when the outcome is not known.
    private func check(
        _ outcome: Result<StateCommit, any Error>,
        _ old: (value: [UInt8], report: LoadReport)?,
        _ directory: OpenDirectory,
        _ trial: FaultTrial
    ) throws {
        let state = try directory.state()
        switch outcome {
        case .success(let commit):
            let (value, report) = try state.loadWithReport()
            #expect(value == Self.new, "\(trial)")
            #expect(report.generation == commit.generation, "\(trial)")
            #expect(report.rejected == nil, "\(trial)")
            if commit.directorySyncError != nil { #expect(commit.durability == .processCrash, "\(trial)") }
        case .failure(let error):
            let error = try #require(error as? StateError, "\(trial)")
            #expect([.notSaved, .notLocked, .outcomeUnknown].contains(error.code), "\(trial): \(error)")
            if error.code == .outcomeUnknown {
                #expect(trial.faultedCall?.function == "fdatasync", "\(trial)")
                #expect(error.cause?.code == trial.faultedCall?.failure, "\(trial)")
                #expect(error.description.contains("Readers see the old state"), "\(error)")
            } else {
                #expect(error.description.contains("The old state stands."), "\(trial)")
            }
            if trial.faultedCall?.failure == EINTR { #expect(trial.faultedCall?.function == "close", "\(trial)") }
            guard let old else {
                #expect(throws: StateError.self, "\(trial)") { try state.load() }
                return
            }
            let (value, report) = try state.loadWithReport()
            #expect(value == old.value, "\(trial)")
            #expect(report.generation >= old.report.generation, "\(trial)")
            #expect(report.rejected == nil, "\(trial)")
        }
    }

    @Test("every call of a load fails once", arguments: [false, true], [false, true])
    func everyCallOfALoad(durable: Bool, afterReboot: Bool) throws {
        for trial in FaultTrials(.failure(EIO), .failure(EINTR), .failure(EACCES), .failure(EMFILE), .failure(ENOSPC)) {
            let directory = try trial.fileSystem.directory()
            try directory.slots().save(bytes("before"))
            try directory.slots().save(Self.old)
            if afterReboot { trial.fileSystem.forgetSharedMemory() }
            let state = try directory.state()
            let descriptors = trial.fileSystem.openDescriptorCount
            switch trial.run({ () throws(StateError) in try state.loadWithReport(durable: durable) }) {
            case .success(let (value, report)):
                // A device that cannot read a slot is damage, and is reported as that.
                #expect(value == Self.old || (value == bytes("before") && report.rejected != nil), "\(trial)")
                if report.rejected != nil { #expect(trial.faultedCall?.failure == EIO, "\(trial)") }
            case .failure(let error):
                #expect(error.code == .notRead || error.code == .notDurable, "\(trial): \(error)")
                #expect(error.cause?.code == trial.faultedCall?.failure, "\(trial)")
            }
            // The file stays open, and its arena, for writing and for reading.
            #expect(trial.fileSystem.openDescriptorCount <= descriptors + 3, "\(trial)")
            #expect(try directory.state().load() == Self.old, "\(trial)")
        }
    }

    @Test("what lasts leaves the old state, too", arguments: [EROFS, EIO, ENOSPC, EMFILE])
    func lastingFailures(code: Int32) throws {
        for trial in FaultTrials(.lastingFailure(code)) {
            let directory = try trial.fileSystem.directory()
            let state = try directory.slots()
            try state.save(Self.old)
            let outcome = trial.run { () throws(StateError) in try state.save(Self.new) }
            switch outcome {
            case .success: #expect(try directory.state().load() == Self.new, "\(trial)")
            case .failure: #expect(try directory.state().load() == Self.old, "\(trial)")
            }
            try directory.state().save([3])
            #expect(try directory.state().load() == [3], "\(trial)")
        }
    }
}

extension OpenDirectory {
    /// Leaves what a writer leaves that dies between its write and its publication.
    func simulateDeathOfWriter(_ frame: [UInt8], at offset: Int) throws {
        let file = try open(name("state"), .readWrite)
        try unsafe frame.withUnsafeBytes { try unsafe file.writeAll($0, at: Int64(offset)) }
    }
}
