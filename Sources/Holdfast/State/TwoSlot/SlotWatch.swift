// SPDX-License-Identifier: Apache-2.0
//
// One thread for the two-slot files of this process: a few times a second it looks whether each file and its arena are
// still in place. Without it, a user that does nothing would keep its marks on a file whose arena was deleted, and readers
// that look at nothing but memory would go on with the old arena.

internal import Synchronization
internal import _HoldfastCShims

enum SlotWatch {
    private struct State {
        var engines: [ObjectIdentifier: WeakReference<TwoSlotFile>] = [:]
        var isRunning = false
    }

    private static let state = PerProcess<State> { State() }
    private static let shortestPause: Int64 = 200_000_000
    private static let longestPause: Int64 = 600_000_000

    /// Has the thread look after the file of this engine for as long as it is open.
    static func watch(_ engine: TwoSlotFile) {
        // In a forked child two threads must not meet in a Mutex.
        if hf_is_forked() { return }
        let mustStart = state.withLock { state in
            state.engines[ObjectIdentifier(engine)] = WeakReference(engine)
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if !mustStart { return }
        do throws(SystemError) {
            try startThread { while lookAround() {} }
        } catch {
            // The next one tries again. Until then no user goes by itself, and users of another arena are told so.
            state.withLock { $0.isRunning = false }
        }
    }

    /// False if there is nothing to look after any more, and the thread ends.
    private static func lookAround() -> Bool {
        let start = hf_monotonic()
        for (key, reference) in state.withLock({ $0.engines }) {
            if let engine = reference.object, engine.lookAround() { continue }
            // Unless it has come again meanwhile.
            state.withLock { if $0.engines[key] === reference { $0.engines[key] = nil } }
        }
        // A small part of a processor, however many files there are.
        hf_wait_readable(-1, -1, min(max(shortestPause, 50 * (hf_monotonic() - start)), longestPause))
        return state.withLock { state in
            state.isRunning = !state.engines.isEmpty
            return state.isRunning
        }
    }
}
