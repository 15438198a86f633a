// SPDX-License-Identifier: Apache-2.0
//
// What a save asks for, and the rules by which a writer may replace a state, whatever file it is kept in. Pure: no I/O.

/// What a save asks for, beside the payload.
struct SaveRequest: Sendable {
    var operation: StateError.Operation = .saving
    var schema: UInt32
    var ifGeneration: Generation?
    var fence: FencingToken?
    var durability: StateDurability
    var deadline: ContinuousClock.Instant?

    /// Whether the save flushes what it writes.
    var flushes: Bool { durability == .powerLoss }
}

extension SaveRequest {
    /// Refuses to replace a state with this header that this writer may not replace.
    func check(against header: FrameHeader?) throws(StateFailure) {
        if let found = header?.schema, found > schema { throw .newerSchema(found, supported: schema) }
        let found = header?.generation ?? .absent
        if let ifGeneration, ifGeneration != found { throw .conflict(found, expected: ifGeneration) }
        try checkFence(stored: header?.token ?? 0)
    }

    /// Refuses to replace a state with a later fencing token.
    func checkFence(stored: UInt64) throws(StateFailure) {
        if let fence, fence.value < stored { throw .fenced(fence.value, stored: stored) }
    }

    /// The header of the state that follows; a state that is only converted keeps its schema.
    func header(
        after last: FrameHeader?,
        _ generation: Generation,
        length: Int,
        _ options: StateOptions
    ) -> FrameHeader {
        FrameHeader(
            store: last?.store ?? options.expectedStore ?? .random(),
            generation: generation,
            schema: operation == .converting ? last?.schema ?? schema : schema,
            token: max(last?.token ?? 0, fence?.value ?? 0),
            length: UInt64(length)
        )
    }

    /// What a save reports whose state is in place.
    func commit(
        _ header: FrameHeader,
        _ strategy: StateStrategy,
        _ syncError: SystemError?,
        _ options: StateOptions
    ) throws(StateFailure) -> StateCommit {
        if let syncError, options.requiresDirectorySync { throw .directoryNotSynced(syncError) }
        return StateCommit(
            store: header.store,
            generation: header.generation,
            strategy: strategy,
            durability: flushes && syncError == nil ? .powerLoss : .processCrash,
            directorySyncError: syncError,
            token: header.fencingToken,
            length: Int(header.length)
        )
    }
}
