// SPDX-License-Identifier: Apache-2.0
//
// Owner, mode and extended attributes (access control lists and security labels among them) that a new file gets: from
// the file that it replaces, from the file that it stands beside, or as the caller asked. Invariants:
// - no user can open the new file, at any moment, who may not open it when it is complete. It begins with mode 0600,
//   under which an inherited list grants nothing, so the order of `apply` is: owner, labels, access list, mode;
// - what a replaced file had and cannot be carried over fails the save;
// - a list that the directory's default list put on the new file goes, also where the mode hides it: a later chmod(2)
//   would bring it to life.

internal import _HoldfastCShims

/// What a new file gets beyond what the kernel gives it.
package struct FileMetadata: Sendable {
    private var owner: UInt32?
    private var group: UInt32?
    /// The mode; nil leaves it to the access list, or as it is.
    private var permissions: UInt32?
    private var attributes: [(name: String, value: [UInt8])] = []
    /// Whether the file is less than its owner's if this process may not give it away.
    private var isCompanion = false

    /// What a replaced file hands on to its successor, read from it while it is open.
    ///
    /// One flistxattr(2), and one fgetxattr(2) for each attribute and for its size.
    package init(of file: borrowing Descriptor, _ status: FileStatus) throws(SystemError) {
        (owner, group, permissions) = (status.owner, status.group, status.permissions)
        for name in try file.attributeNames() {
            do throws(SystemError) {
                attributes.append((name, try file.attribute(name)))
            } catch  where Self.mayBeLeft(name, error) || error.code == Self.noSuchAttribute {
                // The label of the directory applies, or the attribute was removed since it was listed.
            }
        }
    }

    /// What a companion takes over from the file that it stands beside: whoever may write to that may use it, and no other.
    ///
    /// Who may only read it must not be able to: flock(2) asks for no more, and keeps the writers out.
    ///
    /// One fgetxattr(2), two if the file has an access list.
    init(companionOf file: borrowing Descriptor, _ status: FileStatus) throws(SystemError) {
        (owner, group, permissions) = (status.owner, status.group, Self.forWriters(status.permissions))
        isCompanion = true
        if let list = try file.accessList(AccessList.access) {
            attributes = [(AccessList.access, list.forWriters.bytes)]
        }
    }

    /// The mode of a companion, beside a file of this mode.
    static func forWriters(_ permissions: UInt32) -> UInt32 {
        let writing = permissions & 0o222
        return writing | writing << 1 | 0o600
    }

    /// What the caller asked for; without permissions the directory's default access list decides, if there is one.
    init(permissions: UInt32?, group: UInt32?, default list: AccessList?) {
        (self.permissions, self.group) = (permissions, group)
        if permissions == nil, let list { attributes = [(AccessList.access, list.bytes)] }
    }

    /// Gives it to the new file, which has this status; before the flush, so that it is covered by it.
    ///
    /// The owner first, because fchown(2) takes set-user-ID bits away; the mode last, because it opens what the labels and
    /// the list must have narrowed before.
    package func apply(to file: borrowing Descriptor, having new: FileStatus) throws(SystemError) {
        let isGiven = try giveAway(file, new)
        let isNarrowed = !isGiven && isCompanion && group != nil && group != new.group
        for (name, value) in attributes where name != AccessList.access {
            do throws(SystemError) {
                try file.setAttribute(name, to: value)
            } catch  where Self.mayBeLeft(name, error) {}
        }
        var (mode, hasChanged) = (permissions, isGiven)
        if let value = attributes.first(where: { $0.name == AccessList.access })?.value {
            var list = AccessList(bytes: value)
            if isNarrowed { list.limit(.owningGroup, to: list.rights(of: .other)) }
            try file.setAttribute(AccessList.access, to: list.bytes)
            hasChanged = true
        } else if let permissions {
            if isNarrowed { mode = permissions & ~0o070 | permissions & (permissions & 0o007) << 3 }
            if try file.accessList(AccessList.access) != nil {
                // A list that says no more than the mode is stored as none at all.
                try file.setAttribute(AccessList.access, to: AccessList(permissions: new.permissions).bytes)
            }
        }
        if let mode, hasChanged || new.permissions != mode { try file.setPermissions(mode) }
    }

    /// Whether the file has another owner or group now.
    ///
    /// Only root gives files away, and a group only its members. A companion that this process may not give to the owner
    /// of its file goes to the group alone, or stays this user's: then the rights of the group are not for this one's.
    private func giveAway(_ file: borrowing Descriptor, _ new: FileStatus) throws(SystemError) -> Bool {
        let (owner, group) = (owner ?? new.owner, group ?? new.group)
        if (owner, group) == (new.owner, new.group) { return false }
        do throws(SystemError) {
            try file.setOwner(owner, group: group)
            return true
        } catch  where isCompanion && error.isAny(of: EPERM, EINVAL) {
            if owner == new.owner || group == new.group { return false }
        }
        do throws(SystemError) {
            try file.setOwner(new.owner, group: group)
            return true
        } catch  where error.isAny(of: EPERM, EINVAL) {
            return false
        }
    }

    /// What only the system may set, and sets by its own rules if we may not.
    private static func mayBeLeft(_ name: String, _ error: SystemError) -> Bool {
        (name.hasPrefix("security.") || name.hasPrefix("trusted."))
            && error.isAny(of: EPERM, EACCES, ENOTSUP, EOPNOTSUPP)
    }

    #if canImport(Darwin)
    fileprivate static let noSuchAttribute = ENOATTR
    #else
    fileprivate static let noSuchAttribute = ENODATA
    #endif
}

extension Descriptor {
    /// An access control list of the file; nil where it has none, or the file system none at all.
    borrowing func accessList(_ name: String) throws(SystemError) -> AccessList? {
        do throws(SystemError) {
            return AccessList(bytes: try attribute(name))
        } catch  where error.isAny(of: FileMetadata.noSuchAttribute, ENOTSUP, EOPNOTSUPP) {
            return nil
        }
    }

    /// flistxattr(2); none where the file system has none.
    fileprivate borrowing func attributeNames() throws(SystemError) -> [String] {
        do throws(SystemError) {
            return try retrying { () throws(SystemError) in try fileSystem.attributeNames(rawValue) }
        } catch  where error.isAny(of: ENOTSUP, EOPNOTSUPP) {
            return []
        }
    }

    fileprivate borrowing func attribute(_ name: String) throws(SystemError) -> [UInt8] {
        try retrying { () throws(SystemError) in try fileSystem.attribute(name, of: rawValue) }
    }

    fileprivate borrowing func setAttribute(_ name: String, to value: [UInt8]) throws(SystemError) {
        try retrying { () throws(SystemError) in try fileSystem.setAttribute(name, of: rawValue, to: value) }
    }

    fileprivate borrowing func setOwner(_ owner: UInt32, group: UInt32) throws(SystemError) {
        try retrying { () throws(SystemError) in try fileSystem.setOwner(rawValue, owner: owner, group: group) }
    }

    fileprivate borrowing func setPermissions(_ permissions: UInt32) throws(SystemError) {
        try retrying { () throws(SystemError) in try fileSystem.setPermissions(rawValue, permissions) }
    }
}
