// SPDX-License-Identifier: Apache-2.0
//
// Holdfast's own locks, as a service would use them.

internal import CrashWorkloads
internal import Holdfast

/// ``LockFile``, taken at once or by waiting a little.
struct LockFileContender: Contender {
    let file: LockFile
    let chance: Chance
    let page: SharedPage
    /// Of 1000 acquisitions, how many are shared.
    var readers: UInt64 = 0
    /// Of 1000 attempts, how many wait; a waiter is faster than any cleaner.
    var waits: UInt64 = 500
    /// Removes the lock file, as any stale one, if its last holder died.
    var cleaner: Cleaner?

    func attempt(_ section: (Grant) -> Void) throws -> Bool {
        try cleaner?.cleanOften(chance)
        let mode = chance.happens(readers) ? HeldLock.Mode.shared : .exclusive
        let lock =
            chance.happens(waits)
            ? try unlessLate { deadline throws(LockError) in try file.lock(mode, deadline: deadline) }
            : unlessBusy(try file.tryLock(mode))
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
        try cleaner.cleanOften(chance)
        let lock =
            chance.happens(100)
            ? try unlessLate { deadline throws(LockError) in try file.lock(deadline: deadline) }
            : unlessBusy(try file.tryLock())
        guard let lock else { return false }
        try hold(lock, page, section)
        return true
    }

    func tidy(dead pid: Int32) throws -> String? {
        try cleaner.tidy(dead: pid)
    }
}

private func unlessBusy(_ attempt: consuming HeldLock.Attempt) -> HeldLock? {
    switch consume attempt {
    case .acquired(let lock): lock
    case .busy: nil
    }
}

private func unlessLate(
    _ lock: (ContinuousClock.Instant) throws(LockError) -> HeldLock
) throws(LockError) -> HeldLock? {
    do throws(LockError) {
        return try lock(.now + .milliseconds(100))
    } catch  where error.code == .timedOut {
        return nil
    }
}

/// Runs the section under a lock of ours, sees that nobody took its file away, and releases it.
private func hold(
    _ lock: consuming HeldLock,
    _ page: SharedPage,
    _ section: (Grant) -> Void
) throws(LockError) {
    section(
        Grant(isShared: lock.mode == .shared, token: lock.token?.value, abandoned: lock.abandoned?.record?.process)
    )
    if try !lock.isStillInPlace() { page[.displaced].add() }
    try lock.release()
}

/// Removes stale locks with ``PIDFile/removeIfStale()``, and counts what it removed.
struct Cleaner {
    let directory: OpenDirectory
    let name: FileName
    let page: SharedPage

    @discardableResult
    func clean() throws(LockError) -> StaleCleanup {
        let outcome = try PIDFile(name, in: directory).removeIfStale()
        if case .removed = outcome { page[.cleaned].add() }
        return outcome
    }

    /// Cleans up to eight times, or not at all: cleaners must meet each other, acquirers and live holders.
    func cleanOften(_ chance: Chance) throws(LockError) {
        guard chance.happens(500) else { return }
        for _ in 0...chance.below(8) {
            try clean()
            chance.pause()
        }
    }

    /// Removes what the last holder left; then all that cleaners left who died in the middle of their work.
    ///
    /// Returns what is in the way of that, or nil.
    func tidy(dead pid: Int32) throws -> String? {
        let file = try PIDFile(name, in: directory)
        switch try file.removeIfStale() {
        case .removed, .absent: break
        case let outcome: return "at the end the lock could not be removed: \(outcome)"
        }
        // With one more stale lock goes what earlier cleaners left.
        try directory.open(name, .createNew(permissions: 0o600)).write(pid: pid)
        guard case .removed = try file.removeIfStale() else { return "a dead process's bare PID file was not removed" }
        return nil
    }
}
