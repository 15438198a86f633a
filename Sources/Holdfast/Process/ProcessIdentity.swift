// SPDX-License-Identifier: Apache-2.0
//
// A PID names a process only for as long as it runs, in one PID namespace, of one boot. What else is recorded here makes
// a reused PID, another container's and another boot's visible. Whatever is not known is nil, and then proves nothing.

internal import _HoldfastCShims

/// What tells one process from every other that had or will have its PID.
///
/// Keep it beside what the process claims, and ask ``Liveness/of(_:onSharedFileSystem:)`` later whether it still runs.
public struct ProcessIdentity: Hashable, Codable, Sendable {
    /// The PID in its own PID namespace.
    public var pid: Int32
    /// When it started: clock ticks since boot as its time namespace counts them (field 22 of `/proc/PID/stat`), on
    /// Darwin microseconds since 1970.
    public var startTime: UInt64?
    /// The boot that it runs in (`/proc/sys/kernel/random/boot_id`), the same in all containers of a kernel.
    public var bootID: String?
    /// The inode number of its PID namespace (`/proc/self/ns/pid`).
    public var pidNamespace: UInt64?
    /// The inode number of its time namespace, in which ``startTime`` is counted.
    public var timeNamespace: UInt64?
    /// The inode number of its pidfd (Linux 6.9 and later), which no other process has during one boot.
    public var pidfdInode: UInt64?

    /// Makes an identity of which only the PID is known, as a bare PID file has it.
    public init(pid: Int32) {
        self.pid = pid
    }
}

extension ProcessIdentity {
    /// This process.
    ///
    /// Found out once, and again after a fork; afterwards it costs one `getpid`.
    public static var current: ProcessIdentity {
        cached.withLock { cached in
            if let cached { return cached }
            let found = ProcessIdentity(observing: getpid())
            cached = found
            return found
        }
    }

    private static let cached = PerProcess<ProcessIdentity?> { nil }

    /// This process, as the kernel shows it.
    private init(observing pid: Int32) {
        self.init(pid: pid)
        startTime = Self.startTime(of: pid)
        var identity: UInt64 = 0
        if unsafe hf_pid_namespace(&identity) == 0 { pidNamespace = identity }
        if unsafe hf_time_namespace(&identity) == 0 { timeNamespace = identity }
        unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 37) { text in
            guard let start = text.baseAddress, unsafe hf_boot_id(start) == 0 else { return }
            bootID = unsafe String(cString: start)
        }
        let pidfd = hf_pidfd_open(pid)
        if pidfd >= 0 {
            if unsafe hf_pidfd_inode(pidfd, &identity) == 0 { pidfdInode = identity }
            _ = hf_close(pidfd)
        }
    }

    /// The start time of a process of our PID namespace, nil if `/proc` does not show it or shows another namespace.
    package static func startTime(of pid: Int32) -> UInt64? {
        var process = hf_process()
        guard hf_proc_is_ours(), unsafe hf_process_read(pid, &process) == 0 else { return nil }
        return process.start_time
    }

    /// The first 15 bytes of the name of its executable, nil if that cannot be read.
    package static func name(of pid: Int32) -> String? {
        guard hf_proc_is_ours() else { return nil }
        return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64) { text in
            guard let start = text.baseAddress, unsafe hf_process_name(pid, start, text.count) == 0 else { return nil }
            var name = unsafe String(cString: start)
            // The kernel cuts it off after 15 bytes, in the middle of a character too.
            if name.last == "\u{FFFD}" { name.removeLast() }
            return printable(name)
        }
    }

    /// Whether it is known to be of another PID namespace, in which its PID is another process's than here.
    package var isOfAnotherNamespace: Bool {
        guard let pidNamespace, let ours = Self.current.pidNamespace else { return false }
        return pidNamespace != ours
    }

    /// For messages: `process 1234`, or `process 2 of another PID namespace`.
    package var words: String {
        "process \(pid)\(isOfAnotherNamespace ? " of another PID namespace" : "")"
    }
}
