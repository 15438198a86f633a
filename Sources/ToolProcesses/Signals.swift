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
    package static func restoreTermination() {
        for number in endings { signal(number, SIG_DFL) }
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
    ///
    /// - Returns: The signal, and whether a process sent it: a terminal's goes to every process in the foreground anyway.
    package func wait() -> (signal: Int32, isFromProcess: Bool) {
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
    package func wait(passingOn signals: SignalSet) -> End {
        let awaited = signals.union([SIGCHLD])
        while true {
            if let end = poll() { return end }
            let (signal, isFromProcess) = awaited.wait()
            if signal != SIGCHLD && isFromProcess { send(signal) }
        }
    }
}
