// SPDX-License-Identifier: Apache-2.0
//
// The calls of a program that is not Holdfast's own, by path. Each is recorded, failed and crashed as every other.

public import Holdfast
internal import _HoldfastCShims

/// The calls that a saver of your own makes, on a ``SimulatedFileSystem``.
///
/// ```swift
/// let os = fileSystem.posix
/// let file = try os.open("/state.tmp", .create)
/// try os.pwrite(file, bytes, at: 0)
/// try os.fsync(file)
/// try os.close(file)
/// try os.rename("/state.tmp", "/state")
/// ```
///
/// Put your code on a protocol with the calls that it makes, and let this be one of its two implementations. Paths are from the root.
/// Using a descriptor that is not open, or for what it was not opened for, ends the process.
public struct PosixCalls: Sendable {
    /// How ``open(_:_:permissions:)`` opens.
    public struct OpenFlags: OptionSet, Sendable {
        /// The bits.
        public let rawValue: Int

        /// Takes bits.
        public init(rawValue: Int) {
            self.rawValue = rawValue
        }

        /// O_RDWR; without it O_RDONLY.
        public static let write = OpenFlags(rawValue: 1)
        /// O_RDWR|O_CREAT.
        public static let create = OpenFlags(rawValue: 2)
        /// O_EXCL, with ``create``.
        public static let exclusive = OpenFlags(rawValue: 4)
        /// O_TRUNC.
        public static let truncate = OpenFlags(rawValue: 8)
    }

    let fileSystem: SimulatedFileSystem

    /// open(2) of a file, or for reading of a directory.
    public func open(_ path: String, _ flags: OpenFlags = [], permissions: UInt32 = 0o600) throws(SystemError) -> Int32
    {
        let isWritable = !flags.isDisjoint(with: [.write, .create, .truncate])
        var names = [isWritable ? "O_RDWR" : "O_RDONLY"]
        if flags.contains(.create) { names.append("O_CREAT") }
        if flags.contains(.exclusive) { names.append("O_EXCL") }
        if flags.contains(.truncate) { names.append("O_TRUNC") }
        return try fileSystem.perform(Call("open", name: path, flags: names)) { state throws(Failure) in
            let number = try state.find(path, flags, permissions)
            switch state.volume[number].kind {
            case .directory where isWritable: throw Failure(EISDIR)
            case .regular where flags.contains(.truncate): state.resize(number, to: 0)
            default: break
            }
            return state.openFile(number, path: state.join("/", path), isWritable: isWritable)
        }
    }

    /// close(2).
    public func close(_ descriptor: Int32) throws(SystemError) {
        try fileSystem.close(descriptor)
    }

    /// pread(2).
    ///
    /// - Returns: At most `count` bytes; none at the end.
    public func pread(_ descriptor: Int32, count: Int, at offset: Int64) throws(SystemError) -> [UInt8] {
        let call = Call("pread", descriptor, details: ["\(count)", "\(offset)"])
        return try fileSystem.perform(call) { state throws(Failure) in try state.read(descriptor, count, at: offset) }
    }

    /// pwrite(2).
    ///
    /// - Returns: How many bytes were written, which is fewer than were given only if a fault plan says so.
    @discardableResult
    public func pwrite(_ descriptor: Int32, _ bytes: [UInt8], at offset: Int64) throws(SystemError) -> Int {
        let call = Call("pwrite", descriptor, details: ["[\(bytes.count)]", "\(offset)"])
        return try fileSystem.perform(call) { state throws(Failure) in try state.write(descriptor, bytes, at: offset) }
    }

    /// ftruncate(2).
    public func ftruncate(_ descriptor: Int32, to size: Int64) throws(SystemError) {
        try fileSystem.truncate(descriptor, to: size)
    }

    /// fsync(2), of a file or of a directory.
    public func fsync(_ descriptor: Int32) throws(SystemError) {
        try fileSystem.sync(descriptor, .full)
    }

    /// fdatasync(2).
    public func fdatasync(_ descriptor: Int32) throws(SystemError) {
        try fileSystem.sync(descriptor, .data)
    }

    /// fchmod(2).
    public func fchmod(_ descriptor: Int32, _ permissions: UInt32) throws(SystemError) {
        try fileSystem.setPermissions(descriptor, permissions)
    }

    /// rename(2) within a directory.
    ///
    /// - Throws: `SystemError`; EXDEV for another directory, which this simulation does not rename into.
    public func rename(_ path: String, _ newPath: String) throws(SystemError) {
        try twoPaths("rename", path, newPath) { state, directory, name, newName throws(Failure) in
            try state.volume.rename(name, to: newName, in: directory, replacing: true)
        }
    }

    /// link(2) within a directory.
    ///
    /// - Throws: `SystemError`; EXDEV for another directory, which this simulation does not link into.
    public func link(_ path: String, _ newPath: String) throws(SystemError) {
        try twoPaths("link", path, newPath) { state, directory, name, newName throws(Failure) in
            try state.volume.link(try state.volume.find(name, in: directory), as: newName, in: directory)
        }
    }

    /// unlink(2).
    public func unlink(_ path: String) throws(SystemError) {
        try fileSystem.perform(Call("unlink", name: path)) { state throws(Failure) in
            let (directory, name) = try state.parent(of: path)
            try state.volume.unlink(name, in: directory)
        }
    }

    /// mkdir(2).
    public func mkdir(_ path: String, permissions: UInt32 = 0o700) throws(SystemError) {
        let call = Call("mkdir", name: path, details: [octal(permissions)])
        try fileSystem.perform(call) { state throws(Failure) in
            let (directory, name) = try state.parent(of: path)
            let content = Inode.Content.directory([:], parent: directory)
            _ = try state.volume.make(name, in: directory, content, permissions: permissions & ~state.umask)
        }
    }

    private func twoPaths(
        _ function: String,
        _ path: String,
        _ newPath: String,
        _ body: (inout SimulatedState, _ directory: UInt64, String, String) throws(Failure) -> Void
    ) throws(SystemError) {
        let call = Call(function, name: path, newName: newPath)
        try fileSystem.perform(call) { state throws(Failure) in
            let (directory, name) = try state.parent(of: path)
            let (newDirectory, newName) = try state.parent(of: newPath)
            if directory != newDirectory { throw Failure(EXDEV) }
            try body(&state, directory, name, newName)
        }
    }
}

extension SimulatedFileSystem {
    /// The calls that a program makes by path.
    public var posix: PosixCalls { PosixCalls(fileSystem: self) }
}

extension SimulatedState {
    /// The directory and the last component of a path.
    fileprivate func parent(of path: String) throws(Failure) -> (directory: UInt64, name: String) {
        let components = path.split(separator: "/")
        guard let name = components.last, name != ".", name != ".." else { throw Failure(EBUSY) }
        let parent = "/" + components.dropLast().joined(separator: "/")
        let directory = try volume.resolve(parent, from: Volume.root, followingLast: true)
        return (directory, String(name))
    }

    /// The file of a path, made if that is wanted.
    fileprivate mutating func find(
        _ path: String,
        _ flags: PosixCalls.OpenFlags,
        _ permissions: UInt32
    ) throws(Failure) -> UInt64 {
        do throws(Failure) {
            let number = try volume.resolve(path, from: Volume.root, followingLast: true)
            if flags.isSuperset(of: [.create, .exclusive]) { throw Failure(EEXIST) }
            return number
        } catch {
            if error.code != ENOENT || !flags.contains(.create) { throw error }
        }
        let (directory, name) = try parent(of: path)
        return try volume.make(name, in: directory, .regular([]), permissions: permissions & ~umask)
    }
}
