// SPDX-License-Identifier: Apache-2.0
//
// A lock file that was opened and found to be a regular file. Its identity cannot change, and its inode number cannot be
// given to another file, while it is open.

internal import _HoldfastCShims

/// An open lock file, locked or not.
struct OpenLockFile: ~Copyable, Sendable {
    let descriptor: Descriptor
    let identity: FileIdentity
    /// Whether it was opened for writing, as an exclusive holder needs it.
    let isWritable: Bool
    /// The process that opened it.
    ///
    /// After a fork the child's copy is the same description, so locks on it are the parent's.
    let owner: Int32

    /// - Throws: ``SystemError``, ENODEV if it is not a regular file.
    init(_ descriptor: consuming Descriptor, isWritable: Bool = true) throws(SystemError) {
        let status = try descriptor.status()
        if status.kind != .regular { throw SystemError(call: "fstat", code: ENODEV) }
        self.init(descriptor, identity: status.identity, isWritable: isWritable)
    }

    init(_ descriptor: consuming Descriptor, identity: FileIdentity, isWritable: Bool = true) {
        self.descriptor = descriptor
        self.identity = identity
        self.isWritable = isWritable
        owner = getpid()
    }

    /// Gives up ownership: the caller closes it.
    consuming func relinquish() -> Int32 {
        descriptor.relinquish()
    }

    /// Closes it and reports what close(2) says.
    consuming func close() throws(SystemError) {
        try descriptor.close()
    }

    /// Whether the descriptor is still this file's: other code of the process may have closed it, and its number be another
    /// file's by now.
    ///
    /// True if that cannot be seen.
    borrowing func isStillOpen() -> Bool {
        ((try? descriptor.status().identity) ?? identity) == identity
    }

    /// Whether the name is still this file's.
    borrowing func isNamed(_ name: FileName, in directory: OpenDirectory) throws(SystemError) -> Bool {
        try directory.identity(of: name) == identity
    }
}
