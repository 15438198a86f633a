// SPDX-License-Identifier: Apache-2.0
//
// The one thread of a process that waits for the locks of a file system on behalf of all its tasks and threads.
//
// Kernel file locks cannot be polled for. What can be seen is the close that releases them (inotify(7) IN_CLOSE, also of
// a process that dies), so a waited-for file is watched, and each event is followed by an attempt. The kernel reports the
// close before it drops the lock, so a busy attempt is repeated a few times at once. A slow poll covers what events do
// not show: LOCK_UN without a close, other machines, no inotify.
//
// Invariants: only this thread makes attempts for waiters, for the head of each queue; a lock that is granted when its
// waiter has given up is released. A file system that hangs has a thread of its own, so that it delays no lock of another.

internal import Synchronization
internal import _HoldfastCShims

final class LockReactor: Sendable {
    private struct Inbox {
        var sites: [LockSite] = []
        var isRunning = false
    }

    private let wakeUp: (read: Int32, write: Int32)
    private let inotify: Int32
    private let inbox = Mutex(Inbox())
    private let worker = Worker(mostThreads: 1)

    private static let instances = PerProcess<[UInt64: LockReactor]> { [:] }

    /// The reactor of this process for the file system of a site.
    private static func of(_ site: LockSite) throws(SystemError) -> LockReactor {
        let result: Result<LockReactor, SystemError> = instances.withLock { instances in
            if let instance = instances[site.device] { return .success(instance) }
            do throws(SystemError) {
                let made = try LockReactor()
                instances[site.device] = made
                return .success(made)
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// Has the reactor look at a site soon: a new waiter is there, or its lock was released.
    static func attend(to site: LockSite) throws(SystemError) {
        try of(site).attend(to: site)
    }

    private init() throws(SystemError) {
        var ends: (Int32, Int32) = (-1, -1)
        let made = unsafe withUnsafeMutableBytes(of: &ends) { ends in
            unsafe ends.withMemoryRebound(to: Int32.self) { ends in
                guard let start = ends.baseAddress else { return Int32(-1) }
                return unsafe hf_event_open(start)
            }
        }
        if made != 0 { throw SystemError(call: "eventfd", code: hf_errno()) }
        wakeUp = ends
        // Without inotify (too many instances, another platform) the poll alone finds the releases.
        inotify = hf_watch_open()
    }

    private func attend(to site: LockSite) throws(SystemError) {
        let failure: SystemError? = inbox.withLock { inbox in
            inbox.sites.append(site)
            if inbox.isRunning { return nil }
            do throws(SystemError) {
                try worker.begin {
                    self.run()
                    return false
                }
                inbox.isRunning = true
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
        hf_event_signal(wakeUp.write)
    }

    /// Serves the waiters until there are none.
    private func run() {
        var watches: [ObjectIdentifier: LockWatch] = [:]
        while true {
            for site in inbox.withLock({ inbox in exchange(&inbox.sites, with: []) }) {
                let id = ObjectIdentifier(site)
                let watch = watches[id] ?? LockWatch(site)
                watches[id] = watch
                watch.isDue = true
            }
            let fired = drainEvents()
            for watch in watches.values where fired.contains(watch.descriptor ?? -2) || fired.contains(-1) {
                watch.isDue = true
            }
            let now = ContinuousClock.now
            for (id, watch) in watches where watch.isDue || watch.nextAttempt <= now || watch.hasExpired(at: now) {
                if watch.serve(inotify: inotify) == .nobodyWaits {
                    watches[id] = nil
                    unwatch(watch, stillWatched: watches.values)
                }
            }
            if watches.isEmpty, isToEnd() { return }
            hf_wait_readable(wakeUp.read, inotify, nanoseconds(until: watches.values.compactMap(\.wakeTime).min()))
            hf_event_clear(wakeUp.read)
        }
    }

    private func isToEnd() -> Bool {
        inbox.withLock { inbox in
            inbox.isRunning = !inbox.sites.isEmpty
            return !inbox.isRunning
        }
    }

    private func drainEvents() -> Set<Int32> {
        var fired: Set<Int32> = []
        guard inotify >= 0 else { return fired }
        unsafe withUnsafeTemporaryAllocation(of: Int32.self, capacity: 256) { descriptors in
            while let start = descriptors.baseAddress {
                let count = Int(unsafe hf_watch_drain(inotify, start, 256))
                for index in 0..<count { unsafe fired.insert(descriptors[index]) }
                if count == 0 { break }
            }
        }
        return fired
    }

    /// Two names of one inode share a watch descriptor, so it goes with the last.
    private func unwatch(_ watch: LockWatch, stillWatched: Dictionary<ObjectIdentifier, LockWatch>.Values) {
        guard let descriptor = watch.descriptor, !stillWatched.contains(where: { $0.descriptor == descriptor }) else {
            return
        }
        _ = hf_watch_remove(inotify, descriptor)
    }
}

/// How long it is until then, an hour at most; negative if there is no such time.
private func nanoseconds(until instant: ContinuousClock.Instant?) -> Int64 {
    instant.map(nanoseconds(until:)) ?? -1
}
