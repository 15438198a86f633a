// SPDX-License-Identifier: Apache-2.0
//
// What a test does to the files directly, as another program would, and what it asks of them. None of this is a call: it
// is not recorded, counted, failed or hooked. Paths are from the root, whether they begin with `/` or not.

public import Holdfast
internal import _HoldfastCShims

extension SimulatedFileSystem {
    /// Writes a file in place, as a shell's `>` does: an existing one keeps its identity, its other names and its mode.
    ///
    /// To put another file in its place, remove it first, or write elsewhere and ``move(_:to:)``.
    ///
    /// - Parameters:
    ///   - path: Symbolic links in it are followed, in its last component not.
    ///   - bytes: The whole new content.
    ///   - permissions: The mode of a new file; the ``umask`` does not apply.
    /// - Throws: `SystemError`: ENOENT or ENOTDIR if there is no such directory, EISDIR or ELOOP if the name is not a
    ///   file's.
    public func write(_ path: String, _ bytes: [UInt8], permissions: UInt32 = 0o600) throws(SystemError) {
        try changing(path) { state, name, directory throws(Failure) in
            guard let number = try state.volume.lookUp(name, in: directory) else {
                let made = try state.volume.make(name, in: directory, .regular([]), permissions: permissions)
                state.write(bytes[...], to: made, at: 0)
                return
            }
            switch state.volume[number].kind {
            case .regular: break
            case .directory: throw Failure(EISDIR)
            case .symbolicLink: throw Failure(ELOOP)
            case .other: throw Failure(ESPIPE)
            }
            state.resize(number, to: 0)
            state.write(bytes[...], to: number, at: 0)
        }
    }

    /// Takes away what processes share in memory, and the kernel's locks, as a reboot does; the files stay as they are.
    ///
    /// Locks and states that were made before are of the old boot: make new ones.
    public func forgetSharedMemory() {
        withState { $0.reboot() }
    }

    /// The bytes of a regular file.
    ///
    /// - Parameter path: Symbolic links in it are followed, in its last component not.
    /// - Returns: Nil if the path leads to no regular file.
    public func contents(of path: String) -> [UInt8]? {
        withState { state -> [UInt8]? in
            state.takeStores()
            guard let number = try? state.volume.resolve(path, from: Volume.root, followingLast: false),
                case .regular(let bytes) = state.volume[number].content
            else { return nil }
            return bytes
        }
    }

    /// The names in a directory in the order of their bytes, without "." and "..".
    ///
    /// - Parameter path: Symbolic links in it are followed.
    /// - Returns: Nil if the path leads to no directory.
    public func names(in path: String) -> [String]? {
        withState { state -> [String]? in
            guard let number = try? state.volume.resolve(path, from: Volume.root, followingLast: true),
                case .directory(let entries, _) = state.volume[number].content
            else { return nil }
            return entries.keys.sorted().map(\.description)
        }
    }

    /// Removes a name, and if it is a directory's everything below.
    ///
    /// - Parameter path: Symbolic links in it are followed, in its last component not.
    /// - Returns: Whether there was such a name.
    @discardableResult
    public func remove(_ path: String) -> Bool {
        do throws(SystemError) {
            try changing(path) { state, name, directory throws(Failure) in
                _ = try state.volume.find(name, in: directory)
                state.volume.removeTree(EntryName(name), in: directory)
            }
            return true
        } catch {
            return false
        }
    }

    /// Renames a file within its directory, replacing another.
    ///
    /// The corresponding C function is `rename`.
    ///
    /// - Parameters:
    ///   - path: Symbolic links in it are followed, in its last component not.
    ///   - newName: One component.
    /// - Throws: `SystemError`, as rename(2).
    public func move(_ path: String, to newName: String) throws(SystemError) {
        try changing(path) { state, name, directory throws(Failure) in
            try state.volume.rename(name, to: newName, in: directory, replacing: true)
        }
    }

    /// Makes a symbolic link.
    ///
    /// - Parameters:
    ///   - path: Where it stands.
    ///   - target: Where it leads; nothing needs to be there.
    /// - Throws: `SystemError`, as symlink(2).
    public func makeSymbolicLink(_ path: String, to target: String) throws(SystemError) {
        try make(path, .symbolicLink(target), permissions: 0o777)
    }

    /// Makes a FIFO.
    ///
    /// - Parameters:
    ///   - path: Where it stands.
    ///   - permissions: Its mode; the ``umask`` does not apply.
    /// - Throws: `SystemError`, as mkfifo(3).
    public func makeFIFO(_ path: String, permissions: UInt32 = 0o600) throws(SystemError) {
        try make(path, .fifo, permissions: permissions)
    }

    /// Makes a directory in one that exists.
    ///
    /// - Parameters:
    ///   - path: Where it stands.
    ///   - permissions: Its mode; the ``umask`` does not apply.
    /// - Throws: `SystemError`, as mkdir(2).
    public func makeDirectory(_ path: String, permissions: UInt32 = 0o700) throws(SystemError) {
        try changing(path) { state, name, directory throws(Failure) in
            let content = Inode.Content.directory([:], parent: directory)
            _ = try state.volume.make(name, in: directory, content, permissions: permissions)
        }
    }

    private func make(_ path: String, _ content: Inode.Content, permissions: UInt32) throws(SystemError) {
        try changing(path) { state, name, directory throws(Failure) in
            _ = try state.volume.make(name, in: directory, content, permissions: permissions)
        }
    }

    /// Calls the body with the directory and the last component of a path.
    private func changing(
        _ path: String,
        _ body: (inout SimulatedState, _ name: String, _ directory: UInt64) throws(Failure) -> Void
    ) throws(SystemError) {
        let components = path.utf8.split(separator: UInt8(ascii: "/")).map { Substring($0) }
        guard let name = components.last, let name = FileName(String(name)) else {
            throw SystemError(call: "open", code: EINVAL)
        }
        let parent = "/" + components.dropLast().joined(separator: "/")
        do {
            try withState { state throws(Failure) in
                state.takeStores()
                let directory = try state.volume.resolve(parent, from: Volume.root, followingLast: true)
                try body(&state, name.description, directory)
                state.freeOrphans()
            }
        } catch {
            throw SystemError(call: "open", code: error.code)
        }
    }
}

extension Volume {
    /// Takes an entry out, and before it everything below.
    fileprivate mutating func removeTree(_ name: EntryName, in directory: UInt64) {
        guard let number = self[directory].entries[name] else { return }
        for below in self[number].entries.keys {
            removeTree(below, in: number)
        }
        remove(name, in: directory)
    }
}
