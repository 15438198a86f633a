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
        let payload: [UInt8]
        let request: SaveRequest
        let continuation: CheckedContinuation<Result<StateCommit, StateError>, Never>

        /// Whether this save may be acknowledged by a later one.
        func yields(to later: Entry) -> Bool {
            request.ifGeneration == nil && later.request.ifGeneration == nil
                && request.fence == later.request.fence && request.durability == later.request.durability
                && request.deadline == later.request.deadline
        }
    }

    private struct State {
        var line = TicketLine()
        var entries: [TicketLine.Ticket: Entry] = [:]
        var hasThread = false
        /// Whether the thread is saving.
        var isSaving = false
        var lastTicket: TicketLine.Ticket = 0
        /// Of which process the thread is: a forked child has none.
        var process: Int32 = 0

        /// The first of the line, which are saved together.
        var turn: [TicketLine.Ticket] {
            var last: Entry?
            return line.prefix { ticket in
                guard let entry = entries[ticket] else { return false }
                defer { last = entry }
                return last?.yields(to: entry) ?? true
            }
        }

        mutating func remove(_ ticket: TicketLine.Ticket) -> Entry? {
            line.remove(ticket) ? entries.removeValue(forKey: ticket) : nil
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
    func save(_ payload: [UInt8], _ request: SaveRequest, _ engine: StateEngine) async -> Result<
        StateCommit, StateError
    > {
        let ticket = state.withLock { state in
            state.lastTicket += 1
            return state.lastTicket
        }
        var timer: Task<Void, any Error>?
        defer { timer?.cancel() }
        return await withCheckedContinuation { continuation in
            append(ticket, Entry(payload: payload, request: request, continuation: continuation), engine)
            // Not before: it would find nothing to give up.
            timer = request.deadline.map { deadline in
                Task {
                    repeat {
                        try await Task.sleep(for: .nanoseconds(nanoseconds(until: deadline)))
                    } while deadline > .now
                    expire(ticket, engine)
                }
            }
        }
    }

    private func append(_ ticket: TicketLine.Ticket, _ entry: Entry, _ engine: StateEngine) {
        let needsThread = state.withLock { state in
            if state.process != getpid() {
                // What a parent's tasks awaited is the parent's business.
                state = State(lastTicket: state.lastTicket, process: getpid())
            }
            state.line.append(ticket)
            state.entries[ticket] = entry
            defer { state.hasThread = true }
            return !state.hasThread
        }
        unsafe appended.pointee.wrappingAdd(1, ordering: .releasing)
        unsafe hf_word_wake(address)
        if needsThread { beginThread(engine) }
    }

    /// Gives up a save that waits for others to be made; one whose turn it is has its deadline itself.
    private func expire(_ ticket: TicketLine.Ticket, _ engine: StateEngine) {
        let expired = state.withLock { state -> Entry? in
            state.isSaving || !state.turn.contains(ticket) ? state.remove(ticket) : nil
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
                return state.line.prefix { _ in true }.compactMap { state.remove($0) }
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
                if state.line.isEmpty, !isPatient { state.hasThread = false }
                state.isSaving = !state.line.isEmpty
                // The others stay where their deadlines find them.
                return state.turn.compactMap { state.remove($0) }
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

    private func save(_ entry: Entry, _ engine: StateEngine) -> Result<StateCommit, StateError> {
        Result { () throws(StateError) in try engine.save(entry.payload, entry.request) }
    }
}

extension Result<StateCommit, StateError> {
    /// Whether nothing was saved, for a reason that need not be another value's too.
    fileprivate var isRefusal: Bool {
        guard case .failure(let error) = self else { return false }
        return [.notSaved, .refused, .tooLarge].contains(error.code)
    }
}
