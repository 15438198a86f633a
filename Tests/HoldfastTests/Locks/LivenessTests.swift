// SPDX-License-Identifier: Apache-2.0
//
// The verdict about a recorded process, against real processes.

import Foundation
import Holdfast
import Testing
import _HoldfastCShims

struct LivenessTests {
    @Test("This process is alive by every kind of evidence")
    func ownProcess() {
        let here = ProcessIdentity.current
        #expect(here.pid == getpid())
        #expect(here.startTime != nil)
        #expect(here.bootID?.count == 36)
        #expect(isAlive(.of(here)))
        var withoutPidfd = here
        withoutPidfd.pidfdInode = nil
        #expect(isAlive(.of(withoutPidfd)))
        #expect(isAlive(.of(ProcessIdentity(pid: here.pid))))
        #expect(isAlive(.of(ProcessIdentity(pid: 1))))
    }

    @Test("A PID that no process has is dead")
    func noProcess() throws {
        #expect(Liveness.of(ProcessIdentity(pid: Processes.deadPID)).isDead)
    }

    @Test("A PID that is the number of a thread by now, and no process's, is dead")
    func threadOfAnotherProcess() throws {
        let numbers = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").compactMap { Int32($0) }
        let threads = numbers.filter { $0 != getpid() }
        #expect(!threads.isEmpty)
        // A thread that has ended meanwhile is dead too.
        for thread in threads { #expect(Liveness.of(ProcessIdentity(pid: thread)).isDead) }
    }

    @Test("A PID in use by another process is dead: its start time differs", arguments: [true, false])
    func reusedPID(byPidfd: Bool) throws {
        try Processes.withSleeper { pid in
            var recorded = ProcessIdentity.current
            recorded.pid = pid
            if !byPidfd { recorded.pidfdInode = nil }
            if byPidfd, recorded.pidfdInode == nil { return }
            #expect(Liveness.of(recorded).isDead)
            recorded.startTime = ProcessIdentity.startTime(of: pid)
            recorded.pidfdInode = nil
            #expect(isAlive(.of(recorded)))
        }
    }

    @Test("A start time of another time namespace proves nothing")
    func otherTimeNamespace() throws {
        try Processes.withSleeper { pid in
            var recorded = ProcessIdentity.current
            recorded.pid = pid
            recorded.pidfdInode = nil
            recorded.timeNamespace = 1
            #expect(isAlive(.of(recorded)))
        }
    }

    @Test("A zombie is dead, although kill(2) finds it")
    func zombie() throws {
        let child = try Child("/bin/true")
        let pid = child.pid
        var status = hf_process()
        for _ in 0..<120_000 where status.state != CChar(UInt8(ascii: "Z")) {
            usleep(1000)
            _ = unsafe hf_process_read(pid, &status)
        }
        #expect(kill(pid, 0) == 0)
        #expect(Liveness.of(ProcessIdentity(pid: pid)).isDead)
        var recorded = ProcessIdentity(pid: pid)
        recorded.startTime = ProcessIdentity.startTime(of: pid)
        recorded.timeNamespace = ProcessIdentity.current.timeNamespace
        #expect(Liveness.of(recorded).isDead)
        child.wait()
        #expect(kill(pid, 0) == -1)
    }

    @Test("A process of another PID namespace is unknown, even if no process has its PID here")
    func otherNamespace() throws {
        var recorded = ProcessIdentity(pid: Processes.deadPID)
        recorded.pidNamespace = (ProcessIdentity.current.pidNamespace ?? 0) + 1
        #expect(isUnknown(.of(recorded)))
    }

    @Test("A record of another boot is dead on a local file system, unknown on a shared one")
    func otherBoot() {
        var recorded = ProcessIdentity.current
        recorded.bootID = "00000000-0000-0000-0000-000000000000"
        #expect(Liveness.of(recorded).isDead)
        #expect(isUnknown(.of(recorded, onSharedFileSystem: true)))
    }

    @Test("A bare PID on a shared file system is unknown")
    func barePIDOnSharedFileSystem() throws {
        #expect(isUnknown(.of(ProcessIdentity(pid: Processes.deadPID), onSharedFileSystem: true)))
    }

    @Test("What is no PID is unknown", arguments: [0, -1, .min] as [Int32])
    func noPID(pid: Int32) {
        #expect(isUnknown(.of(ProcessIdentity(pid: pid))))
    }

    private func isAlive(_ liveness: Liveness) -> Bool {
        if case .alive = liveness { true } else { false }
    }

    private func isUnknown(_ liveness: Liveness) -> Bool {
        if case .unknown = liveness { true } else { false }
    }
}
