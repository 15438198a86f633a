// SPDX-License-Identifier: Apache-2.0
//
// A PID file: it is locked before it has a name, taken over in place, and removed at the end.
//
// A PID file of Holdfast's is the kernel lock itself: a process that gets the lock on it may take it over, whatever PID it
// shows. A bare PID of a process that takes no kernel locks must be proven dead first, and then once more be what the path
// names: its owner cannot act any more, other takers need the same kernel lock, and creators act only when the name is free.

internal import _HoldfastCShims

/// A lock file whose first line is the PID of its holder.
struct PIDFileRole: LockRole {
    let showsHolder = true
    let keepsOpen = false
    /// An attempt may open and close the file, which the watch would report as an event, without end.
    let isWatchable = false

    func longestName(for name: FileName) -> FileName? { name.uniqueCompanion(OpenDirectory.publishingSuffix) }

    /// Makes a new PID file: unnamed, with its record, flushed and locked; only then linked to its name.
    ///
    /// No reader ever sees it empty, no cleaner ever sees it unlocked. To be tried again if the name was taken meanwhile, or
    /// if the lock on the new file may not be one on the file that the name leads to.
    ///
    /// A FUSE server that knows its files by their paths gives a linked name an inode object of its own in the kernel, which
    /// has the same number. A lock on the one says nothing about the other, and no call shows which of the two an open
    /// file has: that another open of the name finds it locked may be a rival's doing. So on a file system that is not the
    /// kernel's own the file is published as released, and then taken over as any other: by a lock on a file that was
    /// opened by the name. A rival that is faster does not find the record of a holder that seems to have died.
    func make(
        _ file: LockFile,
        _ mode: HeldLock.Mode,
        holder: HolderID,
        mayFlush: Bool
    ) throws(LockError) -> OpenedForLocking {
        if !mayFlush { return .busy }
        let isNamesOwn = !file.directory.isShared
        let template = isNamesOwn ? file.recordTemplate() : file.makeTemplate(showsHolder: false)
        return try file.doing("make it") { () throws(SystemError) in
            let published = try file.directory.publish(
                file.name,
                suffix: OpenDirectory.publishingSuffix,
                file.creation,
                isOurs: LockFile.isLeftover
            ) { new throws(SystemError) in
                guard try new.tryLock(file.family, exclusive: mode == .exclusive) else { return false }
                try file.write(template, to: new, token: nil, limit: 0)
                // Else a power cut may leave the name of an empty file, which no process may take over.
                try new.sync(.data)
                return true
            }
            guard let new = published else { return .again }
            if !isNamesOwn {
                // Unlocked, not just closed: a process that is being spawned at this moment has a copy until its exec.
                new.unlock(file.family)
                return .again
            }
            return .acquired(HeldLock(try OpenLockFile(new), of: file, mode: mode, holder: holder, template))
        }
    }

    /// Takes over a PID file that this process has just locked, if its owner is gone.
    func admit(
        _ opened: borrowing OpenLockFile,
        of file: LockFile,
        _ mode: HeldLock.Mode,
        mayFlush: Bool
    ) throws(LockError) -> LockAdmission {
        let contents = LockContents.read(opened.descriptor)
        var abandoned: LockRecord?
        if case .record(let record) = contents {
            if record.family != file.family { throw file.familyMismatch }
            if !record.isReleased { abandoned = record }
        }
        if let other = try keeper(in: contents, of: opened.descriptor, file) { return .keptOut(other) }
        let template = file.recordTemplate()
        // Read and judged; now the file must still be the one at the path, before and after it shows us as its owner.
        guard try file.isInPlace(opened) else { return .replaced }
        try file.doing("record the holder") { () throws(SystemError) in
            try file.write(template, to: opened.descriptor, token: nil, limit: 0, mayBeLonger: true)
        }
        guard try file.isInPlace(opened) else { return .replaced }
        return .granted(abandoned: abandoned, template)
    }

    /// Who keeps other processes out: also the maker of an empty file.
    func keeper(
        in contents: LockContents,
        of opened: borrowing Descriptor,
        _ file: LockFile
    ) throws(LockError) -> LockHolder? {
        guard case .empty = contents else { return try file.owner(in: contents, of: opened) }
        // A program that makes the file before it writes may be about to; only an operator can know.
        var maker = LockHolder(
            note: "a process that cannot be told: the file is empty, and its maker may be about to write"
        )
        maker.remedy = """
            a power cut or a full disk may have left it so, and then no process has it: if no daemon is starting, delete the file
            """
        return maker
    }

    func end(_ opened: borrowing OpenLockFile, of file: LockFile, pidLength: Int) throws(SystemError) {
        guard try file.isOurs(opened.descriptor) else { return }
        if try !unlink(opened, of: file) { try file.blank(opened.descriptor, pidLength) }
    }

    /// Removes the PID file.
    ///
    /// No process that follows the rules can replace it between the look and the unlink, because this one holds its lock.
    /// False if the name is another file's, or gone, or this process may not remove it any more: it has dropped its
    /// privileges since.
    private func unlink(_ opened: borrowing OpenLockFile, of file: LockFile) throws(SystemError) -> Bool {
        do throws(SystemError) {
            guard try opened.isNamed(file.name, in: file.directory) else { return false }
            try file.directory.unlink(file.name)
        } catch  where error.isAny(of: EACCES, EPERM) {
            return false
        }
        return true
    }
}

extension LockRole where Self == PIDFileRole {
    /// A PID file: made locked, removed at release.
    static var pidFile: Self { Self() }
}
