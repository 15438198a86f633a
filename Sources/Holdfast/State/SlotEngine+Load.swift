// SPDX-License-Identifier: Apache-2.0
//
// Loading. A reader takes no lock as long as the published word says which generation counts: it reads that one, and looks
// at the word again if it is not there. Bytes whose flush has not returned carry a later generation, so they are not read.

internal import _HoldfastCShims

extension SlotEngine {
    /// The state that counts, or the older one if that is damaged; nil if the name does not lead to a two-slot file.
    func load(_ operation: StateError.Operation, durable: Bool) throws(StateError) -> LoadedState? {
        // Each turn after the first needs somebody to have saved or replaced the file meanwhile.
        for _ in 0..<1000 {
            guard let file = try file(operation) else { return nil }
            guard let sidecar = try readerSidecar(operation) else {
                return try loadDirectly(file, operation, durable: durable)
            }
            do throws(LockError) {
                try sidecar.checkPlace()
            } catch {
                retire(sidecar)
                continue
            }
            let word = sidecar.published
            if let published = PublishedState(word: word), published.isDurable || !durable {
                let generation = published.generation
                let content = try read(generation.slot, of: file, operation)
                if case .tooLarge(generation, let error) = content { throw error }
                if let state = content.state, state.header.generation == generation {
                    // A save whose half is in the other slot may have been told of before a reboot.
                    if published.failures == 0 { return loaded(state, rejected: nil) }
                    let other = try read(1 - generation.slot, of: file, operation)
                    if sidecar.published != word { continue }
                    if case .damaged(let error) = other { return loaded(state, rejected: error) }
                    return loaded(state, rejected: nil)
                }
                if sidecar.published != word { continue }
            }
            // Nothing is published since the system started, or what was published is not there.
            if let loaded = try loadAlone(file, sidecar, operation, durable: durable) { return loaded }
        }
        throw StateError(operation.failure, operation, path: path, detail: "somebody keeps replacing it")
    }

    /// With no writer at work; nil if the file was replaced meanwhile.
    private func loadAlone(
        _ file: OpenSlots,
        _ sidecar: TwoSlotSidecar,
        _ operation: StateError.Operation,
        durable: Bool
    ) throws(StateError) -> LoadedState? {
        let lock: TwoSlotSidecar.Lock
        do throws(LockError) {
            lock = try sidecar.lock(deadline: nil)
        } catch  where error.code == .reentrant {
            // Who has the lock itself has not written yet.
            return try loadDirectly(file, operation, durable: durable)
        } catch  where error.code == .compromised {
            retire(sidecar)
            return nil
        } catch {
            throw notRead(error, operation)
        }
        guard try isInPlace(file, operation) else { return nil }
        let recovered = try recover(file, lock, operation, flushing: durable)
        TwoSlotSidecar.release(lock)
        return loaded(recovered.state, rejected: recovered.rejected)
    }

    private func readerSidecar(_ operation: StateError.Operation) throws(StateError) -> TwoSlotSidecar? {
        do throws(LockError) {
            return try sidecarOfReader()
        } catch {
            throw notRead(error, operation)
        }
    }

    private func notRead(_ error: LockError, _ operation: StateError.Operation) -> StateError {
        StateError(operation.failure, operation, path: path, cause: error.cause, underlying: error)
    }

    private func loaded(_ state: StoredState, rejected: StateError?) -> LoadedState {
        LoadedState(
            state: state,
            copy: rejected == nil ? .current : .older,
            rejected: rejected,
            strategy: .twoSlot
        )
    }

    /// For who may not even open what is beside the file: writers may be at work.
    ///
    /// What it returns is flushed first, because nothing tells whether it is on the device already.
    private func loadDirectly(
        _ file: OpenSlots,
        _ operation: StateError.Operation,
        durable: Bool
    ) throws(StateError) -> LoadedState {
        var last: SlotSurvey?
        for _ in 0..<1000 {
            let survey = try survey(file, operation)
            // A save in progress looks like damage, but not twice the same; and between the two reads there may have been
            // one, so a slot that was sound and older at the first read may be the newer one now.
            if survey.older != nil || last?.isLike(survey) == true {
                guard let newest = survey.newest else { throw nothingSound(survey, operation) }
                do throws(SystemError) {
                    try file.file.sync(.data)
                    if durable { try flushName() }
                } catch {
                    throw StateError(.notDurable, operation, path: path, cause: error)
                }
                return loaded(newest, rejected: survey.problem(operation, path: path))
            }
            last = survey
        }
        throw StateError(operation.failure, operation, path: path, detail: "somebody keeps writing to it")
    }
}
