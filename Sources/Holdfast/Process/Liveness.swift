// SPDX-License-Identifier: Apache-2.0
//
// The verdict about a recorded process. It has three values because evidence has: only `.dead`, which is a proof, may
// break a lock; what cannot be decided is `.unknown`, never `.dead`.

internal import _HoldfastCShims

/// Whether a recorded process still runs, with the evidence in words.
public enum Liveness: Hashable, Sendable {
    /// It runs, or a process that nothing tells from it does.
    case alive(String)
    /// It is proven to run no more: ended, a zombie, its PID in use by another process, or of an earlier boot.
    case dead(String)
    /// The evidence does not decide: another PID namespace, another machine, nothing readable.
    case unknown(String)

    /// Judges a recorded process.
    ///
    /// Uses what was recorded and the kernel has, from the strongest: boot id, PID namespace, pidfd (pidfd_open(2)) and
    /// its inode, start time (proc(5)), kill(2) with signal 0. ESRCH is a proof only within our own PID namespace.
    /// About five system calls.
    ///
    /// - Parameters:
    ///   - process: What was recorded.
    ///   - shared: Whether the record lies on a file system that other machines share. There another boot id is
    ///     perhaps another machine's, and so is a PID without a boot id: both are ``unknown(_:)``.
    /// - Returns: The verdict and its evidence.
    public static func of(_ process: ProcessIdentity, onSharedFileSystem shared: Bool = false) -> Liveness {
        let here = ProcessIdentity.current
        let pid = process.pid
        if pid <= 0 { return .unknown("\(pid) is not a PID") }
        if let boot = process.bootID, let ours = here.bootID {
            if boot != ours {
                return shared
                    ? .unknown("recorded under boot \(boot), perhaps of another machine")
                    : .dead("recorded before this boot")
            }
        } else if shared {
            return .unknown("on a shared file system the PID \(pid) may be another machine's")
        }
        if let namespace = process.pidNamespace, namespace != here.pidNamespace {
            return .unknown("PID \(pid) is of another PID namespace")
        }
        return judge(process, from: here)
    }

    /// Judges the process of a bare PID that stands in an open file.
    ///
    /// The PID is all the evidence, so it is respected while a process has it. Times only go into the words, because a wall
    /// clock may have been set: a process that began after the file was written did not write it.
    static func of(barePID pid: Int32, in file: borrowing Descriptor, onSharedFileSystem shared: Bool) -> Liveness {
        let liveness = of(ProcessIdentity(pid: pid), onSharedFileSystem: shared)
        guard case .alive(let evidence) = liveness, let written = try? file.status().modified.seconds else {
            return liveness
        }
        // A wall-clock second more, for what the two clocks round off.
        let boot = hf_boot_second()
        let start = ProcessIdentity.startTime(of: pid).map { hf_start_second($0) } ?? 0
        let (event, second) = boot > written + 1 ? ("this boot", boot) : ("that process", start)
        if second <= written + 1 { return liveness }
        let times = "written \(utcTime(seconds: written)), begun \(utcTime(seconds: second))"
        return .alive("\(evidence), but the file is older than \(event) (\(times)): the PID may be in use again")
    }

    /// Judges a process of our own boot and PID namespace.
    private static func judge(_ process: ProcessIdentity, from here: ProcessIdentity) -> Liveness {
        let pid = process.pid
        let pidfd = hf_pidfd_open(pid)
        let pidfdError = hf_errno()
        defer { if pidfd >= 0 { _ = hf_close(pidfd) } }

        if pidfd >= 0 {
            // Readable once every thread has ended, reaped or not; a zombie leader with running threads is not.
            if hf_pidfd_has_exited(pidfd) == 1 { return .dead("process \(pid) has ended and waits to be reaped") }
            var inode: UInt64 = 0
            if let recorded = process.pidfdInode, unsafe hf_pidfd_inode(pidfd, &inode) == 0 {
                return inode == recorded
                    ? .alive("process \(pid) is the recorded one")
                    : .dead("PID \(pid) is another process's now")
            }
        } else if pidfdError == ESRCH {
            return .dead("there is no process \(pid)")
        } else if pidfdError == EINVAL || pidfdError == ENOENT {
            // pidfd_open(2) takes the PID of a process only; kill(2) and /proc/PID answer for every thread's number.
            return .dead("PID \(pid) is the number of a thread of another process now")
        }

        var status = hf_process()
        if hf_proc_is_ours(), unsafe hf_process_read(pid, &status) == 0 {
            let hasEnded = status.state == CChar(UInt8(ascii: "Z")) || status.state == CChar(UInt8(ascii: "X"))
            if hasEnded, status.threads <= 1 { return .dead("process \(pid) has ended and waits to be reaped") }
            // A time namespace shifts what its processes read, so times of two namespaces cannot be compared.
            if let recorded = process.startTime, process.timeNamespace == here.timeNamespace {
                return recorded == status.start_time
                    ? .alive("process \(pid) started when the recorded one did")
                    : .dead("PID \(pid) is another process's now")
            }
        }

        if kill(pid, 0) == 0 { return .alive("there is a process \(pid)") }
        switch hf_errno() {
        case ESRCH: return .dead("there is no process \(pid)")
        case EPERM: return .alive("there is a process \(pid), of another user")
        case let code: return .unknown(SystemError(call: "kill", code: code).description)
        }
    }

    /// Whether it is seen to live.
    public var isAlive: Bool {
        if case .alive = self { true } else { false }
    }

    /// Whether it is proven dead.
    public var isDead: Bool {
        if case .dead = self { true } else { false }
    }

    /// The evidence in words.
    public var evidence: String {
        switch self {
        case .alive(let evidence), .dead(let evidence), .unknown(let evidence): evidence
        }
    }
}
