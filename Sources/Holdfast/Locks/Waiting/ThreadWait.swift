// SPDX-License-Identifier: Apache-2.0
//
// A wait for a lock on a thread, which another thread can end. A task could be cancelled, but a tool that is to run without
// /proc has no tasks: libdispatch ends a process in which it cannot read there.

/// A wait of one thread for one lock.
package struct ThreadWait: Sendable {
    private let waiter: LockWaiter

    /// Takes a place in the queue of this process.
    package init(_ file: LockFile, _ mode: HeldLock.Mode, deadline: ContinuousClock.Instant?) {
        waiter = LockWaiter(file, mode, .current, deadline: deadline)
    }

    /// Blocks until the lock is granted; to be called once.
    ///
    /// - Throws: ``LockError`` as `LockFile.lock`, and `.cancelled`.
    package func lock() throws(LockError) -> HeldLock {
        waiter.block()
        return try waiter.outcome()
    }

    /// Has ``lock()`` throw `.cancelled`, unless the lock was granted before.
    package func cancel() {
        waiter.file.site.cancel(waiter.ticket)?.settleCancelled()
    }
}
