// SPDX-License-Identifier: Apache-2.0
//
// What a lock file does that is a PID file: it is locked before it has a name, taken over in place, and removed at the end.
//
// A PID file of ours is the kernel lock itself: whoever gets the lock on it may take it over, whatever PID it shows. A
// bare PID of somebody who takes no kernel locks must be proven dead first, and then once more be what the path names:
// its owner cannot act any more, other takers need the same kernel lock, and creators act only when the name is free.

internal import _HoldfastCShims

extension LockFile {
    /// Makes a new PID file: unnamed, with its record, locked; only then linked to its name.
    ///
    /// No reader ever sees it empty, no cleaner ever sees it unlocked. Nil if the name was taken meanwhile.
    func publish(_ mode: FileLock.Mode, holder: HolderID) throws(LockError) -> FileLock? {
        do throws(SystemError) {
            let template = recordTemplate()
            var temporary: FileName?
            let file = try openPrivately(named: &temporary)
            defer { if let temporary { try? directory.unlink(temporary) } }
            guard try file.tryLock(family.kind, exclusive: mode == .exclusive) else { return nil }
            try write(template, to: file, token: nil, limit: 0)
            do throws(SystemError) {
                if let temporary {
                    try directory.link(temporary, to: name)
                } else {
                    try directory.link(unnamed: file, to: name)
                }
            } catch  where error.isAny(of: EEXIST, ENOENT) {
                // Somebody was faster, or took our private name for a leftover: begin again.
                return nil
            }
            return FileLock(try OpenLockFile(file), of: self, mode: mode, holder: holder, template)
        } catch {
            throw LockError(error, path: path, while: "make it")
        }
    }

    private func openPrivately(named temporary: inout FileName?) throws(SystemError) -> Descriptor {
        do throws(SystemError) {
            return try directory.openUnnamed()
        } catch  where error.isAny(of: EOPNOTSUPP, ENOTSUP, EISDIR, EINVAL) {
            // No O_TMPFILE here: a private name until the link.
            sweepLeftovers()
            guard let name = name.uniqueCompanion(Self.publishingSuffix) else {
                throw SystemError(call: "openat", code: ENAMETOOLONG)
            }
            let file = try directory.open(name, .createNew(permissions: 0o600))
            temporary = name
            return file
        }
    }

    /// Takes over a PID file that we have just locked, if its owner is gone.
    func adopt(_ file: consuming OpenLockFile, _ mode: FileLock.Mode, holder: HolderID) throws(LockError) -> LockAttempt
    {
        var abandoned: LockRecord?
        switch LockContents.read(file.descriptor) {
        case .record(let record):
            if record.family != family { throw familyMismatch }
            if !record.isReleased { abandoned = record }
        case .pid(let pid):
            let liveness = Liveness.of(ProcessIdentity(pid: pid), onSharedFileSystem: directory.isShared)
            guard liveness.isDead else {
                let name = ProcessIdentity.name(of: pid)
                file.descriptor.unlock(family.kind)
                return .busyByRecord(LockHolder(pid: pid, name: name, note: liveness.evidence))
            }
        case .empty:
            // Somebody who makes the file before it writes may be about to; only an operator can know.
            file.descriptor.unlock(family.kind)
            return .busyByRecord(
                LockHolder(note: "somebody unknown: the file is empty, its maker may be about to write")
            )
        case .damaged: break
        case .unreadable(let reason):
            throw LockError(.refused, path: path, reason: reason)
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
