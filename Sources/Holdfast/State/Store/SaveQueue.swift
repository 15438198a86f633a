// SPDX-License-Identifier: Apache-2.0
//
// Saves that tasks await. A worker of the file system makes them, so no thread of the cooperative pool waits for a flush, and
// no thread at all for a lock. What came together is saved together: of values that replace one another at once, only the
// newest is written, and its flush stands for all of them. Invariants:
// - saves are made in the order in which they came, one at a time, and one that has a condition is made by itself;
// - a task is resumed only after the save that wrote its value, or a later one, has returned, or its deadline has come while
//   others were being saved.

internal import Synchronization
internal import _HoldfastCShims

/// The awaited saves of one state file.
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
        /// Whether a worker has, or soon gets, something of this queue to do.
        var isBegun = false
        /// Whether the worker is saving, or a save waits for its lock.
        var isSaving = false
        var lastTicket: TicketLine.Ticket = 0
        /// Of which process the worker is: a forked child has none.
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
    /// How long after its deadline the next save is given up that no thread has begun: until then it is tried once.
    private static let grace = Duration.seconds(10)

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
                    expire(ticket, engine, evenIfNext: false)
                    try await Task.sleep(for: Self.grace)
                    expire(ticket, engine, evenIfNext: true)
                }
            }
        }
    }

    private func append(_ ticket: TicketLine.Ticket, _ entry: Entry, _ engine: StateEngine) {
        let isToBegin = state.withLock { state in
            if state.process != getpid() {
                // What a parent's tasks awaited is the parent's business.
                state = State(lastTicket: state.lastTicket, process: getpid())
            }
            state.line.append(ticket)
            state.entries[ticket] = entry
            defer { state.isBegun = true }
            return !state.isBegun
        }
        if isToBegin { begin(engine) { self.saveNext(engine) } }
    }

    /// Gives up a save that waits for others to be made; one whose turn it is has its deadline itself.
    private func expire(_ ticket: TicketLine.Ticket, _ engine: StateEngine, evenIfNext: Bool) {
        let expired = state.withLock { state -> Entry? in
            evenIfNext || state.isSaving || !state.turn.contains(ticket) ? state.remove(ticket) : nil
        }
        expired?.continuation.resume(returning: .failure(StateError(.timedOut, .saving, path: engine.path)))
    }

    /// Has the worker do something for this queue; else no save of it can be made.
    private func begin(_ engine: StateEngine, _ work: @escaping Worker.Work) {
        do throws(SystemError) {
            try Worker.of(engine.place.directory).begin(work)
        } catch {
            let entries = state.withLock { state in
                (state.isBegun, state.isSaving) = (false, false)
                return state.line.prefix { _ in true }.compactMap { state.remove($0) }
            }
            refuse(entries, engine, error)
        }
    }

    private func refuse(_ entries: [Entry], _ engine: StateEngine, _ error: SystemError) {
        for entry in entries {
            let failure = StateError(.notSaved, .saving, path: engine.path, cause: error)
            entry.continuation.resume(returning: .failure(failure))
        }
    }

    /// Makes the next save, on a thread of the worker.
    ///
    /// - Returns: Whether there is another one to be made.
    private func saveNext(_ engine: StateEngine) -> Bool {
        let entries = state.withLock { state in
            state.isSaving = true
            // The others stay where their deadlines find them.
            return state.turn.compactMap { state.remove($0) }
        }
        return save(entries[...], areOne: true, engine, LockTurn())
    }

    /// Saves what came together: by one save if they are one, else each by itself.
    ///
    /// - Returns: Whether there is another save to be made; also false if the lock has to be waited for.
    private func save(_ entries: ArraySlice<Entry>, areOne: Bool, _ engine: StateEngine, _ turn: LockTurn) -> Bool {
        var (entries, areOne) = (entries, areOne)
        while let entry = areOne ? entries.last : entries.first {
            let result = turn.attempt {
                Result { () throws(StateError) in try engine.save(entry.payload, entry.request) }
            }
            guard let result else {
                wait(entries, areOne: areOne, engine, turn)
                return false
            }
            // What is wrong may be the newest value, as its size.
            if areOne, entries.count == 1 || !result.isRefusal {
                for entry in entries { entry.continuation.resume(returning: result) }
                break
            }
            _ = areOne ? entries.removeLast() : entries.removeFirst()
            entry.continuation.resume(returning: result)
            areOne = false
        }
        return state.withLock { state in
            state.isSaving = false
            state.isBegun = !state.line.isEmpty
            return state.isBegun
        }
    }

    /// Waits for the lock without a thread, and then saves.
    private func wait(_ entries: ArraySlice<Entry>, areOne: Bool, _ engine: StateEngine, _ turn: LockTurn) {
        Task.detached {
            await turn.wait()
            do throws(SystemError) {
                try Worker.of(engine.place.directory).begin {
                    if self.save(entries, areOne: areOne, engine, turn) { self.begin(engine) { self.saveNext(engine) } }
                    return false
                }
            } catch {
                self.refuse(Array(entries), engine, error)
                self.begin(engine) { self.saveNext(engine) }
            }
        }
    }
}

extension Result<StateCommit, StateError> {
    /// Whether nothing was saved, for a reason that need not be another value's too.
    fileprivate var isRefusal: Bool {
        guard case .failure(let error) = self else { return false }
        return [.notSaved, .refused, .tooLarge].contains(error.code)
    }
}
