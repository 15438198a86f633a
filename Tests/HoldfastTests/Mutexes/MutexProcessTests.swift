// SPDX-License-Identifier: Apache-2.0
//
// Mutexes between processes: death, stop, fork, exec, namespaces. The other process is an exit test's, or a program.

import Foundation
import Holdfast
import Testing
import _HoldfastCShims

@Suite(.temporaryDirectory, .timeLimit(.minutes(60)))
struct MutexProcessTests {
    private var path: String { TemporaryDirectory.current + "/a.arena" }
    private static let holder = CommandLineTool.sibling("holdfast-stress")

    private func mutex() throws -> SharedMemoryMutex { try MutexArena(path, count: 1)[0] }

    /// Starts a process that holds the mutex, and returns its token.
    private func startHolder(_ prefix: [String] = []) throws -> (child: Child, token: MutexToken) {
        let command = prefix + [Self.holder, "hold", path]
        let child = try Child(command[0], Array(command.dropFirst()))
        try child.waitForOutput("held")
        let number = child.printed.split(whereSeparator: \.isWhitespace).last.flatMap { UInt64($0) }
        return (child, MutexToken(try #require(number)))
    }

    @Test("The mutex of a holder that was killed is had within moments, and its death is told once, with its token")
    func killed() throws {
        let mutex = try mutex()
        for _ in 0..<5 {
            let holder = try startHolder()
            let isBusy = acquired(try mutex.tryLock()) == nil
            #expect(isBusy)
            holder.child.signal(SIGKILL)
            let lock = try mutex.lock(deadline: .now + .seconds(600))
            #expect(lock.abandoned == holder.token)
            #expect(lock.token > holder.token)
            try lock.release()
            #expect(try mutex.withLock { $0.abandoned } == nil)
        }
        #expect(try mutex.statistics.abandoned == 5)
    }

    @Test("A try finds out that the holder has died, without having to wait")
    func killedAndTried() throws {
        let mutex = try mutex()
        let holder = try startHolder()
        holder.child.signal(SIGKILL)
        holder.child.wait()
        let lock = acquired(try mutex.tryLock())
        #expect(lock?.abandoned == holder.token)
    }

    @Test("A waiting task gets the mutex of a holder that is killed meanwhile")
    func killedWhileATaskWaits() async throws {
        let mutex = try mutex()
        let holder = try startHolder()
        let waiter = Task { try await mutex.withLock { $0.abandoned } }
        try await waitUntil { try mutex.statistics.contended > 0 }
        holder.child.signal(SIGKILL)
        #expect(try await waiter.value == holder.token)
    }

    @Test("A process that exits without a release has abandoned the mutex; one that lets its guard go has not")
    func ends() async throws {
        let path = path
        await #expect(processExitsWith: .success) { [path = path as String] in
            exitHolding(try await MutexArena(path, count: 1)[0].lock())
        }
        let mutex = try mutex()
        #expect(try await mutex.withLock { $0.abandoned } != nil)
        await #expect(processExitsWith: .success) { [path = path as String] in
            let lock = try await MutexArena(path, count: 1)[0].lock()
            _ = consume lock
        }
        #expect(try await mutex.withLock { $0.abandoned } == nil)
    }

    @Test("A holder that is stopped is never robbed")
    func stopped() throws {
        let mutex = try mutex()
        let holder = try startHolder()
        holder.child.signal(SIGSTOP)
        let error = #expect(throws: LockError.self) { try mutex.withLock(deadline: .now + .seconds(2)) { _ in } }
        #expect(error?.code == .timedOut)
        #expect(error?.holder?.pid == holder.child.pid)
        let isBusy = acquired(try mutex.tryLock()) == nil
        #expect(isBusy)
        holder.child.signal(SIGCONT)
        holder.child.signal(SIGKILL)
        #expect(try mutex.withLock(deadline: .now + .seconds(600)) { $0.abandoned } == holder.token)
    }

    @Test("A holder in another PID namespace is not robbed while it lives, and is when it was killed")
    func namespaces() throws {
        let unshare = ["/usr/bin/unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
        guard let probe = try? Child(unshare[0], Array(unshare.dropFirst()) + ["true"]), probe.wait() == 0 else {
            print("NOT RUN: unshare(1) may not make a PID namespace here")
            return
        }
        let mutex = try mutex()
        let holder = try startHolder(unshare)
        let error = #expect(throws: LockError.self) { try mutex.withLock(deadline: .now + .milliseconds(300)) { _ in } }
        #expect(error?.code == .timedOut)
        holder.child.signal(SIGKILL)
        #expect(try mutex.withLock(deadline: .now + .seconds(600)) { $0.abandoned } == holder.token)
    }

    @Test("A child that is forked without exec and outlives its parent keeps none of the parent's mutexes")
    func forkedChildOutlives() async throws {
        let path = path
        let mutex = try mutex()
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
            let lock = try await MutexArena(path, count: 1)[0].lock()
            let child = forked()
            if child == 0 {
                closePipes()
                sleep(600)
                _exit(0)
            }
            try "\(child)".write(toFile: path + ".child", atomically: true, encoding: .utf8)
            kill(getpid(), SIGKILL)
            _ = lock.token
        }
        let child = try #require(Int32(try String(contentsOfFile: path + ".child", encoding: .utf8)))
        defer { kill(child, SIGKILL) }
        #expect(try await mutex.withLock(deadline: .now + .seconds(600)) { $0.abandoned } != nil)
        #expect(kill(child, 0) == 0)
    }

    @Test("A forked child cannot use its parent's arena or guard, and can open the arena anew")
    func forkedChildReopens() async throws {
        let path = path
        await #expect(processExitsWith: .success) { [path = path as String] in
            let arena = try MutexArena(path, count: 2)
            let first = arena[0]
            let lock = try await first.lock()
            let child = forked()
            if child == 0 { _exit(childOfMember(path, first, arena[1], lock)) }
            var status: Int32 = 0
            while unsafe waitpid(child, &status, 0) == -1, errno == EINTR {}
            precondition(status == 0, "the child failed in step \(status >> 8)")
            // Whatever the child did, its parent holds the mutex.
            let token = lock.token
            let isHeld = acquired(try await first.tryLock()) == nil
            precondition(isHeld, "the parent's lock is gone")
            try lock.release()
            let next = try await first.withLock { $0.token }
            precondition(next > token, "tokens fell")
        }
    }

    @Test("exec closes everything: the new program has neither slot nor mutex")
    func executed() async throws {
        let path = path
        let mutex = try mutex()
        let process = Task {
            await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
                let lock = try await MutexArena(path, count: 1)[0].lock()
                try "\(getpid())".write(toFile: path + ".pid", atomically: true, encoding: .utf8)
                let words: [UnsafeMutablePointer<CChar>?] = unsafe [strdup("sleep"), strdup("7200"), nil]
                closePipes()
                unsafe execv("/bin/sleep", words)
                _ = lock.token
            }
        }
        try await waitUntil { FileManager.default.fileExists(atPath: path + ".pid") }
        let pid = try #require(Int32(try String(contentsOfFile: path + ".pid", encoding: .utf8)))
        #expect(try await mutex.withLock(deadline: .now + .seconds(600)) { $0.abandoned } != nil)
        #expect(kill(pid, SIGKILL) == 0)
        _ = await process.value
    }
}

/// What a forked child of a member must find; 0, or the number of the step that failed.
private func childOfMember(
    _ path: String,
    _ first: SharedMemoryMutex,
    _ second: SharedMemoryMutex,
    _ lock: consuming HeldMutex
) -> Int32 {
    do {
        try second.withLock { _ in }
        return 1
    } catch let error as LockError {
        if error.code != .unsupported { return 2 }
    } catch { return 3 }
    if (try? second.statistics) != nil { return 4 }
    do throws(LockError) {
        try lock.release()
        return 5
    } catch {
        if error.code != .unsupported { return 6 }
    }
    guard let arena = try? MutexArena(path, count: 2) else { return 7 }
    if (try? arena[1].withLock { $0.token }) == nil { return 8 }
    do throws(LockError) {
        if acquired(try arena[0].tryLock()) != nil { return 9 }
    } catch { return 10 }
    return 0
}

/// Closes what an exit test's process has to its parent, which would else wait until whoever inherits it has ended.
private func closePipes() {
    for descriptor: Int32 in 3..<256 {
        var status = stat()
        if unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFIFO { close(descriptor) }
    }
}

/// exit(3) while the lock lives: a local one may be let go before a call that does not return.
private func exitHolding(_ lock: borrowing HeldMutex) -> Never {
    exit(lock.token.value == 0 ? 1 : 0)
}
