// SPDX-License-Identifier: Apache-2.0
//
// Locks between processes: death, fork, namespaces, flock(1). The other process is an exit test's, or a program.

import Foundation
import Holdfast
import Synchronization
import Testing
import _HoldfastCShims

@Suite(.temporaryDirectory, .timeLimit(.minutes(60)))
struct LockProcessTests {
    private var path: String { TemporaryDirectory.current + "/a.lock" }

    @Test("The lock of a holder that was killed is had at once, and its death reported once, with its record")
    func abandoned() async throws {
        let path = path
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
            let lock = try await LockFile(path, label: "the one that died").lock()
            print(lock.token as Any)
            kill(getpid(), SIGKILL)
            _ = lock.mode
        }
        let file = try LockFile(path)
        guard case .abandoned(let record) = try file.status() else { throw Failed("\(try file.status())") }
        let first = try await require(file.tryLock())
        #expect(first.abandoned?.record == record)
        #expect(first.abandoned?.record?.label == "the one that died")
        #expect(first.abandoned?.record?.process.pid != getpid())
        #expect(first.abandoned?.record?.token == FencingToken(1))
        #expect(first.token == FencingToken(2))
        #expect(Liveness.of(record.process).isDead)
        try first.release()
        #expect(try await require(file.tryLock()).abandoned == nil)
    }

    @Test("An attempt that fails has let go when it returns, also while processes are being spawned")
    func failedAttempts() throws {
        try "somebody's data".write(toFile: path, atomically: false, encoding: .utf8)
        let (refused, reader) = (try LockFile(path), try LockFile(path))
        let isOver = Atomic(false)
        let thread = Thread {
            // Each of them has copies of all descriptors until its exec.
            for _ in 0..<50 { _ = try? Child("/bin/true").wait() }
            isOver.store(true, ordering: .releasing)
        }
        thread.start()
        while !isOver.load(ordering: .acquiring) {
            #expect(throws: LockError.self) { try require(refused.tryLock()).release() }
            try require(reader.tryLock(.shared)).release()
        }
    }

    @Test("A process that ends without a release, by exit, has died too; one that lets its guard go has not")
    func ends() async throws {
        let path = path
        await #expect(processExitsWith: .success) { [path = path as String] in
            let lock = try await LockFile(path).lock()
            exit(lock.token == nil ? 1 : 0)
        }
        #expect(try require(try await LockFile(path).tryLock()).abandoned != nil)
        await #expect(processExitsWith: .success) { [path = path as String] in
            let lock = try await LockFile(path).lock()
            _ = consume lock
        }
        #expect(try require(try await LockFile(path).tryLock()).abandoned == nil)
    }

    @Test("flock(1) excludes this library, and is excluded by it")
    func flockUtility() throws {
        let file = try LockFile(path)
        let lock = try require(file.tryLock())
        #expect(try Child("/usr/bin/flock", ["-n", path, "true"]).wait() == 1)
        #expect(try Child("/usr/bin/flock", ["-n", "-s", path, "true"]).wait() == 1)
        try lock.release()
        #expect(try Child("/usr/bin/flock", ["-n", path, "true"]).wait() == 0)
        let other = try Child("/usr/bin/flock", ["--no-fork", path, "sh", "-c", "echo locked; exec sleep 7200"])
        try other.waitForOutput("locked")
        try expectBusy(file.tryLock())
        guard case .held(let holder) = try file.status() else { throw Failed("not held") }
        // The kernel's table names whoever called flock(2), by now the sleeping command.
        #expect(holder.pid == other.pid)
        other.signal(SIGKILL)
        other.wait()
    }

    @Test("After a fork the child only closes: neither lock nor record of its parent changes")
    func fork() async throws {
        let path = path
        await #expect(processExitsWith: .success) { [path = path as String] in
            let file = try LockFile(path)
            for _ in 0..<2 { try await file.lock().release() }
            let lock = try await file.lock()
            // Swift hides fork(2); the C module has no reason to wrap it.
            let child = forked()
            if child == 0 {
                // The end of the child's copy of the guard, and an attempt through the inherited file object.
                try? lock.release()
                let isBusy = if case .busy? = try? await file.tryLock() { true } else { false }
                _exit(isBusy ? 0 : 1)
            }
            var status: Int32 = 0
            while unsafe waitpid(child, &status, 0) == -1, errno == EINTR {}
            precondition(status == 0, "the child got its parent's lock")
            guard case .held(let holder) = try file.status(), holder.record?.process == .current else {
                preconditionFailure("the parent's lock is gone")
            }
            try lock.release()
            guard case .free = try file.status() else { preconditionFailure("not free") }
        }
    }

    @Test("A lock does not leak into a program that is executed meanwhile")
    func closeOnExec() throws {
        let file = try LockFile(path)
        for _ in 0..<2 { try require(file.tryLock()).release() }
        let lock = try require(file.tryLock())
        let child = try Child("/bin/sleep", ["7200"])
        try lock.release()
        try require(try LockFile(path).tryLock()).release()
        _ = child.pid
    }

    @Test("A process of another PID namespace is unknown to the evidence, and alive while it holds the kernel's lock")
    func namespaces() throws {
        let pidPath = TemporaryDirectory.current + "/bare.pid"
        guard let other = try? Child("/usr/bin/unshare", ["--pid", "--fork", "--kill-child", "true"]), other.wait() == 0
        else {
            print("NOT RUN: unshare(1) may not make a PID namespace here")
            return
        }
        let holder = try Child(
            "/usr/bin/unshare",
            [
                "--pid", "--fork", "--kill-child", "sh", "-c",
                "echo $$ > \(pidPath); exec flock \(pidPath) sh -c 'echo locked; exec sleep 7200'",
            ]
        )
        try holder.waitForOutput("locked")
        let file = try PIDFile(pidPath)
        #expect(try String(contentsOfFile: pidPath, encoding: .utf8) == "1\n")
        guard case .alive = try file.removeIfStale() else { throw Failed("\(try file.removeIfStale())") }
        try expectBusy(file.tryLock())
        holder.signal(SIGKILL)
        holder.wait()
    }

    @Test("What a process of another PID namespace left is abandoned once the kernel has its lock back, and not before")
    func recordOfAnotherNamespace() throws {
        let holdfastctl = CommandLineTool.holdfastctl.command[0]
        let holder = try Child(
            "/usr/bin/unshare",
            [
                "--pid", "--fork", "--kill-child", holdfastctl, "lock", "run", path, "--", "sh", "-c",
                "echo locked; exec sleep 7200",
            ]
        )
        guard (try? holder.waitForOutput("locked")) != nil else {
            print("NOT RUN: unshare(1) may not make a PID namespace here")
            return
        }
        let cleaner = try PIDFile(path)
        guard case .alive = try cleaner.removeIfStale() else { throw Failed("not alive while it holds the lock") }
        holder.signal(SIGKILL)
        holder.wait()
        try waitForDeath()
        guard case .abandoned = try LockFile(path).status() else { throw Failed("\(try LockFile(path).status())") }
        let verdict = try cleaner.removeIfStale(dryRun: true)
        guard case .removed(let process) = verdict else { throw Failed("\(verdict)") }
        #expect(process.words.hasSuffix("of another PID namespace"))
        #expect(FileManager.default.fileExists(atPath: path))
        // The kernel's word is enough to take the lock; the record is reported as that of a holder that died.
        let lock = try require(LockFile(path).tryLock())
        #expect(lock.abandoned?.record?.process.pidNamespace != ProcessIdentity.current.pidNamespace)
    }

    /// The processes of a namespace end a moment after the first of them.
    private func waitForDeath() throws {
        let file = try LockFile(path)
        for _ in 0..<120_000 {
            guard case .held = try file.status() else { return }
            usleep(1000)
        }
    }
}
