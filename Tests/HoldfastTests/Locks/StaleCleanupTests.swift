// SPDX-License-Identifier: Apache-2.0
//
// The cleanup of lock files whose process is dead: the cases of the original protocol (TC-73-…), and what it got wrong.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory, .timeLimit(.minutes(60)))
struct StaleCleanupTests {
    @Test(
        "TC-73-1: a lock file that holds a dead PID is removed, and no .removing file is left",
        arguments: Ground.allCases
    )
    func deadPID(ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.write("a.lock", "\(Processes.deadPID)\n")
        guard case .removed = try clean("a.lock", in: directory) else { throw Failed("not removed") }
        #expect(try !directory.has("a.lock"))
        // The guard held no token mark.
        #expect(try directory.names() == [])
        #expect(try clean("a.lock", in: directory) == .absent)
        #expect(try directory.names() == [])
    }

    @Test(
        "TC-73-1: whatever surrounds the number",
        arguments: ["%", "%\n", "  %\n", "      %\n", "%\n \n\t", "%\r\n"]
    )
    func spellings(pattern: String) throws {
        let directory = try Ground.simulation.makeDirectory()
        try directory.write("a.lock", pattern.replacing("%", with: "\(Processes.deadPID)"))
        guard case .removed = try clean("a.lock", in: directory) else { throw Failed("not removed") }
    }

    @Test("TC-73-2: a lock file that holds a live PID is kept", arguments: Ground.allCases)
    func livePID(ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try Processes.withSleeper { pid in
            try directory.write("a.lock", "\(pid)\n")
            guard case .alive(let holder) = try clean("a.lock", in: directory) else { throw Failed("not alive") }
            #expect(holder.pid == pid)
            #expect(try directory.read("a.lock") == "\(pid)\n")
            // Nothing was to be done, so no companion was made either.
            #expect(try directory.names() == ["a.lock"])
        }
    }

    @Test("TC-73-3: that somebody else removes the file is no error, at whatever call it happens")
    func removedMeanwhile() throws {
        let dead = Processes.deadPID
        var outcomes: [StaleCleanup] = []
        for boundary in 1... {
            let fileSystem = SimulatedFileSystem()
            let directory = try fileSystem.directory()
            try directory.write("a.lock", "\(dead)\n")
            let file = try PIDFile(directory.name("a.lock"), in: directory)
            fileSystem.resetCalls()
            fileSystem.onCall = { number, _ in
                if number == boundary { fileSystem.remove("/a.lock") }
            }
            let outcome = try file.removeIfStale()
            fileSystem.onCall = nil
            outcomes.append(outcome)
            switch outcome {
            case .removed, .absent: break
            default: Issue.record("\(outcome) at call \(boundary): \(fileSystem.calls)")
            }
            let isLast = fileSystem.calls.count < boundary
            #expect(try !directory.has("a.lock"))
            #expect(try directory.names().filter { $0.contains("removing") }.isEmpty)
            if isLast { break }
        }
        #expect(outcomes.contains(.absent))
        #expect(outcomes.last == .removed(ProcessIdentity(pid: dead)))
        #expect(outcomes.count > 10)
    }

    @Test("A live lock that takes the dead one's place is never removed, at whatever call that happens")
    func replacedMeanwhile() throws {
        let dead = Processes.deadPID
        try Processes.withSleeper { pid in
            for boundary in 1... {
                let fileSystem = SimulatedFileSystem()
                let directory = try fileSystem.directory()
                try directory.write("a.lock", "\(dead)\n")
                let file = try PIDFile(directory.name("a.lock"), in: directory)
                fileSystem.resetCalls()
                // Another cleaner of the original kind removed the dead lock, and its new owner made a live one.
                fileSystem.onCall = { number, _ in
                    guard number == boundary, fileSystem.contents(of: "/a.lock") == Array("\(dead)\n".utf8) else {
                        return
                    }
                    fileSystem.remove("/a.lock")
                    try? fileSystem.write("/a.lock", Array("\(pid)\n".utf8))
                }
                let outcome = try file.removeIfStale()
                fileSystem.onCall = nil
                let calls = fileSystem.calls
                // The one call that no protocol in user space can guard against strangers is the rename right after the
                // last look; then the live lock is given back.
                if try !directory.has("a.lock") { #expect(outcome == .removed(ProcessIdentity(pid: dead))) }
                let isReplaced = calls.count >= boundary && outcome != .removed(ProcessIdentity(pid: dead))
                if isReplaced { #expect(try directory.read("a.lock") == "\(pid)\n", "call \(boundary): \(calls)") }
                #expect(try directory.names().filter { $0.contains("removing") }.isEmpty)
                if calls.count < boundary { break }
            }
        }
    }

    @Test("TC-73-4: a symbolic link is refused, and its target untouched", arguments: Ground.allCases)
    func symbolicLink(ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let text = "\(Processes.deadPID)\n"
        try directory.write("target", text)
        try directory.makeSymbolicLink("a.lock", to: "target")
        guard case .refused = try clean("a.lock", in: directory) else { throw Failed("not refused") }
        #expect(try directory.read("target") == text)
        #expect(try directory.has("a.lock"))
        #expect(try directory.names().count == 2)
    }

    @Test("What is not a lock file is refused without being opened", arguments: Ground.allCases)
    func notALockFile(ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.makeFIFO("fifo.lock")
        guard case .refused = try clean("fifo.lock", in: directory) else { throw Failed("fifo") }
        for text in [
            "not a PID", "12x", "-5", "0", "99999999999999999999", String(repeating: "1", count: 5000),
            "\(Processes.deadPID)\nC 0 0 0\nH 1 0 0\n", "\(Processes.deadPID)\u{0}",
            "\(Processes.deadPID)\u{a0}", "\(Processes.deadPID)" + String(repeating: " ", count: 4096),
            String(repeating: "\u{0}", count: 4096),
        ] {
            try directory.write("a.lock", text)
            guard case .refused = try clean("a.lock", in: directory) else { throw Failed("'\(text.prefix(30))'") }
            #expect(try directory.read("a.lock") == text)
        }
    }

    @Test("A lock file that somebody has locked is alive, whatever its PID says", arguments: Ground.allCases)
    func locked(ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let text = "\(Processes.deadPID)\n"
        for kind in [LockFamily.flock, .openFileDescription] {
            try directory.write("a.lock", text)
            let holder = try directory.open(directory.name("a.lock"), .readWrite)
            #expect(try holder.tryLock(kind, exclusive: true))
            guard case .alive = try clean("a.lock", in: directory) else { throw Failed("\(kind)") }
            holder.unlock(kind)
            guard case .removed = try clean("a.lock", in: directory) else { throw Failed("\(kind), closed") }
        }
    }

    @Test("A lock file that was released is free and kept; one whose holder died is removed, and its tokens go on")
    func lockFiles() throws {
        let directory = try OpenDirectory(TemporaryDirectory.current)
        let file = try LockFile(directory.name("a.lock"), in: directory)
        let first = try require(file.tryLock())
        let token = first.token ?? FencingToken(0)
        guard case .alive = try clean("a.lock", in: directory) else { throw Failed("held") }
        try first.release()
        #expect(try clean("a.lock", in: directory) == .free)
        try writeRecord(of: Processes.deadPID, token: 7, in: directory)
        guard case .abandoned = try file.status() else { throw Failed("\(try file.status())") }
        guard case .removed = try clean("a.lock", in: directory) else { throw Failed("not removed") }
        let next = try require(file.tryLock())
        let nextToken = next.token ?? FencingToken(0)
        #expect(nextToken > token && nextToken > FencingToken(7))
    }

    @Test(
        "What a program appended to a record does not hide it, and is never removed or overwritten",
        arguments: ["\n", "appended\n", "4711\n", String(repeating: "x", count: 5000)]
    )
    func appended(text: String) throws {
        let directory = try OpenDirectory(TemporaryDirectory.current)
        let file = try LockFile(directory.name("a.lock"), in: directory)
        func append() throws {
            let opened = try directory.open(directory.name("a.lock"), .readWrite)
            try opened.write(text, at: Int64(LockRecordLayout.size))
        }
        let first = try require(file.tryLock())
        try append()
        guard case .held(let holder) = try file.status() else { throw Failed("\(try file.status())") }
        #expect(holder.record?.process == .current)
        // Nor does the release blank line 1 of what is our record no more.
        let held = try directory.read("a.lock")
        try first.release()
        #expect(try directory.read("a.lock") == held)
        try writeRecord(of: Processes.deadPID, in: directory)
        let content = try directory.read("a.lock")
        guard case .unknown = try file.status() else { throw Failed("\(try file.status())") }
        guard case .refused = try clean("a.lock", in: directory) else { throw Failed("not refused") }
        let error = #expect(throws: LockError.self) { try require(file.tryLock()).release() }
        #expect(error?.code == .refused)
        #expect(try directory.read("a.lock") == content)
        // A shared lock writes nothing.
        try require(file.tryLock(.shared)).release()
    }

    @Test(
        "A record without its lock is of a holder that has gone, whatever its PID names",
        arguments: [true, false]
    )
    func withoutItsLock(isOfAnotherNamespace: Bool) throws {
        let directory = try OpenDirectory(TemporaryDirectory.current)
        // Our own PID, or one of another PID namespace, in which it may be any process's.
        try writeRecord(of: getpid(), in: directory) { process in
            if isOfAnotherNamespace { process.pidNamespace = 1 } else { process = .current }
        }
        guard case .abandoned = try LockFile(directory.name("a.lock"), in: directory).status() else {
            throw Failed("not abandoned")
        }
        guard case .removed = try clean("a.lock", in: directory) else { throw Failed("not removed") }
        #expect(try !directory.has("a.lock"))
    }

    @Test("A record of another boot is dead on a local file system, unknown on a shared one", arguments: [false, true])
    func otherBoot(isShared: Bool) throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        fileSystem.isShared = isShared
        try writeRecord(of: getpid(), in: directory) { $0.bootID = "00000000-0000-0000-0000-000000000000" }
        switch try clean("a.lock", in: directory) {
        case .removed: #expect(!isShared)
        case .unknown: #expect(isShared)
        case let outcome: Issue.record("\(outcome)")
        }
    }

    @Test("A cleanup that fails at any call leaves no descriptor, no lock and no .removing file")
    func faults() throws {
        let dead = Processes.deadPID
        for trial in FaultTrials(.failure(EIO), .failure(EINTR), .failure(ENOSPC), .failure(EMFILE)) {
            let fileSystem = trial.fileSystem
            let directory = try fileSystem.directory()
            try directory.write("a.lock", "\(dead)\n")
            let file = try PIDFile(directory.name("a.lock"), in: directory)
            let before = fileSystem.openDescriptorCount
            _ = trial.run { try file.removeIfStale() }
            #expect(fileSystem.openDescriptorCount == before, "\(trial)")
            #expect(fileSystem.heldLocks.isEmpty, "\(trial)")
            // A second cleanup finishes what a failed unlink left.
            try directory.write("a.lock", "\(dead)\n")
            guard case .removed = try file.removeIfStale() else { throw Failed("\(trial)") }
            #expect(try directory.names() == [], "\(trial)")
        }
    }

    private func clean(_ name: String, in directory: OpenDirectory) throws -> StaleCleanup {
        try PIDFile(directory.name(name), in: directory).removeIfStale()
    }

    /// A lock file as a process that holds it leaves it when it dies.
    private func writeRecord(
        of pid: Int32,
        token: UInt64 = 0,
        in directory: OpenDirectory,
        changing change: (inout ProcessIdentity) -> Void = { _ in }
    ) throws {
        var process = ProcessIdentity.current
        process.pid = pid
        process.startTime = 1
        process.pidfdInode = nil
        change(&process)
        try directory.writeRecord(of: process, to: "a.lock", token: token, limit: token)
    }
}
