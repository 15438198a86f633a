// SPDX-License-Identifier: Apache-2.0
//
// Signals are blocked and then waited for, so that no code of ours ever runs in a handler.

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif
internal import Synchronization
internal import _HoldfastCShims

/// A set of signals.
package struct SignalSet: Sendable {
    private(set) var raw = sigset_t()

    package init(_ signals: [Int32]) {
        unsafe sigemptyset(&raw)
        for signal in signals { unsafe sigaddset(&raw, signal) }
    }

    /// Those by which a user, a terminal or a service manager ends a process, but for those that we were started to
    /// ignore, as by nohup(1) or in the background.
    private static let endings = [SIGTERM, SIGINT, SIGHUP, SIGQUIT].filter { !isIgnored($0) }
    package static let termination = SignalSet(endings)

    /// Has them end this process at once, whatever was set up for them before: Swift's runtime takes SIGQUIT for a crash.
    ///
    /// The kernel keeps from PID 1 what it does not handle, so there a handler ends it.
    package static func restoreTermination() {
        let isFirst = getpid() == 1
        for number in endings {
            if isFirst { signal(number) { _exit(128 + $0) } } else { signal(number, SIG_DFL) }
        }
    }

    /// Every signal that can be blocked.
    package static let all: SignalSet = {
        var set = SignalSet([])
        unsafe sigfillset(&set.raw)
        return set
    }()

    /// Those that end a process that waits for a lock, but for those that we were started to ignore or to block.
    ///
    /// What is not here is kept for the command that will run.
    package static func endingsOfAWait(_ blockedAtStart: SignalSet) -> SignalSet {
        let crashes = [SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS]
        let timers = [SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU]
        let others = (crashes + timers).filter { !isIgnored($0) }
        return SignalSet((endings + others).filter { !blockedAtStart.contains($0) })
    }

    /// The signals that killed before ``makeErrors(_:)``, as they shall again in a program that we start.
    package static var madeErrors: [Int32] { ignored.withLock { $0 } }
    private static let ignored = Mutex<[Int32]>([])

    /// Ignores these, so that the call that would have raised one fails.
    package static func makeErrors(_ signals: [Int32]) {
        let fatal = signals.filter { signal($0, SIG_IGN) == nil }
        ignored.withLock { $0 = fatal }
    }

    private static func isIgnored(_ signal: Int32) -> Bool {
        var action = sigaction()
        unsafe sigaction(signal, nil, &action)
        #if canImport(Darwin)
        let handler = unsafe action.__sigaction_u.__sa_handler
        #elseif canImport(Musl)
        let handler = unsafe action.__sa_handler.sa_handler
        #else
        let handler = unsafe action.__sigaction_handler.sa_handler
        #endif
        return unsafe unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    /// Blocks these beside those that are blocked already, in this thread and those that it starts.
    ///
    /// - Returns: Those that were blocked before.
    package func block() -> SignalSet {
        var before = SignalSet([])
        var set = raw
        unsafe pthread_sigmask(SIG_BLOCK, &set, &before.raw)
        return before
    }

    /// Unblocks these.
    func unblock() {
        var set = raw
        unsafe pthread_sigmask(SIG_UNBLOCK, &set, nil)
    }

    package func contains(_ signal: Int32) -> Bool {
        var set = raw
        return unsafe sigismember(&set, signal) == 1
    }

    /// Has these blocked and no others.
    package func restore() {
        var set = raw
        unsafe pthread_sigmask(SIG_SETMASK, &set, nil)
    }

    package func union(_ signals: [Int32]) -> SignalSet {
        var result = self
        for signal in signals { unsafe sigaddset(&result.raw, signal) }
        return result
    }

    /// Waits for one of these, which must be blocked.
    package func wait() -> Signal {
        while true {
            if let signal = wait(forSeconds: nil) { return signal }
        }
    }

    /// Takes one of these signals, which must be blocked, when it comes, for so many seconds at most.
    ///
    /// - Parameter seconds: 0 does not wait; nil waits forever, as Darwin does with any.
    /// - Returns: The signal, or nil if the time is over, or this process was stopped meanwhile.
    package func wait(forSeconds seconds: Int?) -> Signal? {
        var set = raw
        var found = unsafe hf_signal()
        return unsafe hf_wait_for_signal(&set, Int32(seconds ?? -1), &found) > 0 ? unsafe Signal(found) : nil
    }
}

/// A signal that this process was sent.
package struct Signal: Sendable {
    package let number: Int32
    /// Whether a terminal sent it, to every process of its foreground group.
    ///
    /// What a process sends to the whole group looks as if it were for us alone.
    package let isFromTerminal: Bool
    /// Whether a process sent it, and not the kernel.
    package let isFromProcess: Bool
    /// Whether this process sent it to itself, also by writing to a pipe without a reader.
    package let isOwn: Bool
    /// The address or number that sigqueue(3) sent with it.
    private let value: Int?

    init(_ found: hf_signal) {
        number = unsafe found.number
        isFromProcess = unsafe found.is_from_process
        isOwn = unsafe found.is_from_process && found.sender == getpid()
        value = unsafe found.has_value ? Int(bitPattern: found.value) : nil
        switch number {
        case SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH: isFromTerminal = unsafe found.is_from_kernel
        // When a terminal hangs up, the leader of its session is told alone; then, when that ends, the group.
        case SIGHUP, SIGCONT: isFromTerminal = unsafe found.is_from_kernel && getsid(0) != getpid()
        default: isFromTerminal = false
        }
    }

    /// Whether it stops a process of which it is not caught.
    package var stops: Bool { [SIGTSTP, SIGTTIN, SIGTTOU].contains(number) }

    /// Sends it on.
    package func send(to pid: Int32) {
        if let value {
            _ = unsafe hf_queue_signal(pid, number, UnsafeMutableRawPointer(bitPattern: value))
        } else {
            _ = kill(pid, number)
        }
    }

    /// Stops this process as the signal would, until it is continued; the signal must be blocked.
    ///
    /// In a group that no shell looks after the kernel lets the process go on.
    package func stopThisProcess() {
        let only = SignalSet([number])
        _ = kill(getpid(), number)
        only.unblock()
        _ = only.block()
    }

    /// Ends this process by a signal, without a core file; returns if it does not end it, as PID 1.
    package static func endThisProcess(by number: Int32) { hf_end_by_signal(number) }

    /// Whether a process that dies of it has done what it must not.
    package static func isCrash(_ number: Int32) -> Bool {
        [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP, SIGXCPU, SIGXFSZ].contains(number)
    }

    /// For example `signal 11 (Segmentation fault)`.
    package static func description(_ number: Int32) -> String {
        let name = unsafe strsignal(number).map { unsafe String(cString: $0) }
        return "signal \(number)" + (name.map { " (\($0))" } ?? "")
    }
}
