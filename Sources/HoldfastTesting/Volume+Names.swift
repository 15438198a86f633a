// SPDX-License-Identifier: Apache-2.0
//
// Names and paths of the simulated volume: looking up, adding, removing, renaming. The errnos, and which one comes first
// where two apply, are those of Linux (path_resolution(7), rename(2), link(2), unlink(2)).

internal import Holdfast
internal import _HoldfastCShims

extension Volume {
    /// The file of a path, from a directory on.
    func resolve(_ path: String, from start: UInt64, followingLast: Bool) throws(Failure) -> UInt64 {
        if path.isEmpty { throw Failure(ENOENT) }
        if path.pathLength >= 4096 { throw Failure(ENAMETOOLONG) }
        var pending = Self.components(of: path)
        var here = path.utf8.first == UInt8(ascii: "/") ? Self.root : start
        var links = 0
        while let component = pending.popLast() {
            guard case .directory(let entries, let parent) = self[here].content else { throw Failure(ENOTDIR) }
            if component == "." { continue }
            if component == ".." {
                here = parent
                continue
            }
            if String(component).pathLength > 255 { throw Failure(ENAMETOOLONG) }
            guard let next = entries[EntryName(component)] else { throw Failure(ENOENT) }
            guard case .symbolicLink(let target) = self[next].content, followingLast || !pending.isEmpty else {
                here = next
                continue
            }
            links += 1
            if links > 40 { throw Failure(ELOOP) }
            if target.utf8.first == UInt8(ascii: "/") { here = Self.root }
            pending += Self.components(of: target)
        }
        return here
    }

    /// The components, last first.
    private static func components(of path: String) -> [Substring] {
        path.utf8.split(separator: UInt8(ascii: "/")).map { Substring($0) }.reversed()
    }

    /// The file of one name in a directory, nil if there is none.
    func lookUp(_ name: String, in directory: UInt64) throws(Failure) -> UInt64? {
        guard case .directory(let entries, _) = self[directory].content else { throw Failure(ENOTDIR) }
        return entries[EntryName(name)]
    }

    /// The file of one name in a directory.
    func find(_ name: String, in directory: UInt64) throws(Failure) -> UInt64 {
        guard let number = try lookUp(name, in: directory) else { throw Failure(ENOENT) }
        return number
    }

    /// Makes a file under a name that is free.
    ///
    /// A directory that was removed takes no new names.
    mutating func make(
        _ name: String,
        in directory: UInt64,
        _ content: Inode.Content,
        permissions: UInt32
    ) throws(Failure) -> UInt64 {
        if try lookUp(name, in: directory) != nil { throw Failure(EEXIST) }
        if self[directory].links == 0 { throw Failure(ENOENT) }
        let isDirectory = if case .directory = content { true } else { false }
        let number = add(content, permissions: permissions, links: isDirectory ? 2 : 1, in: directory)
        if isDirectory { setLinks(directory, to: self[directory].links + 1) }
        self[directory].entries[EntryName(name)] = number
        touch(directory, modified: true)
        note(.entries(directory, [EntryName(name): number], renamed: nil, replaced: false))
        return number
    }

    /// Gives a file one more name.
    mutating func link(_ number: UInt64, as name: String, in directory: UInt64) throws(Failure) {
        if try lookUp(name, in: directory) != nil { throw Failure(EEXIST) }
        if self[directory].links == 0 { throw Failure(ENOENT) }
        if self[number].kind == .directory { throw Failure(EPERM) }
        if self[number].links == 0, !self[number].isLinkable { throw Failure(ENOENT) }
        setLinks(number, to: self[number].links + 1)
        self[number].isLinkable = false
        self[directory].entries[EntryName(name)] = number
        touch(number)
        touch(directory, modified: true)
        note(.entries(directory, [EntryName(name): number], renamed: nil, replaced: false))
    }

    /// Removes a name.
    ///
    /// The file itself may remain: by other names, or open.
    mutating func unlink(_ name: String, in directory: UInt64) throws(Failure) {
        let number = try find(name, in: directory)
        if self[number].kind == .directory { throw Failure(EISDIR) }
        remove(EntryName(name), in: directory)
    }

    /// Gives a name to another name's file, whose old name goes.
    ///
    /// Two names of one file stay as they are.
    mutating func rename(
        _ name: String,
        to newName: String,
        in directory: UInt64,
        replacing: Bool
    ) throws(Failure) {
        let number = try find(name, in: directory)
        let isReplacing: Bool
        if let existing = try lookUp(newName, in: directory) {
            if !replacing { throw Failure(EEXIST) }
            if existing == number { return }
            let isDirectory = self[number].kind == .directory
            if isDirectory != (self[existing].kind == .directory) { throw Failure(isDirectory ? ENOTDIR : EISDIR) }
            if !self[existing].entries.isEmpty { throw Failure(ENOTEMPTY) }
            drop(EntryName(newName), in: directory)
            isReplacing = true
        } else {
            isReplacing = false
        }
        self[directory].entries[EntryName(name)] = nil
        self[directory].entries[EntryName(newName)] = number
        touch(number)
        touch(directory, modified: true)
        let entries: [EntryName: UInt64?] = [EntryName(name): nil, EntryName(newName): number]
        note(.entries(directory, entries, renamed: number, replaced: isReplacing))
    }

    /// Takes an entry out; an empty directory goes whole.
    mutating func remove(_ name: EntryName, in directory: UInt64) {
        drop(name, in: directory)
        note(.entries(directory, [name: nil], renamed: nil, replaced: false))
    }

    private mutating func drop(_ name: EntryName, in directory: UInt64) {
        guard let number = self[directory].entries.removeValue(forKey: name) else { return }
        if self[number].kind == .directory {
            setLinks(number, to: 0)
            setLinks(directory, to: self[directory].links - 1)
        } else {
            setLinks(number, to: self[number].links - 1)
        }
        touch(number)
        touch(directory, modified: true)
    }
}
