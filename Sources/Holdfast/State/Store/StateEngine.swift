// SPDX-License-Identifier: Apache-2.0
//
// One state in a file of either kind, on bytes: which kind a call is about, and the errors that a caller gets. A file may become
// the other kind at any moment before a lock is held, so each kind says when the file is not of it, before it has done anything.

internal import _HoldfastCShims

/// One state file of either strategy.
final class StateEngine: Sendable {
    let place: StatePlace
    let plain: PlainFile
    let slots: TwoSlotFile
    let queue = SaveQueue()

    var options: StateOptions { place.options }
    var path: String { place.path }

    /// Each turn of a loop needs another process to have converted the file meanwhile.
    static let turns = 100
    static let keepsChanging = StateFailure.interrupted("another process keeps changing its strategy")

    init(_ names: CompanionNames, in directory: OpenDirectory, options: StateOptions) {
        place = StatePlace(names, in: directory, options: options)
        plain = PlainFile(at: place)
        slots = TwoSlotFile(at: place)
    }
}

/// A verified copy, and why it is not the current one if it is not.
struct LoadedState: Sendable {
    var state: StoredState
    var copy: LoadReport.Copy
    var rejected: StateFailure?
    var strategy: StateStrategy
}

// What a caller gets: here failures become errors.
extension StateEngine {
    /// The current state, or the previous copy if the state is damaged and that copy is wanted.
    func load(
        _ operation: StateError.Operation,
        orPrevious: Bool,
        durable: Bool
    ) throws(StateError) -> LoadedState {
        do throws(StateFailure) {
            do throws(StateFailure) {
                return try load(durable: durable)
            } catch  where orPrevious {
                return try plain.loadPrevious(insteadOf: error, durable: durable)
            }
        } catch {
            throw place.error(error, operation)
        }
    }

    /// Saves this payload.
    func save(_ payload: [UInt8], _ request: SaveRequest) throws(StateError) -> StateCommit {
        do throws(StateFailure) {
            return try commit(try begin(request, reading: false), payload, request)
        } catch {
            throw place.error(error, request.operation)
        }
    }

    /// Puts the same state into a file of the other kind; nil if it is of this kind already.
    func convert(to strategy: StateStrategy, _ request: SaveRequest) throws(StateError) -> StateCommit? {
        do throws(StateFailure) {
            try place.checkExists()
            if let turn = try beginConversion(to: strategy, request) {
                let payload = turn.current.payload
                return try commit(turn, payload, request)
            }
            // Only a state that is sound is as it should be.
            _ = try load(durable: false)
            return nil
        } catch {
            throw place.error(error, request.operation)
        }
    }

    /// Puts the state before the last one back.
    func restorePrevious(_ request: SaveRequest) throws(StateError) -> StateCommit {
        do throws(StateFailure) {
            return try restore(request)
        } catch {
            throw place.error(error, request.operation)
        }
    }
}

extension StateEngine {
    private func load(durable: Bool) throws(StateFailure) -> LoadedState {
        for _ in 0..<Self.turns {
            if slots.hasFile, let loaded = try slots.load(durable: durable) { return loaded }
            if let loaded = try plain.load(durable: durable) { return loaded }
            if let loaded = try slots.load(durable: durable) { return loaded }
        }
        throw Self.keepsChanging
    }

    private func restore(_ request: SaveRequest) throws(StateFailure) -> StateCommit {
        for _ in 0..<Self.turns {
            var rejected: StateFailure?
            do throws(StateFailure) {
                if let commit = try slots.restorePrevious(request) { return commit }
            } catch {
                // A file whose first page is damaged may have been of either strategy.
                guard error.isDamage, !slots.hasFile else { throw error }
                rejected = error
            }
            do throws(StateFailure) {
                if let turn = try plain.beginRestoring(request) {
                    try slots.voidPublished(isFirst: true, deadline: request.deadline)
                    let commit = try plain.replace(turn.plain.file, by: turn.payload, turn.header, request)
                    turn.plain.end()
                    return commit
                }
            } catch {
                if let rejected, case .notFound = error { throw rejected }
                throw error
            }
            if let rejected { throw rejected }
        }
        throw Self.keepsChanging
    }
}
