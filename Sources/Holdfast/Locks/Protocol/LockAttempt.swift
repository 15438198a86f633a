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
            return (try? file.keeper(in: LockContents.read(opened), of: opened)) ?? holder
        }
    }
}

/// What comes of a file that is locked in the kernel and in its place.
enum LockAdmission {
    case granted(
        token: FencingToken? = nil,
        abandoned: LockRecord? = nil,
        LockRecordTemplate? = nil,
        hasBothFamilies: Bool = false
    )
    /// Somebody has a lock of the other family, or what must be done may flush and must not.
    case busy
    /// It has lost its name meanwhile.
    case replaced
    case keptOut(LockHolder)
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
            } else if let opened = try openForLocking(mode) {
                file = opened
            } else if !mayFlush {
                return .busy(nil)
            } else if let published = try publish(mode, holder: holder) {
                return .acquired(published)
            } else {
                // Another process was faster, or the new file is to be taken by its name.
                continue
            }
            let isLocked = try lock(file.descriptor, family, mode)
            // A lock on a file that has lost its name means nothing, whether it is ours or another's.
            guard try isInPlace(file) else { continue }
            guard isLocked else { return .busy(file) }
            let admission: LockAdmission
            do throws(LockError) {
                admission = try admit(file, mode, mayFlush: mayFlush)
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

    /// Looks at a file that we have just locked, and makes it ours.
    private func admit(
        _ file: borrowing OpenLockFile,
        _ mode: HeldLock.Mode,
        mayFlush: Bool
    ) throws(LockError) -> LockAdmission {
        switch (mode, role) {
        case (_, .pidFile): return try adopt(file)
        case (.shared, _): return try ownerAgainstReaders(file.descriptor).map { .keptOut($0) } ?? .granted()
        case (.exclusive, _) where !file.isWritable: return try takeUnrecorded(file.descriptor)
        case (.exclusive, _): return try takeOver(file.descriptor, mayFlush: mayFlush)
        }
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

    /// Opens the file, making it if its role allows.
    ///
    /// Nil if it must be published instead.
    private func openForLocking(_ mode: HeldLock.Mode) throws(LockError) -> OpenLockFile? {
        if mode == .exclusive, let kept = takeIdle(), let idle = stillOpen(kept) { return idle }
        do throws(SystemError) {
            return try OpenLockFile(try directory.open(name, .readWrite))
        } catch {
            if error.code == ENOENT {
                if role == .pidFile { return nil }
                // Made only where its guard can be used, so that a lock that is refused leaves nothing behind.
                if role == .fenced, mode == .exclusive { try TokenReservation.check(for: name, in: directory) }
                return try doing("make it") { () throws(SystemError) in
                    try OpenLockFile(try directory.openOrMake(name, creation))
                }
            }
            if role == .fenced, error.isAny(of: EACCES, EROFS) { return try openToRead(mode, instead: error) }
            throw LockError(error, path: path, while: "open it")
        }
    }

    /// Opens a file that may only be read: flock(2) locks it all the same, shared and, as flock(1) does it, exclusively.
    private func openToRead(_ mode: HeldLock.Mode, instead refusal: SystemError) throws(LockError) -> OpenLockFile {
        let file: Descriptor
        do throws(SystemError) {
            file = try directory.open(name, .read)
        } catch {
            throw LockError(refusal, path: path, while: "open it")
        }
        if family != .flock, mode == .exclusive {
            throw LockError(
                .unsupported,
                path: path,
                reason: """
                    it may only be read here, and an exclusive open-file-description lock takes the right to write; \
                    flock does not
                    """,
                cause: refusal
            )
        }
        do throws(SystemError) {
            return try OpenLockFile(file, isWritable: false)
        } catch {
            throw LockError(error, path: path, while: "open it")
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
