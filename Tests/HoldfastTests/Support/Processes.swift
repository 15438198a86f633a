// SPDX-License-Identifier: Apache-2.0
//
// Other processes, real ones, for tests about processes. posix_spawn(3) and waitpid(2): Foundation's Process waits by a
// run loop, which does not always come to an end when several tests wait at once.

import Foundation
import Testing
import _HoldfastCShims

/// A child process, ended and reaped at the latest with this object.
final class Child {
    let pid: Int32
    private let output: String
    private var status: Int32?

    /// Starts a program, its output going to a file.
    init(_ path: String, _ arguments: [String] = [], environment: [String] = []) throws {
        output = FileManager.default.temporaryDirectory.appending(path: "holdfast-child-\(UUID().uuidString)").path
        var words = unsafe ([path] + arguments).map { unsafe strdup($0) } + [nil]
        var variables =
            unsafe (ProcessInfo.processInfo.environment.map { "\($0)=\($1)" } + environment)
            .map { unsafe strdup($0) } + [nil]
        defer { unsafe (words + variables).forEach { unsafe free($0) } }
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        let flags = O_WRONLY | O_CREAT | O_TRUNC
        unsafe posix_spawn_file_actions_addopen(&actions, 1, output, flags, 0o600)
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        var pid: pid_t = 0
        let code = unsafe posix_spawn(&pid, path, &actions, nil, &words, &variables)
        try #require(code == 0, "posix_spawn of \(path): \(code)")
        self.pid = pid
    }

    deinit {
        if status == nil {
            signal(SIGKILL)
            _ = wait()
        }
        _ = unsafe unlink(output)
    }

    func signal(_ number: Int32) {
        kill(pid, number)
    }

    /// Waits for the end: the exit status, or 128 and the signal.
    @discardableResult
    func wait() -> Int32 {
        if let status { return status }
        var raw: Int32 = 0
        while unsafe waitpid(pid, &raw, 0) == -1, errno == EINTR {}
        return note(raw)
    }

    private func note(_ raw: Int32) -> Int32 {
        let ended = raw & 0x7f == 0 ? (raw >> 8) & 0xff : 128 + (raw & 0x7f)
        status = ended
        return ended
    }

    /// Whether it has not ended yet.
    var isRunning: Bool {
        var raw: Int32 = 0
        if status == nil, unsafe waitpid(pid, &raw, WNOHANG) == pid { _ = note(raw) }
        return status == nil
    }

    /// What it has printed so far.
    var printed: String {
        (try? String(contentsOfFile: output, encoding: .utf8)) ?? ""
    }

    /// Waits until it has printed a line that contains this.
    func waitForOutput(_ text: String) throws {
        for _ in 0..<120_000 where !printed.contains(text) { usleep(1000) }
        try #require(printed.contains(text), "no '\(text)' in '\(printed)'")
    }
}

enum Processes {
    /// The PID of no process, ever: the kernel's end at 2²² (proc(5), pid_max), and go round while tests run.
    static let deadPID: Int32 = 2_000_000_000

    /// Runs the body while a process sleeps.
    static func withSleeper<Result>(_ body: (Int32) throws -> Result) throws -> Result {
        let child = try Child("/bin/sleep", ["7200"])
        return try body(child.pid)
    }

    /// The numbers under which this process has a file open.
    static func descriptors(of path: String) -> [Int32] {
        (3..<1024).filter { number in
            let link = "/proc/self/fd/\(number)"
            return (try? FileManager.default.destinationOfSymbolicLink(atPath: link)) == path
        }
    }

    /// How many descriptors this process has open on files below a directory.
    ///
    /// Other tests run beside this one.
    static func openDescriptors(below path: String) -> Int {
        let descriptors = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
        return descriptors.count { descriptor in
            let target = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(descriptor)")
            return target?.hasPrefix(path) == true
        }
    }
}

/// fork(2), looked up by name because Swift marks it as unavailable.
func forked() -> Int32 {
    guard let symbol = unsafe dlsym(nil, "fork") else { preconditionFailure("no fork") }
    return unsafe unsafeBitCast(symbol, to: (@convention(c) () -> Int32).self)()
}
