// SPDX-License-Identifier: Apache-2.0
//
// What a lock file says, whoever wrote it: a record of ours, a bare decimal PID as the original protocol and many daemons
// write it, nothing, or something else.
//
// Invariant, for every role and command: a file is overwritten or removed only if the whole of it is `record`, `damaged`,
// `pid` or `empty`. The first line says nothing about the rest, and the rest may be data that exists once.

package enum LockContents: Hashable, Sendable {
    /// ``LockRecordLayout/size`` bytes, no more.
    case record(LockRecord)
    /// A record, and other data behind it: read for messages, never overwritten.
    case recordAndMore(LockRecord)
    /// A decimal number with nothing but white space around it.
    case pid(Int32)
    /// Nothing, or at most ``LockRecordLayout/size`` bytes of white space and NULs, as a power cut leaves them.
    case empty
    /// At most ``LockRecordLayout/size`` bytes that begin as a record does and are none: a write that was cut off, or damage.
    case damaged
    /// Something else; what, as a clause.
    case unreadable(String)

    /// Why a record with other data behind it is not a lock file's to overwrite, as a clause.
    static let more = "holds a lock record and other data behind it"

    /// Files larger than this are not lock files.
    package static let sizeLimit = 4096

    /// The record that it begins with.
    package var record: LockRecord? {
        switch self {
        case .record(let record), .recordAndMore(let record): record
        case .pid, .empty, .damaged, .unreadable: nil
        }
    }

    /// Reads an open lock file.
    package static func read(_ file: borrowing Descriptor) -> LockContents {
        do throws(SystemError) {
            return try unsafe withBuffer(sizeLimit + 1) { buffer throws(SystemError) in
                let count = try unsafe file.readAll(into: buffer)
                return unsafe LockContents(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            }
        } catch {
            return .unreadable("cannot be read: \(error)")
        }
    }

    /// Classifies the bytes of a lock file, of which one more than ``sizeLimit`` is enough.
    package init(_ bytes: UnsafeRawBufferPointer) {
        if let record = unsafe LockRecord(bytes) {
            self = bytes.count == LockRecordLayout.size ? .record(record) : .recordAndMore(record)
        } else if bytes.count > Self.sizeLimit {
            self = .unreadable("is too large for a lock file")
        } else if unsafe Self.beginsAsRecord(bytes) {
            self = .damaged
        } else if bytes.count <= LockRecordLayout.size, unsafe bytes.allSatisfy({ isSpace($0) || $0 == 0 }) {
            self = .empty
        } else if let pid = unsafe Self.barePID(bytes) {
            self = .pid(pid)
        } else {
            self = .unreadable("holds something other than a lock record or a PID")
        }
    }

    private static func beginsAsRecord(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count <= LockRecordLayout.size,
            let end = unsafe bytes.prefix(12).firstIndex(of: UInt8(ascii: "\n")),
            unsafe bytes[..<end].allSatisfy({ $0 == UInt8(ascii: " ") || isDigit($0) })
        else { return false }
        // With whatever number of a format: another version's record is a record. A power cut may leave a record as long as
        // the bare PID that it overwrote.
        let magic = "holdfast-lock ".utf8
        let text = unsafe bytes.dropFirst(end + 1)
        guard unsafe text.count > magic.count else { return unsafe !text.isEmpty && magic.starts(with: text) }
        return unsafe text.starts(with: magic) && isDigit(text[text.startIndex + magic.count])
    }

    /// The decimal number that is all there is, with white space around it at most.
    private static func barePID(_ bytes: UnsafeRawBufferPointer) -> Int32? {
        let digits = unsafe bytes.drop(while: isSpace).prefix(while: isDigit)
        guard unsafe bytes[digits.endIndex...].allSatisfy(isSpace),
            let pid = unsafe Int32(String(decoding: digits, as: UTF8.self)), pid > 0
        else { return nil }
        return pid
    }
}

private func isSpace(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || (9...13).contains(byte)
}

private func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
}
