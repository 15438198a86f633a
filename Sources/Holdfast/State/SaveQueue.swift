// SPDX-License-Identifier: Apache-2.0
//
// Saves that tasks await. One thread of the queue's own makes them, so no thread of the cooperative pool waits for a lock or
// a flush. What came together is saved together: of values that replace one another at once, only the newest is written,
// and its flush stands for all of them. Invariants:
// - saves are made in the order in which they came, and one that has a condition is made by itself;
// - a task is resumed only after the save that wrote its value, or a later one, has returned.

internal import Synchronization
internal import _HoldfastCShims

/// The awaited saves of one state file.
@safe
final class SaveQueue: Sendable {
    struct Entry: Sendable {
        let payload: [UInt8]
        let request: SaveRequest
        let continuation: CheckedContinuation<Result<Commit, StateError>, Never>

        /// Whether this save may be acknowledged by a later one.
        func yields(to later: Entry) -> Bool {
            request.ifGeneration == nil && later.request.ifGeneration == nil
                && request.fence == later.request.fence && request.durability == later.request.durability
                && request.deadline == later.request.deadline
        }
    }

    private struct State {
        var pending: [Entry] = []
        var hasThread = false
        /// Of which process the thread is: a forked child has none.
        var process: Int32 = 0
    }

    private let state = Mutex(State())
    /// Counts what was appended, so that the thread can sleep until that changes.
    private nonisolated(unsafe) let appended: UnsafeMutablePointer<Atomic<UInt32>>
    /// How long the thread waits for more before it ends: to start one takes as long as a flush may.
    private static let patience: Int64 = 100_000_000

    init() {
        unsafe appended = .allocate(capacity: 1)
        unsafe appended.initialize(to: Atomic(0))
    }

    deinit {
        unsafe appended.deinitialize(count: 1)
        unsafe appended.deallocate()
    }

    /// Saves the payload, or one that came later.
    func save(_ payload: [UInt8], _ request: SaveRequest, _ engine: StateEngine) async -> Result<Commit, StateError> {
        await withCheckedContinuation { continuation in
            let entry = Entry(payload: payload, request: request, continuation: continuation)
            let needsThread = state.withLock { state in
                if state.process != getpid() {
                    // What a parent's tasks awaited is the parent's business.
                    state = State(process: getpid())
                }
                state.pending.append(entry)
                defer { state.hasThread = true }
                return !state.hasThread
            }
            unsafe appended.pointee.wrappingAdd(1, ordering: .releasing)
            unsafe hf_word_wake(address)
            if needsThread { beginThread(engine) }
        }
    }

    private var address: UnsafePointer<UInt32> {
        unsafe UnsafeRawPointer(appended).assumingMemoryBound(to: UInt32.self)
    }

    private func beginThread(_ engine: StateEngine) {
        do throws(SystemError) {
            try startThread { self.run(engine) }
        } catch {
            let entries = state.withLock { state in
                state.hasThread = false
                return exchange(&state.pending, with: [])
            }
            for entry in entries {
                entry.continuation.resume(
                    returning: .failure(StateError(.notSaved, .saving, path: engine.path, cause: error))
                )
            }
        }
    }

    private func run(_ engine: StateEngine) {
        var isPatient = true
        while true {
            let count = unsafe appended.pointee.load(ordering: .acquiring)
            let entries = state.withLock { state in
                if state.pending.isEmpty, !isPatient { state.hasThread = false }
                return exchange(&state.pending, with: [])
            }
            if entries.isEmpty {
                if !isPatient { return }
                isPatient = unsafe hf_word_wait(address, count, Self.patience)
                continue
            }
            isPatient = true
            save(entries, engine)
        }
    }

    private func save(_ entries: [Entry], _ engine: StateEngine) {
        var start = 0
        while start < entries.count {
            var end = start + 1
            while end < entries.count, entries[end - 1].yields(to: entries[end]) { end += 1 }
            let newest = entries[end - 1]
            let result = Result { () throws(StateError) in try engine.save(newest.payload, newest.request) }
            for entry in entries[start..<end] { entry.continuation.resume(returning: result) }
            start = end
        }
    }
}
