// SPDX-License-Identifier: Apache-2.0
//
// Files that are not ours to write to, under the names that locks, guards, PID files and states use: no role overwrites or
// removes one.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory, .timeLimit(.minutes(60)))
struct ForeignContentsTests {
    /// What begins as a lock file does, or is as long as one, and is something else.
    static let contents: [String: [UInt8]] = {
        var process = ProcessIdentity.current
        process.pid = Processes.deadPID
        let record = unsafe [UInt8](unsafeUninitializedCapacity: LockRecordLayout.size) { buffer, count in
            let template = LockRecordTemplate(process: process, family: .flock, label: "test")
            unsafe template.fill(UnsafeMutableRawBufferPointer(buffer), token: 0, limit: 0, acquiredMilliseconds: 1)
            count = LockRecordLayout.size
        }
        let dead = Array("\(Processes.deadPID)\n".utf8)
        return [
            "large": (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ $0 >> 8) },
            "number": Array("100000000\nC 0 0 0\nH 1 0 0\n".utf8),
            "PID and a line": dead + Array("/var/lib/database\n".utf8),
            "PID and a NUL": dead + [0],
            "PID and a space of Unicode": dead + Array("\u{a0}".utf8),
            "text": Array("precious\n".utf8),
            "record and a byte": record + [0x20],
            "record and data": record + [UInt8](repeating: 0x78, count: 100_000),
            "two records": record + record,
            "record behind a line": Array("notes\n".utf8) + record,
            "NULs": [UInt8](repeating: 0, count: 4096),
            "one NUL more than a record": [UInt8](repeating: 0, count: 513),
            "NULs of a guard and more": [UInt8](repeating: 0, count: 200) + [1] + [UInt8](repeating: 0, count: 9000),
            "length of a record": [UInt8](repeating: 0x78, count: 512),
            "length of a mark": [UInt8](repeating: 0x78, count: 128),
            "length of a guard": [UInt8](repeating: 0x78, count: 4224),
            "4096 bytes": [UInt8](repeating: 0x31, count: 4096),
            "4097 bytes": [UInt8](repeating: 0x31, count: 4097),
            "another magic": Array("12\nholdfast-locks are fine\n".utf8),
        ]
    }()

    static let names = contents.keys.sorted()

    /// What may be done under a name, and the file that it must leave alone.
    enum Role: CaseIterable {
        case lock, pidFile, clean, sidecar, convert, guardOfLock, guardOfClean

        var fileName: String {
            switch self {
            case .lock, .pidFile, .clean: "a.lock"
            case .sidecar, .convert: ".state.lock"
            case .guardOfLock, .guardOfClean: ".a.lock.guard"
            }
        }

        /// Whether there is something to be refused in this role.
        func mayBeRefused(_ name: String) -> Bool {
            self != .guardOfClean && !(isSidecar && name == "length of a record")
        }

        private var isSidecar: Bool { self == .sidecar || self == .convert }

        func act(in directory: OpenDirectory) throws {
            let name = try directory.name("a.lock")
            switch self {
            case .lock, .guardOfLock: try require(LockFile(name, in: directory).tryLock()).release()
            case .pidFile: try require(PIDFile(name, in: directory).tryLock()).release()
            case .clean:
                let outcome = try PIDFile(name, in: directory).removeIfStale()
                guard case .refused = outcome else { throw Failed("\(outcome)") }
                throw LockError(.refused, path: "", reason: "")
            case .sidecar: try directory.state().save([1])
            case .convert: _ = try directory.state().convert(to: .twoSlot)
            case .guardOfClean:
                try directory.write("a.lock", "\(Processes.deadPID)")
                guard case .removed = try PIDFile(name, in: directory).removeIfStale() else { throw Failed("kept") }
            }
        }
    }

    @Test("A file that is no whole record, nor a bare PID, is neither overwritten nor removed", arguments: names)
    func keepsData(_ content: String) throws {
        let bytes = try #require(Self.contents[content])
        for ground in Ground.allCases {
            for role in Role.allCases {
                let directory = try ground.makeDirectory(named: "\(role)")
                if role == .convert { try directory.state().save([1]) }
                try directory.put("data", bytes)
                // By a hard link too: what is written to the one name is written to the other.
                let name = try directory.name(role.fileName)
                try? directory.unlink(name)
                try directory.link(directory.name("data"), to: name)
                do {
                    try role.act(in: directory)
                    #expect(!role.mayBeRefused(content), "\(ground), \(role)")
                } catch let error as LockError {
                    #expect(role.mayBeRefused(content) && error.code == .refused, "\(ground), \(role): \(error)")
                } catch let error as StateError {
                    #expect(role.mayBeRefused(content) && error.code == .notLocked, "\(ground), \(role): \(error)")
                    #expect((error.underlying as? LockError)?.code == .refused)
                }
                #expect(try directory.bytes(of: "data") == bytes, "\(ground), \(role)")
                let isSame = try directory.identity(of: name) == directory.identity(of: directory.name("data"))
                #expect(isSame, "\(ground), \(role): removed or replaced")
            }
        }
    }

    @Test("The lock file of a state that holds a living PID is respected, and left alone", arguments: Ground.allCases)
    func livingPIDInSidecar(ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try Processes.withSleeper { pid in
            try directory.write(".state.lock", "\(pid)\n")
            let error = try stateError { try directory.state().save([1], deadline: .now + .milliseconds(20)) }
            #expect(error.code == .timedOut)
            #expect(try directory.read(".state.lock") == "\(pid)\n")
        }
    }

    @Test(
        "What a power cut leaves of a lock file shuts no writer of a state out",
        arguments: ["", String(repeating: "\u{0}", count: 512), "12\nholdfast", "12\nholdfast-lock 1 0123", "4711\n"],
        Ground.allCases
    )
    func powerCut(content: String, ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.write(".state.lock", content.replacing("4711", with: "\(Processes.deadPID)"))
        try directory.state().save([1])
        #expect(try directory.read(".state.lock").utf8.count == LockRecordLayout.size)
    }

    @Test("A conversion of no state touches nothing", arguments: [StateStrategy.twoSlot, .replace])
    func convertsNothing(strategy: StateStrategy) throws {
        let directory = try Ground.kernel.makeDirectory()
        #expect(try stateError { _ = try directory.state().convert(to: strategy) }.code == .notFound)
        #expect(try directory.names() == [])
    }

    @Test("Data that lands in a held lock or PID file is left there by the release", arguments: Ground.allCases)
    func writtenWhileHeld(ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let name = try directory.name("a.lock")
        for isPIDFile in [false, true] {
            let lock = try require(
                isPIDFile ? PIDFile(name, in: directory).tryLock() : LockFile(name, in: directory).tryLock()
            )
            try directory.write("a.lock", "precious\n")
            try lock.release()
            #expect(try directory.read("a.lock") == "precious\n")
            try directory.unlink(name)
        }
    }

    @Test("Data under the private names of dead makers and cleaners is not swept with what they left", arguments: names)
    func keepsPrivateNames(_ content: String) throws {
        let bytes = try #require(Self.contents[content])
        // Nothing tells a file of this length from a record that a power cut tore.
        if content == "length of a record" { return }
        let directory = try Ground.simulation.makeDirectory()
        let names = ["removing", "publishing"].map { ".a.lock.0123456789abcdef.\($0)" }
        for name in names { try directory.put(name, bytes) }
        try directory.write(".a.lock.fedcba9876543210.removing", "\(Processes.deadPID)")
        try directory.write("a.lock", "\(Processes.deadPID)")
        guard case .removed = try PIDFile(directory.name("a.lock"), in: directory).removeIfStale() else {
            throw Failed("kept")
        }
        for name in names { #expect(try directory.bytes(of: name) == bytes) }
        #expect(try directory.names() == names.sorted())
    }

    @Test("What a power cut leaves of a guard keeps no process out, and its tokens grow", arguments: [0, 1])
    func tornGuard(slot: Int) throws {
        let directory = try SimulatedFileSystem().directory()
        let name = try directory.name("a.lock")
        // The first mark in a file of full length, and one of two marks.
        func reserve() throws -> UInt64 {
            switch try TokenReservation.reserve(above: 0, for: name, in: directory) {
            case .reserved(let first, _): return first
            case .busy(let holder): throw Failed("\(holder)")
            }
        }
        var last = try reserve()
        if slot == 1 { last = try reserve() }
        let guardFile = try directory.open(directory.name(".a.lock.guard"), .readWrite)
        #expect(try guardFile.status().size == 4224)
        try guardFile.write(String(repeating: "g", count: slot == 0 ? 512 : 128), at: Int64(slot * 4096))
        let next = try reserve()
        if slot == 1 { #expect(next == last) } else { #expect(next == 1) }
    }
}
