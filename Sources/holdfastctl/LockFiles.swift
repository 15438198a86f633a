// SPDX-License-Identifier: Apache-2.0
//
// From the paths of `lock clean` to lock files, without ever following a symbolic link at the end of a path.

internal import Holdfast
internal import _HoldfastCShims

enum LockFiles {
    /// One file to clean.
    struct Entry {
        let directory: Directory
        let name: FileName
        /// As it is printed.
        let path: String
    }

    /// The file itself, or the files `*.lock` of a directory, in order; nil if the path leads nowhere.
    static func at(_ path: String) throws(CommandFailure) -> [Entry]? {
        let path = withoutTrailingSlashes(path)
        do throws(SystemError) {
            // Neither can be a symbolic link, and neither is a name within a directory.
            if [".", "..", "/"].contains(path) || path.hasSuffix("/.") || path.hasSuffix("/..") {
                return try entries(of: Directory(path))
            }
            let (directory, name) = try Directory.resolve(path)
            guard try directory.status(of: name)?.kind == .directory else {
                return [Entry(directory: directory, name: name, path: path)]
            }
            return try entries(of: open(name, in: directory, path: path))
        } catch {
            if error.code == ENOENT { return nil }
            throw CommandFailure(ExitStatus(error, .reading), "cannot look at '\(path)': \(error)")
        }
    }

    private static func entries(of directory: Directory) throws(SystemError) -> [Entry] {
        try directory.names().filter { $0.hasSuffix(".lock") && !$0.hasPrefix(".") }.sorted().compactMap { name in
            FileName(name).map { Entry(directory: directory, name: $0, path: directory.path(of: $0)) }
        }
    }

    private static func open(_ name: FileName, in parent: Directory, path: String) throws(SystemError) -> Directory {
        let fileSystem = parent.fileSystem
        let descriptor = try retrying { () throws(SystemError) in
            try fileSystem.openDirectory(name.description, in: parent.descriptor.rawValue, followingLink: false)
        }
        return Directory(fileSystem, owning: descriptor, path: path)
    }

    private static func withoutTrailingSlashes(_ path: String) -> String {
        var path = path[...]
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return String(path)
    }
}
