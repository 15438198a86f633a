// SPDX-License-Identifier: Apache-2.0
//
// Loading. A reader takes no lock as long as the published word says which generation counts: it reads that one, and looks
// at the word again if it is not there. Bytes whose flush has not returned carry a later generation, so they are not read.

internal import Synchronization
internal import _HoldfastCShims

extension TwoSlotFile {
    /// The state that counts, or the older one if that is damaged; nil if the name does not lead to a two-slot file.
    func load(durable: Bool) throws(StateFailure) -> LoadedState? {
        // Each turn after the first needs another process to have saved or replaced the file meanwhile.
        for _ in 0..<1000 {
            guard let file = try file() else { return nil }
            let word = try trustedWord(file)
            let seen = word?.current ?? 0
            if let word, let published = PublishedState(word: seen), published.isDurable || !durable {
                let generation = published.generation
                let content = try read(generation.slot, of: file)
                if case .tooLarge(generation, let error) = content { throw error }
                if let state = content.state, state.header.generation == generation {
                    // A save whose half is in the other slot may have been told of before a reboot.
                    if published.failures == 0 { return loaded(state, rejected: nil) }
                    let other = try read(1 - generation.slot, of: file)
                    if word.current != seen { continue }
                    if case .damaged(let error) = other { return loaded(state, rejected: error) }
                    return loaded(state, rejected: nil)
                }
                if word.current != seen { continue }
            }
            // Nothing is published since the system started, or what was published is not there.
            if let loaded = try loadAlone(file, word, durable: durable) { return loaded }
        }
        throw .interrupted("another process keeps replacing it")
    }

    /// With no writer at work, if that can be had without waiting; nil if the file was replaced meanwhile.
    ///
    /// `word` is the published word, if it is to be believed.
    private func loadAlone(
        _ file: OpenSlots,
        _ word: PublishedWord?,
        durable: Bool
    ) throws(StateFailure) -> LoadedState? {
        let lock: TwoSlotSidecar.Lock?
        do throws(LockError) {
            // A save in progress may be what a durable load has to flush, and then to return.
            let isWaiting = durable && word != nil
            lock = try presentSidecar(patience: .zero)?.lock(deadline: isWaiting ? nil : .now)
        } catch  where error.code == .compromised {
            // The arena was deleted. The next turn sees it.
            if let sidecar = memory.withLock({ $0.sidecar }) { retire(sidecar) }
            return nil
        } catch {
            // Another process opens the arena, or writes, and may have been stopped in the middle; or this one may not open it,
            // or has the lock itself. Readers do not wait.
            lock = nil
        }
        guard let lock else {
            try checkNamed(file)
            let loaded = try loadDirectly(file, durable: durable)
            // A writer that has come meanwhile may be in the middle of a save, which may fail.
            if word == nil, let arena = memory.withLock({ $0.word })?.arena, file.isVouched(in: arena) { return nil }
            return loaded
        }
        guard try isInPlace(file) else { return nil }
        let turn = SlotTurn(file, lock, isSave: false, flushes: durable)
        let found = try enter(turn)
        let recovered = if let found { found } else { try recover(turn) }
        _ = consume turn
        return loaded(recovered.state, rejected: recovered.rejected)
    }

    private func loaded(_ state: StoredState, rejected: StateFailure?) -> LoadedState {
        LoadedState(
            state: state,
            copy: rejected == nil ? .current : .older,
            rejected: rejected,
            strategy: .twoSlot
        )
    }

    /// By the slots alone: writers may be at work.
    ///
    /// What it returns is flushed first, because nothing tells whether it is on the device already.
    private func loadDirectly(
        _ file: OpenSlots,
        durable: Bool
    ) throws(StateFailure) -> LoadedState {
        var last: SlotSurvey?
        for _ in 0..<1000 {
            let survey = try survey(file)
            // A save in progress looks like damage, but not twice the same; and between the two reads there may have been
            // one, so a slot that was sound and older at the first read may be the newer one now.
            if survey.older != nil || last?.isLike(survey) == true {
                guard let newest = survey.newest else { throw nothingSound(survey) }
                try flush(newest.frame, of: file, durable: durable)
                return loaded(newest, rejected: survey.problem)
            }
            last = survey
        }
        throw .interrupted("another process keeps writing to it")
    }

    /// Flushes the file by an open file of its own: a failure is told once to each, and a writer at work has to hear of its own.
    private func flushAside(_ file: OpenSlots) throws(SystemError) {
        let aside = try place.directory.open(names.state, .read)
        // Another file has the name by now: that one is looked at in the next turn.
        if try aside.status().identity == file.identity { try aside.sync(.data) }
    }

    /// Flushes what the slots alone say, before it is returned.
    private func flush(
        _ frame: SealedHeader,
        of file: OpenSlots,
        durable: Bool
    ) throws(StateFailure) {
        let word = memory.withLock { $0.word }?.current ?? 0
        if durable, PublishedState.last(in: word).nameDoubt == .flushFailed {
            throw notNamed(nil)
        }
        if isFlushed(frame), !durable { return }
        do throws(SystemError) {
            do throws(SystemError) {
                try flushAside(file)
                noteFlushed(frame)
            } catch  where error.isImpossibleFlush {
                // A medium that cannot be written to holds what it holds.
                if durable, !file.isUnchangeable(error) { throw error }
                return
            }
            if durable { try flushName() }
        } catch {
            throw .notDurable(error)
        }
    }
}
