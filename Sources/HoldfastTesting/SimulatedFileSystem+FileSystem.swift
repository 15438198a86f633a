// SPDX-License-Identifier: Apache-2.0
//
// The calls of the seam that work on names: opening, looking, renaming, linking. Each describes itself and does its work
// on the state; errnos are those of Linux.

package import Holdfast
internal import _HoldfastCShims

extension SimulatedFileSystem: FileSystem {
    package func openDirectory(path: String) throws(SystemError) -> Int32 {
        try openDirectory(path, in: nil, followingLink: true)
    }

    package func openDirectory(
        _ name: String,
        in directory: Int32,
        followingLink: Bool
    ) throws(SystemError) -> Int32 {
        try openDirectory(name, in: .some(directory), followingLink: followingLink)
    }

    private func openDirectory(
        _ name: String,
        in directory: Int32?,
        followingLink: Bool
    ) throws(SystemError) -> Int32 {
        let call = Call(
            directory == nil ? "open" : "openat",
            directory,
            name: name,
            flags: ["O_RDONLY"] + (hasDirectoryFlag ? ["O_DIRECTORY"] : []) + (followingLink ? [] : ["O_NOFOLLOW"])
                + ["O_CLOEXEC", "O_NONBLOCK", "O_NOCTTY"],
            verifiesDirectory: !hasDirectoryFlag
        )
        return try perform(call) { state throws(Failure) in
            let start = directory.map(state.file)
            let number = try state.volume.resolve(name, from: start?.inode ?? Volume.root, followingLast: followingLink)
            switch state.volume[number].kind {
            case .directory: break
            // With O_DIRECTORY, Linux says ENOTDIR of a symbolic link too.
            case .symbolicLink: throw Failure(hasDirectoryFlag ? ENOTDIR : ELOOP)
            default: throw Failure(ENOTDIR)
            }
            return state.openFile(number, path: state.join(start?.path ?? "/", name), isWritable: false)
        }
    }

    package func open(_ name: String, in directory: Int32, _ mode: OpenMode) throws(SystemError) -> Int32 {
        let (flags, permissions): ([String], UInt32?) =
            switch mode {
            case .read: (["O_RDONLY"], nil)
            case .readWrite: (["O_RDWR"], nil)
            case .readWriteOrCreate(let permissions): (["O_RDWR", "O_CREAT"], permissions)
            case .createNew(let permissions): (["O_RDWR", "O_CREAT", "O_EXCL"], permissions)
            }
        let call = Call(
            "openat",
            directory,
            name: name,
            flags: flags + ["O_CLOEXEC", "O_NOFOLLOW", "O_NONBLOCK", "O_NOCTTY"],
            details: permissions.map { [octal($0)] } ?? []
        )
        return try perform(call) { state throws(Failure) in
            let parent = state.file(directory)
            let path = state.join(parent.path, name)
            guard let number = try state.volume.lookUp(name, in: parent.inode) else {
                guard let permissions else { throw Failure(ENOENT) }
                let made = try state.volume.make(
                    name,
                    in: parent.inode,
                    .regular([]),
                    permissions: permissions & ~state.umask
                )
                return state.openFile(made, named: name, in: parent.inode, path: path, isWritable: true)
            }
            if case .createNew = mode { throw Failure(EEXIST) }
            let isWritable = if case .read = mode { false } else { true }
            switch state.volume[number].kind {
            case .symbolicLink: throw Failure(ELOOP)
            case .directory where isWritable: throw Failure(EISDIR)
            default:
                return state.openFile(number, named: name, in: parent.inode, path: path, isWritable: isWritable)
            }
        }
    }

    package func openUnnamed(in directory: Int32, permissions: UInt32) throws(SystemError) -> Int32 {
        let flags = ["O_TMPFILE", "O_RDWR", "O_CLOEXEC"]
        let call = Call("openat", directory, name: ".", flags: flags, details: [octal(permissions)])
        return try perform(call) { state throws(Failure) in
            let parent = state.file(directory)
            if state.knowsFilesByPath { throw Failure(EOPNOTSUPP) }
            if state.volume[parent.inode].kind != .directory { throw Failure(ENOTDIR) }
            // As ext4 says of a directory that was removed.
            if state.volume[parent.inode].links == 0 { throw Failure(EPERM) }
            let permissions = permissions & ~state.umask
            let number = state.volume.add(.regular([]), permissions: permissions, links: 0, in: parent.inode)
            state.volume[number].isLinkable = true
            return state.openFile(number, path: state.join(parent.path, "(unnamed)"), isWritable: true)
        }
    }

    package func status(of name: String, in directory: Int32) throws(SystemError) -> FileStatus {
        try perform(Call("fstatat", directory, name: name, flags: ["AT_SYMLINK_NOFOLLOW"])) { state throws(Failure) in
            state.volume.status(try state.volume.find(name, in: state.inode(directory)))
        }
    }

    /// Not recorded as a call: it fails only by telling that the descriptor is another file's.
    package func isOpen(_ descriptor: Int32, on file: FileIdentity) -> Bool {
        withState { state in state.open[descriptor].map { state.volume.status($0.inode).identity == file } ?? false }
    }

    package func identity(of name: String, in directory: Int32) throws(SystemError) -> FileIdentity {
        try perform(Call("statx", directory, name: name, flags: ["AT_SYMLINK_NOFOLLOW"])) { state throws(Failure) in
            state.volume.status(try state.volume.find(name, in: state.inode(directory))).identity
        }
    }

    package func rename(
        _ name: String,
        to newName: String,
        in directory: Int32,
        replacing: Bool
    ) throws(SystemError) {
        let function = replacing ? "renameat" : "renameat2"
        let flags = replacing ? [] : ["RENAME_NOREPLACE"]
        try perform(Call(function, directory, name: name, newName: newName, flags: flags)) { state throws(Failure) in
            try state.volume.rename(name, to: newName, in: state.inode(directory), replacing: replacing)
            state.renamed(name, to: newName, in: state.inode(directory))
        }
    }

    package func link(_ name: String, to newName: String, in directory: Int32) throws(SystemError) {
        try perform(Call("linkat", directory, name: name, newName: newName)) { state throws(Failure) in
            let directory = state.inode(directory)
            try state.volume.link(try state.volume.find(name, in: directory), as: newName, in: directory)
            state.renamed(to: newName, in: directory)
        }
    }

    package func link(unnamed descriptor: Int32, to name: String, in directory: Int32) throws(SystemError) {
        let call = Call(
            "linkat",
            directory,
            name: "/proc/self/fd/\(descriptor)",
            newName: name,
            flags: ["AT_SYMLINK_FOLLOW"]
        )
        try perform(call) { state throws(Failure) in
            try state.volume.link(state.inode(descriptor), as: name, in: state.inode(directory))
        }
    }

    package func unlink(_ name: String, in directory: Int32) throws(SystemError) {
        try perform(Call("unlinkat", directory, name: name)) { state throws(Failure) in
            try state.volume.unlink(name, in: state.inode(directory))
            state.renamed(to: name, in: state.inode(directory))
        }
    }

    package func makeDirectory(_ name: String, in directory: Int32, permissions: UInt32) throws(SystemError) {
        try perform(Call("mkdirat", directory, name: name, details: [octal(permissions)])) { state throws(Failure) in
            let parent = state.inode(directory)
            let permissions = permissions & ~state.umask
            _ = try state.volume.make(name, in: parent, .directory([:], parent: parent), permissions: permissions)
        }
    }

    package func names(in directory: Int32) throws(SystemError) -> [String] {
        try perform(Call("readdir", directory)) { state throws(Failure) in
            let inode = state.volume[state.inode(directory)]
            if inode.kind != .directory { throw Failure(ENOTDIR) }
            return inode.entries.keys.sorted().map(\.description)
        }
    }
}

/// Whether the platform has O_DIRECTORY, or a directory is told by fstat(2) after it was opened.
private let hasDirectoryFlag = HF_HAS_O_DIRECTORY == 1

/// A mode as it is written in C.
func octal(_ mode: UInt32) -> String {
    "0" + String(mode, radix: 8)
}
