// SPDX-License-Identifier: Apache-2.0
//
// Removing the lock of a dead process, so that no live one's is ever removed.
//
// The order is the protocol. To read a PID, judge it dead and then take the path away is not sound: between the judgement
// and the removal another cleaner may have removed that file and its new owner made another, and the path is then the
// live one's. Renaming first, and looking afterwards, is no better: the live lock has left its name already.
//
//   1. lock the guard `.NAME.guard`: cleaners act one after another
//   2. open the lock file without following a link, keep it open, take its kernel locks: who holds one lives, whatever the
//      PID says, and while we hold them no process adopts the file
//   3. read it
//   4. prove its owner gone. The owner of a record had the lock that we have now; the process of a bare PID must be proven
//      dead. From here it cannot act any more
//   5. only then compare what the path names with what we hold open
//   6. rename it to a unique `.removing` name, look once more that it is the same file, unlink it
//   7. a guard without a token mark has served its purpose: unlink it under its lock, so that a process that opened it
//      before finds it without its name and begins again
//   8. let go of the guard

internal import _HoldfastCShims

/// What the cleanup of one lock file found and did.
///
/// Everything but `removed` left the file as it was.
public enum StaleCleanup: Hashable, Sendable {
    /// Its owner is proven gone, and so is the file.
    case removed(ProcessIdentity)
    /// Somebody holds it, or its process lives.
    case alive(LockHolder)
    /// A lock file that no process holds, empty or released by its last holder. It is kept: it stays for the next.
    case free
    /// There is no such file, or somebody else removed it meanwhile.
    case absent
    /// It is not a lock file: a symbolic link, not a regular file, or it holds anything but a record or a PID. Why, as a
    /// clause.
    case refused(String)
    /// Nothing proves its owner gone, nor alive. Why, as a clause.
    case unknown(String)
}

extension PIDFile {
    /// Removes the lock file if its owner is proven gone: if ``LockFile/status()`` says `abandoned`.
    ///
    /// For lock files of any kind: a bare PID, a ``PIDFile``, or a ``LockFile``, whose tokens go on from its companion
    /// `.NAME.guard`. A guard that holds no token mark goes with the file. May be called by many processes at once; one
    /// removes, the others find the file absent. About 55 system calls if it removes, half of that if not; no flush. The
    /// corresponding C function is `renameat2`.
    ///
    /// - Parameter dryRun: Only look: the outcome is that of a cleanup at this moment, and nothing is changed.
    /// - Returns: What was found and done.
    /// - Throws: ``LockError`` `.systemFailure`, `.unsupported`, and for the guard `.refused`, `.compromised` or `.timedOut`
    ///   (after ten seconds, which it may block); the file is left alone then, or gone if its removal was begun.
    public func removeIfStale(dryRun: Bool = false) throws(LockError) -> StaleCleanup {
        let first = try examine()
        // Without a proof of death there is nothing to do, and no reason to make a guard.
        guard case .removed = first, !dryRun else { return first }
        let companion = try TokenFile.acquire(for: file.name, in: file.directory)
        defer { companion.removeUnlessMarked() }
        let outcome = try examineAndRemove()
        file.sweepLeftovers()
        return outcome
    }

    private func examine() throws(LockError) -> StaleCleanup {
        try withEvidence { (_, outcome) throws(LockError) in outcome }
    }

    private func examineAndRemove() throws(LockError) -> StaleCleanup {
        try withEvidence { (descriptor, outcome) throws(LockError) in
            guard case .removed = outcome else { return outcome }
            return try remove(descriptor, outcome)
        }
    }

    /// Steps 2 to 4, with the file open and locked while the body runs.
    private func withEvidence(
        _ body: (borrowing Descriptor, StaleCleanup) throws(LockError) -> StaleCleanup
    ) throws(LockError) -> StaleCleanup {
        let directory = file.directory
        do throws(SystemError) {
            // Looked at before it is opened: to open a device or a FIFO may do something.
            guard let status = try directory.status(of: file.name) else { return .absent }
            if status.kind == .symbolicLink { return .refused("is a symbolic link") }
            if status.kind != .regular { return .refused("is not a regular file") }
        } catch {
            throw LockError(error, path: file.path, while: "look at it")
        }
        let opened: OpenLockFile
        do throws(SystemError) {
            opened = try openToLock()
        } catch {
            switch error.code {
            case ENOENT: return .absent
            case ELOOP: return .refused("is a symbolic link")
            case ENODEV: return .refused("is not a regular file")
            default: throw LockError(error, path: file.path, while: "open it")
            }
        }
        if try isLockedByAnother(opened) { return .alive(LockHolder.find(opened.descriptor)) }
        defer {
            opened.descriptor.unlock(.openFileDescription)
            opened.descriptor.unlock(.flock)
        }
        return try body(opened.descriptor, outcome(of: LockContents.read(opened.descriptor), in: opened.descriptor))
    }

    /// For writing if that is allowed, as an exclusive lock of the record's family may need it.
    private func openToLock() throws(SystemError) -> OpenLockFile {
        do throws(SystemError) {
            return try OpenLockFile(try file.directory.open(file.name, .readWrite))
        } catch  where error.isAny(of: EACCES, EPERM, EROFS, ETXTBSY) {
            return try OpenLockFile(try file.directory.open(file.name, .read), isWritable: false)
        }
    }

    /// Takes the kernel locks of both families, unless another process has one.
    ///
    /// Where only a look is possible at the other family's, because the file may only be read or has no such locks, a look
    /// it is.
    private func isLockedByAnother(_ opened: borrowing OpenLockFile) throws(LockError) -> Bool {
        do throws(SystemError) {
            if try !opened.descriptor.tryLock(.flock, exclusive: true) { return true }
        } catch {
            throw LockError.cannotLock(error, path: file.path)
        }
        let isFree =
            opened.isWritable
            ? (try? opened.descriptor.tryLock(.openFileDescription, exclusive: true)) != false
            : (try? opened.descriptor.isRangeLocked()) != true
        if isFree { return false }
        opened.descriptor.unlock(.flock)
        return true
    }

    /// Steps 3 and 4 for a file that no other process has locked: what `status()` says of it.
    private func outcome(of contents: LockContents, in opened: borrowing Descriptor) -> StaleCleanup {
        switch contents {
        case .recordAndMore: return .refused(LockContents.more)
        case .unreadable(let reason): return .refused(reason)
        case .record, .pid, .empty, .damaged: break
        }
        switch file.verdict(of: contents, in: opened) {
        case .absent: return .absent
        case .free: return .free
        case .held(let holder): return .alive(holder)
        case .abandoned(let record): return .removed(record.process)
        case .unknown(let reason): return .unknown(reason)
        }
    }

    /// Steps 5 and 6.
    private func remove(_ stale: borrowing Descriptor, _ outcome: StaleCleanup) throws(LockError) -> StaleCleanup {
        let directory = file.directory
        guard let removing = file.name.uniqueCompanion(LockFile.removingSuffix) else {
            return .refused("its name is too long")
        }
        do throws(SystemError) {
            let identity = try stale.status().identity
            guard try directory.status(of: file.name)?.identity == identity else { return .absent }
            do throws(SystemError) {
                try directory.rename(file.name, to: removing, replacing: false)
            } catch  where error.isAny(of: EINVAL, ENOSYS, ENOTSUP) {
                // No RENAME_NOREPLACE here; nobody else chooses this name.
                try directory.rename(file.name, to: removing, replacing: true)
            }
            guard try directory.status(of: removing)?.identity == identity else {
                // Somebody who ignores kernel locks and guards moved another file there: give it back.
                try? directory.rename(removing, to: file.name, replacing: false)
                return .unknown("somebody replaced it during the cleanup")
            }
            try directory.unlink(removing)
            return outcome
        } catch {
            if error.code == ENOENT { return .absent }
            throw LockError(error, path: file.path, while: "remove it")
        }
    }
}
