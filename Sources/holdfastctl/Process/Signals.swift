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

/// A set of signals.
struct SignalSet: Sendable {
    private(set) var raw = sigset_t()

    init(_ signals: [Int32]) {
        unsafe sigemptyset(&raw)
        for signal in signals { unsafe sigaddset(&raw, signal) }
    }

    /// Those by which a user, a terminal or a service manager ends a process, but for those that we were started to
    /// ignore, as by nohup(1) or in the background.
    private static let endings = [SIGTERM, SIGINT, SIGHUP, SIGQUIT].filter { !isIgnored($0) }
    static let termination = SignalSet(endings)

    /// Has them end this process at once, whatever was set up for them before: Swift's runtime takes SIGQUIT for a crash.
    static func restoreTermination() {
        for number in endings { signal(number, SIG_DFL) }
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
    func block() -> SignalSet {
        var before = SignalSet([])
        var set = raw
        unsafe pthread_sigmask(SIG_BLOCK, &set, &before.raw)
        return before
    }

    /// Has these blocked and no others.
    func restore() {
        var set = raw
        unsafe pthread_sigmask(SIG_SETMASK, &set, nil)
    }

    func union(_ signals: [Int32]) -> SignalSet {
        var result = self
        for signal in signals { unsafe sigaddset(&result.raw, signal) }
        return result
    }

    /// Waits for one of these, which must be blocked.
    ///
    /// - Returns: The signal, and whether a process sent it: a terminal's goes to every process in the foreground anyway.
    func wait() -> (signal: Int32, isFromProcess: Bool) {
        var set = raw
        #if canImport(Darwin)
        var signal: Int32 = 0
        unsafe sigwait(&set, &signal)
        return (signal, true)
        #else
        while true {
            var info = unsafe siginfo_t()
            let signal = unsafe sigwaitinfo(&set, &info)
            // SI_USER, SI_QUEUE and SI_TKILL are not positive; SI_KERNEL is.
            if signal > 0 { return (signal, unsafe info.si_code <= 0) }
        }
        #endif
    }
}

extension ChildProcess {
    /// Waits for the end of this process, and passes on what signals are sent to us meanwhile.
    ///
    /// - Parameter signals: Those to pass on; they and SIGCHLD must have been blocked before the process was started.
    /// - Returns: How it ended.
    func wait(passingOn signals: SignalSet) -> End {
        let awaited = signals.union([SIGCHLD])
        while true {
            if let end = poll() { return end }
            let (signal, isFromProcess) = awaited.wait()
            if signal != SIGCHLD && isFromProcess { send(signal) }
        }
    }
}
