// SPDX-License-Identifier: Apache-2.0
//
// What the reactor's thread keeps about one site that is waited for. Touched by that thread alone.

internal import _HoldfastCShims

/// One waited-for lock, on the reactor's thread.
final class LockWatch {
    enum Outcome: Hashable {
        case waiting, nobodyWaits
    }

    private let site: LockSite
    private var candidate: OpenLockFile?
    /// Who keeps the waiters out, if that is not a holder of the lock.
    private var obstacle: LockHolder?
    /// The inotify watch, nil if there is none.
    private(set) var descriptor: Int32?
    /// Something happened: attempt now, and if the lock is still busy, again soon.
    var isDue = true
    private(set) var nextAttempt: ContinuousClock.Instant = .now
    private var retries = 0

    /// After an event the kernel drops the lock within microseconds; these add up to 2 ms.
    private static let retryDelays: [Duration] = [30, 60, 120, 250, 500, 1000].map { .microseconds($0) }
    /// For releases that no event shows.
    private static let safetyPoll: Duration = .milliseconds(500)
    /// The same where nothing is watched.
    private static let blindPoll: Duration = .milliseconds(10)

    init(_ site: LockSite) {
        self.site = site
    }

    /// When to look again, whatever happens.
    var wakeTime: ContinuousClock.Instant? {
        isDue ? .now : min(nextAttempt, site.nextDeadline ?? nextAttempt)
    }

    func hasExpired(at now: ContinuousClock.Instant) -> Bool {
        site.nextDeadline.map { $0 <= now } ?? false
    }

    /// Serves the waiters in their order for as long as the lock can be had.
    func serve(inotify: Int32) -> Outcome {
        if isDue { retries = 0 }
        isDue = false
        let expired = site.expire()
        // Of one file: one look tells for all of them.
        let holder = expired.first.map { obstacle ?? $0.file.holderNow() }
        for waiter in expired {
            let path = waiter.file.path
            waiter.settle(failing: LockError(.timedOut, path: path, reason: "the deadline passed", holder: holder))
        }
        while let waiter = site.attempt() {
            // Before the attempt: a release after a failed attempt must find the watch in place.
            watch(waiter.file, inotify)
            var reused = candidate.take()
            if reused == nil { reused = site.takeCandidate() }
            do throws(LockError) {
                switch try waiter.file.attempt(waiter.mode, holder: waiter.holder, reusing: reused) {
                case .acquired(let lock): conclude(waiter, with: lock)
                case .busy(let file):
                    obstacle = nil
                    candidate = file
                    if isToWait(waiter, isWatched: descriptor != nil) { return .waiting }
                case .keptOut(let other):
                    obstacle = other
                    // The attempt has closed the file, which the watch would take for a release, again and again.
                    unwatch(inotify)
                    if isToWait(waiter, isWatched: false) { return .waiting }
                }
            } catch {
                switch site.conclude(waiter, hasOutcome: true) {
                case .cancelled: waiter.settleCancelled()
                case .settled, .waiting: waiter.settle(failing: error)
                }
            }
        }
        _ = site.takeCandidate()
        return .nobodyWaits
    }

    private func conclude(_ waiter: LockWaiter, with lock: consuming HeldLock) {
        switch site.conclude(waiter, hasOutcome: true) {
        case .cancelled:
            _ = consume lock
            waiter.settleCancelled()
        case .settled, .waiting: waiter.settle(with: lock)
        }
    }

    /// After a busy attempt: false if its waiter has given up, so that the next one's turn has come.
    private func isToWait(_ waiter: LockWaiter, isWatched: Bool) -> Bool {
        if site.conclude(waiter, hasOutcome: false) == .cancelled {
            waiter.settleCancelled()
            return false
        }
        schedule(isWatched: isWatched)
        return true
    }

    /// Watches the file that the path names now; another one than before if it was replaced.
    private func watch(_ file: LockFile, _ inotify: Int32) {
        guard inotify >= 0, file.role.isWatchable else { return }
        let added = unsafe file.name.description.withPath { name in
            unsafe hf_watch_add(inotify, file.directory.descriptor.rawValue, name)
        }
        if descriptor != added { unwatch(inotify) }
        descriptor = added >= 0 ? added : nil
    }

    private func unwatch(_ inotify: Int32) {
        if let descriptor { _ = hf_watch_remove(inotify, descriptor) }
        descriptor = nil
    }

    private func schedule(isWatched: Bool) {
        if retries < Self.retryDelays.count {
            nextAttempt = .now + Self.retryDelays[retries]
            retries += 1
        } else {
            nextAttempt = .now + (isWatched ? Self.safetyPoll : Self.blindPoll)
        }
    }
}
