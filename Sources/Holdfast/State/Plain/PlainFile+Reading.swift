// SPDX-License-Identifier: Apache-2.0
//
// Reading and verifying one file: openat, fstat, preadv, close. No byte counts before its checksum is right.

internal import _HoldfastCShims

extension PlainFile {
    /// Reads and verifies an open file, whole.
    ///
    /// - Returns: Nil if it is a two-slot file.
    func read(_ opened: borrowing OpenedState) throws(StateFailure) -> StoredState? {
        let (size, limit) = (opened.status.size, options.maximumLength)
        let length = size - Int64(Frame.headerLength)
        if length < 0 { throw .corrupt(.tooShort(UInt64(size)), size == 0 ? Self.emptyFile : nil) }
        // A two-slot file is known by its first line, before it is read whole; no other file of its size is likely.
        let mayBeSlots = size % Int64(SlotFile.page) == 0 && size >= 3 * Int64(SlotFile.page)
        if mayBeSlots || length > Int64(limit), (try? opened.file.frameHeader())?.isOfTwoSlots ?? false { return nil }
        if length > Int64(limit) { throw .tooLarge(UInt64(length), limit: limit) }
        let (bytes, payload) = try readPieces(opened.file, Int(length))
        if bytes.isOfTwoSlots { return nil }
        if mayBeSlots, bytes.indices.allSatisfy({ bytes[$0] == 0 }) { throw .corrupt(.magic, Self.unfinishedFile) }
        let frame = try SealedHeader(parsing: bytes)
        try frame.verify(bytes, payload)
        if let expected = options.expectedStore, expected != frame.header.store {
            throw .wrongStore(frame.header.store, expected: expected)
        }
        return StoredState(frame: frame, payload: payload)
    }

    private static let emptyFile = """
        the file is empty and holds no state; if it was made so on purpose, a save with \
        StateOptions.adoptsEmpty (holdfastctl state save --adopt-empty) makes it one
        """
    /// Long enough for a two-slot file, whose first page was never written.
    private static let unfinishedFile = """
        its first page is empty, as a crash leaves it while an empty file is made a state in place; if that \
        is what happened, empty it (truncate -s 0) and adopt it again
        """

    /// One preadv(2) into the header and the payload's own array, which is the one that the codec gets.
    private func readPieces(
        _ file: borrowing Descriptor,
        _ length: Int
    ) throws(StateFailure) -> (Frame.Header, [UInt8]) {
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
            // Another program cut the file off while it was open: no writer of Holdfast does.
            throw .corrupt(.tooShort(UInt64(count)))
        case .success:
            return (header, payload)
        }
    }

    /// The header alone, not compared with the payload; nil if it cannot be read or is malformed.
    func peek(_ opened: borrowing OpenedState) -> SealedHeader? {
        (try? opened.file.frameHeader()).flatMap { try? SealedHeader(parsing: $0) }
    }

    /// Whether the file begins with this header, which carries the generation and the checksum.
    func isStill(_ frame: SealedHeader) -> Bool {
        guard let opened = try? place.open(place.names.state) else { return false }
        return peek(opened) == frame
    }
}
