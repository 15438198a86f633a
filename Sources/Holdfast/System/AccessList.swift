// SPDX-License-Identifier: Apache-2.0
//
// A POSIX access control list, acl(5), in the bytes that Linux has it in as an extended attribute: the version 2 in four
// bytes, then eight for each entry (tag, rights, id), little-endian. Only tags and rights below 256 are looked at.

/// An access control list.
struct AccessList: Hashable, Sendable {
    static let access = "system.posix_acl_access"
    static let defaults = "system.posix_acl_default"

    /// Whom an entry is about; the named users and groups are left as they are.
    enum Tag: UInt8 {
        case owner = 1
        case owningGroup = 4
        case mask = 16
        case other = 32
    }

    private(set) var bytes: [UInt8]

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// The list that says what a mode says.
    init(permissions: UInt32) {
        bytes = [2, 0, 0, 0]
        for (tag, shift) in [(Tag.owner, 6), (.owningGroup, 3), (.other, 0)] as [(Tag, UInt32)] {
            bytes += [tag.rawValue, 0, UInt8(permissions >> shift & 7), 0, 255, 255, 255, 255]
        }
    }

    /// The rights of an entry; none if there is no such entry.
    func rights(of tag: Tag) -> UInt8 {
        index(of: tag).map { bytes[$0 + 2] } ?? 0
    }

    /// Takes rights beyond these from an entry.
    mutating func limit(_ tag: Tag, to rights: UInt8) {
        if let index = index(of: tag) { bytes[index + 2] &= rights }
    }

    /// What a file gets in a directory with this default list if open(2) asks for a mode: the mode limits the owner, the
    /// others, and the mask, or where there is none the group.
    func granted(_ permissions: UInt32) -> AccessList {
        var list = self
        list.limit(.owner, to: UInt8(permissions >> 6 & 7))
        list.limit(index(of: .mask) == nil ? .owningGroup : .mask, to: UInt8(permissions >> 3 & 7))
        list.limit(.other, to: UInt8(permissions & 7))
        return list
    }

    /// The list of a companion, beside a file with this one: reading and writing for those who may write, no rights for others.
    var forWriters: AccessList {
        var list = self
        for index in stride(from: 4, through: bytes.count - 8, by: 8) {
            list.bytes[index + 2] = bytes[index + 2] & 2 == 0 ? 0 : bytes[index + 2] | 4
        }
        return list
    }

    private func index(of tag: Tag) -> Int? {
        guard bytes.count >= 12 else { return nil }
        return stride(from: 4, through: bytes.count - 8, by: 8).first {
            bytes[$0] == tag.rawValue && bytes[$0 + 1] == 0
        }
    }
}
