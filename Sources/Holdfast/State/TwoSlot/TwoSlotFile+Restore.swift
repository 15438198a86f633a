// SPDX-License-Identifier: Apache-2.0
//
// Rolling back to the state before the last one: the other slot has it.

extension TwoSlotFile {
    /// Saves the older state again; nil if the name does not lead to a two-slot file.
    ///
    /// If the newer one is damaged the older one is all there is.
    func restorePrevious(_ request: SaveRequest) throws(StateFailure) -> StateCommit? {
        guard let turn = try begin(request) else { return nil }
        let survey = try survey(turn.file)
        guard let newest = survey.newest else { throw nothingSound(survey) }
        var older = survey.older
        if let problem = survey.problem {
            // The state before may be what is damaged, or what cannot be read only now.
            let isNewestLost = PublishedState(word: turn.lock.published)?.generation != newest.header.generation
            guard isNewestLost, problem.corruption != nil else { throw problem }
            older = newest
        }
        guard let older else { throw .notFound("there is no state before it") }
        for state in [newest, older] { try request.checkFence(stored: state.header.token) }
        // The slot of the newest state stays: with it the device has one whole state at any moment.
        _ = try recover(turn)
        let last = PublishedState.last(in: turn.lock.published)
        var published = last
        if last.generation != newest.header.generation {
            // What was saved and is lost had a later generation, which is not given away again.
            published.generation = newest.header.generation
            published.failures = 0
            published = published.behind(last)
        }
        var header = older.header
        header.generation = try checked(published.next())
        header.token = max(older.header.token, newest.header.token, request.fence?.value ?? 0)
        let base = SaveBase(header: newest.header, published: published)
        return try write(older.payload, header, after: base, turn, request)
    }
}
