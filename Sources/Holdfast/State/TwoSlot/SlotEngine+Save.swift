// SPDX-License-Identifier: Apache-2.0
//
// A save in place, under the lock:
//
//   know the newest state   from the published word, or by looking at both slots
//   write the other slot    header and payload in one pwritev; its old state is the one before the newest
//   fdatasync               changes no metadata, so that it is one flush of the device
//   publish the generation  from here on readers take it
//
// After a flush that failed nothing is known: the device may have the new bytes or the old ones, the kernel shows the new
// ones and forgets that they are not written. So the slot is marked, which keeps others from acting on it, and it is the
// one that the next save writes, all of it and with a later generation; the slot of the newest state is not touched.

internal import _HoldfastCShims

/// The newest state, as far as a save needs it.
struct SaveBase: Sendable {
    var header: FrameHeader
    /// Empty if it was not asked for.
    var payload: [UInt8] = []
    var published: PublishedState
}

extension SlotEngine {
    /// Saves what the body makes of the state; nil if the name does not lead to a two-slot file, and nothing was done.
    func save(
        _ request: SaveRequest,
        wantsPayload: Bool,
        _ body: (StoredPayload?) throws -> [UInt8]
    ) throws -> StateCommit? {
        try withFile(request) { file, lock in
            let base = try base(request, file, lock, wantsPayload: wantsPayload)
            try files.check(request, against: base.header)
            let payload = try body(StoredPayload(schema: base.header.schema, bytes: base.payload))
            try files.checkLength(payload, request)
            let header = try header(after: base.header, base.published, payload, request)
            return try put(payload, header, base, file, lock, request)
        }
    }

    /// Runs the body while this is the only writer of the two-slot file; nil if there is none.
    func withFile<Result>(
        _ request: SaveRequest,
        _ body: (OpenSlots, borrowing TwoSlotSidecar.Lock) throws -> Result
    ) throws -> Result? {
        try checkNotLatched(request.operation)
        // Each turn after the first needs somebody to have replaced the file meanwhile.
        for _ in 0..<1000 {
            guard let file = try lastFile(request.operation) else { return nil }
            let lock = try lock(request.operation, deadline: request.deadline, for: file)
            if try isInPlace(file, request.operation) {
                if let error = file.writingError {
                    // Opened anew the next time: the permissions, or the mount, may be others then.
                    forget()
                    throw StateError(.notSaved, request.operation, path: path, cause: error)
                }
                if lock.arena == nil { try checkNamed(file, request.operation) }
                file.beginUse()
                defer { file.endUse() }
                _ = try enter(
                    file,
                    lock,
                    request.operation,
                    deadline: request.deadline,
                    flushing: request.durability == .powerLoss
                )
                let result = try body(file, lock)
                TwoSlotSidecar.release(lock)
                return result
            }
            TwoSlotSidecar.release(lock)
            forget()
        }
        throw StateError(.notSaved, request.operation, path: path, detail: "somebody keeps replacing it")
    }

    /// The state that the new one follows.
    func base(
        _ request: SaveRequest,
        _ file: OpenSlots,
        _ lock: borrowing TwoSlotSidecar.Lock,
        wantsPayload: Bool
    ) throws(StateError) -> SaveBase {
        let flushing = request.durability == .powerLoss
        let word = lock.published
        if !wantsPayload, !lock.isAbandoned, let header = known(word), let published = PublishedState(word: word),
            published.isFlushed || !flushing
        {
            return SaveBase(header: header, published: published)
        }
        let recovered = try recover(file, lock, request.operation, flushing: flushing)
        // What was saved and is damaged is not replaced by what somebody makes of the state before it.
        if recovered.isFallback, let rejected = recovered.rejected { throw rejected }
        let state = recovered.state
        remember(lock.published, state.header)
        return SaveBase(header: state.header, payload: state.payload, published: recovered.published)
    }

    /// The header of the state that follows; a state that is only converted keeps its own.
    func header(
        after header: FrameHeader?,
        _ published: PublishedState,
        _ payload: [UInt8],
        _ request: SaveRequest
    ) throws(StateError) -> FrameHeader {
        var next = files.header(after: header, payload, request)
        var generation = published.next()
        if request.operation == .converting, let header {
            next.schema = header.schema
            // The number of a save whose outcome is not known is given to nobody else.
            if published.generation == header.generation, published.failures == 0 { generation = header.generation }
        }
        next.generation = try checked(generation, request.operation)
        return next
    }

    /// The generation, if a two-slot file can have it.
    func checked(_ generation: Generation?, _ operation: StateError.Operation) throws(StateError) -> Generation {
        guard let generation, PublishedState(generation: generation, isFlushed: true).word != 0 else {
            let detail = "its generation would be larger than a two-slot file can have"
            throw StateError(.refused, operation, path: path, detail: detail)
        }
        return generation
    }

    /// Saves to the slot of the header's generation, or to a larger file.
    func put(
        _ payload: [UInt8],
        _ header: FrameHeader,
        _ base: SaveBase,
        _ file: OpenSlots,
        _ lock: borrowing TwoSlotSidecar.Lock,
        _ request: SaveRequest
    ) throws(StateError) -> StateCommit {
        precondition(header.generation.slot != base.header.generation.slot, "the newest state must stay")
        let flushes = request.durability == .powerLoss
        if max(payload.count, options.capacity ?? 0) > Int(file.header.capacity)
            || flushes && base.published.nameDoubt != .none
        {
            return try remake(payload, header, base, file, lock, request)
        }
        // Who makes a larger file, or another one, holds this lock too, so what is left of one is nobody's.
        files.sweep()
        let frame: SealedHeader
        do throws(SystemError) {
            frame = try ReplaceEngine.fill(
                file.file,
                header,
                payload,
                at: file.header.offset(of: header.generation.slot)
            )
        } catch {
            throw notWritten(header, error, base, file, lock, request.operation)
        }
        if flushes {
            do throws(SystemError) {
                try file.file.sync(.data)
            } catch {
                markUnflushed(header.generation, of: file)
                fail(error, base, lock)
                throw StateError(
                    .outcomeUnknown,
                    request.operation,
                    path: path,
                    cause: error,
                    found: header.generation.value
                )
            }
        }
        let nameError = flushes && !base.published.isFlushed ? self.nameError(lock) : nil
        let nameDoubt = base.published.nameDoubt.or(PublishedState.NameDoubt(nameError))
        let published = PublishedState(
            generation: header.generation,
            isFlushed: flushes && (nameError == nil || nameDoubt == .flushFailed),
            nameDoubt: nameDoubt
        )
        lock.publish(published.word)
        remember(published.word, header)
        settle(flushes ? frame : nil)
        noteSuccess()
        return try files.commit(header, .twoSlot, syncError: nameError, flushes, request)
    }

    /// A write that failed has not saved anything, if not all of its bytes are there by chance.
    private func notWritten(
        _ header: FrameHeader,
        _ error: SystemError,
        _ base: SaveBase,
        _ file: OpenSlots,
        _ lock: borrowing TwoSlotSidecar.Lock,
        _ operation: StateError.Operation
    ) -> StateError {
        fail(error, base, lock)
        let generation = header.generation
        var isUnknown = false
        switch try? read(generation.slot, of: file, operation) {
        case .state(let state) where state.header != header: break
        case .state: isUnknown = !markUnflushed(generation, of: file)
        default: markUnflushed(generation, of: file)
        }
        return StateError(
            isUnknown ? .outcomeUnknown : .notSaved,
            operation,
            path: path,
            cause: error,
            found: isUnknown ? header.generation.value : nil
        )
    }

    /// Gives the generation that failed to no other save.
    private func fail(
        _ error: SystemError,
        _ base: SaveBase,
        _ lock: borrowing TwoSlotSidecar.Lock
    ) {
        noteFailure(error)
        let published = base.published.failedAgain()
        lock.publish(published.word)
        remember(published.word, base.header)
    }

    /// Overwrites the header of a slot in the page cache, so that nobody takes what is behind it for a state.
    ///
    /// It is not flushed: the device has failed, and whatever it has is what a reader after a reboot will judge.
    @discardableResult
    private func markUnflushed(_ generation: Generation, of file: OpenSlots) -> Bool {
        var header = Frame.Header(repeating: asciiSpace)
        header.writeDecimal(generation.value, SlotFile.markedColumn)
        header[Frame.newlineColumn] = asciiNewline
        SlotFile.unflushedMark.withUTF8Buffer { mark in
            for index in mark.indices { header[index] = unsafe mark[index] }
        }
        let outcome = unsafe header.span.withUnsafeBytes { bytes in
            Result { () throws(SystemError) in
                try unsafe file.file.writeAll(bytes, at: file.header.offset(of: generation.slot))
            }
        }
        return (try? outcome.get()) != nil
    }
}
