// SPDX-License-Identifier: Apache-2.0
//
// Saving: under the lock, what is there and whether it may be replaced by this writer. Nothing has been changed on the
// disk when any of this throws.

/// What a save asks for, beside the payload.
struct SaveRequest: Sendable {
    var operation: StateError.Operation = .saving
    var schema: UInt32
    var ifGeneration: Generation?
    var fence: FencingToken?
    var durability: StateDurability
    var deadline: ContinuousClock.Instant?
}

/// The file that is about to be replaced.
struct TargetState: Sendable {
    var header: FrameHeader
    /// Empty if it was not asked for.
    var payload: [UInt8] = []
    var status: FileStatus
    var metadata: FileMetadata
    /// Whether it is an ordinary state file, which can be kept as the previous copy.
    var isPlain = true
}

/// What a save finds under the name.
struct PresentState: Sendable {
    /// Nil if there is no state.
    var target: TargetState?
    /// Of the empty file that is to become one.
    var adopted: FileMetadata?
}

/// What an update begins with.
struct StoredPayload: Sendable {
    var schema: UInt32
    var bytes: [UInt8]
}

extension ReplaceEngine {
    /// Replaces the state by what the body makes of it, with no other writer in between.
    ///
    /// The body is given nil if there is no state. If it throws, nothing is changed.
    func save(
        _ request: SaveRequest,
        wantsPayload: Bool,
        _ body: (StoredPayload?) throws -> [UInt8]
    ) throws -> StateCommit {
        let lock = try lock(request.operation, deadline: request.deadline)
        let present = try target(request, wantsPayload: wantsPayload)
        let target = present.target
        if target != nil { try checkPrevious(request.operation) }
        let payload = try body(target.map { StoredPayload(schema: $0.header.schema, bytes: $0.payload) })
        try checkLength(payload, request)
        var header = header(after: target?.header, payload, request)
        header.generation = try generation(after: target?.header.generation ?? .absent, request.operation)
        let commit = try replace(target, by: payload, header, request, metadata: present.adopted)
        // The state is saved; that the lock's file could not be closed well changes nothing about it.
        try? lock.release()
        return commit
    }

    func checkLength(_ payload: [UInt8], _ request: SaveRequest) throws(StateError) {
        if payload.count > options.maximumLength {
            throw StateError(
                .tooLarge,
                request.operation,
                path: path,
                expected: UInt64(options.maximumLength),
                found: UInt64(payload.count)
            )
        }
    }

    /// The current file, which must be sound and of this program's making, and may be replaced by this writer.
    func target(_ request: SaveRequest, wantsPayload: Bool) throws(StateError) -> PresentState {
        let present = try currentFile(request, wantsPayload: wantsPayload)
        try check(request, against: present.target?.header)
        return present
    }

    /// Whether this writer may replace the state with this header.
    func check(_ request: SaveRequest, against header: FrameHeader?) throws(StateError) {
        if let schema = header?.schema, schema > request.schema {
            throw StateError(
                .newerSchema,
                request.operation,
                path: path,
                expected: UInt64(request.schema),
                found: UInt64(schema)
            )
        }
        let found = header?.generation ?? .absent
        if let expected = request.ifGeneration, expected != found {
            throw StateError(
                .conflict,
                request.operation,
                path: path,
                expected: expected.value,
                found: found.value
            )
        }
        try checkFence(request, stored: header?.token ?? 0)
    }

    func checkFence(_ request: SaveRequest, stored: UInt64) throws(StateError) {
        if let fence = request.fence, fence.value < stored {
            throw StateError(.fenced, request.operation, path: path, expected: stored, found: fence.value)
        }
    }

    private func currentFile(_ request: SaveRequest, wantsPayload: Bool) throws(StateError) -> PresentState {
        guard let opened = try open(names.state, request.operation) else { return PresentState() }
        if options.adoptsEmpty, opened.status.size == 0 {
            if try hasPrevious(request.operation) {
                let previous = shown(directory.path(of: names.previous))
                let detail =
                    "it is empty and has a previous copy, \(previous): restore that, or move it away and adopt again"
                throw StateError(.corrupt, request.operation, path: path, corruption: .tooShort(0), detail: detail)
            }
            return PresentState(adopted: try metadata(of: opened, request.operation))
        }
        let header: FrameHeader
        var payload: [UInt8] = []
        if !wantsPayload, let known = verifiedFrame(of: opened.status), peek(opened) == known {
            header = known.header
        } else {
            let stored = try read(opened, request.operation)
            remember(opened.status, stored.frame)
            header = stored.header
            payload = stored.payload
        }
        let metadata = try metadata(of: opened, request.operation)
        return PresentState(
            target: TargetState(header: header, payload: payload, status: opened.status, metadata: metadata)
        )
    }

    private func hasPrevious(_ operation: StateError.Operation) throws(StateError) -> Bool {
        do throws(SystemError) {
            return try directory.status(of: names.previous) != nil
        } catch {
            throw StateError(operation.failure, operation, path: directory.path(of: names.previous), cause: error)
        }
    }

    func metadata(of opened: borrowing OpenedState, _ operation: StateError.Operation) throws(StateError)
        -> FileMetadata
    {
        do throws(SystemError) {
            return try FileMetadata(of: opened.file, opened.status)
        } catch {
            throw StateError(.notSaved, operation, path: path, cause: error)
        }
    }

    /// The header of the state that follows, but for its generation.
    func header(after header: FrameHeader?, _ payload: [UInt8], _ request: SaveRequest) -> FrameHeader {
        FrameHeader(
            store: header?.store ?? options.expectedStore ?? .random(),
            generation: .absent,
            schema: request.schema,
            token: max(header?.token ?? 0, request.fence?.value ?? 0),
            length: UInt64(payload.count)
        )
    }

    func generation(
        after last: Generation,
        _ operation: StateError.Operation
    ) throws(StateError) -> Generation {
        guard let next = last.next else {
            throw StateError(.refused, operation, path: path, detail: "its generation is the largest number there is")
        }
        return next
    }
}
