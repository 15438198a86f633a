// SPDX-License-Identifier: Apache-2.0
//
// Which of the two engines a call goes to: by what the file is, and for a save also by what it is to be. A file may become
// the other kind at any moment before a lock is held, so each engine says when it is not meant, before it has done anything.

internal import _HoldfastCShims

/// One state file of either strategy.
final class StateEngine: Sendable {
    let files: ReplaceEngine
    let slots: SlotEngine
    let queue = SaveQueue()

    var options: StateOptions { files.options }
    var path: String { files.path }

    /// Each turn needs somebody to have converted the file meanwhile.
    private static let turns = 100

    init(_ names: CompanionNames, in directory: OpenDirectory, options: StateOptions) {
        files = ReplaceEngine(names, in: directory, options: options)
        slots = SlotEngine(files)
    }

    /// The current state, or what takes its place if it is damaged and that is wanted.
    func load(
        _ operation: StateError.Operation,
        orPrevious: Bool,
        durable: Bool
    ) throws(StateError) -> LoadedState {
        do throws(StateError) {
            return try loadCurrent(operation, durable: durable)
        } catch {
            guard orPrevious else { throw error }
            return try files.loadPrevious(insteadOf: error, operation, durable: durable)
        }
    }

    private func loadCurrent(_ operation: StateError.Operation, durable: Bool) throws(StateError) -> LoadedState {
        for _ in 0..<Self.turns {
            if slots.hasFile, let loaded = try slots.load(operation, durable: durable) { return loaded }
            do throws(StateError) {
                return try files.load(operation, durable: durable)
            } catch  where error.isOtherStrategy {
                if let loaded = try slots.load(operation, durable: durable) { return loaded }
            }
        }
        throw keepsChanging(operation)
    }

    /// Saves what the body makes of the state; it is called once at most.
    ///
    /// The body is given nil if there is no state, and an empty payload if it does not want one.
    func save(
        _ request: SaveRequest,
        wantsPayload: Bool,
        _ body: (StoredPayload?) throws -> [UInt8]
    ) throws -> StateCommit {
        for _ in 0..<Self.turns {
            switch options.strategy {
            case .twoSlot:
                if let commit = try slots.save(request, wantsPayload: wantsPayload, body) { return commit }
                if let commit = try slots.make(request, wantsPayload: wantsPayload, body) { return commit }
            case .replace:
                if let commit = try saveToPlainFile(request, wantsPayload: wantsPayload, body) { return commit }
                if let commit = try slots.unmake(request, wantsPayload: wantsPayload, body) { return commit }
            default:
                if slots.hasFile, let commit = try slots.save(request, wantsPayload: wantsPayload, body) {
                    return commit
                }
                if let commit = try saveToPlainFile(request, wantsPayload: wantsPayload, body) { return commit }
                if let commit = try slots.save(request, wantsPayload: wantsPayload, body) { return commit }
            }
        }
        throw keepsChanging(request.operation)
    }

    /// Puts the same state into a file of the other kind; nil if it is of this kind already.
    func convert(to strategy: StateStrategy, _ request: SaveRequest) throws(StateError) -> StateCommit? {
        try checkExists(request.operation)
        let same = { (stored: StoredPayload?) throws(StateError) in
            guard let stored else { throw StateError(.notFound, request.operation, path: self.path) }
            return stored.bytes
        }
        do {
            switch strategy {
            case .twoSlot: if let commit = try slots.make(request, wantsPayload: true, same) { return commit }
            case .replace: if let commit = try slots.unmake(request, wantsPayload: true, same) { return commit }
            default: break
            }
        } catch let error as StateError {
            throw error
        } catch {
            preconditionFailure("\(error)")
        }
        // Only a state that is sound is as it should be.
        _ = try loadCurrent(request.operation, durable: false)
        return nil
    }

    /// Saves this payload.
    func save(_ payload: [UInt8], _ request: SaveRequest) throws(StateError) -> StateCommit {
        do {
            return try save(request, wantsPayload: false) { _ in payload }
        } catch let error as StateError {
            throw error
        } catch {
            preconditionFailure("nothing else is thrown where there is no caller's code: \(error)")
        }
    }

    /// Nil if it is a two-slot file.
    private func saveToPlainFile(
        _ request: SaveRequest,
        wantsPayload: Bool,
        _ body: (StoredPayload?) throws -> [UInt8]
    ) throws -> StateCommit? {
        do {
            return try files.save(request, wantsPayload: wantsPayload) { stored in
                let payload = try body(stored)
                try slots.retract(request, isFirst: stored == nil)
                return payload
            }
        } catch let error as StateError {
            if error.isOtherStrategy { return nil }
            // Where `.NAME.lock` cannot be made, a two-slot file can still be written in place.
            if error.code == .notLocked, error.cause?.isAny(of: EROFS, EACCES, EPERM) ?? false,
                try slots.file(request.operation) != nil
            {
                return nil
            }
            throw error
        }
    }

    /// Puts the state before the last one back.
    func restorePrevious(_ request: SaveRequest) throws(StateError) -> StateCommit {
        for _ in 0..<Self.turns {
            var rejected: StateError?
            do throws(StateError) {
                if let commit = try slots.restorePrevious(request) { return commit }
            } catch {
                // A file whose first page is damaged may have been of either strategy.
                guard error.isDamage, !slots.hasFile else { throw error }
                rejected = error
            }
            do throws(StateError) {
                return try files.restorePrevious(request) { () throws(StateError) in
                    try slots.retract(request, isFirst: true)
                }
            } catch {
                if let rejected, error.isOtherStrategy || error.code == .notFound { throw rejected }
                if !error.isOtherStrategy { throw error }
            }
        }
        throw keepsChanging(request.operation)
    }

    /// Looks before a lock or an arena is made beside what is not there.
    private func checkExists(_ operation: StateError.Operation) throws(StateError) {
        do throws(SystemError) {
            if try files.directory.status(of: files.names.state) != nil { return }
        } catch {
            throw StateError(operation.failure, operation, path: path, cause: error)
        }
        throw StateError(.notFound, operation, path: path)
    }

    private func keepsChanging(_ operation: StateError.Operation) -> StateError {
        StateError(operation.failure, operation, path: path, detail: "somebody keeps changing its strategy")
    }
}
