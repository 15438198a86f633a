// SPDX-License-Identifier: Apache-2.0
//
// Every call of every operation fails once. Whatever fails, the old state or the new one is there, what the caller was told
// is true, and nothing is left behind: no temporary file, no descriptor, no lock.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite
struct SaveFaultTests {
    static let faults: [Fault] = [
        .failure(EIO), .failure(ENOSPC), .failure(EINTR), .failure(EROFS), .shortWrite(bytes: 1),
        .shortWrite(bytes: 130),
        .shortWrite(bytes: 0),
    ]

    /// What the operation under test does, and what was done before.
    enum Work: CaseIterable, Sendable {
        case firstSave, save, saveOfKnownState, saveKeepingPrevious, thirdSaveKeepingPrevious, update, firstUpdate
        case restore, unflushedSave

        var keepsPrevious: Bool {
            self == .saveKeepingPrevious || self == .thirdSaveKeepingPrevious || self == .restore
        }
    }

    private static let old = bytes("the old state")
    private static let new = bytes("the new state, which is longer than the old one")

    @Test("every call of a save fails once", arguments: Work.allCases)
    func everyCall(_ work: Work) throws {
        var faulted = Set<String>()
        for trial in FaultTrials(Self.faults) {
            let fileSystem = trial.fileSystem
            let directory = try fileSystem.directory()
            let options = StateOptions(keepsPrevious: work.keepsPrevious)
            var state = try directory.state(options: options)
            try prepare(state, work)
            let old = try? state.loadWithReport()
            // A new one knows nothing of the file, reads it and sweeps.
            if work != .saveOfKnownState { state = try directory.state(options: options) }
            try directory.put("unrelated", [])
            try directory.state("unlocked").save([])
            let before = (descriptors: fileSystem.openDescriptorCount, names: Set(try directory.names()))

            let outcome = trial.run { () throws in try perform(work, state) }
            trial.faultedCall.map { _ = faulted.insert($0.function) }

            #expect(fileSystem.openDescriptorCount == before.descriptors, "a descriptor is left open: \(trial)")
            let known = before.names.union(["state", ".state.lock"]).union(
                work.keepsPrevious ? [".state.previous"] : []
            )
            #expect(Set(try directory.names()).isSubset(of: known), "something is left behind: \(trial)")
            try check(outcome, old, state, trial)
            // The lock is free, and the next save works.
            let generation = (try? state.verify().generation) ?? .absent
            let next = try state.save([1, 2, 3], deadline: .now)
            #expect(next.generation > generation, "\(trial)")
            #expect(try state.load() == [1, 2, 3], "\(trial)")
        }
        // The loop has met the calls that it is about.
        for function in ["openat", "pwritev", "fstat", "renameat", "close"] {
            #expect(faulted.contains(function), "\(function) never failed")
        }
        #expect(faulted.contains("fsync") == (work != .unflushedSave))
        #expect(faulted.contains("linkat") == (work.keepsPrevious && work != .firstSave))
    }

    private func prepare(_ state: StateFile<[UInt8]>, _ work: Work) throws {
        switch work {
        case .firstSave, .firstUpdate: break
        case .restore:
            try state.save(Self.new)
            try state.save(Self.old)
        case .thirdSaveKeepingPrevious:
            try state.save(bytes("the one before"))
            try state.save(Self.old)
        default: try state.save(Self.old)
        }
    }

    private func perform(_ work: Work, _ state: StateFile<[UInt8]>) throws -> StateCommit {
        switch work {
        case .update: try state.update { $0 = Self.new }
        case .firstUpdate: try state.update(initial: []) { $0 = Self.new }
        case .restore: try state.restorePrevious()
        case .unflushedSave: try state.save(Self.new, durability: .processCrash)
        default: try state.save(Self.new)
        }
    }

    /// Returned: the new state.
    ///
    /// Thrown: the old one.
    private func check(
        _ outcome: Result<StateCommit, any Error>,
        _ old: (value: [UInt8], report: LoadReport)?,
        _ state: StateFile<[UInt8]>,
        _ trial: FaultTrial
    ) throws {
        switch outcome {
        case .success(let commit):
            let (value, report) = try state.loadWithReport()
            #expect(value == Self.new, "\(trial)")
            #expect(report.generation == commit.generation, "\(trial)")
            #expect(report.store == commit.store, "\(trial)")
            #expect(old == nil || old?.report.store == commit.store, "\(trial)")
            if commit.directorySyncError != nil {
                #expect(trial.faultedCall?.isOnDirectory == true, "\(trial)")
                #expect(commit.durability == .processCrash, "\(trial)")
            }
        case .failure(let error):
            let error = try #require(error as? StateError, "\(trial)")
            #expect(error.code == .notSaved || error.code == .notLocked, "\(trial): \(error)")
            #expect(error.description.contains("The old state stands."), "\(trial)")
            if let call = trial.faultedCall, error.code == .notSaved, call.failure != nil {
                #expect(error.cause?.code == call.failure, "\(trial): \(error)")
            }
            // A signal interrupts, it does not fail; but Linux has closed the descriptor when close(2) says EINTR.
            if trial.faultedCall?.failure == EINTR { #expect(trial.faultedCall?.function == "close", "\(trial)") }
            guard let old else {
                #expect(throws: StateError.self, "\(trial)") { try state.load() }
                return
            }
            let (value, report) = try state.loadWithReport()
            #expect(value == old.value, "\(trial)")
            #expect(report.generation == old.report.generation, "\(trial)")
        }
    }

    @Test("every call of a load fails once", arguments: [false, true])
    func everyCallOfALoad(durable: Bool) throws {
        for trial in FaultTrials(.failure(EIO), .failure(EINTR), .failure(EACCES), .failure(EMFILE)) {
            let directory = try trial.fileSystem.directory()
            let state = try directory.state()
            try state.save(Self.old)
            let descriptors = trial.fileSystem.openDescriptorCount
            switch trial.run({ () throws(StateError) in try state.load(durable: durable) }) {
            case .success(let value):
                #expect(value == Self.old, "\(trial)")
                if let call = trial.faultedCall {
                    #expect(call.function == "close" || call.failure == EINTR, "\(trial)")
                }
            case .failure(let error):
                #expect(error.code == .notRead || error.code == .notDurable, "\(trial)")
                #expect(error.cause?.code == trial.faultedCall?.failure, "\(trial)")
            }
            #expect(trial.fileSystem.openDescriptorCount == descriptors, "\(trial)")
        }
    }

    @Test("a rename that failed and yet happened is a save")
    func renameHappened() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        let state = try directory.state()
        try state.save(Self.old)
        // Somebody answers for the server that did it and lost its reply: the name is gone when the call is made.
        fileSystem.onCall = { [fileSystem] _, call in
            if call.function == "renameat", let name = call.name { try? fileSystem.move(name, to: "state") }
        }
        let commit = try state.save(Self.new)
        fileSystem.onCall = nil
        #expect(fileSystem.calls.contains { $0.function == "renameat" && $0.failure == ENOENT })
        #expect(commit.generation == 2)
        #expect(commit.durability == .powerLoss, "the directory is flushed all the same")
        #expect(try state.load() == Self.new)
    }

    @Test("a file that is shorter than what was written is not renamed into place")
    func lostBytes() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        let state = try directory.state()
        try state.save(Self.old)
        fileSystem.onCall = { [fileSystem] _, call in
            // Between the write and the check of the size, the file loses its end.
            guard call.function == "fstat", call.path?.hasSuffix(".tmp") == true, let path = call.path else { return }
            if let written = fileSystem.contents(of: path) { try? fileSystem.write(path, written.dropLast()) }
        }
        #expect(try stateError { try state.save(Self.new) }.code == .notSaved)
        fileSystem.onCall = nil
        #expect(try state.load() == Self.old)
        #expect(try directory.temporaries().isEmpty)
    }

    @Test("a close of the new file that fails is a failure: some file systems report a lost write only there")
    func closeFails() throws {
        let fileSystem = SimulatedFileSystem()
        let state = try fileSystem.directory().state()
        try state.save(Self.old)
        fileSystem.faults = .failEvery(with: EDQUOT) { $0.function == "close" && $0.path?.hasSuffix(".tmp") == true }
        let error = try stateError { try state.save(Self.new, durability: .processCrash) }
        #expect(error.code == .notSaved)
        #expect(error.cause == SystemError(call: "close", code: EDQUOT))
        #expect(try state.load() == Self.old)
    }

    @Test("what lasts leaves the old state, too", arguments: [EROFS, EIO, ENOSPC, EMFILE])
    func lastingFailures(code: Int32) throws {
        for trial in FaultTrials(.lastingFailure(code)) {
            let directory = try trial.fileSystem.directory()
            let state = try directory.state()
            try state.save(Self.old)
            let descriptors = trial.fileSystem.openDescriptorCount
            let outcome = trial.run { () throws(StateError) in try state.save(Self.new) }
            #expect(trial.fileSystem.openDescriptorCount == descriptors, "\(trial)")
            switch outcome {
            case .success: #expect(try state.load() == Self.new, "\(trial)")
            case .failure: #expect(try state.load() == Self.old, "\(trial)")
            }
            // The temporary file could not be removed then; the next writer's first save does it.
            try directory.state().save([3])
            #expect(try directory.temporaries().isEmpty, "\(trial)")
        }
    }
}
