// SPDX-License-Identifier: Apache-2.0
//
// Holdfast's own locks, as a service would use them.

internal import Holdfast

/// ``LockFile``, taken at once or by waiting a little.
struct LockFileContender: Contender {
    let file: LockFile
    let chance: Chance
    let page: SharedPage
    /// Of 1000 acquisitions, how many are shared.
    var readers: UInt64 = 0
    /// Removes the lock file, as any stale one, if its last holder died.
    var cleaner: Cleaner?

    func attempt(_ section: (Grant) -> Void) throws -> Bool {
        if chance.happens(500) { try cleaner?.clean() }
        let mode = chance.happens(readers) ? FileLock.Mode.shared : .exclusive
        let lock =
            chance.happens(500)
            ? unlessBusy(try file.tryLock(mode))
            : try unlessLate { deadline throws(LockError) in try file.lock(mode, deadline: deadline) }
        guard let lock else { return false }
        try hold(lock, page, section)
        return true
    }
}

/// ``PIDFile``, taken at once or by waiting a little, while everybody cleans up.
struct PIDFileContender: Contender {
    let file: PIDFile
    let chance: Chance
    let page: SharedPage
    let cleaner: Cleaner

    func attempt(_ section: (Grant) -> Void) throws -> Bool {
        if chance.happens(500) { try cleaner.clean() }
        let lock =
            chance.happens(500)
            ? unlessBusy(try file.tryLock())
            : try unlessLate { deadline throws(LockError) in try file.lock(deadline: deadline) }
        guard let lock else { return false }
        try hold(lock, page, section)
        return true
    }

    func tidy(dead pid: Int32) throws -> String? {
        try cleaner.tidy(dead: pid)
    }
}

private func unlessBusy(_ attempt: consuming FileLock.Attempt) -> FileLock? {
    switch consume attempt {
    case .acquired(let lock): lock
    case .busy: nil
    }
}

private func unlessLate(
    _ lock: (ContinuousClock.Instant) throws(LockError) -> FileLock
) throws(LockError) -> FileLock? {
    do throws(LockError) {
        return try lock(.now + .milliseconds(100))
    } catch  where error.code == .timedOut {
        return nil
    }
}

/// Runs the section under a lock of ours, sees that nobody took its file away, and releases it.
private func hold(
    _ lock: consuming FileLock,
    _ page: SharedPage,
    _ section: (Grant) -> Void
) throws(LockError) {
    section(
        Grant(isShared: lock.mode == .shared, token: lock.token?.value, abandoned: lock.abandoned?.process)
    )
    if try !lock.isStillInPlace() { page[.displaced].add() }
    try lock.release()
}

/// Removes stale locks with ``PIDFile/removeIfStale()``, and counts what it removed.
struct Cleaner {
    let directory: Directory
    let name: FileName
    let page: SharedPage

    @discardableResult
    func clean() throws(LockError) -> StaleCleanup {
        let outcome = try PIDFile(name, in: directory).removeIfStale()
        if case .removed = outcome { page[.cleaned].add() }
        return outcome
    }

    /// Removes what the last holder left; then all that cleaners left who died in the middle of their work.
    ///
    /// Returns what is in the way of that, or nil.
    func tidy(dead pid: Int32) throws -> String? {
        // The second lock is stale too: with it goes what earlier cleaners left.
        for _ in 0..<2 {
            switch try clean() {
            case .removed, .absent: break
            case let outcome: return "at the end the lock could not be removed: \(outcome)"
            }
            try directory.open(name, .createNew(permissions: 0o600)).write(pid: pid)
        }
        guard case .removed = try clean() else { return "a bare PID file of a dead process was not removed" }
        return nil
    }
}
