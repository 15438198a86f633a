// SPDX-License-Identifier: Apache-2.0
//
// New files that nobody ever sees half made: without a name until they are whole.

internal import _HoldfastCShims

extension OpenDirectory {
    /// Makes a file that is whole when it gets its name.
    ///
    /// Where the file system has no O_TMPFILE it has a private name, with this suffix, until then. Who fills it should
    /// lock it with flock(2) first, so that ``sweepLeftovers(of:suffixes:isOurs:)`` does not take it for a dead maker's.
    ///
    /// - Parameters:
    ///   - name: Its name; nothing that has it is replaced.
    ///   - suffix: Of the private name.
    ///   - creation: Who may use it. It has those rights before it has its name.
    ///   - isOurs: Whether a file under such a name is what a dead maker left, and not another program's data.
    ///   - fill: Writes what belongs in it; false gives it up.
    /// - Returns: The open file, or nil if the name was taken meanwhile, or the file given up.
    /// - Throws: ``SystemError``; nothing is left behind then.
    package func publish(
        _ name: FileName,
        suffix: String,
        _ creation: FileCreation,
        isOurs: (borrowing Descriptor) -> Bool,
        fill: (borrowing Descriptor) throws(SystemError) -> Bool
    ) throws(SystemError) -> Descriptor? {
        let metadata = try metadata(for: creation)
        let permissions = metadata == nil ? creation.ordinary : 0o600
        return try publish(name, suffix: suffix, permissions: permissions, metadata, isOurs: isOurs, fill: fill)
    }

    func publish(
        _ name: FileName,
        suffix: String,
        permissions: UInt32,
        _ metadata: FileMetadata?,
        isOurs: (borrowing Descriptor) -> Bool,
        fill: (borrowing Descriptor) throws(SystemError) -> Bool
    ) throws(SystemError) -> Descriptor? {
        do throws(SystemError) {
            let unnamed = try PendingFile(unnamedIn: self, permissions: permissions)
            return try publish(unnamed, as: name, metadata, fill: fill)
        } catch  where error.isAny(of: EOPNOTSUPP, ENOTSUP, EISDIR, EINVAL, ENOENT) {
            // No O_TMPFILE here, or no /proc to link it through.
            sweepLeftovers(of: name, suffixes: [suffix], isOurs: isOurs)
            guard let temporary = name.uniqueCompanion(suffix) else {
                throw SystemError(call: "openat", code: ENAMETOOLONG)
            }
            let named = try PendingFile(temporary, in: self, permissions: permissions)
            return try publish(named, as: name, metadata, fill: fill)
        }
    }

    private func publish(
        _ pending: consuming PendingFile,
        as name: FileName,
        _ metadata: FileMetadata?,
        fill: (borrowing Descriptor) throws(SystemError) -> Bool
    ) throws(SystemError) -> Descriptor? {
        try metadata?.apply(to: pending.file, having: try pending.file.status())
        return try fill(pending.file) ? try pending.link(to: name) : nil
    }

    package static let publishingSuffix = "publishing"

    /// Removes the private files of makers that died in the middle: those that are not locked, and that are ours.
    ///
    /// A maker that has made its file and not yet locked it finds out when it gives it its name.
    package func sweepLeftovers(of name: FileName, suffixes: [String], isOurs: (borrowing Descriptor) -> Bool) {
        guard let names = try? names() else { return }
        for leftover in names where suffixes.contains(where: { name.isUniqueCompanion(leftover, suffix: $0) }) {
            guard
                let leftover = FileName(leftover), let file = try? open(leftover, .read),
                (try? file.tryLock(.flock, exclusive: true)) == true, isOurs(file)
            else { continue }
            try? unlink(leftover)
        }
    }
}
