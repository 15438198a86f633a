// SPDX-License-Identifier: Apache-2.0
//
// What a lock file says, whoever wrote it: a record of ours, a bare decimal PID as the original protocol and many daemons
// write it, nothing, or something else.

package enum LockContents: Hashable, Sendable {
    case record(LockRecord)
    case pid(Int32)
    case empty
    /// At most ``LockRecordLayout/size`` bytes that begin as a record does and are none: a write that was cut off, or damage.
    case damaged
    /// Not a PID; why, as a clause.
    case unreadable(String)

    /// Files larger than this are not lock files, unless they begin with a record.
    package static let sizeLimit = 4096

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

    /// Classifies the bytes of a lock file.
    package init(_ bytes: UnsafeRawBufferPointer) {
        if let record = unsafe LockRecord(bytes) {
            self = .record(record)
        } else if bytes.count > Self.sizeLimit {
            self = .unreadable("is too large for a lock file")
        } else if unsafe Self.beginsAsRecord(bytes) {
            self = .damaged
        } else if unsafe bytes.allSatisfy(isSpace) {
            self = .empty
        } else if let pid = unsafe Self.barePID(bytes) {
            self = .pid(pid)
        } else {
            self = .unreadable("does not begin with a PID")
        }
    }

    private static func beginsAsRecord(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard bytes.count <= LockRecordLayout.size,
            let end = unsafe bytes.prefix(12).firstIndex(of: UInt8(ascii: "\n")),
            unsafe bytes[..<end].allSatisfy({
                $0 == UInt8(ascii: " ") || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
            })
        else { return false }
        let magic = LockRecordLayout.magic.utf8.prefix(while: { $0 != UInt8(ascii: " ") })
        return unsafe bytes.dropFirst(end + 1).starts(with: magic)
    }

    /// The decimal number that is all of line 1, with spaces around it at most.
    private static func barePID(_ bytes: UnsafeRawBufferPointer) -> Int32? {
        let line = unsafe bytes.prefix { $0 != UInt8(ascii: "\n") }
        var text = unsafe Substring(decoding: line, as: UTF8.self)
        text = text.drop(while: \.isWhitespace)
        while text.last?.isWhitespace == true { text.removeLast() }
        guard text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), let pid = Int32(text),
            pid > 0
        else { return nil }
        return pid
    }
}

private func isSpace(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || (9...13).contains(byte) || byte == 0
}
