// SPDX-License-Identifier: Apache-2.0
//
// A save under way. Its kind is decided once, by one look under the locks that it holds; it ends by `StateEngine.commit`, or by
// going out of scope, which changes nothing.

internal import _HoldfastCShims

/// One writer's turn at a state: what it replaces, and by which kind of file.
enum SaveTurn: ~Copyable {
    /// An ordinary file, or a first one, stays one.
    case plain(PlainTurn)
    /// A two-slot file is written in place.
    case slots(SlotTurn, SaveBase)
    /// A two-slot file takes the place of an ordinary one, or of none.
    case plainToSlots(PlainTurn, TwoSlotSidecar.Lock)
    /// An ordinary file takes the place of a two-slot file; under `.NAME.lock`, too.
    case slotsToPlain(HeldLock, SlotTurn, SaveBase)

    /// The state that is replaced.
    var current: ReplacedFile {
        switch self {
        case .plain(let turn): turn.file
        case .plainToSlots(let turn, _): turn.file
        case .slots(_, let base): ReplacedFile(header: base.header, payload: base.payload)
        case .slotsToPlain(_, _, let base): ReplacedFile(header: base.header, payload: base.payload)
        }
    }
}

extension StateEngine {
    /// Waits for a save's turn, and looks at the state that it replaces.
    ///
    /// - Parameters:
    ///   - request: Decides whether this writer may replace the state.
    ///   - reading: Whether the present payload is asked for.
    /// - Returns: The turn, which holds the locks that the save needs.
    /// - Throws: ``StateFailure`` if this writer may not replace the state, or cannot; nothing is changed.
    func begin(_ request: SaveRequest, reading: Bool) throws(StateFailure) -> SaveTurn {
        let strategy = options.strategy
        var mayBeSlots = strategy == .twoSlot || strategy == .asFound && slots.hasFile
        // Each turn after the second needs another process to have converted the file meanwhile.
        for _ in 0..<Self.turns {
            // A two-slot file that stays one is written under its own lock alone.
            if mayBeSlots, let turn = try slots.begin(request) {
                let base = try slots.newestState(turn, request, reading: reading)
                return .slots(turn, base)
            }
            let lock: HeldLock
            do throws(StateFailure) {
                lock = try place.lock(deadline: request.deadline)
            } catch {
                // Where `.NAME.lock` cannot be made, a two-slot file can still be written in place.
                guard strategy == .asFound, case .notLocked(let lock, _) = error,
                    lock.cause?.isAny(of: EROFS, EACCES, EPERM) ?? false, try slots.file() != nil
                else { throw error }
                mayBeSlots = true
                continue
            }
            // Under that lock the file stays of the kind that it is.
            if let file = try plain.look(request, reading: reading) {
                if file.header != nil { try place.checkPrevious() }
                let turn = PlainTurn(lock: lock, file: file)
                if strategy != .twoSlot { return .plain(turn) }
                return .plainToSlots(turn, try slots.lock(deadline: request.deadline))
            }
            if strategy == .replace, let turn = try slots.begin(request) {
                let base = try slots.newestState(turn, request, reading: reading || options.keepsPrevious)
                return .slotsToPlain(lock, turn, base)
            }
            mayBeSlots = strategy != .replace
        }
        throw Self.keepsChanging
    }

    /// Begins to put the state into a file of the other kind; nil if it is of this kind already.
    func beginConversion(to strategy: StateStrategy, _ request: SaveRequest) throws(StateFailure) -> SaveTurn? {
        if strategy == .asFound { return nil }
        let lock = try place.lock(deadline: request.deadline)
        if strategy == .replace {
            guard let turn = try slots.begin(request) else { return nil }
            let base = try slots.newestState(turn, request, reading: true)
            return .slotsToPlain(lock, turn, base)
        }
        guard let file = try plain.look(request, reading: true) else { return nil }
        if file.header == nil { throw .notFound() }
        try place.checkPrevious()
        return .plainToSlots(PlainTurn(lock: lock, file: file), try slots.lock(deadline: request.deadline))
    }

    /// Saves the payload, and ends the turn.
    func commit(
        _ turn: consuming SaveTurn,
        _ payload: [UInt8],
        _ request: SaveRequest
    ) throws(StateFailure) -> StateCommit {
        switch consume turn {
        case .plain(let turn):
            let old = turn.file.header
            try slots.voidPublished(isFirst: old == nil, deadline: request.deadline)
            let generation = try plain.generation(after: old?.generation ?? .absent)
            let header = request.header(after: old, generation, length: payload.count, options)
            let commit = try plain.replace(turn.file, by: payload, header, request)
            turn.end()
            return commit
        case .slots(let turn, let base):
            let header = try slots.header(after: base.header, base.published, length: payload.count, request)
            return try slots.write(payload, header, after: base, turn, request)
        case .plainToSlots(let turn, let lock):
            let commit = try slots.saveFirst(payload, inPlaceOf: turn.file, lock, request)
            TwoSlotSidecar.release(lock)
            turn.end()
            return commit
        case .slotsToPlain(let lock, let turn, let base):
            let commit = try save(payload, inPlaceOf: base, turn, request)
            _ = consume turn
            try? lock.release()
            return commit
        }
    }

    /// Saves into an ordinary file in place of the two-slot file.
    private func save(
        _ payload: [UInt8],
        inPlaceOf base: SaveBase,
        _ turn: borrowing SlotTurn,
        _ request: SaveRequest
    ) throws(StateFailure) -> StateCommit {
        let header = try slots.header(after: base.header, base.published, length: payload.count, request)
        let old = ReplacedFile(header: base.header, metadata: try slots.metadata(of: turn.file))
        try place.checkPrevious()
        if options.keepsPrevious {
            do throws(SystemError) {
                let (last, metadata, flushes) = (base.header, old.metadata, request.flushes)
                try NewStateFile(at: place, base.payload, last, metadata, flushes: flushes).install(
                    as: place.names.previous
                )
            } catch {
                throw .system(error)
            }
        }
        let new = try slots.replace(old, by: payload, header, nil, turn.lock, request)
        plain.noteInstalled(new.status, new.frame, new.syncError)
        return try request.commit(header, .replace, new.syncError, options)
    }
}
