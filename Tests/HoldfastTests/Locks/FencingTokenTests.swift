// SPDX-License-Identifier: Apache-2.0
//
// Tokens only grow, whatever dies, fails, reboots, is deleted or damaged.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory, .timeLimit(.minutes(60)))
struct FencingTokenTests {
    @Test("Each exclusive acquisition has a greater token than all before, whatever file object made it")
    func grows() throws {
        let path = TemporaryDirectory.current + "/a.lock"
        var last: UInt64 = 0
        let file = try LockFile(path)
        for round in 0..<100 {
            let lock = try require(try (round % 2 == 0 ? file : LockFile(path)).tryLock())
            let token = lock.token?.value ?? 0
            #expect(token == last + 1)
            last = token
            if round % 3 == 0 { try lock.release() }
        }
        let shared = try require(file.tryLock(.shared))
        #expect(shared.token == nil)
    }

    @Test("Tokens go on after what may happen to the lock file", arguments: Accident.allCases)
    func accidents(accident: Accident) throws {
        let directory = try SimulatedFileSystem().directory()
        let name = try directory.name("a.lock")
        var last = FencingToken(0)
        for _ in 0..<5 {
            for _ in 0..<3 {
                let lock = try require(LockFile(name, in: directory).tryLock())
                let token = lock.token ?? FencingToken(0)
                #expect(token > last)
                last = token
            }
            try accident.happen(to: name, in: directory)
        }
    }

    enum Accident: CaseIterable, Sendable {
        case deleted, truncated, overwritten, bitFlipped, rebooted, rebootedToAnOlderRecord, markTorn, takenByPIDFile

        func happen(to name: FileName, in directory: OpenDirectory) throws {
            switch self {
            case .deleted: try directory.unlink(name)
            case .truncated: try directory.open(name, .readWrite).truncate(to: 0)
            case .overwritten: try directory.write(name.description, "4711\n")
            case .bitFlipped: try directory.open(name, .readWrite).write("!", at: 60)
            case .rebooted: try rewrite(name, in: directory) { _, process in process.bootID = Self.otherBoot }
            case .rebootedToAnOlderRecord:
                // The record was never flushed: the disk may have any older one.
                try rewrite(name, in: directory) { token, process in
                    process.bootID = Self.otherBoot
                    token = 1
                }
            case .markTorn:
                // A power cut in the middle of moving the mark destroys one of its copies, the one that was written.
                try rewrite(name, in: directory) { _, process in process.bootID = Self.otherBoot }
                let companion = try #require(name.companion("guard"))
                let marks = try (0..<2).map { try mark($0, companion, directory) }
                // The copy with the greater mark is the one in use; the next is written over the other.
                let older = marks[0] > marks[1] ? 1 : 0
                try directory.open(companion, .readWrite).write("garbage", at: Int64(older) * 4096 + 20)
            case .takenByPIDFile:
                try directory.unlink(name)
                try require(PIDFile(name, in: directory).tryLock()).release()
            }
        }

        private static let otherBoot = "11111111-2222-3333-4444-555555555555"

        private func mark(_ slot: Int, _ companion: FileName, _ directory: OpenDirectory) throws -> String {
            let text = try directory.open(companion, .read).read()
            let start = text.utf8.index(text.startIndex, offsetBy: slot * 4096 + 41, limitedBy: text.endIndex)
            return start.map { String(text[$0...].prefix(20)) } ?? ""
        }

        private func rewrite(
            _ name: FileName,
            in directory: OpenDirectory,
            _ change: (inout UInt64, inout ProcessIdentity) -> Void
        ) throws {
            let file = try directory.open(name, .readWrite)
            guard case .record(let record) = LockContents.read(file) else { throw Failed("no record") }
            var process = record.process
            var token = record.token?.value ?? 0
            change(&token, &process)
            try directory.writeRecord(of: process, to: name.description, token: token, limit: token + 1000)
        }
    }

    @Test("An older copy of the lock file that is put back repeats no token of this process")
    func olderCopy() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        let file = try LockFile(directory.name("a.lock"), in: directory)
        try require(file.tryLock()).release()
        let copy = try #require(fileSystem.contents(of: "/a.lock"))
        var last = FencingToken(0)
        for _ in 0..<5 {
            let lock = try require(file.tryLock())
            let token = lock.token ?? FencingToken(0)
            #expect(token > last)
            last = token
            try lock.release()
        }
        try fileSystem.write("/a.lock", copy)
        let next = try require(LockFile(directory.name("a.lock"), in: directory).tryLock())
        let token = next.token ?? FencingToken(0)
        #expect(token > last)
    }

    @Test("A mark is on the device before a token below it is given out: one flush for a million tokens")
    func reservation() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        let file = try LockFile(directory.name("a.lock"), in: directory)
        let first = try require(file.tryLock())
        let calls = fileSystem.calls
        func opened(_ name: String) -> Int32? { calls.first { $0.name == name && $0.opened != nil }?.opened }
        let (companion, own) = (opened(".a.lock.guard"), opened("a.lock"))
        let write = calls.firstIndex { $0.function == "pwritev" && $0.descriptor == companion } ?? -1
        let flush = calls.firstIndex { $0.function == "fsync" && $0.descriptor == companion } ?? -1
        let entry = calls.firstIndex { $0.function == "fsync" && $0.isOnDirectory } ?? -1
        let record = calls.lastIndex { $0.function == "pwritev" && $0.descriptor == own } ?? -1
        #expect(0 <= write && write < flush && flush < entry && entry < record)
        try first.release()
        fileSystem.resetCalls()
        for _ in 0..<1000 { try require(file.tryLock()).release() }
        #expect(!fileSystem.calls.contains { $0.function.hasSuffix("sync") })
    }

    @Test("A token is not given out whose mark could not be flushed")
    func flushFails() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        fileSystem.faults = .failEvery(with: EIO) { $0.function.hasSuffix("sync") }
        let file = try LockFile(directory.name("a.lock"), in: directory)
        let error = #expect(throws: LockError.self) { try require(file.tryLock()).release() }
        #expect(error?.code == .systemFailure)
        #expect(fileSystem.heldLocks.isEmpty)
        fileSystem.faults = .none
        try require(file.tryLock()).release()
    }

    @Test("Tokens that an attacker has driven to their end are an error, not a trap")
    func exhausted() throws {
        let directory = try SimulatedFileSystem().directory()
        let name = try directory.name("a.lock")
        for (token, limit) in [(UInt64.max, UInt64.max), (.max - 1, .max), (.max, 0), (.max - 5, 1)] {
            try directory.writeRecord(
                of: .current,
                to: "a.lock",
                token: token,
                limit: limit,
                acquiredMilliseconds: .max
            )
            let error = #expect(throws: LockError.self) {
                try require(LockFile(name, in: directory).tryLock()).release()
            }
            #expect(error?.code == .compromised)
            _ = try LockFile(name, in: directory).status()
        }
    }

    @Test("Whatever call fails, no token is given out twice and nothing stays held")
    func faults() throws {
        for trial in FaultTrials(
            .failure(EIO),
            .failure(EINTR),
            .failure(ENOSPC),
            .failure(EMFILE),
            .shortWrite(bytes: 5)
        ) {
            let fileSystem = trial.fileSystem
            let directory = try fileSystem.directory()
            let name = try directory.name("a.lock")
            let before = fileSystem.openDescriptorCount
            var tokens: [UInt64] = []
            func acquire() throws {
                let file = try LockFile(name, in: directory)
                for _ in 0..<3 {
                    let lock = try require(file.tryLock())
                    tokens.append(lock.token?.value ?? 0)
                    try lock.release()
                }
            }
            _ = trial.run { try acquire() }
            #expect(fileSystem.openDescriptorCount == before, "\(trial)")
            #expect(fileSystem.heldLocks.isEmpty, "\(trial)")
            try acquire()
            #expect(zip(tokens, tokens.dropFirst()).allSatisfy { $0 < $1 }, "\(trial): \(tokens)")
        }
    }
}
