// SPDX-License-Identifier: Apache-2.0
//
// Every call of opening, adopting and renewing an arena, and of claiming a slot, fails in every way. What is checked is the
// same for all: nothing is left open or lying about, no token comes twice, no holder is robbed, and the next one gets it all.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite
struct ArenaFaultTests {
    enum Work: CaseIterable, Sendable {
        case making, opening, adopting, renewing, secondClaim
    }

    private static let name = "a.arena"

    @Test("Every call fails in every way", arguments: Work.allCases)
    func everyCall(_ work: Work) throws {
        let sound = FaultTrial(.failure(EIO), call: .max)
        #expect(try verify(work, sound) == nil)
        let functions = Set(sound.calls.map(\.function))
        for function in ["fcntl", "mmap", "fallocate", "fstatfs", "statx"] {
            #expect(functions.contains(function), "\(function) never failed")
        }
        #expect(functions.contains("fdatasync") == [.making, .adopting, .renewing].contains(work))
        for (index, call) in sound.calls.enumerated() {
            for code in call.plausibleErrnos {
                let trial = FaultTrial(.failure(code), call: index + 1)
                let error = try verify(work, trial)
                // A call that was interrupted is made again.
                if code == EINTR, call.function != "close" { #expect(error == nil, "\(trial)") }
            }
        }
        for trial in FaultTrials(
            .shortWrite(bytes: 0),
            .shortWrite(bytes: 1),
            .lastingFailure(EIO),
            .lastingFailure(ENOSPC)
        ) {
            _ = try verify(work, trial)
        }
    }

    private func open(_ directory: OpenDirectory) throws(LockError) -> MutexArena {
        guard let name = FileName(Self.name) else { preconditionFailure() }
        return try MutexArena(name, in: directory, count: 2)
    }

    private func isFree(_ mutex: SharedMemoryMutex) throws(LockError) -> Bool {
        switch try mutex.tryLock() {
        case .acquired: true
        case .busy: false
        }
    }

    /// Does the work with one fault, and checks what is left.
    private func verify(_ work: Work, _ trial: FaultTrial) throws -> LockError? {
        let fileSystem = trial.fileSystem
        let directory = try fileSystem.directory()
        var other: MutexArena?
        var last: UInt64 = 0
        if work != .making {
            let arena = try open(directory)
            last = try arena[0].withLock { $0.token.value }
            if work == .secondClaim { other = arena }
        }
        let held = try other?[1].lock(deadline: .now)
        switch work {
        case .adopting: fileSystem.forgetSharedMemory()
        case .renewing:
            let word = MutexWord(futex: 0, count: MutexWord.lastCount)
            let file = try directory.open(directory.name(Self.name), .readWrite)
            try unsafe withUnsafeBytes(of: word.raw) { try unsafe file.writeAll($0, at: Int64(ArenaLayout.cells)) }
            last = 1 << 32 | UInt64(UInt32.max)
        default: break
        }
        let descriptors = fileSystem.openDescriptorCount

        let outcome = trial.run { () throws(LockError) -> UInt64 in
            let arena = try open(directory)
            if work == .secondClaim {
                let isRobbed = try isFree(arena[1])
                #expect(!isRobbed, "a living holder is robbed: \(trial)")
            }
            let lock = try arena[0].lock(deadline: .now)
            defer { withExtendedLifetime(arena) {} }
            return lock.token.value
        }

        #expect(fileSystem.openDescriptorCount == descriptors, "a descriptor is left open: \(trial)")
        #expect(Set(try directory.names()).isSubset(of: [Self.name]), "something is left behind: \(trial)")
        var failure: LockError?
        switch outcome {
        case .success(let token):
            #expect(token > last, "token \(token) after \(last): \(trial)")
            last = token
        case .failure(let error):
            failure = error
            let codes: [LockError.Code] = [.systemFailure, .unsupported, .timedOut, .compromised]
            #expect(codes.contains(error.code), "\(trial): \(error)")
            #expect(error.path.hasSuffix(Self.name), "\(trial): \(error)")
        }
        // The next one gets it, and what is held stays held.
        let next = try open(directory)
        let lock = try next[0].lock(deadline: .now)
        #expect(lock.token.value > last, "token \(lock.token) after \(last): \(trial)")
        #expect(lock.abandoned == nil, "\(trial)")
        try lock.release()
        if let held {
            let isRobbed = try isFree(next[1])
            #expect(!isRobbed, "\(trial)")
            try held.release()
        }
        let token = try next[1].lock(deadline: .now).token
        #expect(token.value > 0)
        withExtendedLifetime((next, other)) {}
        return failure
    }
}
