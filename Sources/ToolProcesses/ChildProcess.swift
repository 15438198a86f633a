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
        case signalled(Int32, dumpedCore: Bool)

        /// From what waitpid(2) stores.
        init(_ status: Int32) {
            let signal = status & 0x7f
            self = signal == 0 ? .exited((status >> 8) & 0xff) : .signalled(signal, dumpedCore: status & 0x80 != 0)
        }

        /// As a shell gives it: 128 + n for signal n.
        package var status: Int32 {
            switch self {
            case .exited(let status): status
            case .signalled(let signal, _): 128 + signal
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

        guard let program = unsafe arguments[0] else { throw SystemError(call: "posix_spawn", code: EINVAL) }
        var pid: pid_t = 0
        // Not posix_spawnp(3): what it does with a script that has no `#!` differs from one C library to the next.
        let paths = unsafe paths(of: program)
        var failure = ENOENT
        for path in paths {
            var code = unsafe path.withPath {
                unsafe posix_spawn(&pid, $0, &actions, &attributes, arguments, environment)
            }
            if code == ENOEXEC {
                code = unsafe startShell(on: path, arguments) {
                    unsafe posix_spawn(&pid, shell, &actions, &attributes, $0, environment)
                }
            }
            switch code {
            case 0: return ChildProcess(pid: pid)
            case ENOENT, ENOTDIR: if paths.count == 1 { failure = code }
            case EACCES: failure = code
            default: throw SystemError(call: "posix_spawn", code: code)
            }
        }
        throw SystemError(call: "posix_spawn", code: failure)
    }

    /// Where a program may be: where it says, or without a slash in each directory of PATH.
    private static func paths(of program: UnsafePointer<CChar>) -> [String] {
        func string(_ text: UnsafePointer<CChar>) -> String {
            unsafe String(pathBytes: UnsafeRawBufferPointer(start: text, count: strlen(text)))
        }
        let program = unsafe string(program)
        if program.isEmpty || program.utf8.contains(UInt8(ascii: "/")) { return [program] }
        let path = unsafe getenv("PATH").map { unsafe string($0) } ?? "/bin:/usr/bin"
        return path.utf8.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false).map { directory in
            directory.isEmpty ? program : "\(Substring(directory))/\(program)"
        }
    }

    private static let shell = "/bin/sh"

    /// Calls the body with the arguments of a shell that reads this file, as execvp(3) runs a script without `#!`.
    private static func startShell(
        on path: String,
        _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>,
        _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Int32
    ) -> Int32 {
        let script = unsafe path.withPath { unsafe strdup($0) }
        let name = unsafe strdup(shell)
        defer {
            unsafe free(script)
            unsafe free(name)
        }
        var all = unsafe [name, script]
        var next = unsafe arguments + 1
        while let argument = unsafe next.pointee {
            unsafe all.append(argument)
            unsafe next += 1
        }
        unsafe all.append(nil)
        return unsafe all.withUnsafeMutableBufferPointer { all in
            guard let start = all.baseAddress else { return EINVAL }
            return unsafe body(start)
        }
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
    private static let unknownEnd: Int32 = 74

    /// Reaps every child of this process that has ended, also those that it inherited, as PID 1 does all orphans.
    ///
    /// - Parameter awaited: The child whose end matters, if there is one.
    /// - Returns: How that child ended, if it has.
    @discardableResult
    package static func reapAll(awaiting awaited: ChildProcess? = nil) -> End? {
        var end: End?
        while true {
            var status: Int32 = 0
            let ended = unsafe waitpid(-1, &status, WNOHANG)
            if ended > 0, ended == awaited?.pid { end = End(status) }
            if ended > 0 || (ended == -1 && errno == EINTR) { continue }
            // ECHILD: another part of this process has waited for it.
            return ended == -1 && end == nil ? .exited(unknownEnd) : end
        }
    }

    private func end(_ options: Int32) -> End? {
        var status: Int32 = 0
        var result: pid_t
        repeat {
            result = unsafe waitpid(pid, &status, options)
        } while result == -1 && errno == EINTR
        if result == 0 { return nil }
        // ECHILD: somebody else has waited for it, and nobody can tell how it ended.
        if result == -1 { return .exited(Self.unknownEnd) }
        return End(status)
    }

    package func send(_ signal: Int32) { _ = kill(pid, signal) }
}
