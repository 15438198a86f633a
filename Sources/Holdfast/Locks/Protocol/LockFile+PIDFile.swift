// SPDX-License-Identifier: Apache-2.0
//
// What a lock file does that is a PID file: it is locked before it has a name, taken over in place, and removed at the end.
//
// A PID file of ours is the kernel lock itself: whoever gets the lock on it may take it over, whatever PID it shows. A
// bare PID of somebody who takes no kernel locks must be proven dead first, and then once more be what the path names:
// its owner cannot act any more, other takers need the same kernel lock, and creators act only when the name is free.

internal import _HoldfastCShims

extension LockFile {
    /// Makes a new PID file: unnamed, with its record, flushed and locked; only then linked to its name.
    ///
    /// No reader ever sees it empty, no cleaner ever sees it unlocked. Nil if the name was taken meanwhile, or if the lock on
    /// the new file may not be one on the file that the name leads to.
    ///
    /// A FUSE server that knows its files by their paths gives a linked name an inode object of its own in the kernel, which
    /// has the same number. A lock on the one says nothing about the other, and no call shows which of the two an open
    /// file has: that another open of the name finds it locked may be a rival's doing. So on a file system that is not the
    /// kernel's own the file is published as released, and then taken over as any other: by a lock on a file that was
    /// opened by the name. A rival that is faster does not find the record of a holder that seems to have died.
    func publish(_ mode: HeldLock.Mode, holder: HolderID) throws(LockError) -> HeldLock? {
        let isNamesOwn = !directory.isShared
        let template = isNamesOwn ? recordTemplate() : makeTemplate(showsHolder: false)
        do throws(SystemError) {
            let published = try directory.publish(
                name,
                suffix: Self.publishingSuffix,
                creation,
                isOurs: Self.isLeftover
            ) { file throws(SystemError) in
                guard try file.tryLock(family, exclusive: mode == .exclusive) else { return false }
                try write(template, to: file, token: nil, limit: 0)
                // Else a power cut may leave the name of an empty file, which nobody may take over.
                try file.sync(.data)
                return true
            }
            guard let file = published else { return nil }
            if !isNamesOwn {
                // Unlocked, not just closed: a process that is being spawned at this moment has a copy until its exec.
                file.unlock(family)
                return nil
            }
            return HeldLock(try OpenLockFile(file), of: self, mode: mode, holder: holder, template)
        } catch {
            throw LockError(error, path: path, while: "make it")
        }
    }

    /// Takes over a PID file that we have just locked, if its owner is gone.
    func adopt(_ file: borrowing OpenLockFile) throws(LockError) -> LockAdmission {
        let contents = LockContents.read(file.descriptor)
        var abandoned: LockRecord?
        if case .record(let record) = contents {
            if record.family != family { throw familyMismatch }
            if !record.isReleased { abandoned = record }
        }
        if let other = try keeper(in: contents, of: file.descriptor) { return .keptOut(other) }
        let template = recordTemplate()
        // Read and judged; now the file must still be the one at the path, before and after it shows us as its owner.
        guard try isInPlace(file) else { return .replaced }
        do throws(SystemError) {
            try write(template, to: file.descriptor, token: nil, limit: 0, mayBeLonger: true)
        } catch {
            throw LockError(error, path: path, while: "record the holder")
        }
        guard try isInPlace(file) else { return .replaced }
        return .granted(abandoned: abandoned, template)
    }

    /// Who keeps the others out of a file that is not locked in the kernel.
    func keeper(in contents: LockContents, of file: borrowing Descriptor) throws(LockError) -> LockHolder? {
        guard role == .pidFile, case .empty = contents else { return try owner(in: contents, of: file) }
        // A program that makes the file before it writes may be about to; only an operator can know.
        var maker = LockHolder(
            note: "a process that cannot be told: the file is empty, and its maker may be about to write"
        )
        maker.remedy = """
            a power cut or a full disk may have left it so, and then no process has it: if no daemon is starting, delete the file
            """
        return maker
    }

    /// The process of a bare PID, which takes no kernel locks, unless it is proven dead.
    ///
    /// - Throws: ``LockError`` `.refused` for what is neither a PID nor a record: somebody's data, whose path was given by
    ///   mistake or leads to it by a hard link, is never overwritten.
    func owner(in contents: LockContents, of file: borrowing Descriptor) throws(LockError) -> LockHolder? {
        switch contents {
        case .record, .empty, .damaged: return nil
        case .recordAndMore:
            throw LockError(.refused, path: path, reason: "it \(LockContents.more), and is not overwritten")
        case .unreadable(let reason):
            throw LockError(.refused, path: path, reason: "it \(reason), and is not overwritten")
        case .pid(let pid):
            let liveness = Liveness.of(barePID: pid, in: file, onSharedFileSystem: directory.isShared)
            if liveness.isDead || pid == getpid() { return nil }
            return LockHolder(barePID: pid, liveness)
        }
    }

    /// Removes our own PID file.
    ///
    /// Nobody who follows the rules can replace it between the look and the unlink, because we hold its lock. False if
    /// the name is another file's, or gone, or this process may not remove it any more: it has dropped its privileges since.
    func unlinkIfOurs(_ descriptor: Int32) throws(SystemError) -> Bool {
        let ours = try directory.fileSystem.status(descriptor).identity
        do throws(SystemError) {
            guard try directory.identity(of: name) == ours else { return false }
            try directory.unlink(name)
        } catch  where error.isAny(of: EACCES, EPERM) {
            return false
        }
        return true
    }

    static let publishingSuffix = OpenDirectory.publishingSuffix
    static let removingSuffix = "removing"

    /// Removes what publishers and cleaners left that died in the middle.
    func sweepLeftovers() {
        directory.sweepLeftovers(
            of: name,
            suffixes: [Self.publishingSuffix, Self.removingSuffix],
            isOurs: Self.isLeftover
        )
    }

    /// Whether a file under a private name is one of ours: a file on its way out, or a new one, perhaps torn by a power cut.
    private static func isLeftover(_ file: borrowing Descriptor) -> Bool {
        switch LockContents.read(file) {
        case .record, .damaged, .pid, .empty: true
        case .recordAndMore: false
        case .unreadable: (try? file.status())?.size == Int64(LockRecordLayout.size)
        }
    }
}
