// SPDX-License-Identifier: Apache-2.0
//
// Rolling back to the state before the last one: the other slot has it.

extension SlotEngine {
    /// Saves the older state again; nil if the name does not lead to a two-slot file.
    ///
    /// If the newer one is damaged the older one is all there is.
    func restorePrevious(_ request: SaveRequest) throws(StateError) -> StateCommit? {
        do {
            return try withFile(request) { file, lock in try restore(file, lock, request) }
        } catch let error as StateError {
            throw error
        } catch {
            preconditionFailure("\(error)")
        }
    }

    private func restore(
        _ file: OpenSlots,
        _ lock: borrowing TwoSlotSidecar.Lock,
        _ request: SaveRequest
    ) throws(StateError) -> StateCommit {
        let survey = try survey(file, request.operation)
        guard let newest = survey.newest else { throw nothingSound(survey, request.operation) }
        var older = survey.older
        if let problem = survey.problem(request.operation, path: path) {
            // The state before may be what is damaged, or what cannot be read only now.
            let isNewestLost = PublishedState(word: lock.published)?.generation != newest.header.generation
            guard isNewestLost, problem.code == .corrupt else { throw problem }
            older = newest
        }
        guard let older else {
            let detail = "there is no state before it"
            throw StateError(.notFound, request.operation, path: path, detail: detail)
        }
        for state in [newest, older] { try files.checkFence(request, stored: state.header.token) }
        // The slot of the newest state stays: with it the device has one whole state at any moment.
        _ = try recover(file, lock, request.operation, flushing: true)
        let last = PublishedState.last(in: lock.published)
        var published = last
        if last.generation != newest.header.generation {
            // What was saved and is lost had a later generation, which is not given away again.
            published.generation = newest.header.generation
            published.failures = 0
            published = published.behind(last)
        }
        var header = older.header
        header.generation = try checked(published.next(), request.operation)
        header.token = max(older.header.token, newest.header.token, request.fence?.value ?? 0)
        let base = SaveBase(header: newest.header, published: published)
        return try put(older.payload, header, base, file, lock, request)
    }
}
