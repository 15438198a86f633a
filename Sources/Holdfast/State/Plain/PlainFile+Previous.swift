// SPDX-License-Identifier: Apache-2.0
//
// The previous copy: loaded in place of a damaged file, or put back by a save of its payload, which may also replace a damaged
// file.

/// A writer's turn that puts the previous copy back.
struct RestoreTurn: ~Copyable {
    let plain: PlainTurn
    let header: FrameHeader
    let payload: [UInt8]
}

extension PlainFile {
    /// The previous copy, in place of a current one that is damaged.
    ///
    /// A missing file is no damage: a user removed it, and what they removed must not come back by itself.
    func loadPrevious(insteadOf rejected: StateFailure, durable: Bool) throws(StateFailure) -> LoadedState {
        // The first finding is the one to report: no previous copy makes up for it.
        guard rejected.isDamage, let opened = try? place.open(place.names.previous),
            let state = try? read(opened, durable: durable)
        else { throw rejected }
        return LoadedState(state: state, copy: .previous, rejected: rejected, strategy: .replace)
    }

    /// Refuses to make a first state beside a previous copy.
    func checkNoPrevious() throws(StateFailure) {
        do throws(SystemError) {
            guard try place.directory.status(of: place.names.previous) != nil else { return }
        } catch {
            throw .previous(.system(error))
        }
        let previous = shown(place.directory.path(of: place.names.previous))
        let detail = "it is empty and has a previous copy, \(previous): restore that, or move it away and adopt again"
        throw .corrupt(.tooShort(0), detail)
    }

    /// Begins to put the previous copy's payload in place, with a generation after both.
    ///
    /// - Returns: Nil if the name leads to a two-slot file.
    func beginRestoring(_ request: SaveRequest) throws(StateFailure) -> RestoreTurn? {
        let lock = try place.lock(deadline: request.deadline)
        guard let (previous, metadata) = try readPrevious() else {
            let path = shown(place.directory.path(of: place.names.previous))
            throw .notFound("there is no previous copy, \(path)")
        }
        try request.checkFence(stored: previous.header.token)
        guard let (current, generation) = try replaceable(request, previous) else { return nil }
        var file = current
        if file.metadata == nil { file.metadata = metadata }
        let header = FrameHeader(
            store: previous.header.store,
            generation: try self.generation(after: max(generation, previous.header.generation)),
            schema: previous.header.schema,
            token: max(file.header?.token ?? 0, previous.header.token, request.fence?.value ?? 0),
            length: previous.header.length
        )
        return RestoreTurn(plain: PlainTurn(lock: lock, file: file), header: header, payload: previous.payload)
    }

    /// The previous copy, and what a file that is made of it takes over.
    private func readPrevious() throws(StateFailure) -> (StoredState, FileMetadata)? {
        do throws(StateFailure) {
            guard let opened = try place.open(place.names.previous) else { return nil }
            guard let state = try read(opened) else {
                throw .refused("it is a two-slot file, and no save keeps a previous copy in one")
            }
            return (state, try opened.metadata())
        } catch {
            throw .previous(error)
        }
    }

    /// What stands in the way of the previous copy, be it damaged or absent, and the generation that the restored state has to
    /// be later than; nil if it is a two-slot file.
    private func replaceable(
        _ request: SaveRequest,
        _ previous: StoredState
    ) throws(StateFailure) -> (ReplacedFile, Generation)? {
        guard let opened = try place.open(place.names.state) else { return (ReplacedFile(), .absent) }
        let current: StoredState?
        do throws(StateFailure) {
            current = try read(opened)
        } catch  where error.isDamage {
            // A damaged file is not kept: the good copy must not give way to it. What is left of its header may lie about
            // the token, which would lock every writer out; of its generation only the order matters, and the one after
            // the previous copy's was given away.
            let lost = previous.header.generation.next ?? .absent
            let told = peek(opened)?.header.generation ?? .absent
            let salvaged = told.next == nil ? .absent : told
            return (ReplacedFile(metadata: try opened.metadata()), max(lost, salvaged))
        }
        guard let header = current?.header else { return nil }
        if header.store != previous.header.store {
            throw .wrongStore(header.store, expected: previous.header.store)
        }
        try request.checkFence(stored: header.token)
        let file = ReplacedFile(header: header, status: opened.status, metadata: try opened.metadata())
        return (file, header.generation)
    }
}
