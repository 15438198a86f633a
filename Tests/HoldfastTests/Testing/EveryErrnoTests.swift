// SPDX-License-Identifier: Apache-2.0
//
// Every call of every public operation of locks and states fails with every errno that its manual page has for it and that
// can happen to a caller who made no mistake. What is checked is the same for all: nothing is left open, locked or lying
// about; the state is the old one or the new one; and the next time the operation works.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite
struct EveryErrnoTests {
    enum Operation: CaseIterable, Sendable {
        case lock, lockAgain, sharedLock, openFileDescriptionLock, status, isStillInPlace
        case publish, adopt, clean, reserve
        case firstSave, save, saveOnCondition, saveUnflushed, saveKeepingPrevious, update, restore
        case load, loadDurably, loadPrevious, verify

        /// The state that is there before and after, if the operation is one of a state and throws.
        var isOfState: Bool {
            switch self {
            case .lock, .lockAgain, .sharedLock, .openFileDescriptionLock, .status, .isStillInPlace: false
            case .publish, .adopt, .clean, .reserve: false
            default: true
            }
        }
    }

    private static let old = bytes("the old state")
    private static let new = bytes("the new state, which is longer")

    @Test("every call of every operation fails in every way", arguments: Operation.allCases)
    func everyCall(_ operation: Operation) throws {
        let calls = try attempt(operation, .none).calls
        #expect(!calls.isEmpty)
        for (index, call) in calls.enumerated() {
            for code in call.plausibleErrnos {
                let context: Comment = "\(errnoText(code)) in call \(index + 1) of \(operation): \(call)"
                let trial = try attempt(operation, .fail(call: index + 1, with: code))
                #expect(trial.calls.contains { $0.isFaulted }, context)
                try check(operation, trial, context)
            }
        }
    }

    private func errnoText(_ code: Int32) -> String { "\(SystemError(call: "", code: code))" }

    private struct Trial {
        let fileSystem: SimulatedFileSystem
        let directory: OpenDirectory
        let calls: [Call]
        let descriptors: Int
        let failure: (any Error)?
    }

    /// Prepares, performs the operation with these faults, and lets go of what it took.
    private func attempt(_ operation: Operation, _ faults: FaultPlan) throws -> Trial {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        try prepare(operation, fileSystem, directory)
        let descriptors = fileSystem.openDescriptorCount
        let state = try directory.state(options: StateOptions(keepsPrevious: operation.keepsPrevious))
        fileSystem.resetCalls()
        fileSystem.faults = faults
        var failure: (any Error)?
        do { try perform(operation, state, directory) } catch { failure = error }
        fileSystem.faults = .none
        return Trial(
            fileSystem: fileSystem,
            directory: directory,
            calls: fileSystem.calls,
            descriptors: descriptors,
            failure: failure
        )
    }

    private func prepare(
        _ operation: Operation,
        _ fileSystem: SimulatedFileSystem,
        _ directory: OpenDirectory
    ) throws {
        switch operation {
        case .adopt, .clean: try fileSystem.write("/a.pid", bytes("\(DeadProcess.pid)\n"))
        case .lockAgain, .status, .isStillInPlace: try require(lockFile(directory).tryLock()).release()
        case .restore, .loadPrevious:
            let state = try directory.state(options: StateOptions(keepsPrevious: true))
            try state.save(Self.old)
            try state.save(Self.new)
            if operation == .loadPrevious { try fileSystem.write("/state", bytes("damaged")) }
        case .firstSave: break
        default: if operation.isOfState { try directory.state().save(Self.old) }
        }
    }

    private func lockFile(_ directory: OpenDirectory, _ family: LockFamily = .flock) throws -> LockFile {
        try LockFile(directory.name("a.lock"), in: directory, family: family)
    }

    private func perform(_ operation: Operation, _ state: StateFile<[UInt8]>, _ directory: OpenDirectory) throws {
        switch operation {
        case .lock, .lockAgain: try require(lockFile(directory).tryLock()).release()
        case .sharedLock: try require(lockFile(directory).tryLock(.shared)).release()
        case .openFileDescriptionLock: try require(lockFile(directory, .openFileDescription).tryLock()).release()
        case .status: _ = try lockFile(directory).status()
        case .isStillInPlace:
            let lock = try require(lockFile(directory).tryLock())
            _ = try lock.isStillInPlace()
            try lock.release()
        case .publish, .adopt: try require(PIDFile(directory.name("a.pid"), in: directory).tryLock()).release()
        case .clean: _ = try PIDFile(directory.name("a.pid"), in: directory).removeIfStale()
        case .reserve: _ = try TokenReservation.reserve(above: 0, for: directory.name("a.lock"), in: directory)
        case .firstSave, .save, .saveKeepingPrevious: try state.save(Self.new)
        case .saveOnCondition: try state.save(Self.new, ifGeneration: 1, fence: Fence(FencingToken(3)))
        case .saveUnflushed: try state.save(Self.new, durability: .processCrash)
        case .update: try state.update { $0 = Self.new }
        case .restore: try state.restorePrevious()
        case .load: _ = try state.load()
        case .loadDurably: _ = try state.load(durable: true)
        case .loadPrevious: _ = try state.load(orPrevious: true)
        case .verify: _ = try state.verify()
        }
    }

    private func check(_ operation: Operation, _ trial: Trial, _ context: Comment) throws {
        let fileSystem = trial.fileSystem
        #expect(fileSystem.openDescriptorCount == trial.descriptors, context)
        #expect(fileSystem.heldLocks.isEmpty, context)
        let left = fileSystem.names(in: "/")?.filter { name in
            [".tmp", ".publishing"].contains { name.hasSuffix($0) }
        }
        // The file that could not be unlinked, or to whose name the unlink could not be told, is swept later.
        if !trial.calls.contains(where: { $0.isFaulted && $0.function == "unlinkat" }) { #expect(left == [], context) }
        guard operation.isOfState else { return try checkLock(operation, trial, context) }

        let state = try trial.directory.state()
        let value = try? state.load(orPrevious: operation == .loadPrevious)
        let isChange = ![.load, .loadDurably, .loadPrevious, .verify].contains(operation)
        switch operation {
        case .firstSave: #expect(value == (trial.failure == nil ? Self.new : nil), context)
        case .restore: #expect(value == (trial.failure == nil ? Self.old : Self.new), context)
        default: #expect(value == (isChange && trial.failure == nil ? Self.new : Self.old), context)
        }
        if operation == .loadPrevious {
            let isRefused = (try? state.save([1])) == nil
            #expect(isRefused, context)
        } else {
            try state.save([1], deadline: .now)
            #expect(try state.load() == [1], context)
            #expect(try trial.directory.temporaries().isEmpty, context)
        }
    }

    private func checkLock(_ operation: Operation, _ trial: Trial, _ context: Comment) throws {
        switch operation {
        case .publish, .adopt, .clean:
            // Whoever comes next gets it, and the dead one's file is either there whole or gone.
            let text = trial.fileSystem.contents(of: "/a.pid").map { String(decoding: $0, as: UTF8.self) }
            if operation == .clean { #expect([nil, "\(DeadProcess.pid)\n"].contains(text), context) }
            try require(PIDFile(trial.directory.name("a.pid"), in: trial.directory).tryLock()).release()
        case .openFileDescriptionLock:
            try require(lockFile(trial.directory, .openFileDescription).tryLock()).release()
        default: try require(lockFile(trial.directory).tryLock()).release()
        }
    }
}

extension EveryErrnoTests.Operation {
    fileprivate var keepsPrevious: Bool {
        [.saveKeepingPrevious, .restore, .loadPrevious].contains(self)
    }
}

/// A process that is not there: Linux gives out no PID above 4194304.
private enum DeadProcess {
    static let pid = 2_000_000_000
}
