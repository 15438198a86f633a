// SPDX-License-Identifier: Apache-2.0
//
// One simulated file. A plain value: a copy of it is an image of the file at that moment.

internal import Holdfast

/// The bytes of one name in a directory.
///
/// Not a `String`, whose equality is that of Unicode: "é" in one code point and in two are equal strings, and two files.
struct EntryName: Hashable, Comparable, Sendable, CustomStringConvertible {
    let bytes: [UInt8]

    init(_ name: some StringProtocol) {
        bytes = Array(name.utf8)
    }

    var description: String { String(decoding: bytes, as: UTF8.self) }

    func hash(into hasher: inout Hasher) {
        hasher.combine(all: bytes)
    }

    static func < (left: Self, right: Self) -> Bool {
        left.bytes.lexicographicallyPrecedes(right.bytes)
    }
}

extension Hasher {
    /// Many bytes at once: an array would hash each by itself.
    mutating func combine(all bytes: [UInt8]) {
        combine(bytes.count)
        unsafe bytes.withUnsafeBytes { unsafe combine(bytes: $0) }
    }
}

/// What a file is and holds, apart from its names.
struct Inode: Sendable {
    enum Content: Sendable {
        case regular([UInt8])
        /// The entries, and the directory's own parent for "..".
        case directory([EntryName: UInt64], parent: UInt64)
        case symbolicLink(String)
        /// A FIFO: can be opened, locked and looked at, but holds no bytes.
        case fifo
    }

    var content: Content
    var permissions: UInt32
    var owner: UInt32 = 0
    var group: UInt32 = 0
    /// The names of it; for a directory also its own "." and the ".." of those below.
    var links: UInt64
    /// Opened with O_TMPFILE and never named: linkat(2) may give it a first name.
    var isLinkable = false
    var modified: FileStatus.Time
    var changed: FileStatus.Time
    var attributes: [String: [UInt8]] = [:]
    /// Whether a process has mapped it: then any of its bytes may change without a call.
    var isMapped = false
}

extension Inode {
    var kind: FileStatus.Kind {
        switch content {
        case .regular: .regular
        case .directory: .directory
        case .symbolicLink: .symbolicLink
        case .fifo: .other
        }
    }

    var size: Int64 {
        switch content {
        case .regular(let bytes): Int64(bytes.count)
        case .directory: 4096
        case .symbolicLink(let target): Int64(target.utf8.count)
        case .fifo: 0
        }
    }

    /// The bytes of a regular file; empty for anything else, of which no bytes can be set.
    var bytes: [UInt8] {
        get {
            if case .regular(let bytes) = content { bytes } else { [] }
        }
        _modify {
            guard case .regular(var bytes) = content else { preconditionFailure("only a regular file holds bytes") }
            // The array must have one owner while it is written, or each write would copy the file.
            content = .fifo
            defer { content = .regular(bytes) }
            yield &bytes
        }
    }

    /// The entries of a directory; empty for anything else, of which no entries can be set.
    var entries: [EntryName: UInt64] {
        get {
            if case .directory(let entries, _) = content { entries } else { [:] }
        }
        _modify {
            guard case .directory(var entries, let parent) = content else {
                preconditionFailure("only a directory has entries")
            }
            content = .fifo
            defer { content = .directory(entries, parent: parent) }
            yield &entries
        }
    }
}
