// SPDX-License-Identifier: Apache-2.0
//
// New files, each by the replacement of ReplaceEngine+Replace.swift: the first one, a larger one, and conversions between
// the two kinds. A crash leaves the old file or the new one; both are whole.

internal import _HoldfastCShims

extension SlotEngine {
    /// Saves the state that there is, or a first one, into a new two-slot file; nil if there is one already.
    func make(
        _ request: SaveRequest,
        wantsPayload: Bool,
        _ body: (StoredPayload?) throws -> [UInt8]
    ) throws -> StateCommit? {
        let fileLock = try files.lock(request.operation, deadline: request.deadline)
        guard let present = try present(request, wantsPayload: wantsPayload) else { return nil }
        let target = present.target
        if target != nil { try files.checkPrevious(request.operation) }
        let lock = try lock(request.operation, deadline: request.deadline)
        let payload = try body(target.map { StoredPayload(schema: $0.header.schema, bytes: $0.payload) })
        try files.checkLength(payload, request)
        // Also behind what was published of a file that is gone: a reader might take the same word for its state.
        let last = PublishedState(generation: target?.header.generation ?? .absent, isFlushed: true)
        let before = last.behind(.last(in: lock.published))
        let header = try header(after: target?.header, before, payload, request)
        let commit = try replace(present, by: payload, header, room: payload.count, lock, request)
        TwoSlotSidecar.release(lock)
        try? fileLock.release()
        return commit
    }

    /// An ordinary file, or none; nil for a two-slot file.
    private func present(_ request: SaveRequest, wantsPayload: Bool) throws(StateError) -> PresentState? {
        do throws(StateError) {
            return try files.target(request, wantsPayload: wantsPayload)
        } catch  where error.isOtherStrategy {
            return nil
        }
    }

    /// Saves into a new file with as much room or more, under the lock that the caller holds.
    func remake(
        _ payload: [UInt8],
        _ header: FrameHeader,
        _ base: SaveBase,
        _ file: OpenSlots,
        _ lock: borrowing TwoSlotSidecar.Lock,
        _ request: SaveRequest
    ) throws(StateError) -> StateCommit {
        let target = try target(base, file, request)
        // Twice as much, so that a state that grows a little with each save is not copied with each.
        let doubled = min(Int(file.header.capacity) * 2, options.maximumLength)
        let capacity = Int(file.header.capacity)
        let room = payload.count > capacity ? max(payload.count, doubled) : capacity
        // Never without a flush: the new file takes the place of both slots, of which one may be durable.
        var request = request
        request.durability = .powerLoss
        return try replace(PresentState(target: target), by: payload, header, room: room, lock, request)
    }

    private func replace(
        _ present: PresentState,
        by payload: [UInt8],
        _ header: FrameHeader,
        room: Int,
        _ lock: borrowing TwoSlotSidecar.Lock,
        _ request: SaveRequest
    ) throws(StateError) -> StateCommit {
        let room = max(room, options.capacity ?? 0)
        if room > SlotFile.largestCapacity {
            let detail = "a two-slot file has no room for \(room) bytes"
            throw StateError(.refused, request.operation, path: path, detail: detail)
        }
        let slots = SlotFileHeader(store: header.store, room: room, first: header.generation)
        let commit = try replace(present, by: payload, header, as: .slots(slots), lock, request)
        let nameDoubt = PublishedState.NameDoubt(commit.directorySyncError)
        let published = PublishedState(
            generation: header.generation,
            isFlushed: commit.durability == .powerLoss || nameDoubt == .flushFailed,
            nameDoubt: nameDoubt
        )
        enterNewFile(lock, request.operation) { lock.publish(published.word) }
        noteSuccess()
        return commit
    }

    /// Puts another file in the place of this one.
    ///
    /// Nobody may take that for the old one's state, so from the rename on nothing is published.
    private func replace(
        _ present: PresentState,
        by payload: [UInt8],
        _ header: FrameHeader,
        as image: FileImage,
        _ lock: borrowing TwoSlotSidecar.Lock,
        _ request: SaveRequest
    ) throws(StateError) -> StateCommit {
        let sidecar = lock.sidecar
        let word = lock.published
        defer { forget() }
        do throws(StateError) {
            return try files.replace(
                present.target,
                by: payload,
                header,
                request,
                metadata: present.adopted,
                as: image
            ) {
                sidecar?.publish(PublishedState.void(word))
            }
        } catch {
            if error.code != .directoryNotSynced {
                // The old file is in place.
                lock.publish(word)
            } else if case .slots = image {
                let doubt = PublishedState.NameDoubt(error.cause)
                let isFlushed = doubt == .flushFailed
                lock.publish(
                    PublishedState(generation: header.generation, isFlushed: isFlushed, nameDoubt: doubt).word
                )
            }
            throw error
        }
    }

    private func target(
        _ base: SaveBase,
        _ file: OpenSlots,
        _ request: SaveRequest
    ) throws(StateError) -> TargetState {
        do throws(SystemError) {
            let status = try file.file.status()
            if status.links > 1 { throw SystemError(call: "renameat", code: EMLINK) }
            let metadata = try FileMetadata(of: file.file, status)
            return TargetState(header: base.header, status: status, metadata: metadata, isPlain: false)
        } catch {
            if error.code == EMLINK {
                let detail =
                    "the file has a second name (hard link), which would keep the old state when it is replaced"
                throw StateError(.refused, request.operation, path: path, detail: detail)
            }
            throw StateError(.notSaved, request.operation, path: path, cause: error)
        }
    }

    /// Saves into an ordinary file in place of the two-slot file; nil if there is none.
    func unmake(
        _ request: SaveRequest,
        wantsPayload: Bool,
        _ body: (StoredPayload?) throws -> [UInt8]
    ) throws -> StateCommit? {
        let fileLock = try files.lock(request.operation, deadline: request.deadline)
        let commit = try withFile(request) { file, lock in
            let base = try base(request, file, lock, wantsPayload: wantsPayload || options.keepsPrevious)
            try files.check(request, against: base.header)
            let payload = try body(StoredPayload(schema: base.header.schema, bytes: base.payload))
            try files.checkLength(payload, request)
            let header = try header(after: base.header, base.published, payload, request)
            let target = try target(base, file, request)
            try files.checkPrevious(request.operation)
            if options.keepsPrevious { try files.keepPrevious(base.payload, target, request) }
            return try replace(PresentState(target: target), by: payload, header, as: .frame, lock, request)
        }
        try? fileLock.release()
        return commit
    }
}
