// SPDX-License-Identifier: Apache-2.0
//
// Reading and verifying one file: openat, fstat, preadv, close. Nothing that is not a regular file is ever read, and
// nothing is ever waited for: the open does not follow a link and does not block on a FIFO.

internal import _HoldfastCShims

/// An open regular file with its status.
struct OpenedState: ~Copyable {
    let file: Descriptor
    let status: FileStatus
    let name: FileName
}

/// A frame whose checksum is right.
struct StoredState: Sendable {
    var frame: SealedHeader
    var payload: [UInt8]

    var header: FrameHeader { frame.header }
}

extension ReplaceEngine {
    /// Opens a file of this state; nil if there is none.
    func open(
        _ name: FileName,
        _ operation: StateError.Operation,
        _ mode: OpenMode = .read
    ) throws(StateError) -> OpenedState? {
        func refused(_ what: String) -> StateError {
            let detail = "\(what), and a state is only kept in a regular file"
            return StateError(.refused, operation, path: directory.path(of: name), detail: detail)
        }
        do throws(SystemError) {
            let file = try directory.open(name, mode)
            let status = try file.status()
            if status.kind == .regular { return OpenedState(file: file, status: status, name: name) }
            throw SystemError(call: "fstat", code: status.kind == .directory ? EISDIR : ENXIO)
        } catch {
            switch error.code {
            case ENOENT: return nil
            case ELOOP, EMLINK: throw refused("it is a symbolic link")
            case EISDIR: throw refused("it is a directory")
            case ENXIO, ENODEV: throw refused("it is a FIFO, a socket or a device")
            default: throw StateError(operation.failure, operation, path: directory.path(of: name), cause: error)
            }
        }
    }

    /// Reads and verifies an open file, whole.
    func read(_ opened: borrowing OpenedState, _ operation: StateError.Operation) throws(StateError) -> StoredState {
        do throws(ReadProblem) {
            return try readVerified(opened.file, size: opened.status.size)
        } catch {
            let path = directory.path(of: opened.name)
            switch error {
            case .system(let cause):
                throw StateError(operation.failure, operation, path: path, cause: cause)
            case .frame(.corrupt(let corruption)) where opened.status.size == 0:
                let detail = """
                    the file is empty and holds no state; if it was made so on purpose, a save with \
                    StateOptions.adoptsEmpty (holdfastctl state save --adopt-empty) makes it one
                    """
                throw StateError(.corrupt, operation, path: path, corruption: corruption, detail: detail)
            case .unfinished:
                let detail = """
                    its first page is empty, as a crash leaves it while an empty file is made a state in place; if that \
                    is what happened, empty it (truncate -s 0) and adopt it again
                    """
                throw StateError(.corrupt, operation, path: path, corruption: .magic, detail: detail)
            case .frame(.corrupt(let corruption)):
                throw StateError(.corrupt, operation, path: path, corruption: corruption)
            case .frame(.newerFormat(let version)):
                throw StateError(.newerFormat, operation, path: path, found: version)
            case .numbers(let code, let expected, let found):
                throw StateError(code, operation, path: path, expected: expected, found: found)
            }
        }
    }

    /// What is wrong, without where.
    private enum ReadProblem: Error {
        case system(SystemError)
        case frame(FrameProblem)
        /// Long enough for a two-slot file, whose first page was never written.
        case unfinished
        case numbers(StateError.Code, expected: UInt64, found: UInt64)
    }

    private func readVerified(_ file: borrowing Descriptor, size: Int64) throws(ReadProblem) -> StoredState {
        let length = size - Int64(Frame.headerLength)
        guard length >= 0 else { throw .frame(.corrupt(.tooShort(UInt64(size)))) }
        // A two-slot file is known by its first line, before it is read whole; no other file of its size is likely.
        let mayBeSlots = size % Int64(SlotFile.page) == 0 && size >= 3 * Int64(SlotFile.page)
        if mayBeSlots || length > Int64(options.maximumLength), Self.formatNumber(of: file) == SlotFile.formatVersion {
            throw .frame(.newerFormat(SlotFile.formatVersion))
        }
        guard length <= Int64(options.maximumLength) else {
            throw .numbers(.tooLarge, expected: UInt64(options.maximumLength), found: UInt64(length))
        }
        let (bytes, payload) = try Self.readPieces(file, Int(length))
        let frame: SealedHeader
        do throws(FrameProblem) {
            frame = try Frame.verify(bytes, payload)
        } catch {
            if mayBeSlots, bytes.indices.allSatisfy({ bytes[$0] == 0 }) { throw .unfinished }
            throw .frame(error)
        }
        if let expected = options.expectedStore, expected != frame.header.store {
            throw .numbers(.wrongStore, expected: expected.value, found: frame.header.store.value)
        }
        return StoredState(frame: frame, payload: payload)
    }

    /// One preadv(2) into the header and the payload's own array, which is the one that the codec gets.
    private static func readPieces(
        _ file: borrowing Descriptor,
        _ length: Int
    ) throws(ReadProblem) -> (Frame.Header, [UInt8]) {
        var header = Frame.Header(repeating: 0)
        var outcome: Result<Int, SystemError> = .success(0)
        let payload = unsafe [UInt8](unsafeUninitializedCapacity: length) { buffer, initialized in
            let second = unsafe UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: length)
            var span = header.mutableSpan
            unsafe span.withUnsafeMutableBytes { first in
                do throws(SystemError) {
                    outcome = .success(try unsafe file.readAll(into: first, second))
                } catch {
                    outcome = .failure(error)
                }
            }
            initialized = max(0, ((try? outcome.get()) ?? 0) - Frame.headerLength)
        }
        switch outcome {
        case .failure(let error):
            throw .system(error)
        case .success(let count) where count < Frame.headerLength:
            // Somebody cut the file off while it was open: no writer of Holdfast does.
            throw .frame(.corrupt(.tooShort(UInt64(count))))
        case .success:
            return (header, payload)
        }
    }

    /// The header alone, not compared with the payload; nil if it cannot be read or is malformed.
    func peek(_ opened: borrowing OpenedState) -> SealedHeader? {
        Self.firstLine(of: opened.file).flatMap { try? SealedHeader(parsing: $0) }
    }

    /// Whether the file begins with this header, which carries the generation and the checksum.
    func isStill(_ frame: SealedHeader) -> Bool {
        guard let opened = try? open(names.state, .loading) else { return false }
        return peek(opened) == frame
    }

    private static func formatNumber(of file: borrowing Descriptor) -> UInt64? {
        firstLine(of: file).flatMap { try? $0.formatNumber() }
    }

    private static func firstLine(of file: borrowing Descriptor) -> Frame.Header? {
        var header = Frame.Header(repeating: 0)
        var bytes = header.mutableSpan
        return (try? file.readAll(into: &bytes)) == Frame.headerLength ? header : nil
    }
}
