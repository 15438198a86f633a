// SPDX-License-Identifier: Apache-2.0
//
// A process that a test started, and its descendants, which are one process group with it. Its streams are files, so that
// nothing ever waits for a pipe to be read.

import Foundation
import Testing
import _HoldfastCShims

/// A process that ends, with those that it started, when this value does at the latest.
final class RunningTool {
    let pid: pid_t
    private let files: (output: String, error: String)
    private var status: Int32?
    /// What waitpid(2) stored.
    private var raw: Int32 = 0

    init(
        _ command: [String],
        _ input: CommandLineTool.Stream,
        _ output: CommandLineTool.Stream,
        _ error: CommandLineTool.Stream,
        _ environment: [String: String]
    ) throws {
        let stem = "\(TemporaryDirectory.current)/.run-\(UUID().uuidString)"
        files = ("\(stem).out", "\(stem).err")
        var actions = try FileActions()
        switch input {
        case .closed: actions.close(0)
        case .path(let path): actions.open(0, path, O_RDONLY)
        case .nonBlocking(let path): actions.open(0, path, O_RDONLY | O_NONBLOCK)
        case .bytes(let bytes):
            try Data(bytes).write(to: URL(filePath: "\(stem).in"))
            actions.open(0, "\(stem).in", O_RDONLY)
        }
        actions.direct(1, to: output, file: files.output)
        actions.direct(2, to: error, file: files.error)
        pid = try actions.spawn(command, environment)
    }

    deinit {
        kill(-pid, SIGKILL)
        if status == nil { _ = waitpid(pid, nil, 0) }
    }

    func send(_ signal: Int32) { kill(pid, signal) }

    /// Whether it has ended.
    func hasEnded() -> Bool {
        if status != nil { return true }
        guard unsafe waitpid(pid, &raw, WNOHANG) == pid else { return false }
        status = raw & 0x7f == 0 ? (raw >> 8) & 0xff : 128 + (raw & 0x7f)
        return true
    }

    /// Waits for its end.
    func outcome() async throws -> CommandLineTool.Outcome {
        try await eventually("process \(pid) ends") { hasEnded() }
        return CommandLineTool.Outcome(
            status: status ?? -1,
            endingSignal: raw & 0x7f == 0 ? nil : raw & 0x7f,
            hasDumpedCore: raw & 0x80 != 0,
            outputBytes: Array((try? Data(contentsOf: URL(filePath: files.output))) ?? Data()),
            error: (try? String(contentsOfFile: files.error, encoding: .utf8)) ?? ""
        )
    }
}

/// posix_spawn_file_actions_t, and the call that uses it.
@safe
private struct FileActions: ~Copyable {
    #if canImport(Darwin)
    private var actions: posix_spawn_file_actions_t?
    #else
    private var actions = unsafe posix_spawn_file_actions_t()
    #endif

    init() throws {
        try #require(unsafe posix_spawn_file_actions_init(&actions) == 0)
    }

    deinit {
        var actions = unsafe actions
        unsafe posix_spawn_file_actions_destroy(&actions)
    }

    mutating func close(_ descriptor: Int32) {
        unsafe posix_spawn_file_actions_addclose(&actions, descriptor)
    }

    mutating func direct(_ descriptor: Int32, to stream: CommandLineTool.Stream, file: String) {
        switch stream {
        case .closed: close(descriptor)
        case .path(let path): open(descriptor, path, O_WRONLY)
        case .nonBlocking(let path): open(descriptor, path, O_WRONLY | O_NONBLOCK)
        case .bytes: open(descriptor, file, O_WRONLY | O_CREAT)
        }
    }

    mutating func open(_ descriptor: Int32, _ path: String, _ flags: Int32) {
        unsafe posix_spawn_file_actions_addopen(&actions, descriptor, path, flags, 0o600)
    }

    /// Starts the command in a process group of its own, with all signals as they are by default, whatever the test runner did to its own.
    mutating func spawn(_ command: [String], _ additions: [String: String]) throws -> pid_t {
        #if canImport(Darwin)
        var attributes: posix_spawnattr_t?
        #else
        var attributes = posix_spawnattr_t()
        #endif
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        var all = sigset_t()
        unsafe sigemptyset(&none)
        unsafe sigfillset(&all)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setsigdefault(&attributes, &all)
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP
        unsafe posix_spawnattr_setflags(&attributes, Int16(flags))

        let variables = ProcessInfo.processInfo.environment.merging(additions) { $1 }.map { "\($0)=\($1)" }
        var arguments = unsafe command.map { unsafe strdup($0) } + [nil]
        var environment = unsafe variables.map { unsafe strdup($0) } + [nil]
        defer { unsafe (arguments + environment).forEach { unsafe free($0) } }
        var pid: pid_t = 0
        let code = unsafe posix_spawn(&pid, command[0], &actions, &attributes, &arguments, &environment)
        try #require(code == 0, "cannot start \(command): \(code)")
        return pid
    }
}
