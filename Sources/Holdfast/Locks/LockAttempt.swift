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
    case acquired(FileLock)
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
            return LockHolder.find(opened)
        }
    }
}

extension LockFile {
    /// Takes the lock if it is free.
    ///
    /// If it must not flush, and would have to, it finds the lock busy, for the reactor's thread to take.
    func attempt(
        _ mode: FileLock.Mode,
        holder: HolderID,
        reusing candidate: consuming OpenLockFile? = nil,
        mayFlush: Bool = true
    ) throws(LockError) -> LockAttempt {
        var candidate = candidate
        // Each turn after the first needs somebody to have replaced the file within microseconds.
        for _ in 0..<1000 {
            let file: OpenLockFile
            if let reused = candidate.take(), reused.isWritable || mode == .shared {
                file = reused
            } else if let opened = try openForLocking(mode) {
                file = opened
            } else if let published = try publish(mode, holder: holder) {
                return .acquired(published)
            } else {
                continue
            }
            let isLocked = try lock(file.descriptor, family, mode)
            // A lock on a file that has lost its name means nothing, whether it is ours or another's.
            guard try isInPlace(file) else { continue }
            guard isLocked else { return .busy(file) }
            switch (mode, role) {
            case (_, .pidFile): return try adopt(file, mode, holder: holder)
            case (.shared, _):
                if let other = try ownerAgainstReaders(file.descriptor) {
                    file.descriptor.unlock(family.kind)
                    return .keptOut(other)
                }
                return .acquired(FileLock(file, of: self, mode: mode, holder: holder))
            case (.exclusive, _): return try record(file, holder: holder, mayFlush: mayFlush)
            }
        }
        throw LockError(.compromised, path: path, reason: "somebody keeps replacing it")
    }

    /// Opens the file, making it if its role allows.
    ///
    /// Nil if it must be published instead.
    private func openForLocking(_ mode: FileLock.Mode) throws(LockError) -> OpenLockFile? {
        if mode == .exclusive, let idle = takeIdle() { return idle }
        do throws(SystemError) {
            let mayMake = role == .sidecar || (role == .fenced && mode == .shared)
            let access = mayMake ? OpenMode.readWriteOrCreate(permissions: 0o600) : .readWrite
            return try OpenLockFile(try directory.open(name, access))
        } catch {
            if error.code == ENOENT, role == .pidFile { return nil }
            if error.code == ENOENT, role == .fenced, mode == .exclusive {
                // Made only where its guard can be used, so that a lock that is refused leaves nothing behind.
                try TokenReservation.check(for: name, in: directory)
                return try doing("open it") { () throws(SystemError) in
                    try OpenLockFile(try directory.open(name, .readWriteOrCreate(permissions: 0o600)))
                }
            }
            // A reader may be allowed to read the lock file only, and flock(2) is content with that.
            if mode == .shared, family == .flock, error.isAny(of: EACCES, EROFS) {
                return try doing("open it") { () throws(SystemError) in
                    try OpenLockFile(try directory.open(name, .read), isWritable: false)
                }
            }
            throw LockError(error, path: path, while: "open it")
        }
    }

    /// Locks an open file in the kernel; false if somebody else has.
    func lock(
        _ file: borrowing Descriptor,
        _ family: Family,
        _ mode: FileLock.Mode = .exclusive
    ) throws(LockError) -> Bool {
        do throws(SystemError) {
            return try file.tryLock(family.kind, exclusive: mode == .exclusive)
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
