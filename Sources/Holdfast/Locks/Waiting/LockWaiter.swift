// SPDX-License-Identifier: Apache-2.0
//
// One waiting thread or task, and the place where its outcome is put. The outcome is decided by the queue, once; this
// class only carries it over and wakes the one who waits.

internal import Synchronization

/// Somebody who waits for a lock.
final class LockWaiter: Sendable {
    private struct State: ~Copyable {
        var lock: HeldLock?
        var error: LockError?
        var continuation: CheckedContinuation<Void, Never>?
    }

    let file: LockFile
    let mode: HeldLock.Mode
    let holder: HolderID
    let deadline: ContinuousClock.Instant?
    let ticket: LockSite.Ticket
    private static let longestSleep: Int64 = 3_600_000_000_000
    private let state = Mutex(State())
    /// Rings once: when there is an outcome.
    private let bell = Bell()

    init(_ file: LockFile, _ mode: HeldLock.Mode, _ holder: HolderID, deadline: ContinuousClock.Instant?) {
        self.file = file
        self.mode = mode
        self.holder = holder
        self.deadline = deadline
        ticket = file.site.draw()
    }

    /// Waits on this thread.
    func block() {
        enqueue()
        while bell.count == 0 { bell.wait(unless: 0, nanoseconds: Self.longestSleep) }
    }

    /// Waits in this task.
    func suspend() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                state.withLock { $0.continuation = continuation }
                enqueue()
            }
        } onCancel: {
            // The queue decides whether the grant or the cancellation came first.
            file.site.cancel(ticket)?.settleCancelled()
        }
    }

    /// The lock, or why there is none.
    ///
    /// To be called once, after waiting.
    func outcome() throws(LockError) -> HeldLock {
        var error: LockError?
        let lock = state.withLock { state in
            error = state.error
            return state.lock.take()
        }
        if let lock { return lock }
        throw error ?? cancelled
    }

    private func enqueue() {
        guard file.site.enqueue(self) else {
            _ = file.site.takeCandidate()
            return settleCancelled()
        }
        do throws(SystemError) {
            try LockReactor.attend(to: file.site)
        } catch {
            let failure = LockError(error, path: file.path, while: "start the thread that waits for it")
            file.site.remove(ticket)?.settle(failing: failure)
        }
    }

    /// Puts the lock where the waiter finds it.
    ///
    /// The queue has settled this waiter for it.
    func settle(with lock: consuming HeldLock) {
        var granted: HeldLock? = consume lock
        state.withLock { $0.lock = granted.take() }
        wake()
    }

    func settle(failing error: LockError) {
        state.withLock { $0.error = error }
        wake()
    }

    func settleCancelled() {
        settle(failing: cancelled)
    }

    private func wake() {
        let continuation = state.withLock { $0.continuation.take() }
        continuation?.resume()
        bell.ring()
    }

    private var cancelled: LockError {
        LockError(.cancelled, path: file.path, reason: "the waiting task was cancelled")
    }
}
