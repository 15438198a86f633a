// SPDX-License-Identifier: Apache-2.0
//
// How a file is made that is not there: the one rule for locks, states and all that stands beside them.
//
//   1. a companion gets the owner and the group of the file that it stands beside, if that exists, and lets those in who may
//      write to that file: who may only read it could lock the companion, and keep the writers out
//   2. else the permissions and the group that the caller asked for, whatever the umask and the directory say; a companion
//      again for the writers
//   3. else what the directory's default access list grants, as open(2) with mode 0666 would have it; likewise
//   4. else mode 0600, or what a PID file has: 0644 less the umask
//
// A file of 1 to 3 gets its name only with its rights: two users meet at it, and a maker that dies in the middle must not
// leave one that keeps the other out. The directory's set-group-ID bit counts in every case but for a group that is given.

internal import _HoldfastCShims

/// How a file is made that is not there.
package struct FileCreation: Sendable {
    /// The mode; nil for the rule's.
    var permissions: UInt32?
    /// The group; nil for the kernel's.
    var group: UInt32?
    /// The file beside which it stands.
    var main: FileName?
    /// What open(2) is asked for where no more is known.
    var ordinary: UInt32 = 0o600

    package init(permissions: UInt32? = nil, group: UInt32? = nil, beside main: FileName? = nil) {
        (self.permissions, self.group, self.main) = (permissions, group, main)
    }

    /// Why no file can be made so, as a clause; nil if it can.
    var refusal: String? {
        if let permissions {
            let mode = "the mode 0" + String(permissions, radix: 8)
            if permissions > 0o777 { return "\(mode) has more than the nine permission bits" }
            if permissions & 0o600 != 0o600 { return "\(mode) does not let the owner read and write" }
        }
        // fchown(2) takes it for "as it is".
        return group == .max ? "there is no group \(UInt32.max)" : nil
    }
}

extension OpenDirectory {
    /// What a new file gets beyond its ordinary mode; nil if nothing.
    ///
    /// One fgetxattr(2) of the directory; beside another file openat, fstat, fgetxattr and close.
    package func metadata(for creation: FileCreation) throws(SystemError) -> FileMetadata? {
        if let main = creation.main, let metadata = try metadata(beside: main) { return metadata }
        // A list that cannot be read grants nothing.
        let isPrivate = creation.permissions == nil && creation.ordinary & 0o077 == 0
        let list = isPrivate ? try? descriptor.accessList(AccessList.defaults) : nil
        if list == nil, creation.permissions == nil, creation.group == nil { return nil }
        let granted = list?.granted(0o666)
        if creation.main == nil {
            return FileMetadata(permissions: creation.permissions, group: creation.group, default: granted)
        }
        let permissions = creation.permissions.map(FileMetadata.forWriters)
        return FileMetadata(permissions: permissions, group: creation.group, default: granted?.forWriters)
    }

    /// Nil if there is no such file, or none that this process may look at.
    private func metadata(beside main: FileName) throws(SystemError) -> FileMetadata? {
        do throws(SystemError) {
            let file = try open(main, .read)
            let status = try file.status()
            return status.kind == .regular ? try FileMetadata(companionOf: file, status) : nil
        } catch  where error.isAny(of: ENOENT, ELOOP, EMLINK, ENXIO, EACCES, EPERM) {
            return nil
        }
    }

    /// Opens a file for reading and writing, or makes an empty one.
    ///
    /// One openat(2) if it is there.
    package func openOrMake(_ name: FileName, _ creation: FileCreation) throws(SystemError) -> Descriptor {
        // Each turn after the first needs another process to have removed the file within microseconds.
        for _ in 0..<1000 {
            do throws(SystemError) {
                return try open(name, .readWrite)
            } catch  where error.code == ENOENT {}
            guard let metadata = try metadata(for: creation) else {
                return try open(name, .readWriteOrCreate(permissions: creation.ordinary))
            }
            // Opened by its name all the same: where one file has two inodes (FUSE), only that one is everybody's.
            let suffix = Self.publishingSuffix
            _ = try publish(name, suffix: suffix, permissions: 0o600, metadata, isOurs: { $0.isEmpty }) { _ in true }
        }
        throw SystemError(call: "openat", code: ENOENT)
    }
}
