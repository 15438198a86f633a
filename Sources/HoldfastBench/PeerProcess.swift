// SPDX-License-Identifier: Apache-2.0
//
// A process that measures or waits for us: told by its standard input, answering on its standard output. It ends when its
// standard input does, so none outlives the benchmark.

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif
internal import Holdfast
internal import ToolProcesses

/// A process that measures or waits for us.
public final class PeerProcess {
    private let process: ChildProcess
    private let ground: BenchGround
    private let questions: Int32
    private let answers: Int32
    private let name: String

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - arguments: The program and its arguments. Without a slash the program is looked for along PATH.
    ///   - ground: Ends it when a signal ends us.
    /// - Throws: ``SystemError`` if it cannot be started.
    public init(_ arguments: [String], _ ground: BenchGround) throws {
        let (itsInput, questions) = try makePipe()
        let (answers, itsOutput) = try makePipe()
        defer {
            close(itsInput)
            close(itsOutput)
        }
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
        name = arguments.joined(separator: " ")
    }

    /// Has it end, and waits for that.
    deinit {
        close(questions)
        close(answers)
        ground.letGo(process)
        _ = process.wait()
    }

    /// This program.
    public static var program: String {
        #if canImport(Darwin)
        CommandLine.arguments[0]
        #else
        "/proc/self/exe"
        #endif
    }

    /// Writes the question's bytes.
    func ask<Question: BitwiseCopyable>(_ question: Question) throws {
        try unsafe withUnsafeBytes(of: question) { try unsafe send($0) }
    }

    /// Writes a line.
    public func ask(line: String) throws {
        try unsafe Array("\(line)\n".utf8).withUnsafeBytes { try unsafe send($0) }
    }

    private func send(_ bytes: UnsafeRawBufferPointer) throws {
        // As short as this it goes into a pipe whole.
        if unsafe write(questions, bytes.baseAddress, bytes.count) != bytes.count {
            throw SystemError(call: "write", code: errno)
        }
    }

    /// So many numbers of its answer.
    func numbers(_ count: Int) throws -> [UInt64] {
        var numbers = [UInt64](repeating: 0, count: count)
        try unsafe numbers.withUnsafeMutableBytes { bytes in
            var rest = unsafe bytes[...]
            while unsafe !rest.isEmpty {
                unsafe rest = rest.dropFirst(try receive(UnsafeMutableRawBufferPointer(rebasing: rest)))
            }
        }
        return numbers
    }

    /// The next line of its answer.
    public func line() throws -> String {
        var line: [UInt8] = []
        while true {
            var byte: UInt8 = 0
            _ = try unsafe withUnsafeMutableBytes(of: &byte) { try unsafe receive($0) }
            if byte == UInt8(ascii: "\n") { return String(decoding: line, as: UTF8.self) }
            line.append(byte)
        }
    }

    /// The next line of its answer, which is a number.
    public func number() throws -> UInt64 {
        let line = try line()
        guard let number = UInt64(line) else { throw BenchError("'\(name)' says: \(line)") }
        return number
    }

    private func receive(_ bytes: UnsafeMutableRawBufferPointer) throws -> Int {
        var entry = pollfd(fd: answers, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&entry, 1, 30_000) == 1 else {
            // It may wait forever for what is never granted, deaf to its standard input: nobody shall wait for its end.
            _ = crash()
            throw BenchError("'\(name)' did not answer within 30 seconds")
        }
        let count = unsafe read(answers, bytes.baseAddress, bytes.count)
        guard count > 0 else { throw BenchError("'\(name)' ended unexpectedly") }
        return count
    }

    /// Ends it as a crash would.
    ///
    /// - Returns: When the signal was sent, by ``Clock/now``.
    public func crash() -> UInt64 {
        let now = Clock.now
        process.send(SIGKILL)
        return now
    }
}

/// A pipe that programs which are started do not inherit.
func makePipe() throws -> (read: Int32, write: Int32) {
    var ends: [Int32] = [-1, -1]
    if unsafe pipe(&ends) != 0 { throw SystemError(call: "pipe", code: errno) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    return (ends[0], ends[1])
}
