// SPDX-License-Identifier: Apache-2.0
//
// The durable high-water mark of a lock's tokens, in the companion `.NAME.guard`.
//
// Invariant: a token below the mark on the device may have been given out; none at or above it has. So the mark is moved
// up by a block and flushed before the first token of the block is used, and after a power cut tokens go on from the
// mark. Within a boot the last token stands in the lock file's record, in the page cache that every process shares.
//
// Two copies, in separate pages, are written in turn: a write that a power cut tears leaves the other one. That only helps
// if the other one is on the device, and whoever wrote it may have died before its flush. So what was read is flushed before
// anything is overwritten; and a copy whose flush failed is blanked, because no later flush would tell.
//
// Invariant: a second copy is only written when the companion's name is on the device. The companion
// outlives the lock file, so that tokens grow on when that is cleaned away, deleted or overwritten.

internal import _HoldfastCShims

package enum TokenReservation {
    /// How many tokens one flush pays for.
    package static let blockSize: UInt64 = 1 << 20
    /// `holdfast-tokens 1 <checksum> limit=<20 digits>`, spaces, newline.
    static let slotSize = 128
    static let secondSlot = 4096
    /// The length of a guard from its first mark on.
    ///
    /// It has it before the mark is written: a power cut then leaves no file that another program's may look like.
    static let size = secondSlot + slotSize
    /// What a power cut tears at once.
    private static let sector = 512
    static let magic = "holdfast-tokens 1 "
    static let checksum = 18..<34
    static let limit = 41..<61

    /// What became of a reservation.
    package enum Outcome: Sendable {
        /// The first token of the block, and the mark behind its last.
        case reserved(first: UInt64, limit: UInt64)
        /// Somebody holds the guard.
        case busy(LockHolder)
    }

    /// Reserves a block for the holder of the lock, without waiting for the guard.
    ///
    /// About ten system calls; two flushes of the companion, one of which has nothing to write unless somebody died, or one of it
    /// and one of the directory when it is new.
    ///
    /// - Parameters:
    ///   - minimum: A token that must be exceeded although no mark may cover it: that of the record.
    ///   - name: The lock file.
    ///   - directory: Where it is.
    /// - Returns: The block, or who holds the guard.
    /// - Throws: ``LockError``; no token of the block may be used then.
    package static func reserve(
        above minimum: UInt64,
        for name: FileName,
        in directory: OpenDirectory
    ) throws(LockError) -> Outcome {
        let companion: TokenFile
        switch try TokenFile.tryAcquire(for: name, in: directory) {
        case .acquired(let held): companion = held
        case .busy(let holder): return .busy(holder)
        }
        let path = companion.path
        let marks = try marks(in: companion.file, path: path)
        do throws(SystemError) {
            let newest = (marks[1] ?? 0) > (marks[0] ?? 0) ? 1 : 0
            let first = max(marks[newest] ?? 1, minimum == .max ? .max : minimum + 1)
            let (limit, overflow) = first.addingReportingOverflow(blockSize)
            if !overflow {
                let isNew = marks[newest] == nil
                if !isNew { try companion.file.descriptor.sync(.data) }
                if !isNew, marks.contains(nil) { try directory.syncEntries() }
                if isNew { try companion.file.descriptor.truncate(to: Int64(size)) }
                try move(to: limit, in: isNew ? 0 : 1 - newest, of: companion, isNew ? .full : .data)
                if isNew { try directory.syncEntries() }
                return .reserved(first: first, limit: limit)
            }
        } catch {
            throw LockError(.systemFailure, path: path, reason: "could not reserve fencing tokens", cause: error)
        }
        throw LockError(.compromised, path: path, reason: "its fencing tokens are used up")
    }

    /// Looks whether the companion of a lock file that is about to be made can keep its mark; absent, it can.
    ///
    /// One system call if there is none, about six if there is; changes nothing.
    ///
    /// - Throws: ``LockError`` as ``reserve(above:for:in:)`` would.
    static func check(for name: FileName, in directory: OpenDirectory) throws(LockError) {
        guard let companion = TokenFile.name(for: name) else { return }
        let path = directory.path(of: companion)
        let file: OpenLockFile
        do throws(SystemError) {
            file = try OpenLockFile(try directory.open(companion, .read), isWritable: false)
        } catch {
            if error.code == ENOENT { return }
            throw LockError(error, path: path, while: "open it")
        }
        _ = try marks(in: file, path: path)
    }

    /// Both copies of the mark, nil for one that was never written or that a power cut tore.
    private static func marks(in companion: borrowing OpenLockFile, path: String) throws(LockError) -> [UInt64?] {
        let marks: [UInt64?]?
        do throws(SystemError) {
            marks = try unsafe contents(of: companion.descriptor) { bytes in unsafe Self.marks(in: bytes) }
        } catch {
            throw LockError(error, path: path, while: "read it")
        }
        if let marks { return marks }
        throw LockError(
            .refused,
            path: path,
            reason: "it holds something that is no token mark, and is not overwritten"
        )
    }

    /// Whether a guard holds nothing, not even what a power cut left of a mark.
    static func isUnused(_ file: borrowing Descriptor) throws(SystemError) -> Bool {
        try unsafe contents(of: file) { bytes in unsafe mayBeNew(bytes) && bytes.allSatisfy { $0 == 0 } }
    }

    /// Whether there are as many bytes as a guard has before its first mark is on the device.
    ///
    /// An earlier version wrote the first mark into a file of that length.
    private static func mayBeNew(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bytes.count <= slotSize || bytes.count == size
    }

    /// Hands over what a file holds, or as much as shows that it is longer than a guard.
    private static func contents<Result>(
        of file: borrowing Descriptor,
        _ body: (UnsafeRawBufferPointer) -> Result
    ) throws(SystemError) -> Result {
        try unsafe withBuffer(size + 1) { buffer throws(SystemError) in
            let count = try unsafe file.readAll(into: buffer)
            return unsafe body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }

    /// The marks in the bytes of a guard, nil if they are another program's data.
    ///
    /// The whole is looked at. One valid mark proves that the rest is what a power cut may have left of the other copy, in the
    /// page of that; without one there are at most the sector of the first copy in a file of full length, NULs, and
    /// what begins as a mark.
    private static func marks(in bytes: UnsafeRawBufferPointer) -> [UInt64?]? {
        guard bytes.count <= size else { return nil }
        func part(_ range: Range<Int>) -> Slice<UnsafeRawBufferPointer> {
            unsafe bytes[min(range.lowerBound, bytes.count)..<min(range.upperBound, bytes.count)]
        }
        let slots = unsafe (part(0..<slotSize), part(secondSlot..<size))
        let marks = unsafe [parse(slots.0), parse(slots.1)]
        let isBetweenBlank = unsafe part(slotSize..<secondSlot).allSatisfy { $0 == 0 }
        if marks[1] != nil || (marks[0] != nil && isBetweenBlank) { return marks }
        guard unsafe mayBeNew(bytes) else { return nil }
        func isBlankOrDamaged(_ slot: Slice<UnsafeRawBufferPointer>) -> Bool {
            unsafe slot.allSatisfy { $0 == 0 } || slot.starts(with: magic.utf8)
        }
        if isBetweenBlank, marks[0] == nil, unsafe isBlankOrDamaged(slots.0) && isBlankOrDamaged(slots.1) {
            return marks
        }
        let isTorn = unsafe bytes.count == size && part(sector..<size).allSatisfy { $0 == 0 }
        return isTorn ? marks : nil
    }

    /// Writes a copy of the mark and flushes it.
    ///
    /// After a flush that failed the page cache shows what the device may not have, and the next flush says that all is well.
    private static func move(
        to mark: UInt64,
        in slot: Int,
        of companion: borrowing TokenFile,
        _ kind: SyncKind
    ) throws(SystemError) {
        try write(mark, to: slot, of: companion)
        do throws(SystemError) {
            try companion.file.descriptor.sync(kind)
        } catch {
            try? blank(slot, of: companion)
            throw error
        }
    }

    private static func blank(_ slot: Int, of companion: borrowing TokenFile) throws(SystemError) {
        try unsafe withBuffer(slotSize) { bytes throws(SystemError) in
            unsafe bytes.initializeMemory(as: UInt8.self, repeating: 0)
            try unsafe companion.file.descriptor.writeAll(UnsafeRawBufferPointer(bytes), at: Int64(slot * secondSlot))
        }
    }

    private static func write(_ mark: UInt64, to slot: Int, of companion: borrowing TokenFile) throws(SystemError) {
        try unsafe withBuffer(slotSize) { bytes throws(SystemError) in
            unsafe bytes.copyBytes(from: template)
            unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[limit]).storeColumn(mark, radix: 10)
            let sum = unsafe slotChecksum(UnsafeRawBufferPointer(bytes))
            unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[checksum]).storeColumn(sum, radix: 16)
            try unsafe companion.file.descriptor.writeAll(UnsafeRawBufferPointer(bytes), at: Int64(slot * secondSlot))
        }
    }

    private static func parse(_ slot: Slice<UnsafeRawBufferPointer>) -> UInt64? {
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: slot)
        guard
            bytes.count == slotSize, unsafe bytes.starts(with: magic.utf8),
            let sum = unsafe UnsafeRawBufferPointer(rebasing: bytes[checksum]).column(radix: 16),
            unsafe sum == slotChecksum(bytes)
        else { return nil }
        return unsafe UnsafeRawBufferPointer(rebasing: bytes[limit]).column(radix: 10)
    }

    private static func slotChecksum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var sum = Checksum()
        unsafe sum.update(UnsafeRawBufferPointer(rebasing: bytes[checksum.upperBound...]))
        return sum.value
    }

    private static let template: [UInt8] = {
        let zeros = String(repeating: "0", count: 20)
        let text = Array("\(magic)\(zeros.prefix(16)) limit=\(zeros)".utf8)
        return text + Array(repeating: UInt8(ascii: " "), count: slotSize - 1 - text.count) + [UInt8(ascii: "\n")]
    }()
}
