// SPDX-License-Identifier: Apache-2.0
//
// The directory is the capability: locks and state are opened by one name below an open directory, so that nobody who
// renames or replaces a directory of the path can redirect them, and no name can leave it.

internal import _HoldfastCShims

/// An open directory, in which locks and state are named.
///
/// The path that opens it is resolved once, symbolic links included, with the authority of the caller. Everything below
/// is one ``FileName`` and never followed if it is a symbolic link.
public final class OpenDirectory: Sendable {
    package let fileSystem: any FileSystem
    package let descriptor: Descriptor
    /// The path that it was opened by, for messages.
    public let path: String

    package init(_ fileSystem: any FileSystem, owning rawValue: Int32, path: String) {
        self.fileSystem = fileSystem
        self.descriptor = Descriptor(fileSystem, owning: rawValue)
        self.path = path
    }

    /// Opens an existing directory.
    ///
    /// The corresponding C function is `open`, with `O_DIRECTORY`.
    ///
    /// - Parameter path: Absolute, or relative to the working directory; not empty, without NUL.
    /// - Throws: ``SystemError``: ENOENT, ENOTDIR, EACCES, EMFILE and what else open(2) names; EINVAL for a NUL.
    public convenience init(_ path: String) throws(SystemError) {
        try self.init(path, on: KernelFileSystem())
    }

    package convenience init(_ path: String, on fileSystem: any FileSystem) throws(SystemError) {
        let path = try Self.checked(path)
        let descriptor = try retrying { () throws(SystemError) in try fileSystem.openDirectory(path: path) }
        self.init(fileSystem, owning: descriptor, path: path)
    }

    /// Opens a directory after making the levels of its path that are missing, each of them durably.
    ///
    /// When it returns, a power cut does not take back a level that it made: the parent of each is flushed. Levels that
    /// existed already are not touched. One fsync(2) for each new level, none if there is none.
    ///
    /// - Parameters:
    ///   - path: As in ``init(_:)``.
    ///   - permissions: The mode of new levels, less the umask.
    /// - Throws: ``SystemError``. Levels made before the failure remain.
    public convenience init(makingPath path: String, permissions: UInt32 = 0o700) throws(SystemError) {
        try self.init(makingPath: path, permissions: permissions, on: KernelFileSystem())
    }

    package convenience init(
        makingPath path: String,
        permissions: UInt32 = 0o700,
        on fileSystem: any FileSystem
    ) throws(SystemError) {
        let path = try Self.checked(path)
        let start = path.utf8.first == UInt8(ascii: "/") ? "/" : "."
        var level = Descriptor(
            fileSystem,
            owning: try retrying { () throws(SystemError) in try fileSystem.openDirectory(path: start) }
        )
        // By bytes: to Swift's strings a slash before a combining mark is another character.
        for component in path.utf8.split(separator: UInt8(ascii: "/")) where !component.elementsEqual(".".utf8) {
            level = try Self.openOrMake(String(Substring(component)), in: level, permissions: permissions)
        }
        self.init(fileSystem, taking: level, path: path)
    }

    private init(_ fileSystem: any FileSystem, taking descriptor: consuming Descriptor, path: String) {
        self.fileSystem = fileSystem
        self.descriptor = descriptor
        self.path = path
    }

    private static func openOrMake(
        _ name: String,
        in parent: borrowing Descriptor,
        permissions: UInt32
    ) throws(SystemError) -> Descriptor {
        let fileSystem = parent.fileSystem
        let directory = parent.rawValue
        func open() throws(SystemError) -> Descriptor {
            Descriptor(
                fileSystem,
                owning: try retrying { () throws(SystemError) in
                    try fileSystem.openDirectory(name, in: directory, followingLink: true)
                }
            )
        }
        do throws(SystemError) {
            return try open()
        } catch  where error.code == ENOENT {
            do throws(SystemError) {
                try retrying { () throws(SystemError) in
                    try fileSystem.makeDirectory(name, in: directory, permissions: permissions)
                }
            } catch  where error.code == EEXIST {
                // Another process made it between the two calls; its entry may not be flushed, so flush it as ours.
            }
            let made = try open()
            try parent.sync(.full)
            return made
        }
    }

    private static func checked(_ path: String) throws(SystemError) -> String {
        if path.isEmpty { throw SystemError(call: "open", code: ENOENT) }
        if path.utf8.contains(0) { throw SystemError(call: "open", code: EINVAL) }
        return path
    }
}

extension OpenDirectory {
    /// The path of a name below, for messages only.
    package func path(of name: FileName) -> String {
        switch path {
        case ".": "\(name)"
        case _ where path.utf8.last == UInt8(ascii: "/"): "\(path)\(name)"
        default: "\(path)/\(name)"
        }
    }

    /// Splits a path into its open directory and the last component.
    ///
    /// - Throws: ``SystemError``; EINVAL if the last component is not a ``FileName``.
    package static func resolve(_ path: String) throws(SystemError) -> (OpenDirectory, FileName) {
        let slash = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        let last = slash.map { String(path[path.utf8.index(after: $0)...]) } ?? path
        guard let name = FileName(last) else { throw SystemError(call: "open", code: EINVAL) }
        let parent: String =
            switch slash {
            case nil: "."
            case path.startIndex: "/"
            case let index?: String(path[..<index])
            }
        return (try OpenDirectory(parent), name)
    }

    package func open(_ name: FileName, _ mode: OpenMode) throws(SystemError) -> Descriptor {
        let opened = try retrying { () throws(SystemError) in
            try fileSystem.open(name.description, in: descriptor.rawValue, mode)
        }
        return Descriptor(fileSystem, owning: opened)
    }

    package func openUnnamed(permissions: UInt32 = 0o600) throws(SystemError) -> Descriptor {
        let opened = try retrying { () throws(SystemError) in
            try fileSystem.openUnnamed(in: descriptor.rawValue, permissions: permissions)
        }
        return Descriptor(fileSystem, owning: opened)
    }

    /// Opens this directory again, with O_DIRECTORY where it exists: for the fsync of one save.
    package func openItself() throws(SystemError) -> Descriptor {
        let opened = try retrying { () throws(SystemError) in
            try fileSystem.openDirectory(".", in: descriptor.rawValue, followingLink: false)
        }
        return Descriptor(fileSystem, owning: opened)
    }

    /// fstatat(2), nil if there is no such name.
    package func status(of name: FileName) throws(SystemError) -> FileStatus? {
        do {
            return try retrying { () throws(SystemError) in
                try fileSystem.status(of: name.description, in: descriptor.rawValue)
            }
        } catch  where error.code == ENOENT {
            return nil
        }
    }

    /// statx(2), nil if there is no such name.
    package func identity(of name: FileName) throws(SystemError) -> FileIdentity? {
        do {
            return try retrying { () throws(SystemError) in
                try fileSystem.identity(of: name.description, in: descriptor.rawValue)
            }
        } catch  where error.code == ENOENT {
            return nil
        }
    }

    package func rename(_ name: FileName, to newName: FileName, replacing: Bool) throws(SystemError) {
        try retrying { () throws(SystemError) in
            try fileSystem.rename(
                name.description,
                to: newName.description,
                in: descriptor.rawValue,
                replacing: replacing
            )
        }
    }

    package func link(_ name: FileName, to newName: FileName) throws(SystemError) {
        try retrying { () throws(SystemError) in
            try fileSystem.link(name.description, to: newName.description, in: descriptor.rawValue)
        }
    }

    package func link(unnamed file: borrowing Descriptor, to name: FileName) throws(SystemError) {
        let file = file.rawValue
        try retrying { () throws(SystemError) in
            try fileSystem.link(unnamed: file, to: name.description, in: descriptor.rawValue)
        }
    }

    package func unlink(_ name: FileName) throws(SystemError) {
        try retrying { () throws(SystemError) in
            try fileSystem.unlink(name.description, in: descriptor.rawValue)
        }
    }

    package func names() throws(SystemError) -> [String] {
        try retrying { () throws(SystemError) in try fileSystem.names(in: descriptor.rawValue) }
    }

    /// Flushes the names in it; a file system that has no such flush is as durable as it gets.
    package func syncEntries() throws(SystemError) {
        do throws(SystemError) {
            try descriptor.sync(.full)
        } catch  where error.isMissingFlush {}
    }

    /// Whether other machines may share the file system; true if that cannot be told.
    package var isShared: Bool {
        (try? retrying { () throws(SystemError) in try fileSystem.isShared(descriptor.rawValue) }) ?? true
    }
}

extension SystemError {
    /// Whether a flush has failed with this, and not because none is possible here.
    ///
    /// What could not even be opened to be flushed is as it was.
    var isFailedFlush: Bool { call == "fsync" && !isImpossibleFlush }

    /// Whether this file system has no flush (of directories, or at all), or is read-only by now.
    var isImpossibleFlush: Bool { isMissingFlush || (isOfFlush && code == EROFS) }

    fileprivate var isMissingFlush: Bool { isOfFlush && isAny(of: EINVAL, ENOTSUP, EOPNOTSUPP) }

    private var isOfFlush: Bool { call == "fsync" || call == "fdatasync" }
}
