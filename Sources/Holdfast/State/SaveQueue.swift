// SPDX-License-Identifier: Apache-2.0
//
// Saves that tasks await. One thread of the queue's own makes them, so no thread of the cooperative pool waits for a lock or
// a flush. What came together is saved together: of values that replace one another at once, only the newest is written,
// and its flush stands for all of them. Invariants:
// - saves are made in the order in which they came, and one that has a condition is made by itself;
// - a task is resumed only after the save that wrote its value, or a later one, has returned, or its deadline has come while
//   others were being saved.

internal import Synchronization
internal import _HoldfastCShims

/// The awaited saves of one state file.
@safe
final class SaveQueue: Sendable {
    private struct Entry: Sendable {
        let ticket: UInt64
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
        /// Whether the thread is saving.
        var isSaving = false
        var lastTicket: UInt64 = 0
        /// Of which process the thread is: a forked child has none.
        var process: Int32 = 0

        /// How many of the first are saved together.
        var turn: Int {
            var count = min(1, pending.count)
            while count > 0, count < pending.count, pending[count - 1].yields(to: pending[count]) { count += 1 }
            return count
        }
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
        let ticket = state.withLock { state in
            state.lastTicket += 1
            return state.lastTicket
        }
        var timer: Task<Void, any Error>?
        defer { timer?.cancel() }
        return await withCheckedContinuation { continuation in
            append(Entry(ticket: ticket, payload: payload, request: request, continuation: continuation), engine)
            // Not before: it would find nothing to give up.
            timer = request.deadline.map { deadline in
                Task {
                    try await Task.sleep(until: deadline, clock: .continuous)
                    expire(ticket, engine)
                }
            }
        }
    }

    private func append(_ entry: Entry, _ engine: StateEngine) {
        let needsThread = state.withLock { state in
            if state.process != getpid() {
                // What a parent's tasks awaited is the parent's business.
                state = State(lastTicket: state.lastTicket, process: getpid())
            }
            state.pending.append(entry)
            defer { state.hasThread = true }
            return !state.hasThread
        }
        unsafe appended.pointee.wrappingAdd(1, ordering: .releasing)
        unsafe hf_word_wake(address)
        if needsThread { beginThread(engine) }
    }

    /// Gives up a save that waits for others to be made; one whose turn it is has its deadline itself.
    private func expire(_ ticket: UInt64, _ engine: StateEngine) {
        let expired = state.withLock { state -> Entry? in
            guard let index = state.pending.firstIndex(where: { $0.ticket == ticket }),
                state.isSaving || index >= state.turn
            else { return nil }
            return state.pending.remove(at: index)
        }
        expired?.continuation.resume(returning: .failure(StateError(.timedOut, .saving, path: engine.path)))
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
                state.isSaving = !state.pending.isEmpty
                // The others stay where their deadlines find them.
                let turn = state.turn
                defer { state.pending.removeFirst(turn) }
                return Array(state.pending.prefix(turn))
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

    /// Saves what one save stands for.
    private func save(_ entries: [Entry], _ engine: StateEngine) {
        let last = entries[entries.count - 1]
        let result = save(last, engine)
        // What is wrong may be the newest value, as its size.
        let isForAll = entries.count == 1 || !result.isRefusal
        for entry in entries.dropLast() {
            entry.continuation.resume(returning: isForAll ? result : save(entry, engine))
        }
        last.continuation.resume(returning: result)
    }

    private func save(_ entry: Entry, _ engine: StateEngine) -> Result<Commit, StateError> {
        Result { () throws(StateError) in try engine.save(entry.payload, entry.request) }
    }
}

extension Result<Commit, StateError> {
    /// Whether nothing was saved, for a reason that need not be another value's too.
    fileprivate var isRefusal: Bool {
        guard case .failure(let error) = self else { return false }
        return [.notSaved, .refused, .tooLarge].contains(error.code)
    }
}
