// SPDX-License-Identifier: Apache-2.0
//
// A new file in place of the state's, under the writers' lock: a first two-slot file, a larger one, or an ordinary one. A crash
// leaves the old file or the new one; both are whole.

internal import _HoldfastCShims

extension TwoSlotFile {
    /// Saves into a two-slot file in place of an ordinary one, or of none.
    ///
    /// The caller holds `.NAME.lock`.
    func saveFirst(
        _ payload: [UInt8],
        inPlaceOf old: ReplacedFile,
        _ lock: borrowing TwoSlotSidecar.Lock,
        _ request: SaveRequest
    ) throws(StateFailure) -> StateCommit {
        // Also behind what was published of a file that is gone: a reader might take the same word for its state.
        let last = PublishedState(generation: old.header?.generation ?? .absent, isFlushed: true)
        let before = last.behind(.last(in: lock.published))
        let header = try header(after: old.header, before, length: payload.count, request)
        return try save(payload, header, room: payload.count, inPlaceOf: old, lock, request)
    }

    /// Saves into a new two-slot file with as much room as this one, or more.
    func saveEnlarged(
        _ payload: [UInt8],
        _ header: FrameHeader,
        after base: SaveBase,
        _ turn: borrowing SlotTurn,
        _ request: SaveRequest
    ) throws(StateFailure) -> StateCommit {
        let old = ReplacedFile(header: base.header, metadata: try metadata(of: turn.file))
        let capacity = Int(turn.file.header.capacity)
        // Twice as much, so that a state that grows a little with each save is not copied with each.
        let doubled = min(capacity * 2, options.maximumLength)
        let room = payload.count > capacity ? max(payload.count, doubled) : capacity
        // Never without a flush: the new file takes the place of both slots, of which one may be durable.
        var request = request
        request.durability = .powerLoss
        return try save(payload, header, room: room, inPlaceOf: old, turn.lock, request)
    }

    private func save(
        _ payload: [UInt8],
        _ header: FrameHeader,
        room: Int,
        inPlaceOf old: ReplacedFile,
        _ lock: borrowing TwoSlotSidecar.Lock,
        _ request: SaveRequest
    ) throws(StateFailure) -> StateCommit {
        let room = max(room, options.capacity ?? 0)
        if room > SlotFile.largestCapacity { throw .refused("a two-slot file has no room for \(room) bytes") }
        let slots = SlotFileHeader(store: header.store, room: room, first: header.generation)
        let syncError = try replace(old, by: payload, header, slots, lock, request).syncError
        let nameDoubt = PublishedState.NameDoubt(syncError)
        let published = PublishedState(
            generation: header.generation,
            isFlushed: request.flushes && syncError == nil || nameDoubt == .flushFailed,
            nameDoubt: nameDoubt
        )
        enterNewFile(lock, publishing: published.word)
        noteSuccess()
        return try request.commit(header, .twoSlot, syncError, options)
    }

    /// Puts another file in the place of this one: a two-slot file with this header, or an ordinary one.
    ///
    /// No reader may take it for the old one's state, so from the rename on nothing is published.
    func replace(
        _ old: ReplacedFile,
        by payload: [UInt8],
        _ header: FrameHeader,
        _ slots: SlotFileHeader?,
        _ lock: borrowing TwoSlotSidecar.Lock,
        _ request: SaveRequest
    ) throws(StateFailure) -> InstalledFile {
        place.sweep()
        let word = lock.published
        defer { forget() }
        do throws(SystemError) {
            let flushes = request.flushes
            let entry = try place.openForFlush(flushes)
            let new = try NewStateFile(at: place, payload, header, in: slots, old.metadata, flushes: flushes)
            if let status = old.status, options.keepsPrevious { try place.keepPrevious(status) }
            let (status, frame) = (new.status, new.frame)
            lock.publish(PublishedState.void(word))
            do throws(SystemError) {
                try new.install(as: names.state)
            } catch  where error.code == EBUSY && old.header == nil && options.adoptsEmpty {
                guard let slots else { throw error }
                try fillEmptyFile(payload, header, slots)
            }
            return InstalledFile(status: status, frame: frame, syncError: entry.flushName())
        } catch {
            // The old file is in place.
            lock.publish(word)
            throw .system(error)
        }
    }

    /// Makes a two-slot file of the empty file itself, which is a mount point and cannot be replaced.
    ///
    /// The first page comes last, after a flush of the rest: until then the file is refused as no state. After a failure
    /// it is empty again; what a crash leaves has an empty first page, and an operator has to empty the rest.
    private func fillEmptyFile(
        _ payload: [UInt8],
        _ header: FrameHeader,
        _ slots: SlotFileHeader
    ) throws(SystemError) {
        let file = try place.directory.open(names.state, .readWrite)
        // Alone: another process may be about to do the same by another name of the file.
        guard case .locked = try file.lockAlone(), try file.status().size == 0 else {
            throw SystemError(call: "renameat", code: EBUSY)
        }
        do throws(SystemError) {
            try slots.layOutSlots(of: file)
            _ = try file.write(header, payload, at: slots.offset(of: header.generation.slot))
            try file.sync(.full)
            try slots.writeFirstPage(of: file)
            try file.sync(.full)
        } catch {
            try? file.truncate(to: 0)
            throw error
        }
    }

    /// What a file that takes the place of this one takes over.
    func metadata(of file: OpenSlots) throws(StateFailure) -> FileMetadata {
        do throws(SystemError) {
            let status = try file.file.status()
            if status.links <= 1 { return try FileMetadata(of: file.file, status) }
        } catch {
            throw .system(error)
        }
        throw .refused("the file has a second name (hard link), which would keep the old state when it is replaced")
    }
}

/// A new file that has got the state's name.
struct InstalledFile: Sendable {
    let status: FileStatus
    let frame: SealedHeader
    /// Why the name could not be flushed.
    let syncError: SystemError?
}
