// SPDX-License-Identifier: Apache-2.0
//
// One attempt to take a lock, without waiting. Each step stands where it does because of a race:
//
//   1. open O_NOFOLLOW, see that it is a regular file, keep it open: an inode number means something only while it is
//   2. lock it in the kernel
//   3. only then look whether the path still names what is locked: between 1 and 2 somebody may have replaced it, and a
//      lock on a file without that name excludes nobody. Else begin again.
//   4. read the record of the previous holder, then overwrite it: we are alone now

internal import _HoldfastCShims

/// What became of an attempt.
enum LockAttempt: ~Copyable {
    case acquired(HeldLock)
    /// The kernel says that somebody holds it. The file is left open for the next attempt: opening and closing it each
    /// time would wake everybody who watches it.
    case busy(OpenLockFile?)
    /// Nobody else holds the kernel lock, but the file names a process that takes no kernel locks and is not proven dead;
    /// or tokens have to be reserved, and somebody holds the guard. Nothing tells when that changes.
    case keptOut(LockHolder)

    /// Who is in the way.
    borrowing func holder(of file: LockFile) -> LockHolder {
        switch self {
        case .keptOut(let holder): return holder
        case .busy(.some(let candidate)): return LockHolder.find(candidate.descriptor)
        default:
            guard let opened = try? file.directory.open(file.name, .read) else { return LockHolder() }
            let holder = LockHolder.find(opened)
            // Perhaps the kernel has no lock on it, and what it says keeps the others out.
            if holder.isNamedByKernel || (try? opened.tryLock(file.family, exclusive: false)) != true {
                return holder
            }
            opened.unlock(file.family)
            return (try? file.role.keeper(in: LockContents.read(opened), of: opened, file)) ?? holder
        }
    }
}

extension LockFile {
    /// Takes the lock if it is free.
    ///
    /// If it must not flush, and would have to, it finds the lock busy, for the reactor's thread to take.
    func attempt(
        _ mode: HeldLock.Mode,
        holder: HolderID,
        reusing candidate: consuming OpenLockFile? = nil,
        mayFlush: Bool = true
    ) throws(LockError) -> LockAttempt {
        var candidate = candidate
        // Each turn after the first needs somebody to have replaced the file within microseconds.
        for _ in 0..<1000 {
            let file: OpenLockFile
            // Open for reading only, it could not be opened for more; that is enough for flock.
            if let kept = candidate.take(), kept.isWritable || mode == .shared || family == .flock,
                let reused = stillOpen(kept)
            {
                file = reused
            } else {
                switch try openForLocking(mode, holder: holder, mayFlush: mayFlush) {
                case .opened(let opened): file = opened
                case .acquired(let lock): return .acquired(lock)
                case .busy: return .busy(nil)
                case .again: continue
                }
            }
            let isLocked = try lock(file.descriptor, family, mode)
            // A lock on a file that has lost its name means nothing, whether it is ours or another's.
            guard try isInPlace(file) else { continue }
            guard isLocked else { return .busy(file) }
            let admission: LockAdmission
            do throws(LockError) {
                admission = try role.admit(file, of: self, mode, mayFlush: mayFlush)
            } catch {
                release(file.descriptor)
                throw error
            }
            switch admission {
            case .granted(let token, let abandoned, let template, let hasBothFamilies):
                return .acquired(
                    HeldLock(
                        file,
                        of: self,
                        mode: mode,
                        holder: holder,
                        token: token,
                        abandoned: abandoned,
                        template,
                        hasBothFamilies: hasBothFamilies
                    )
                )
            case .busy:
                release(file.descriptor)
                return .busy(file)
            case .replaced:
                release(file.descriptor)
                return .busy(nil)
            case .keptOut(let other):
                release(file.descriptor)
                return .keptOut(other)
            }
        }
        throw LockError(.compromised, path: path, reason: "somebody keeps replacing it")
    }

    /// Lets go of what an attempt that came to nothing has locked.
    ///
    /// Unlocked, not just closed: a process that is being spawned at this moment has a copy until its exec.
    private func release(_ file: borrowing Descriptor) {
        file.unlock(family)
        file.unlock(family.other)
    }

    /// A file that an earlier attempt or lock left open; nil if its descriptor is another file's by now, or another lock's.
    private func stillOpen(_ kept: consuming OpenLockFile) -> OpenLockFile? {
        if kept.isStillOpen(), !site.isHeld(with: kept.descriptor.rawValue) { return kept }
        _ = kept.relinquish()
        return nil
    }

    /// Opens the file, or makes it as its role does.
    private func openForLocking(
        _ mode: HeldLock.Mode,
        holder: HolderID,
        mayFlush: Bool
    ) throws(LockError) -> OpenedForLocking {
        if mode == .exclusive, let kept = takeIdle(), let idle = stillOpen(kept) { return .opened(idle) }
        do throws(SystemError) {
            return .opened(try OpenLockFile(try directory.open(name, .readWrite)))
        } catch {
            if error.code == ENOENT { return try role.make(self, mode, holder: holder, mayFlush: mayFlush) }
            return .opened(try role.openUnwritable(self, mode, error))
        }
    }

    /// Locks an open file in the kernel; false if somebody else has.
    func lock(
        _ file: borrowing Descriptor,
        _ family: LockFamily,
        _ mode: HeldLock.Mode = .exclusive
    ) throws(LockError) -> Bool {
        do throws(SystemError) {
            return try file.tryLock(family, exclusive: mode == .exclusive)
        } catch {
            throw LockError.cannotLock(error, path: path)
        }
    }

    /// Whether the path names an open file.
    func isInPlace(_ file: borrowing OpenLockFile) throws(LockError) -> Bool {
        do throws(SystemError) {
            return try file.isNamed(name, in: directory)
        } catch {
            throw LockError(error, path: path, while: "look at it")
        }
    }

    /// Says what failed of the lock file.
    func doing<Result: ~Copyable>(
        _ action: String,
        _ body: () throws(SystemError) -> Result
    ) throws(LockError) -> Result {
        do throws(SystemError) {
            return try body()
        } catch {
            throw LockError(error, path: path, while: action)
        }
    }
}
