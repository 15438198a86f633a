// SPDX-License-Identifier: Apache-2.0
//
// From the paths of `lock status` and `lock clean` to lock files, without ever following a symbolic link at the end of a
// path.

internal import ArgumentParser
internal import Holdfast
internal import _HoldfastCShims

enum LockFiles {
    /// One lock file.
    struct Entry {
        let directory: OpenDirectory
        let name: FileName
        let path: String
        /// Whether it was found in a directory, and not named by the caller.
        var isListed = false
    }

    static func validate(_ paths: [String]) throws {
        if paths.contains("") { throw ValidationError("'' does not name a file") }
    }

    /// The file itself, or the files `*.lock` and `*.pid` of a directory, in order; nil if the path leads nowhere.
    static func at(_ path: String) throws(CommandFailure) -> [Entry]? {
        let path = withoutTrailingSlashes(path)
        do throws(SystemError) {
            // Neither can be a symbolic link, and neither is a name within a directory.
            if isDirectoryByName(path) {
                return try entries(of: OpenDirectory(path))
            }
            let (directory, name) = try OpenDirectory.resolve(path)
            guard try directory.status(of: name)?.kind == .directory else {
                return [Entry(directory: directory, name: name, path: path)]
            }
            return try entries(of: open(name, in: directory, path: path))
        } catch {
            if error.code == ENOENT { return nil }
            throw CommandFailure(ExitStatus(error, .reading), "cannot look at \(quoted(path)): \(error)")
        }
    }

    private static func entries(of directory: OpenDirectory) throws(SystemError) -> [Entry] {
        try directory.names().filter(isLockFile).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            .compactMap { name in
                FileName(name).map {
                    Entry(directory: directory, name: $0, path: directory.path(of: $0), isListed: true)
                }
            }
    }

    /// By bytes: to Swift's strings a dot before a combining mark is another character.
    private static func isLockFile(_ name: String) -> Bool {
        name.utf8.first != UInt8(ascii: ".")
            && [".lock", ".pid"].contains { name.utf8.suffix($0.utf8.count).elementsEqual($0.utf8) }
    }

    private static func isDirectoryByName(_ path: String) -> Bool {
        let last = path.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).last
        guard path != "/", let last else { return true }
        return last.elementsEqual(".".utf8) || last.elementsEqual("..".utf8)
    }

    private static func open(_ name: FileName, in parent: OpenDirectory, path: String) throws(SystemError)
        -> OpenDirectory
    {
        let fileSystem = parent.fileSystem
        let descriptor = try retrying { () throws(SystemError) in
            try fileSystem.openDirectory(name.description, in: parent.descriptor.rawValue, followingLink: false)
        }
        return OpenDirectory(fileSystem, owning: descriptor, path: path)
    }

    private static func withoutTrailingSlashes(_ path: String) -> String {
        var bytes = path.utf8[...]
        while bytes.count > 1, bytes.last == UInt8(ascii: "/") { bytes.removeLast() }
        return String(Substring(bytes))
    }
}
