// SPDX-License-Identifier: Apache-2.0
//
// What fstat(2) and fstatat(2) tell of a file, without C types.

internal import _HoldfastCShims

/// Device and inode: which file it is, for as long as somebody holds it open or it has a name.
///
/// Without an open descriptor an inode number proves nothing: ext4 gives the number of a deleted file to the next one.
package struct FileIdentity: Hashable, Sendable {
    package var device: UInt64
    package var inode: UInt64

    package init(device: UInt64, inode: UInt64) {
        self.device = device
        self.inode = inode
    }
}

/// What the file system knows of a file.
///
/// The corresponding C type is `struct stat`.
package struct FileStatus: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        case regular, directory, symbolicLink, other
    }

    package struct Time: Hashable, Sendable {
        package var seconds: Int64
        package var nanoseconds: Int64

        package init(seconds: Int64, nanoseconds: Int64) {
            self.seconds = seconds
            self.nanoseconds = nanoseconds
        }
    }

    package var identity: FileIdentity
    package var kind: Kind
    /// The twelve permission bits.
    package var permissions: UInt32
    package var owner: UInt32
    package var group: UInt32
    package var size: Int64
    package var links: UInt64
    package var modified: Time
    package var changed: Time

    package init(
        identity: FileIdentity,
        kind: Kind,
        permissions: UInt32,
        owner: UInt32,
        group: UInt32,
        size: Int64,
        links: UInt64,
        modified: Time,
        changed: Time
    ) {
        self.identity = identity
        self.kind = kind
        self.permissions = permissions
        self.owner = owner
        self.group = group
        self.size = size
        self.links = links
        self.modified = modified
        self.changed = changed
    }
}

extension FileStatus {
    init(_ raw: hf_status) {
        let kind: Kind =
            switch raw.mode & UInt32(S_IFMT) {
            case UInt32(S_IFREG): .regular
            case UInt32(S_IFDIR): .directory
            case UInt32(S_IFLNK): .symbolicLink
            default: .other
            }
        self.init(
            identity: FileIdentity(device: raw.device, inode: raw.inode),
            kind: kind,
            permissions: raw.mode & 0o7777,
            owner: raw.owner,
            group: raw.group,
            size: raw.size,
            links: raw.links,
            modified: Time(seconds: raw.modified_seconds, nanoseconds: raw.modified_nanoseconds),
            changed: Time(seconds: raw.changed_seconds, nanoseconds: raw.changed_nanoseconds)
        )
    }
}
