// SPDX-License-Identifier: Apache-2.0
//
// What to make of the slots when the published word does not tell: after a reboot, or when a writer died in the middle. A
// state that may not be on the device is written again, and flushed, before anybody acts on it: after a failed flush its
// pages look clean, and a second flush of them reports success for bytes that are not on the device.

internal import _HoldfastCShims

/// What counts, found by looking at both slots under the lock.
struct RecoveredState: Sendable {
    var state: StoredState
    /// Why the other slot does not count, if it should.
    var rejected: StateError?
    var published: PublishedState
    /// Whether a state that was saved and published is damaged, and this is the one before.
    var isFallback = false
}

extension SlotEngine {
    /// The newest sound state, made durable if that is not known of it, and published.
    ///
    /// - Parameters:
    ///   - file: In place.
    ///   - lock: The writers' lock.
    ///   - operation: For messages; a load puts up with a file that cannot be written to.
    ///   - flushing: Whether also a state that was saved without a flush has to be made durable.
    ///   - isFirst: Whether no other user vouches for the published word: later states may have been saved, and told of, by
    ///     way of another arena.
    /// - Returns: What was found.
    /// - Throws: ``StateError`` if there is no sound state, or it cannot be made durable.
    func recover(
        _ file: OpenSlots,
        _ lock: borrowing TwoSlotSidecar.Lock,
        _ operation: StateError.Operation,
        flushing: Bool,
        isFirst: Bool = false
    ) throws(StateError) -> RecoveredState {
        let survey = try survey(file, operation)
        guard let newest = survey.newest else { throw nothingSound(survey, operation) }
        let problem = survey.problem(operation, path: path)
        let word = lock.published
        let last = PublishedState.last(in: word)
        if flushing, !operation.isSave, last.nameDoubt == .flushFailed { throw notNamed(nil, operation) }
        let published = PublishedState(word: word)
        let generation = newest.header.generation
        // What could not be read may be read the next time, so nothing later is made of the older state. And if a published
        // state is damaged, this is the one before. If both slots are sound all the same, somebody has put another file here,
        // which counts as it is.
        if let problem, published?.generation != generation,
            problem.code != .corrupt || published.map({ generation < $0.generation }) ?? false
        {
            if flushing, !operation.isSave {
                let settled = try settle(newest, file, lock, operation, rewriting: false, flushing: true)
                if let error = settled.nameError { throw notNamed(error, operation) }
            }
            let known = published ?? PublishedState(generation: generation, isFlushed: false)
            return RecoveredState(state: newest, rejected: problem, published: known, isFallback: true)
        }
        if let published, generation == published.generation, published.isFlushed || !flushing {
            var published = published
            // A save by way of another arena may have failed since, and its generation is not given away again.
            if isFirst, survey.markedFailures > published.failures {
                published.failures = survey.markedFailures
                lock.publish(published.word)
            }
            // A save whose half is in the other slot may have been told of before a reboot.
            return RecoveredState(
                state: newest,
                rejected: published.failures == 0 ? nil : problem,
                published: published
            )
        }
        if lock.arena == nil, isSettled(newest.frame) {
            let known = PublishedState(generation: generation, isFlushed: true, failures: survey.failures)
            return RecoveredState(state: newest, rejected: problem, published: known)
        }
        // What another arena's users have saved may have been told to be durable; what a writer of this one was saving when it
        // died was not.
        let isUntold =
            published.map { published in
                !isFirst || published.generation == generation || (lock.isAbandoned && published.next() == generation)
            } ?? false
        let settled = try settle(newest, file, lock, operation, rewriting: isUntold, flushing: flushing)
        let nameDoubt = last.nameDoubt.or(PublishedState.NameDoubt(settled.nameError))
        // A damaged slot may be half of a later save, whose generation is not given away again.
        let found = PublishedState(
            generation: generation,
            isFlushed: settled.isWritten && (settled.nameError == nil || nameDoubt == .flushFailed),
            failures: published?.generation == generation
                ? max(published?.failures ?? 0, isFirst ? survey.markedFailures : 0) : survey.failures,
            nameDoubt: nameDoubt
        ).behind(last)
        lock.publish(found.word)
        // A save tries it once more, or makes a new file, and reports it.
        if flushing, !operation.isSave, let error = settled.nameError { throw notNamed(error, operation) }
        return RecoveredState(state: newest, rejected: published == nil ? problem : nil, published: found)
    }

    /// Flushes a state and the name of the file, and before that writes the state again to its slot, if that is asked for.
    ///
    /// Only what nobody was told to be durable may be written again: a power cut may damage the sectors that are being
    /// written, though they get the bytes that they have.
    ///
    /// - Parameters:
    ///   - state: The newest one.
    ///   - file: Where it is.
    ///   - lock: The writers' lock.
    ///   - operation: A load puts up with a file that it cannot write to.
    ///   - rewriting: Whether its pages may look clean though they are not on the device.
    ///   - flushing: Whether a load is to fail where nothing can be flushed; a save fails in any case.
    /// - Returns: What of it succeeded.
    /// - Throws: ``StateError`` if the state itself could not be flushed.
    private func settle(
        _ state: StoredState,
        _ file: OpenSlots,
        _ lock: borrowing TwoSlotSidecar.Lock,
        _ operation: StateError.Operation,
        rewriting: Bool,
        flushing: Bool
    ) throws(StateError) -> Settled {
        var isWritten = true
        do throws(SystemError) {
            do throws(SystemError) {
                if rewriting {
                    if let error = file.writingError { throw error }
                    _ = try ReplaceEngine.fill(
                        file.file,
                        state.header,
                        state.payload,
                        at: file.header.offset(of: state.header.generation.slot)
                    )
                }
            } catch  where !operation.isSave && error.isAny(of: EACCES, EPERM, EROFS, ETXTBSY, ENOSPC, EDQUOT) {
                // Who may only read, or has no room to write, can still flush what others have written.
                isWritten = false
            }
            do throws(SystemError) {
                try file.file.sync(.data)
            } catch  where !operation.isSave && error.isImpossibleFlush {
                isWritten = false
                if flushing, !file.isUnchangeable(error) { throw error }
            } catch {
                // It may have been the first flush of the whole file, and the next one does not tell of the rest.
                lock.publish(PublishedState.doubted(lock.published))
                throw error
            }
        } catch {
            if operation.isSave { noteFailure(error) }
            throw StateError(operation.isSave ? .notSaved : .notDurable, operation, path: path, cause: error)
        }
        return Settled(isWritten: isWritten, nameError: nameError(lock))
    }

    private struct Settled {
        /// Whether the state was written again, if that was asked for.
        var isWritten: Bool
        /// Why the directory could not be flushed.
        var nameError: SystemError?
    }

    /// After one failed flush another might succeed and do nothing.
    func notNamed(_ error: SystemError?, _ operation: StateError.Operation) -> StateError {
        let detail = "a flush of it or of its name has failed, which the next durable save mends"
        return StateError(.notDurable, operation, path: path, cause: error, detail: detail)
    }

    /// Flushes the directory; why that failed, if it did.
    ///
    /// Who dies in it leaves the name in doubt.
    ///
    /// The name of a file whose directory cannot be written to is not ours to flush.
    func nameError(_ lock: borrowing TwoSlotSidecar.Lock) -> SystemError? {
        if lock.arena == nil { return nil }
        let word = lock.published
        lock.publish(PublishedState.flushingName(word))
        do throws(SystemError) {
            try flushName()
            lock.publish(word)
            return nil
        } catch {
            lock.publish(error.isFailedFlush ? PublishedState.doubted(word) : word)
            return error
        }
    }

    /// Flushes the directory.
    func flushName() throws(SystemError) {
        try files.directory.openItself().sync(.full)
    }
}
