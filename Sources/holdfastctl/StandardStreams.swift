// SPDX-License-Identifier: Apache-2.0
//
// Standard input and output as bytes. A stream that the parent process closed stays an error, and never becomes the
// number of a file that we open; a reader that went away is an error too, not a signal, and so is a limit on the
// size of files.

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif
internal import Holdfast
internal import ToolProcesses

enum StandardStreams {
    /// To be called first, before anything is opened.
    static func prepare() {
        // Opened the wrong way round, so that using it fails as a closed one does; not inherited, so closed for others.
        for (stream, mode) in [(0, O_WRONLY), (1, O_RDONLY), (2, O_RDONLY)] as [(Int32, Int32)]
        where fcntl(stream, F_GETFD) == -1 {
            _ = unsafe open("/dev/null", mode | O_CLOEXEC)
        }
        // EPIPE and EFBIG instead.
        SignalSet.makeErrors([SIGPIPE, SIGXFSZ])
    }

    /// Reads standard input to its end.
    ///
    /// - Parameter limit: More bytes than this are refused.
    /// - Returns: The bytes.
    /// - Throws: ``CommandFailure``: no input if it is closed, refused for too many bytes, I/O error.
    static func readAll(limit: Int) throws(CommandFailure) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = unsafe read(0, &chunk, chunk.count)
            if count == 0 { return bytes }
            if count < 0 {
                let code = errno
                if code == EINTR { continue }
                if code == EAGAIN || code == EWOULDBLOCK {
                    waitUntilReady(0, POLLIN)
                    continue
                }
                let reason = SystemError(call: "read", code: code)
                throw CommandFailure(
                    code == EBADF ? .noInput : .ioError,
                    "cannot read the payload from standard input: \(reason)"
                )
            }
            bytes.append(contentsOf: chunk[..<count])
            if bytes.count > limit {
                throw CommandFailure(.refused, "the payload on standard input has more than \(limit) bytes, the limit")
            }
        }
    }

    /// Writes all bytes to standard output.
    static func write(_ bytes: [UInt8]) throws(CommandFailure) {
        if let error = writeAll(bytes, to: 1) {
            throw CommandFailure(.ioError, "cannot write to standard output: \(error)")
        }
    }

    /// Writes text to standard error as far as that works.
    static func writeError(_ text: String) {
        _ = writeAll(Array(text.utf8), to: 2)
    }

    static var errorIsTerminal: Bool { isatty(2) == 1 }

    /// Waits for a stream that another user of the terminal or pipe made non-blocking.
    private static func waitUntilReady(_ stream: Int32, _ event: Int32) {
        var entry = pollfd(fd: stream, events: Int16(event), revents: 0)
        _ = unsafe poll(&entry, 1, -1)
    }

    private static func writeAll(_ bytes: [UInt8], to stream: Int32) -> SystemError? {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { bytes in
                #if canImport(Glibc)
                unsafe Glibc.write(stream, bytes.baseAddress, bytes.count)
                #elseif canImport(Musl)
                unsafe Musl.write(stream, bytes.baseAddress, bytes.count)
                #else
                unsafe Darwin.write(stream, bytes.baseAddress, bytes.count)
                #endif
            }
            if count >= 0 {
                rest = rest.dropFirst(count)
                continue
            }
            let code = errno
            if code == EAGAIN || code == EWOULDBLOCK {
                waitUntilReady(stream, POLLOUT)
            } else if code != EINTR {
                return SystemError(call: "write", code: code)
            }
        }
        return nil
    }
}
