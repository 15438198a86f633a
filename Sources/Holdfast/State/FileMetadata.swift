// SPDX-License-Identifier: Apache-2.0
//
// Owner, mode and extended attributes (access control lists and security labels among them) that the new file takes over
// from the one that it replaces. Invariant: nobody can read the new file who could not read the old one, so whatever
// cannot be carried over fails the save.

internal import _HoldfastCShims

/// What a replaced file hands on to its successor.
struct FileMetadata: Sendable {
    private let status: FileStatus
    private let attributes: [(name: String, value: [UInt8])]

    /// Reads it from an open file.
    ///
    /// One flistxattr(2), and one fgetxattr(2) for each attribute and for its size.
    init(of file: borrowing Descriptor, _ status: FileStatus) throws(SystemError) {
        self.status = status
        var attributes: [(name: String, value: [UInt8])] = []
        for name in try file.attributeNames() {
            do throws(SystemError) {
                attributes.append((name, try file.attribute(name)))
            } catch  where Self.mayBeLeft(name, error) || error.code == Self.noSuchAttribute {
                // The label of the directory applies, or the attribute was removed since it was listed.
            }
        }
        self.attributes = attributes
    }

    /// Gives it to the new file, which has this status; before the flush, so that it is covered by it.
    ///
    /// The owner first, because fchown(2) takes set-user-ID bits away; access control lists last, because fchmod(2)
    /// changes their mask.
    func apply(to file: borrowing Descriptor, having new: FileStatus) throws(SystemError) {
        let isAnothers = (new.owner, new.group) != (status.owner, status.group)
        if isAnothers { try file.setOwner(status.owner, group: status.group) }
        if isAnothers || new.permissions != status.permissions { try file.setPermissions(status.permissions) }
        for (name, value) in attributes {
            do throws(SystemError) {
                try file.setAttribute(name, to: value)
            } catch  where Self.mayBeLeft(name, error) {}
        }
        try dropInheritedAccess(file)
    }

    /// A directory's default access control list went to the new file; the old one had none.
    ///
    /// fchmod(2) has just opened its mask, so it would let people in whom the mode keeps out. A list that says no more
    /// than the mode is stored as none at all.
    private func dropInheritedAccess(_ file: borrowing Descriptor) throws(SystemError) {
        let accessList = "system.posix_acl_access"
        // The list's mask is the mode's group bits: without them it lets nobody in.
        guard status.permissions & 0o070 != 0, !attributes.contains(where: { $0.name == accessList }),
            try file.attributeNames().contains(accessList)
        else { return }
        var minimal: [UInt8] = [2, 0, 0, 0]  // POSIX_ACL_XATTR_VERSION, little-endian
        for (tag, shift) in [(1, 6), (4, 3), (32, 0)] as [(UInt8, UInt32)] {  // ACL_USER_OBJ, ACL_GROUP_OBJ, ACL_OTHER
            let rights = UInt8(status.permissions >> shift & 7)
            minimal += [tag, 0, rights, 0, 255, 255, 255, 255]
        }
        try file.setAttribute(accessList, to: minimal)
    }

    /// What only the system may set, and sets by its own rules if we may not.
    private static func mayBeLeft(_ name: String, _ error: SystemError) -> Bool {
        (name.hasPrefix("security.") || name.hasPrefix("trusted."))
            && error.isAny(of: EPERM, EACCES, ENOTSUP, EOPNOTSUPP)
    }

    #if canImport(Darwin)
    private static let noSuchAttribute = ENOATTR
    #else
    private static let noSuchAttribute = ENODATA
    #endif
}

extension Descriptor {
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
