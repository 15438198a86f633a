// SPDX-License-Identifier: Apache-2.0
//
// The benchmark's end of a peer: asks, and reads the answer.

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif
internal import Holdfast
internal import ToolProcesses

/// A process that waits for or holds a lock.
final class Peer {
    private let process: ChildProcess
    private let ground: BenchGround
    private let questions: Int32
    private let answers: Int32
    private var hasEnded = false

    struct Answer {
        /// When the lock was granted, by ``Clock/now``.
        var granted: UInt64
        /// What the waiting cost, in nanoseconds.
        var processorTime: UInt64
    }

    init(_ role: BenchPeer.Role, _ implementation: LockImplementation, _ path: String, _ ground: BenchGround) throws {
        let (itsInput, questions) = try Self.makePipe()
        let (answers, itsOutput) = try Self.makePipe()
        defer {
            close(itsInput)
            close(itsOutput)
        }
        let arguments = [Self.program, BenchPeer.command, role.rawValue, implementation.rawValue, path]
        var pointers = unsafe arguments.map { unsafe strdup($0) } + [nil]
        defer { unsafe pointers.forEach { unsafe free($0) } }
        process = try unsafe pointers.withUnsafeMutableBufferPointer { pointers in
            guard let start = pointers.baseAddress else { throw SystemError(call: "posix_spawn", code: EINVAL) }
            return try unsafe ChildProcess.start(start, mask: ground.signals, streams: [(itsInput, 0), (itsOutput, 1)])
        }
        self.ground = ground
        ground.adopt(process)
        self.questions = questions
        self.answers = answers
    }

    deinit { end() }

    private static var program: String {
        #if canImport(Darwin)
        CommandLine.arguments[0]
        #else
        "/proc/self/exe"
        #endif
    }

    private static func makePipe() throws -> (read: Int32, write: Int32) {
        var ends: [Int32] = [-1, -1]
        if unsafe pipe(&ends) != 0 { throw SystemError(call: "pipe", code: errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    func ask() throws {
        try ask(1 as UInt8)
    }

    /// Writes the question's bytes.
    func ask<Question: BitwiseCopyable>(_ question: Question) throws {
        let isWritten = unsafe withUnsafeBytes(of: question) {
            unsafe write(questions, $0.baseAddress, $0.count) == $0.count
        }
        if !isWritten { throw SystemError(call: "write", code: errno) }
    }

    func answer() throws -> Answer {
        let numbers = try numbers(2)
        return Answer(granted: numbers[0], processorTime: numbers[1])
    }

    /// So many numbers of its answer.
    func numbers(_ count: Int) throws -> [UInt64] {
        var numbers = [UInt64](repeating: 0, count: count)
        try unsafe numbers.withUnsafeMutableBytes { bytes in
            var rest = unsafe bytes[...]
            while unsafe !rest.isEmpty {
                var entry = pollfd(fd: answers, events: Int16(POLLIN), revents: 0)
                guard unsafe poll(&entry, 1, 10_000) == 1 else {
                    throw BenchError("a process that waits for the lock did not answer within 10 seconds")
                }
                let count = unsafe read(answers, UnsafeMutableRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                guard count > 0 else {
                    throw BenchError("a process that waits for the lock ended unexpectedly")
                }
                unsafe rest = rest.dropFirst(count)
            }
        }
        return numbers
    }

    /// Ends it as a crash would.
    ///
    /// - Returns: When the signal was sent, by ``Clock/now``.
    func crash() -> UInt64 {
        let now = Clock.now
        process.send(SIGKILL)
        return now
    }

    /// Has it end, and waits for that.
    func end() {
        if hasEnded { return }
        hasEnded = true
        close(questions)
        close(answers)
        ground.letGo(process)
        _ = process.wait()
    }
}
