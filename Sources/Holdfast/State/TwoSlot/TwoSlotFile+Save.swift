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

extension TwoSlotFile {
    /// The state that the new one follows, which this writer may replace; its payload only if that is asked for.
    func newestState(
        _ turn: borrowing SlotTurn,
        _ request: SaveRequest,
        reading: Bool
    ) throws(StateFailure) -> SaveBase {
        let word = turn.lock.published
        if !reading, !turn.lock.isAbandoned, let header = known(word), let published = PublishedState(word: word),
            published.isFlushed || !turn.flushes
        {
            try request.check(against: header)
            return SaveBase(header: header, published: published)
        }
        let recovered = try recover(turn)
        // What was saved and is damaged is not replaced by what a program makes of the state before it.
        if recovered.isFallback, let rejected = recovered.rejected { throw rejected }
        let state = recovered.state
        remember(turn.lock.published, state.header)
        try request.check(against: state.header)
        return SaveBase(header: state.header, payload: state.payload, published: recovered.published)
    }

    /// The header of the state that follows; a state that is only converted keeps its generation.
    func header(
        after header: FrameHeader?,
        _ published: PublishedState,
        length: Int,
        _ request: SaveRequest
    ) throws(StateFailure) -> FrameHeader {
        // The number of a save whose outcome is not known is given to no other save.
        let isKept = request.operation == .converting && published.failures == 0
        let generation = isKept && published.generation == header?.generation ? header?.generation : published.next()
        return request.header(after: header, try checked(generation), length: length, options)
    }

    /// The generation, if a two-slot file can have it.
    func checked(_ generation: Generation?) throws(StateFailure) -> Generation {
        guard let generation, PublishedState(generation: generation, isFlushed: true).word != 0 else {
            throw .refused("its generation would be larger than a two-slot file can have")
        }
        return generation
    }

    /// Saves to the slot of the header's generation, or to a larger file.
    func write(
        _ payload: [UInt8],
        _ header: FrameHeader,
        after base: SaveBase,
        _ turn: borrowing SlotTurn,
        _ request: SaveRequest
    ) throws(StateFailure) -> StateCommit {
        precondition(header.generation.slot != base.header.generation.slot, "the newest state must stay")
        let (file, flushes) = (turn.file, request.flushes)
        if max(payload.count, options.capacity ?? 0) > Int(file.header.capacity)
            || flushes && base.published.nameDoubt != .none
        {
            return try saveEnlarged(payload, header, after: base, turn, request)
        }
        // A writer that makes a larger file, or another one, holds this lock too: no writer uses what is left of one.
        place.sweep()
        let frame: SealedHeader
        do throws(SystemError) {
            frame = try file.file.write(header, payload, at: file.header.offset(of: header.generation.slot))
        } catch {
            throw notWritten(header, error, base, turn)
        }
        if flushes {
            do throws(SystemError) {
                try file.file.sync(.data)
            } catch {
                markUnflushed(header.generation, of: file)
                fail(error, base, turn.lock)
                throw .outcomeUnknown(error, header.generation)
            }
        }
        let nameError = flushes && !base.published.isFlushed ? flushName(holding: turn.lock) : nil
        let nameDoubt = base.published.nameDoubt.or(PublishedState.NameDoubt(nameError))
        let published = PublishedState(
            generation: header.generation,
            isFlushed: flushes && (nameError == nil || nameDoubt == .flushFailed),
            nameDoubt: nameDoubt
        )
        turn.lock.publish(published.word)
        remember(published.word, header)
        noteFlushed(flushes ? frame : nil)
        noteSuccess()
        return try request.commit(header, .twoSlot, nameError, options)
    }

    /// A write that failed has not saved anything, if not all of its bytes are there by chance.
    private func notWritten(
        _ header: FrameHeader,
        _ error: SystemError,
        _ base: SaveBase,
        _ turn: borrowing SlotTurn
    ) -> StateFailure {
        fail(error, base, turn.lock)
        let generation = header.generation
        switch try? read(generation.slot, of: turn.file) {
        case .state(let state) where state.header != header: return .system(error)
        case .state:
            return markUnflushed(generation, of: turn.file) ? .system(error) : .outcomeUnknown(error, generation)
        default:
            markUnflushed(generation, of: turn.file)
            return .system(error)
        }
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

    /// Overwrites the header of a slot in the page cache, so that no reader takes what is behind it for a state.
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
        do throws(SystemError) {
            try unsafe header.span.withUnsafeBytes { bytes throws(SystemError) in
                try unsafe file.file.writeAll(bytes, at: file.header.offset(of: generation.slot))
            }
            return true
        } catch {
            return false
        }
    }
}
