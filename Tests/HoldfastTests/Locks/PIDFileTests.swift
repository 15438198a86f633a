// SPDX-License-Identifier: Apache-2.0
//
// Making, taking over and removing PID files.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory, .timeLimit(.minutes(60)))
struct PIDFileTests {
    @Test(
        "A PID file has the PID on line 1, excludes others, and is gone after the release",
        arguments: Ground.allCases
    )
    func lifetime(ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let name = try directory.name("service.pid")
        let (first, second) = (try PIDFile(name, in: directory), try PIDFile(name, in: directory))
        for _ in 0..<3 {
            let lock = try require(first.tryLock())
            #expect(lock.token == nil)
            #expect(try directory.read("service.pid").hasPrefix("\(getpid())\n"))
            try expectBusy(second.tryLock())
            guard case .alive = try second.removeIfStale() else { throw Failed("not alive") }
            try lock.release()
            #expect(try directory.names() == [])
        }
        do {
            let lock = try require(first.tryLock())
            _ = lock.mode
        }
        #expect(try directory.names() == [])
    }

    @Test("No reader ever finds a new PID file empty or unlocked: it gets its name last")
    func publication() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        let file = try PIDFile(directory.name("service.pid"), in: directory)
        fileSystem.onCall = { _, call in
            guard let bytes = fileSystem.contents(of: "/service.pid") else { return }
            #expect(String(decoding: bytes, as: UTF8.self).hasPrefix("\(getpid())\n"))
            #expect(!fileSystem.heldLocks.isEmpty, "\(call)")
        }
        let lock = try require(file.tryLock())
        let order = fileSystem.calls.map(\.function).filter { ["flock", "pwritev", "linkat"].contains($0) }
        #expect(order == ["flock", "pwritev", "linkat"])
        fileSystem.onCall = nil
        try lock.release()
    }

    @Test(
        "Without O_TMPFILE, or without /proc, a private name serves and is not left behind",
        arguments: [false, true]
    )
    func withoutUnnamedFiles(hasUnnamedFiles: Bool) throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        fileSystem.faults =
            hasUnnamedFiles
            ? .failEvery(with: ENOENT) { $0.name?.hasPrefix("/proc/") == true }
            : .failEvery(with: EOPNOTSUPP) { $0.flags.contains("O_TMPFILE") }
        let file = try PIDFile(directory.name("service.pid"), in: directory)
        let lock = try require(file.tryLock())
        #expect(fileSystem.names(in: "/") == ["service.pid"])
        try lock.release()
        #expect(fileSystem.names(in: "/") == [])
        // One that died before it gave its file a name leaves it to the next.
        try fileSystem.write("/.service.pid.0123456789abcdef.publishing", Array("1\n".utf8))
        try require(file.tryLock()).release()
        #expect(fileSystem.names(in: "/") == [])
    }

    @Test("A process that may not remove its PID file any more takes its PID out of it", arguments: [EACCES, EPERM])
    func releaseWithoutPrivileges(_ code: Int32) throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        let file = try PIDFile(directory.name("service.pid"), in: directory)
        let lock = try require(file.tryLock())
        fileSystem.faults = .failEvery(with: code) { $0.function == "unlinkat" }
        try lock.release()
        fileSystem.faults = .none
        #expect(try directory.read("service.pid").split(separator: "\n").first?.allSatisfy { $0 == " " } == true)
        #expect(fileSystem.heldLocks.isEmpty && fileSystem.openDescriptorCount == 1)
        #expect(try LockFile(directory.name("service.pid"), in: directory).status() == .free)
        let next = try require(file.tryLock())
        #expect(next.abandoned == nil)
        try next.release()
        #expect(try directory.names() == [])
    }

    @Test("A user who may read a PID file can lock it, and so keep the service from starting")
    func readersCanLock() throws {
        let directory = try Ground.kernel.makeDirectory()
        try directory.write("service.pid", "\(Processes.deadPID)\n")
        let file = try PIDFile(directory.name("service.pid"), in: directory)
        do {
            let reader = try directory.open(directory.name("service.pid"), .read)
            #expect(try reader.tryLock(.flock, exclusive: true))
            try expectBusy(file.tryLock())
            reader.unlock(.flock)
        }
        try require(file.tryLock()).release()
        // Without a right to read it there is nothing to lock.
        let lock = try require(PIDFile(directory.name("service.pid"), in: directory, permissions: 0o600).tryLock())
        #expect(try directory.status("service.pid").permissions == 0o600)
        try lock.release()
    }

    @Test(
        "The PID file of a process that died is taken over in place, and that is reported",
        arguments: Ground.allCases
    )
    func adoption(ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let name = try directory.name("service.pid")
        var process = ProcessIdentity.current
        process.pid = Processes.deadPID
        try directory.writeRecord(of: process, to: "service.pid", label: "died")
        let before = try directory.status(of: name)?.identity
        let lock = try require(PIDFile(name, in: directory).tryLock())
        #expect(lock.abandoned?.record?.process == process)
        #expect(lock.abandoned?.record?.label == "died")
        #expect(try directory.status(of: name)?.identity == before)
        #expect(try directory.read("service.pid").hasPrefix("\(getpid())\n"))
    }

    @Test("The bare PID file of another program is taken over when its process is dead", arguments: Ground.allCases)
    func bareDeadPID(ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.write("service.pid", "\(Processes.deadPID)\n" + String(repeating: " \n", count: 300))
        let file = try PIDFile(directory.name("service.pid"), in: directory)
        let lock = try require(file.tryLock())
        let text = try directory.read("service.pid")
        #expect(text.hasPrefix("\(getpid())\n"))
        #expect(text.utf8.count == LockRecordLayout.size)
        try lock.release()
        #expect(try directory.names() == [])
    }

    @Test(
        "The bare PID file of another program is respected while its process lives, and waited for",
        arguments: Ground.allCases
    )
    func bareLivePID(ground: Ground) async throws {
        let directory = try ground.makeDirectory()
        let file = try PIDFile(directory.name("service.pid"), in: directory)
        let child = try Child("/bin/sleep", ["7200"])
        try directory.write("service.pid", "\(child.pid)\n")
        switch try await file.tryLock() {
        case .acquired: throw Failed("acquired")
        case .busy(let holder): #expect(holder.pid == child.pid)
        }
        let error = await #expect(throws: LockError.self) {
            try await file.lock(deadline: .now + .milliseconds(30)).release()
        }
        #expect(error?.code == .timedOut)
        #expect(try directory.read("service.pid") == "\(child.pid)\n")
        let waiter = Task { try await file.lock().release() }
        child.signal(SIGKILL)
        child.wait()
        try await waiter.value
        #expect(try directory.names() == [])
    }

    @Test("An empty file is not taken over: its maker may be about to write", arguments: Ground.allCases)
    func emptyFile(ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.write("service.pid", "")
        try expectBusy(PIDFile(directory.name("service.pid"), in: directory).tryLock())
        #expect(try directory.read("service.pid") == "")
    }

    @Test("What is no PID file is refused and left alone", arguments: Ground.allCases)
    func refused(ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.write("text", "some configuration\n")
        try directory.makeSymbolicLink("link", to: "text")
        try directory.makeFIFO("fifo")
        for name in ["text", "link", "fifo"] {
            let file = try PIDFile(directory.name(name), in: directory)
            let error = #expect(throws: LockError.self) { try require(file.tryLock()).release() }
            #expect(error?.code == .refused)
        }
        #expect(try directory.read("text") == "some configuration\n")
    }

    @Test("A PID file that somebody deleted is not recreated, nor its successor removed, at the release")
    func deletedByAnother() throws {
        let directory = try Ground.simulation.makeDirectory()
        let name = try directory.name("service.pid")
        let first = try require(PIDFile(name, in: directory).tryLock())
        try directory.unlink(name)
        #expect(try !first.isStillInPlace())
        let second = try require(PIDFile(name, in: directory).tryLock())
        try first.release()
        #expect(try second.isStillInPlace())
        try second.release()
        #expect(try directory.names() == [])
    }

    @Test("Whatever call fails, the PID file is ours and whole, or not ours, and nothing is left behind")
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
            let file = try PIDFile(directory.name("service.pid"), in: directory)
            let before = fileSystem.openDescriptorCount
            let outcome = trial.run { () throws in
                let lock = try require(file.tryLock())
                #expect(try lock.isStillInPlace())
                try lock.release()
            }
            #expect(fileSystem.openDescriptorCount == before, "\(trial): \(outcome)")
            #expect(fileSystem.heldLocks.isEmpty, "\(trial)")
            // What a failed release leaves can be taken over at once.
            try require(file.tryLock()).release()
            #expect(try directory.names() == [], "\(trial)")
        }
    }
}
