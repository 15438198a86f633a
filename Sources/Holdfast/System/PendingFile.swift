// SPDX-License-Identifier: Apache-2.0
//
// A new file before it has its name. Invariants:
// - nothing is left behind: unless the file gets its name, it is gone when this value ends;
// - an error of `install` or `link` leaves what has the name as it was.

internal import _HoldfastCShims

/// A new file that is filled before it gets its name.
///
///     let pending = try PendingFile(temporary, in: directory)
///     try pending.file.writeAll(bytes)
///     try pending.file.sync(.full)
///     try pending.install(as: name)
package struct PendingFile: ~Copyable {
    private let directory: OpenDirectory
    /// The open file.
    package private(set) var file: Descriptor
    /// The name that goes when this value ends; nil if the file has none.
    private var temporary: FileName?

    /// Makes an empty file under a name of its own.
    ///
    /// The corresponding C function is `openat`, with `O_CREAT|O_EXCL`.
    package init(_ temporary: FileName, in directory: OpenDirectory, permissions: UInt32 = 0o600) throws(SystemError) {
        file = try directory.open(temporary, .createNew(permissions: permissions))
        self.directory = directory
        self.temporary = temporary
    }

    /// Makes an empty file without a name.
    ///
    /// The corresponding C function is `openat`, with `O_TMPFILE`.
    package init(unnamedIn directory: OpenDirectory, permissions: UInt32) throws(SystemError) {
        file = try directory.openUnnamed(permissions: permissions)
        self.directory = directory
    }

    deinit {
        if let temporary { try? directory.unlink(temporary) }
    }

    /// Closes the file before it gets its name, and reports what close(2) says.
    package mutating func close() throws(SystemError) {
        try directory.fileSystem.close(file.disown())
    }

    /// Gives the file this name in place of the file that has it.
    ///
    /// The corresponding C function is `renameat`.
    package consuming func install(as name: FileName) throws(SystemError) {
        guard let temporary else { preconditionFailure("a file without a name cannot be renamed") }
        try directory.rename(temporary, to: name, replacing: true)
        self.temporary = nil
    }

    /// Gives the file this name if no file has it.
    ///
    /// The corresponding C function is `linkat`.
    ///
    /// - Returns: The open file; nil if the name is taken, or if another process took the temporary name for a leftover.
    package consuming func link(to name: FileName) throws(SystemError) -> Descriptor? {
        do throws(SystemError) {
            if let temporary {
                try directory.link(temporary, to: name)
            } else {
                try directory.link(unnamed: file, to: name)
            }
        } catch  where error.code == EEXIST || error.code == ENOENT && temporary != nil {
            return nil
        }
        return Descriptor(directory.fileSystem, owning: file.disown())
    }
}
