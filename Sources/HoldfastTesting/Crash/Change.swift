// SPDX-License-Identifier: Apache-2.0
//
// The smallest changes that reach a device whole or not at all. One call makes several of them, and until a flush has
// made them durable a power cut keeps any of them and loses the others, as far as the file system's profile allows.

internal import Holdfast

/// One change of what is to be on the device.
///
/// Files are named by their inode numbers, which are not given twice while changes are recorded.
enum Change: Sendable {
    /// A file comes to exist, without a name and empty: it is reached by an entry that a later change makes.
    case birth(UInt64, Inode)
    /// One sector of a file gets these bytes, which are fewer at the file's end.
    ///
    /// The bytes are those of the page cache after the write, so a later write of the same sector contains an earlier one.
    case sector(UInt64, Int, [UInt8])
    /// An aligned word of a mapped file, which a process stored; the last one of those that were found together, or not.
    case word(UInt64, StoredWord, isLast: Bool)
    /// A file gets another size; what it loses is gone, and what it gains reads as zeros until its sectors are written.
    case size(UInt64, from: Int, to: Int)
    /// Mode and owner of a file.
    case owner(UInt64, permissions: UInt32, owner: UInt32, group: UInt32)
    /// One extended attribute of a file.
    case attribute(UInt64, String, [UInt8])
    /// Entries of a directory get a file or, if nil, go: one for most calls, two for a rename, which is atomic.
    ///
    /// `replaced` says that a rename put `renamed` in the place of another file.
    case entries(UInt64, [EntryName: UInt64?], renamed: UInt64?, replaced: Bool)
}

extension Change {
    /// The file that it changes; for entries the directory.
    var inode: UInt64 {
        switch self {
        case .birth(let number, _), .sector(let number, _, _), .size(let number, _, _): number
        case .word(let number, _, _): number
        case .owner(let number, _, _, _), .attribute(let number, _, _), .entries(let number, _, _, _): number
        }
    }

    /// Whether fdatasync(2) makes it durable as fsync(2) does.
    var isData: Bool {
        switch self {
        case .sector, .word, .size: true
        case .birth, .owner, .attribute, .entries: false
        }
    }

    var isWord: Bool {
        if case .word = self { true } else { false }
    }

    var isSector: Bool {
        if case .sector = self { true } else { false }
    }
}
