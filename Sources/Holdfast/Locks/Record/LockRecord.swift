// SPDX-License-Identifier: Apache-2.0
//
// What the exclusive holder of a lock file wrote into it. It is diagnostics: the kernel says who holds the lock, the
// record says who that is, and line 1 tells a clean release (blank) from a holder that died.

internal import _HoldfastCShims

/// What the exclusive holder of a lock file left in it about itself.
public struct LockRecord: Hashable, Codable, Sendable {
    /// The holder.
    public let process: ProcessIdentity
    /// What the holder called itself: its executable's name unless it chose a label.
    public let label: String
    /// The token of that acquisition, nil if the file gives out none.
    public let token: FencingToken?
    /// When it was acquired, in milliseconds since 1970 by the holder's wall clock.
    public let acquiredMilliseconds: UInt64
    /// Whether the holder blanked line 1: it released the lock.
    ///
    /// False while it is held, and forever after its death.
    public let isReleased: Bool
    /// Which kernel lock the holder took.
    public let family: LockFamily
}

/// Where things stand in the bytes of a record: line 1 the PID alone, as tools for PID files read it, line 2 the rest.
///
///     1234
///     holdfast-lock 1 <checksum> token=… limit=… acquired=… boot=… family=… pid=… pidns=… timens=… start=… pidfd=… label=…
///
/// The checksum is CRC-64/NVME over line 2 from behind it to the end. Line 1 stands outside, because a release changes
/// it alone. A record of format 1 is always ``size`` bytes; fields up to `family` have fixed columns.
package enum LockRecordLayout {
    package static let size = 512
    static let maximumLabelLength = 64
    static let magic = "holdfast-lock 1 "
    /// Columns of line 2.
    static let checksum = 16..<32
    static let token = 39..<59
    static let limit = 66..<86
    static let acquired = 96..<116
    static let boot = 122..<158
    static let family = 166..<171
    static let unknownBoot = String(repeating: "-", count: 36)
}

/// A record of this process with everything filled in that does not change from one acquisition to the next.
package struct LockRecordTemplate: Sendable {
    package let pid: Int32
    package let pidLength: Int
    private let bytes: [UInt8]
    private let line2: Int
    private let knowsBoot: Bool

    /// Line 1 has the PID if it is to show the holder; else it is blank from the beginning.
    package init(process: ProcessIdentity, family: LockFamily, label: String, showsHolder: Bool = true) {
        typealias Layout = LockRecordLayout
        pid = process.pid
        knowsBoot = process.bootID != nil
        pidLength = "\(process.pid)".utf8.count
        let line1 = showsHolder ? "\(process.pid)\n" : String(repeating: " ", count: pidLength) + "\n"
        line2 = line1.utf8.count
        var text = line1 + Layout.magic + String(repeating: "0", count: 16)
        for field in [" token=", " limit=", " acquired="] { text += field + String(repeating: "0", count: 20) }
        text += " boot=\(process.bootID ?? Layout.unknownBoot) family=\(family.column) pid=\(process.pid)"
        if let namespace = process.pidNamespace { text += " pidns=\(namespace)" }
        if let namespace = process.timeNamespace { text += " timens=\(namespace)" }
        if let start = process.startTime { text += " start=\(start)" }
        if let inode = process.pidfdInode { text += " pidfd=\(inode)" }
        text += " label="
        var bytes = Array(text.utf8)
        bytes += recordedLabel(label, limit: Layout.maximumLabelLength).utf8
        bytes += repeatElement(UInt8(ascii: " "), count: Layout.size - 1 - bytes.count)
        bytes.append(UInt8(ascii: "\n"))
        self.bytes = bytes
    }

    /// Fills in one acquisition.
    ///
    /// `buffer` holds ``LockRecordLayout/size`` bytes.
    package func fill(
        _ buffer: UnsafeMutableRawBufferPointer,
        token: UInt64,
        limit: UInt64,
        acquiredMilliseconds: UInt64
    ) {
        unsafe buffer.copyBytes(from: bytes)
        let text = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[line2...])
        func store(_ value: UInt64, _ range: Range<Int>, radix: UInt64 = 10) {
            unsafe UnsafeMutableRawBufferPointer(rebasing: text[range]).storeColumn(value, radix: radix)
        }
        store(token, LockRecordLayout.token)
        store(limit, LockRecordLayout.limit)
        store(acquiredMilliseconds, LockRecordLayout.acquired)
        store(unsafe recordChecksum(UnsafeRawBufferPointer(text)), LockRecordLayout.checksum, radix: 16)
    }

    /// Whether a record is this process's own, of an earlier acquisition.
    func isOfSameProcess(as summary: LockRecordSummary, in buffer: UnsafeRawBufferPointer) -> Bool {
        let size = LockRecordLayout.size - line2
        return unsafe summary.line2 == line2
            && agrees(with: summary, in: buffer, at: LockRecordLayout.boot.lowerBound..<size)
    }

    /// Whether a record was written in the boot that this one is.
    func isOfSameBoot(as summary: LockRecordSummary, in buffer: UnsafeRawBufferPointer) -> Bool {
        unsafe agrees(with: summary, in: buffer, at: LockRecordLayout.boot)
    }

    private func agrees(
        with summary: LockRecordSummary,
        in buffer: UnsafeRawBufferPointer,
        at columns: Range<Int>
    ) -> Bool {
        // Without a boot id nothing tells this boot from the one before a power cut.
        guard knowsBoot, let theirs = buffer.baseAddress else { return false }
        return unsafe bytes.withUnsafeBytes { bytes in
            guard let ours = bytes.baseAddress else { return false }
            let start = columns.lowerBound
            return unsafe memcmp(ours + line2 + start, theirs + summary.line2 + start, columns.count) == 0
        }
    }
}

/// What the next acquisition needs of the record that it finds, read without allocating.
package struct LockRecordSummary: Sendable {
    package let isReleased: Bool
    package let token: UInt64
    package let limit: UInt64
    package let acquiredMilliseconds: UInt64
    package let family: LockFamily
    let line2: Int

    /// Nil if the bytes do not begin with a whole record that has the right checksum.
    ///
    /// What follows it, somebody appended: it says nothing about the lock.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        typealias Layout = LockRecordLayout
        guard bytes.count >= Layout.size else { return nil }
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: bytes.prefix(Layout.size))
        guard let end = unsafe bytes.prefix(12).firstIndex(of: UInt8(ascii: "\n")), end > 0 else { return nil }
        line2 = end + 1
        let line2 = line2
        let text = unsafe UnsafeRawBufferPointer(rebasing: bytes[line2...])
        func column(_ range: Range<Int>, radix: UInt64 = 10) -> UInt64? {
            unsafe UnsafeRawBufferPointer(rebasing: text[range]).column(radix: radix)
        }
        guard
            unsafe text.starts(with: Layout.magic.utf8),
            let checksum = column(Layout.checksum, radix: 16), unsafe checksum == recordChecksum(text),
            let token = column(Layout.token), let limit = column(Layout.limit),
            let acquired = column(Layout.acquired),
            let family = unsafe LockFamily(column: text[Layout.family])
        else { return nil }
        isReleased = unsafe bytes[0] == UInt8(ascii: " ")
        self.token = token
        self.limit = limit
        self.acquiredMilliseconds = acquired
        self.family = family
    }
}

extension LockRecord {
    /// What a bare PID file tells, whose process is dead.
    init(barePID pid: Int32, writtenAt time: FileStatus.Time?) {
        process = ProcessIdentity(pid: pid)
        label = "a bare PID"
        acquiredMilliseconds = UInt64(max(0, time?.seconds ?? 0)) * 1000
        isReleased = false
        token = nil
        family = .flock
    }

    /// Reads the record that the bytes begin with, or nil if that is none or does not fit its checksum.
    package init?(_ bytes: UnsafeRawBufferPointer) {
        guard let summary = unsafe LockRecordSummary(bytes) else { return nil }
        let text = unsafe String(decoding: bytes[summary.line2..<LockRecordLayout.size], as: UTF8.self)
        // By bytes: a label may begin with a combining mark, which would make one character with the sign before it.
        guard let labelStart = text.utf8.firstRange(of: " label=".utf8) else { return nil }
        var fields: [Substring: Substring] = [:]
        for field in text[..<labelStart.lowerBound].split(separator: " ") {
            let parts = field.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { fields[parts[0]] = parts[1] }
        }
        guard let pid = fields["pid"].flatMap({ Int32($0) }), pid > 0 else { return nil }
        var process = ProcessIdentity(pid: pid)
        process.bootID = fields["boot"].flatMap { $0 == LockRecordLayout.unknownBoot ? nil : String($0) }
        process.pidNamespace = fields["pidns"].flatMap { UInt64($0) }
        process.timeNamespace = fields["timens"].flatMap { UInt64($0) }
        process.startTime = fields["start"].flatMap { UInt64($0) }
        process.pidfdInode = fields["pidfd"].flatMap { UInt64($0) }
        var label = text[labelStart.upperBound...].unicodeScalars
        while label.last == " " || label.last == "\n" { label.removeLast() }
        self.process = process
        self.label = printable(String(label))
        token = summary.token == 0 ? nil : FencingToken(summary.token)
        acquiredMilliseconds = summary.acquiredMilliseconds
        isReleased = summary.isReleased
        family = summary.family
    }
}

/// A label as a record has it: without what moves a terminal's cursor, cut off between two characters.
///
/// A character that is longer than all the room is cut off between two of its scalars.
private func recordedLabel(_ label: String, limit: Int) -> String {
    let text = printable(label)
    var end = text.startIndex
    var room = limit
    for index in text.indices {
        room -= text[index].utf8.count
        if room < 0 { break }
        end = text.index(after: index)
    }
    if end > text.startIndex || text.isEmpty { return String(text[..<end]) }
    var scalars = text.unicodeScalars
    while scalars.reduce(0, { $0 + UTF8.width($1) }) > limit { scalars.removeLast() }
    return String(scalars)
}

private func recordChecksum(_ line2: UnsafeRawBufferPointer) -> UInt64 {
    var checksum = Checksum()
    unsafe checksum.update(UnsafeRawBufferPointer(rebasing: line2[LockRecordLayout.checksum.upperBound...]))
    return checksum.value
}

extension LockFamily {
    /// Five bytes, as the record has them.
    var column: String {
        switch self {
        case .flock: "flock"
        case .openFileDescription: "ofd  "
        }
    }

    init?(column: Slice<UnsafeRawBufferPointer>) {
        if unsafe column.elementsEqual("flock".utf8) {
            self = .flock
        } else if unsafe column.elementsEqual("ofd  ".utf8) {
            self = .openFileDescription
        } else {
            return nil
        }
    }
}
