// SPDX-License-Identifier: Apache-2.0
//
// Saving, updating and restoring: one writer at a time, all or nothing.

extension StateFile {
    /// Replaces the state by a value.
    ///
    /// Blocking: waits for its turn among the writers, and for two flushes, in two slots one.
    ///
    /// When it returns, every load sees the new state or a later one, and it survives what ``StateCommit/durability`` says.
    /// When it throws, the old state stands, except with ``StateError/Code/directoryNotSynced`` and
    /// ``StateError/Code/outcomeUnknown``. A new file has the owner, mode and extended attributes of the old one; a first
    /// one has the rights that ``StateOptions/permissions`` and ``StateOptions/group`` say.
    ///
    /// About 30 system calls; in two slots 3. Flushes: two fsync(2) with ``StateDurability/powerLoss``, in two slots one
    /// fdatasync(2), none with ``StateDurability/processCrash``. A state file's first save also lists the directory, to remove temporary files of
    /// writers that died. The corresponding C function is `renameat`; that the directory needs a flush of its own is in
    /// fsync(2), and that the file must be flushed before is in T. S. Pillai et al., "All File Systems Are Not Created
    /// Equal" (OSDI 2014).
    ///
    /// - Parameters:
    ///   - value: What to save.
    ///   - expected: If not nil, the generation that the state must have now; ``Generation/absent`` for none.
    ///   - fence: What the lock granted under which this is saved: refused if the state has a later token, else its token is
    ///     kept with the state. The state's own token stays if this is nil.
    ///   - durability: Instead of the state file's.
    ///   - deadline: Until when to wait for the turn among the writers; forever if nil.
    ///   - timeout: How long to wait for it; with a deadline as well, the earlier of the two counts.
    /// - Returns: What was achieved.
    /// - Throws: ``StateError`` with ``StateError/Code/notSaved``, ``StateError/Code/conflict``,
    ///   ``StateError/Code/fenced``, ``StateError/Code/timedOut``, ``StateError/Code/notLocked``,
    ///   ``StateError/Code/encodingFailed``, ``StateError/Code/tooLarge``, ``StateError/Code/directoryNotSynced``, in two
    ///   slots ``StateError/Code/outcomeUnknown``, ``StateError/Code/latched`` and ``StateError/Code/compromised``; and,
    ///   because a save replaces only what it understands, ``StateError/Code/corrupt``, ``StateError/Code/newerFormat``,
    ///   ``StateError/Code/newerSchema``, ``StateError/Code/wrongStore`` and ``StateError/Code/refused``. To go on from
    ///   a corrupt file, ``restorePrevious(fence:deadline:timeout:)`` or move it away.
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    @discardableResult
    public func save(
        _ value: Value,
        ifGeneration expected: Generation? = nil,
        fence: Fence? = nil,
        durability: StateDurability? = nil,
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil
    ) throws(StateError) -> StateCommit {
        var request = request(fence, durability, deadline, timeout)
        request.ifGeneration = expected
        return try engine.save(encode(value), request)
    }

    /// Replaces the state by a value; this task is suspended meanwhile.
    ///
    /// As the blocking method of the same name, whose guarantees it has. The value is encoded at once; writing and
    /// flushing is done by a thread that is not of the cooperative pool.
    ///
    /// Saves of this `StateFile` and its copies that come while another one is being written are made together: if
    /// several have the same conditions (no `expected` generation, equal `fence`, `durability` and `deadline`) only the
    /// newest value is written, and all of them return its commit, whose generation covers theirs. A cancelled task waits
    /// for the save all the same.
    ///
    /// - Parameters:
    ///   - value: What to save.
    ///   - expected: As in the blocking method.
    ///   - fence: As there.
    ///   - durability: As there.
    ///   - deadline: As there.
    ///   - timeout: As there.
    /// - Returns: What was achieved, for this value or a later one that replaced it.
    /// - Throws: ``StateError`` as there.
    @discardableResult
    public func save(
        _ value: Value,
        ifGeneration expected: Generation? = nil,
        fence: Fence? = nil,
        durability: StateDurability? = nil,
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil
    ) async throws(StateError) -> StateCommit {
        var request = request(fence, durability, deadline, timeout)
        request.ifGeneration = expected
        return try await engine.queue.save(encode(value), request, engine).get()
    }

    /// Changes the state with no other writer in between.
    ///
    /// Blocking, as ``save(_:ifGeneration:fence:durability:deadline:timeout:)``.
    ///
    /// Loads the state, runs the body on it and saves what it leaves, all under the state's lock. If the body throws,
    /// nothing is changed. The body must not save the same state: in its own task or thread that throws
    /// ``StateError/Code/notLocked``, from another one it would wait for the body's end.
    ///
    /// - Parameters:
    ///   - initial: What the body is given if there is no state yet.
    ///   - fence: As in ``save(_:ifGeneration:fence:durability:deadline:timeout:)``.
    ///   - durability: As there.
    ///   - deadline: As there.
    ///   - timeout: As there.
    ///   - body: Changes the value. Other writers wait while it runs.
    /// - Returns: What was achieved.
    /// - Throws: What the body throws; ``StateError`` as a load and a save, and with ``StateError/Code/notFound`` if
    ///   there is no state and no `initial` one.
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    @discardableResult
    public func update(
        initial: @autoclosure () -> Value? = nil,
        fence: Fence? = nil,
        durability: StateDurability? = nil,
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil,
        _ body: (inout Value) throws -> Void
    ) throws -> StateCommit {
        try change(request(fence, durability, deadline, timeout), initial, body)
    }

    /// Changes the state with no other writer in between; this task is suspended meanwhile.
    ///
    /// As the blocking method of the same name, whose guarantees it has. The body runs once, on a thread that is not of the
    /// cooperative pool. A task that is cancelled before its turn changes nothing.
    ///
    /// - Parameters:
    ///   - initial: What the body is given if there is no state yet; made on that thread, if it is needed.
    ///   - fence: As in the blocking method.
    ///   - durability: As there.
    ///   - deadline: As there.
    ///   - timeout: As there.
    ///   - body: Changes the value. Other writers wait while it runs.
    /// - Returns: What was achieved.
    /// - Throws: As there.
    @discardableResult
    public func update(
        initial: @autoclosure @escaping @Sendable () -> Value? = nil,
        fence: Fence? = nil,
        durability: StateDurability? = nil,
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil,
        _ body: @escaping @Sendable (inout Value) throws -> Void
    ) async throws -> StateCommit {
        let request = request(fence, durability, deadline, timeout)
        return try await engine.result(.saving) {
            Result {
                try change(request, { LockTurn.callOut(initial) }) { value in
                    try LockTurn.callOut { try body(&value) }
                }
            }
        }.get()
    }

    private func change(
        _ request: SaveRequest,
        _ initial: () -> Value?,
        _ body: (inout Value) throws -> Void
    ) throws -> StateCommit {
        do {
            let turn = try engine.begin(request, reading: true)
            let current = turn.current
            var value: Value
            if let header = current.header {
                value = try decode(current.payload, schema: header.schema, .saving)
            } else if let initial = initial() {
                value = initial
            } else {
                throw StateFailure.notFound()
            }
            try body(&value)
            let payload = try encode(value)
            return try engine.commit(turn, payload, request)
        } catch let failure as StateFailure {
            throw engine.place.error(failure, .saving)
        }
    }

    /// Keeps the same state by another strategy from now on.
    ///
    /// Blocking, durable: as a save with ``StateDurability/powerLoss`` of a file that is made again. A crash leaves the old file
    /// or the new one, which have the same state: payload, store, generation, schema and token. Only if a flush of a later
    /// save has failed, whose generation is in doubt, the generation goes on, behind that. A value of whatever schema is
    /// converted, for it is not decoded.
    ///
    /// A save converts a file too, by ``StateOptions/strategy``.
    ///
    /// - Parameters:
    ///   - strategy: How to keep it; nothing is done for ``StateStrategy/asFound``.
    ///   - deadline: Until when to wait for the turn among the writers; forever if nil.
    ///   - timeout: How long to wait for it; with a deadline as well, the earlier of the two counts.
    /// - Returns: What was achieved; nil if the state is sound and kept so already.
    /// - Throws: ``StateError`` as a save, and with ``StateError/Code/notFound`` if there is no state.
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    @discardableResult
    public func convert(
        to strategy: StateStrategy,
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil
    ) throws(StateError) -> StateCommit? {
        var request = request(nil, .powerLoss, deadline, timeout)
        request.operation = .converting
        request.schema = .max
        return try engine.convert(to: strategy, request)
    }

    /// Keeps the same state by another strategy from now on; this task is suspended meanwhile.
    ///
    /// As the blocking method of the same name, whose guarantees it has. A task that is cancelled before its turn
    /// changes nothing.
    ///
    /// - Parameters:
    ///   - strategy: As there.
    ///   - deadline: As there.
    ///   - timeout: As there.
    /// - Returns: As there.
    /// - Throws: ``StateError`` as there.
    @discardableResult
    public func convert(
        to strategy: StateStrategy,
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil
    ) async throws(StateError) -> StateCommit? {
        let deadline = earlier(deadline, timeout)
        return try await engine.awaited(.converting) { () throws(StateError) in
            try convert(to: strategy, deadline: deadline)
        }
    }

    /// Puts the kept previous copy back in place.
    ///
    /// Blocking, durable: as a save with ``StateDurability/powerLoss``.
    ///
    /// Works when the current file is damaged or gone, which is then lost. If it is sound and
    /// ``StateOptions/keepsPrevious`` is set, it becomes the previous copy. The restored state has the payload and the
    /// schema of the previous copy and a generation after both.
    ///
    /// - Parameters:
    ///   - fence: As in ``save(_:ifGeneration:fence:durability:deadline:timeout:)``.
    ///   - deadline: As there.
    ///   - timeout: As there.
    /// - Returns: What was achieved.
    /// - Throws: ``StateError`` as a save, with ``StateError/Code/notFound`` if no previous copy is kept, and with
    ///   ``StateError/Code/corrupt`` if that is damaged too. The file is then as it was.
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    @discardableResult
    public func restorePrevious(
        fence: Fence? = nil,
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil
    ) throws(StateError) -> StateCommit {
        var request = request(fence, .powerLoss, deadline, timeout)
        request.operation = .restoring
        return try engine.restorePrevious(request)
    }

    /// Puts the kept previous copy back in place; this task is suspended meanwhile.
    ///
    /// As the blocking method of the same name, whose guarantees it has. A task that is cancelled before its turn
    /// changes nothing.
    ///
    /// - Parameters:
    ///   - fence: As there.
    ///   - deadline: As there.
    ///   - timeout: As there.
    /// - Returns: As there.
    /// - Throws: ``StateError`` as there.
    @discardableResult
    public func restorePrevious(
        fence: Fence? = nil,
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil
    ) async throws(StateError) -> StateCommit {
        let deadline = earlier(deadline, timeout)
        return try await engine.awaited(.restoring) { () throws(StateError) in
            try restorePrevious(fence: fence, deadline: deadline)
        }
    }

    private func request(
        _ fence: Fence?,
        _ durability: StateDurability?,
        _ deadline: ContinuousClock.Instant?,
        _ timeout: Duration?
    ) -> SaveRequest {
        SaveRequest(
            schema: schema,
            fence: fence?.token,
            durability: durability ?? engine.options.durability,
            deadline: earlier(deadline, timeout)
        )
    }

    private func encode(_ value: Value) throws(StateError) -> [UInt8] {
        let payload: [UInt8]
        do {
            payload = try codec.encode(value)
        } catch {
            throw StateError(.encodingFailed, .saving, path: engine.path, underlying: error)
        }
        let limit = engine.options.maximumLength
        if payload.count > limit {
            throw engine.place.error(.tooLarge(UInt64(payload.count), limit: limit), .saving)
        }
        return payload
    }
}
