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
    /// No reader ever sees it empty, no cleaner ever sees it unlocked. Nil if the name was taken meanwhile.
    func publish(_ mode: FileLock.Mode, holder: HolderID) throws(LockError) -> FileLock? {
        do throws(SystemError) {
            do throws(SystemError) {
                let file = try directory.openUnnamed()
                return try publish(file, mode, holder) { file throws(SystemError) in
                    try directory.link(unnamed: file, to: name)
                }
            } catch  where error.isAny(of: EOPNOTSUPP, ENOTSUP, EISDIR, EINVAL, ENOENT) {
                // No O_TMPFILE here, or no /proc to link it through: a private name until the link.
                sweepLeftovers()
                guard let temporary = name.uniqueCompanion(Self.publishingSuffix) else {
                    throw SystemError(call: "openat", code: ENAMETOOLONG)
                }
                let file = try directory.open(temporary, .createNew(permissions: 0o600))
                defer { try? directory.unlink(temporary) }
                return try publish(file, mode, holder) { _ throws(SystemError) in
                    try directory.link(temporary, to: name)
                }
            }
        } catch {
            // Somebody took our private name for a leftover: begin again.
            if error.code == ENOENT, error.call == "linkat" { return nil }
            throw LockError(error, path: path, while: "make it")
        }
    }

    private func publish(
        _ file: consuming Descriptor,
        _ mode: FileLock.Mode,
        _ holder: HolderID,
        link: (borrowing Descriptor) throws(SystemError) -> Void
    ) throws(SystemError) -> FileLock? {
        guard try file.tryLock(family.kind, exclusive: mode == .exclusive) else { return nil }
        let template = recordTemplate()
        try write(template, to: file, token: nil, limit: 0)
        // Else a power cut may leave the name of an empty file, which nobody may take over.
        try file.sync(.data)
        do throws(SystemError) {
            try link(file)
        } catch  where error.code == EEXIST {
            return nil
        }
        return FileLock(try OpenLockFile(file), of: self, mode: mode, holder: holder, template)
    }

    /// Takes over a PID file that we have just locked, if its owner is gone.
    func adopt(_ file: consuming OpenLockFile, _ mode: FileLock.Mode, holder: HolderID) throws(LockError) -> LockAttempt
    {
        let contents = LockContents.read(file.descriptor)
        var abandoned: LockRecord?
        if case .record(let record) = contents {
            if record.family != family { throw familyMismatch }
            if !record.isReleased { abandoned = record }
        }
        var other = try owner(in: contents)
        if case .empty = contents {
            // Somebody who makes the file before it writes may be about to; only an operator can know.
            other = LockHolder(note: "somebody unknown: the file is empty, its maker may be about to write")
        }
        if let other {
            file.descriptor.unlock(family.kind)
            return .busyByRecord(other)
        }
        let template = recordTemplate()
        // Read and judged; now the file must still be the one at the path, before and after it shows us as its owner.
        guard try isInPlace(file) else { return .busy(nil) }
        do throws(SystemError) {
            try write(template, to: file.descriptor, token: nil, limit: 0, mayBeLonger: true)
        } catch {
            throw LockError(error, path: path, while: "record the holder")
        }
        guard try isInPlace(file) else { return .busy(nil) }
        return .acquired(
            FileLock(file, of: self, mode: mode, holder: holder, abandoned: abandoned, template)
        )
    }

    /// The process of a bare PID, which takes no kernel locks, unless it is proven dead.
    ///
    /// - Throws: ``LockError`` `.refused` for what is neither a PID nor a record: somebody's data, whose path was given by
    ///   mistake or leads to it by a hard link, is never overwritten.
    func owner(in contents: LockContents) throws(LockError) -> LockHolder? {
        switch contents {
        case .record, .empty, .damaged: return nil
        case .unreadable(let reason):
            throw LockError(.refused, path: path, reason: "it \(reason), and is not overwritten")
        case .pid(let pid):
            let liveness = Liveness.of(ProcessIdentity(pid: pid), onSharedFileSystem: directory.isShared)
            if liveness.isDead || pid == getpid() { return nil }
            return LockHolder(pid: pid, name: ProcessIdentity.name(of: pid), note: liveness.evidence)
        }
    }

    /// Removes our own PID file.
    ///
    /// Nobody who follows the rules can replace it between the look and the unlink, because we hold its lock. False if
    /// the name is another file's, or gone.
    func unlinkIfOurs(_ descriptor: Int32) throws(SystemError) -> Bool {
        let ours = try directory.fileSystem.status(descriptor).identity
        guard try directory.identity(of: name) == ours else { return false }
        try directory.unlink(name)
        return true
    }

    static let publishingSuffix = "publishing"
    static let removingSuffix = "removing"

    /// Removes what publishers and cleaners left that died in the middle: files of theirs that nobody has locked.
    ///
    /// A publisher that has made its file and not yet locked it finds out when it gives it its name.
    func sweepLeftovers() {
        guard let names = try? directory.names() else { return }
        for name in names {
            guard
                [Self.publishingSuffix, Self.removingSuffix].contains(where: {
                    self.name.isUniqueCompanion(name, suffix: $0)
                }),
                let leftover = FileName(name), let file = try? directory.open(leftover, .read),
                (try? file.tryLock(.flock, exclusive: true)) == true
            else { continue }
            try? directory.unlink(leftover)
        }
    }
}
