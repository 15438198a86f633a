// SPDX-License-Identifier: Apache-2.0
//
// Starting a program and waiting for it. Every descriptor of ours is close-on-exec, so a child gets its standard streams
// and what it is given on purpose.

#if canImport(Glibc)
@unsafe @preconcurrency internal import Glibc
#elseif canImport(Musl)
@unsafe @preconcurrency internal import Musl
#else
internal import Darwin
#endif
package import Holdfast

/// A process that we started.
package struct ChildProcess: Sendable {
    package let pid: Int32

    /// How a process ended.
    package enum End: Equatable {
        case exited(Int32)
        case signalled(Int32)

        /// As a shell gives it: 128 + n for signal n.
        package var status: Int32 {
            switch self {
            case .exited(let status): status
            case .signalled(let signal): 128 + signal
            }
        }
    }

    /// Starts a program.
    ///
    /// It finds SIGPIPE and SIGXFSZ as we found them.
    ///
    /// - Parameters:
    ///   - arguments: The program and its arguments, ended by a null pointer. Without a slash the program is looked for
    ///     along PATH.
    ///   - mask: The signals that it has blocked.
    ///   - streams: Which of our descriptors become which of its.
    ///   - inherited: A descriptor of ours that it shall have under the same number.
    /// - Returns: The process, to be waited for.
    /// - Throws: ``SystemError``; ENOENT if there is no such program.
    package static func start(
        _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>,
        mask: SignalSet,
        streams: [(ours: Int32, its: Int32)] = [],
        inherited: Int32? = nil
    ) throws(SystemError) -> ChildProcess {
        #if canImport(Darwin)
        var actions: posix_spawn_file_actions_t?
        var attributes: posix_spawnattr_t?
        #else
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        #endif
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        for (ours, its) in streams { unsafe posix_spawn_file_actions_adddup2(&actions, ours, its) }
        // Not by a file action: only since POSIX.1-2024 does dup2 of a descriptor to itself make it inherited. Nobody else
        // starts a process here meanwhile.
        if let inherited, fcntl(inherited, F_SETFD, 0) != 0 { throw SystemError(call: "fcntl", code: errno) }

        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var mask = mask.raw
        unsafe posix_spawnattr_setsigmask(&attributes, &mask)
        var defaults = SignalSet(SignalSet.madeErrors).raw
        unsafe posix_spawnattr_setsigdefault(&attributes, &defaults)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        guard let program = unsafe arguments[0] else { throw SystemError(call: "posix_spawnp", code: EINVAL) }
        var pid: pid_t = 0
        let code = unsafe posix_spawnp(&pid, program, &actions, &attributes, arguments, environment)
        if code != 0 { throw SystemError(call: "posix_spawnp", code: code) }
        return ChildProcess(pid: pid)
    }

    private static var environment: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?> {
        #if canImport(Darwin)
        unsafe _NSGetEnviron().pointee
        #else
        unsafe environ
        #endif
    }

    /// How it ended, or nil while it runs.
    ///
    /// To be called until it is not nil, so that no zombie stays.
    package func poll() -> End? { end(WNOHANG) }

    /// Waits for its end.
    package func wait() -> End { end(0) ?? .exited(0) }

    /// EX_IOERR of sysexits.h.
    private let unknownEnd: Int32 = 74

    private func end(_ options: Int32) -> End? {
        var status: Int32 = 0
        var result: pid_t
        repeat {
            result = unsafe waitpid(pid, &status, options)
        } while result == -1 && errno == EINTR
        if result == 0 { return nil }
        // ECHILD: somebody else has waited for it, and nobody can tell how it ended.
        if result == -1 { return .exited(unknownEnd) }
        let signal = status & 0x7f
        return signal == 0 ? .exited((status >> 8) & 0xff) : .signalled(signal)
    }

    package func send(_ signal: Int32) { _ = kill(pid, signal) }
}
