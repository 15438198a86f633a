// SPDX-License-Identifier: Apache-2.0
//
// What a person reads who does not get a lock: which process, and what helps. Both only where they are right.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory, .timeLimit(.minutes(60)))
struct LockMessageTests {
    private func timeOut(_ lock: () throws(LockError) -> HeldLock) throws -> LockError {
        do throws(LockError) {
            try lock().release()
        } catch {
            return error
        }
        throw Failed("not busy")
    }

    @Test("That deleting the file would not help is said of a kernel lock, and not of a bare PID or an empty file")
    func remedies() async throws {
        let directory = try Ground.kernel.makeDirectory()
        let name = try directory.name("a.pid")
        let (lockFile, pidFile) = (try LockFile(name, in: directory), try PIDFile(name, in: directory))
        let words = "deleting the file would not free the lock"
        try Processes.withSleeper { pid in
            try directory.write("a.pid", "\(pid)\n")
            let errors = [
                try timeOut { () throws(LockError) in try lockFile.lock(deadline: .now) },
                try timeOut { () throws(LockError) in try pidFile.lock(deadline: .now) },
                // The same of one that waited.
                try timeOut { () throws(LockError) in try pidFile.lock(deadline: .now + .milliseconds(30)) },
            ]
            for error in errors {
                #expect(error.description.contains("process \(pid)"))
                #expect(!error.description.contains(words), "\(error)")
                #expect(error.description.contains("delete the file"), "\(error)")
            }
        }
        try directory.write("a.pid", "")
        let empty = try timeOut { () throws(LockError) in try pidFile.lock(deadline: .now) }
        #expect(empty.description.contains("if no daemon is starting, delete the file"), "\(empty)")
        #expect(!empty.description.contains(words))
        try directory.unlink(name)
        let held = try await require(pidFile.tryLock())
        let locked = try await Task.detached {
            try timeOut { () throws(LockError) in try PIDFile(name, in: directory).lock(deadline: .now) }
        }.value
        #expect(locked.description.contains(words))
        try held.release()
    }

    @Test("A PID of another PID namespace is not called by what has that number here", arguments: Ground.allCases)
    func otherNamespace(ground: Ground) throws {
        let directory = try ground.makeDirectory()
        var process = ProcessIdentity(pid: 1)
        process.pidNamespace = 1
        try directory.writeRecord(of: process, to: "a.lock", label: "inside")
        let file = try directory.open(directory.name("a.lock"), .readWrite)
        let holder = LockHolder.find(file)
        #expect(holder.description.contains("process 1 of another PID namespace (inside)"), "\(holder)")
        // Where the kernel's table shows a holder, that has another number here.
        #expect(try file.tryLock(.flock, exclusive: true))
        let named = LockHolder.find(file)
        if named.isNamedByKernel {
            #expect(named.pid == getpid())
            #expect(
                named.description.contains("the record says process 1 of another PID namespace, inside"),
                "\(named)"
            )
        }
    }

    @Test("The holder of a mutex is called by a name only if that process has the arena open")
    func mutexHolder() throws {
        let path = TemporaryDirectory.current + "/arena"
        let (first, second) = (try MutexArena(path, count: 1), try MutexArena(path, count: 1))
        let lock = try first[0].lock()
        do throws(LockError) {
            try second[0].lock(deadline: .now).release()
            throw LockError(.busy, path: path, reason: "not busy")
        } catch {
            #expect(error.code == .timedOut)
            #expect(error.holder?.pid == getpid())
            #expect(error.holder?.name == ProcessIdentity.name(of: getpid()))
        }
        // As a process of another PID namespace has it, whose number here is any process's.
        let arena = try OpenDirectory(TemporaryDirectory.current)
        try arena.open(arena.name("arena"), .readWrite).write(
            "\u{1}\u{0}\u{0}\u{0}",
            at: Int64(ArenaLayout.slotTable + 4)
        )
        do throws(LockError) {
            try second[0].lock(deadline: .now).release()
        } catch {
            #expect(error.holder?.pid == 1)
            #expect(error.holder?.name == nil)
            #expect(error.description.contains("as its own PID namespace numbers it"), "\(error)")
        }
        try lock.release()
    }

    @Test("A bare PID that is older than its process stays respected, and status and cleanup say how old it is")
    func oldBarePID() throws {
        let directory = try Ground.kernel.makeDirectory()
        let path = "\(directory.path)/a.pid"
        try Processes.withSleeper { pid in
            try directory.write("a.pid", "\(pid)\n")
            func evidence() throws -> [String] {
                let name = try directory.name("a.pid")
                guard case .held(let held) = try LockFile(name, in: directory).status(),
                    case .alive(let alive) = try PIDFile(name, in: directory).removeIfStale(),
                    case .busy(let busy) = try PIDFile(name, in: directory).tryLock()
                else { throw Failed("not respected") }
                return [held.note ?? "", alive.note ?? "", busy.note ?? ""]
            }
            for note in try evidence() { #expect(!note.contains("older"), "\(note)") }
            guard ProcessIdentity.startTime(of: pid) != nil else {
                print("NOT RUN: \(#function): /proc does not show when a process began")
                return
            }
            let old: [FileAttributeKey: Any] = [.modificationDate: Date(timeIntervalSince1970: 1_000_000_000)]
            try FileManager.default.setAttributes(old, ofItemAtPath: path)
            for note in try evidence() {
                #expect(note.contains("the file is older than this boot (written 2001-09-09T01:46:40Z"), "\(note)")
            }
            #expect(try directory.read("a.pid") == "\(pid)\n")
        }
    }

    @Test("A dead bare PID is abandoned to status as it is to the cleanup, which can look first")
    func deadBarePID() throws {
        let directory = try Ground.kernel.makeDirectory()
        try directory.write("a.pid", "\(Processes.deadPID)\n")
        let file = try PIDFile(directory.name("a.pid"), in: directory)
        guard case .abandoned(let record) = try LockFile(directory.name("a.pid"), in: directory).status() else {
            throw Failed("not abandoned")
        }
        #expect(record.process == ProcessIdentity(pid: Processes.deadPID))
        #expect(try file.removeIfStale(dryRun: true) == .removed(record.process))
        #expect(try directory.names() == ["a.pid"])
        #expect(try file.removeIfStale() == .removed(record.process))
        #expect(try directory.names() == [])
    }

    static let sentences: [(call: String, code: Int32, words: String)] = [
        ("openat", EPERM, "immutable"), ("openat", EOVERFLOW, "user namespace"),
        ("openat(O_TMPFILE)", EPERM, "immutable"),
        ("unlinkat", EPERM, "immutable"), ("renameat", EPERM, "immutable"), ("linkat", EPERM, "immutable"),
        ("fchown", EPERM, "another user"), ("fchown", EINVAL, "user namespace"),
    ]

    @Test("Immutable files and owners without a number have sentences of their own", arguments: sentences.indices)
    func sentence(_ index: Int) throws {
        let (call, code, words) = Self.sentences[index]
        let error = LockError(
            .systemFailure,
            path: "a.lock",
            reason: "could not open it",
            cause: SystemError(call: call, code: code)
        )
        #expect(error.description.contains(words), "\(error)")
    }

    @Test("An immutable lock file, or state, is called immutable")
    func immutable() throws {
        let directory = try Ground.kernel.makeDirectory()
        try directory.write("a.lock", "")
        try directory.state().save([1])
        let names = ["a.lock", "state"]
        let change = try? Child("/usr/bin/env", ["chattr", "+i"] + names.map { "\(directory.path)/\($0)" })
        defer {
            _ = try? Child("/usr/bin/env", ["chattr", "-i"] + names.map { "\(directory.path)/\($0)" }).wait()
        }
        guard change?.wait() == 0 else {
            print("NOT RUN: \(#function): no file can be made immutable here")
            return
        }
        let file = try LockFile(directory.name("a.lock"), in: directory)
        let error = try timeOut { () throws(LockError) in try file.lock(deadline: .now) }
        #expect(error.code == .systemFailure)
        #expect(error.description.contains("is immutable or append-only"), "\(error)")
        let stateError = try stateError { try directory.state().save([2]) }
        #expect(stateError.description.contains("is immutable or append-only"), "\(stateError)")
    }

    @Test(
        "A label is cut off between two characters, and a blank one is no label",
        arguments: [
            ("", nil), (" \n", nil), (String(repeating: "é", count: 40), String(repeating: "é", count: 32)),
            ("x" + String(repeating: "é", count: 40), "x" + String(repeating: "é", count: 31)),
            (String(repeating: "🇩🇪", count: 9), String(repeating: "🇩🇪", count: 8)),
            ("a" + String(repeating: "\u{301}", count: 40), "a" + String(repeating: "\u{301}", count: 31)),
            ("x\u{0}\ny", "x??y"), ("a b = c label=x", "a b = c label=x"),
        ] as [(String, String?)]
    )
    func labels(label: String, expected: String?) throws {
        let directory = try Ground.kernel.makeDirectory()
        let lock = try require(LockFile(directory.name("a.lock"), in: directory, label: label).tryLock())
        let text = try directory.read("a.lock")
        #expect(!text.contains("\u{fffd}"))
        guard case .held(let holder) = try LockFile(directory.name("a.lock"), in: directory).status() else {
            throw Failed("not held")
        }
        #expect(holder.record?.label == expected ?? ProcessIdentity.name(of: getpid()))
        try lock.release()
    }
}
