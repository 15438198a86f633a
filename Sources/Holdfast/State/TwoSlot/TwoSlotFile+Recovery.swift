// SPDX-License-Identifier: Apache-2.0
//
// What to make of the slots when the published word does not tell: after a reboot, or when a writer died in the middle. A
// state that may not be on the device is written again, and flushed, before any process acts on it: after a failed flush its
// pages look clean, and a second flush of them reports success for bytes that are not on the device.

internal import _HoldfastCShims

/// What counts, found by looking at both slots under the lock.
struct RecoveredState: Sendable {
    var state: StoredState
    /// Why the other slot does not count, if it should.
    var rejected: StateFailure?
    var published: PublishedState
    /// Whether a state that was saved and published is damaged, and this is the one before.
    var isFallback = false
}

extension TwoSlotFile {
    /// The newest sound state, made durable if that is not known of it, and published.
    ///
    /// - Parameters:
    ///   - turn: At the file that is in place.
    ///   - isFirst: Whether no other user vouches for the published word: later states may have been saved, and told of, by
    ///     way of another arena.
    /// - Returns: What was found.
    /// - Throws: ``StateFailure`` if there is no sound state, or it cannot be made durable.
    func recover(_ turn: borrowing SlotTurn, isFirst: Bool = false) throws(StateFailure) -> RecoveredState {
        let survey = try survey(turn.file)
        guard let newest = survey.newest else { throw nothingSound(survey) }
        let problem = survey.problem
        let word = turn.lock.published
        let last = PublishedState.last(in: word)
        if turn.flushes, !turn.isSave, last.nameDoubt == .flushFailed { throw notNamed(nil) }
        let published = PublishedState(word: word)
        let generation = newest.header.generation
        // What could not be read may be read the next time, so nothing later is made of the older state. And if a published
        // state is damaged, this is the one before. If both slots are sound all the same, another program has put another file
        // here, which counts as it is.
        if let problem, published?.generation != generation,
            problem.corruption == nil || published.map({ generation < $0.generation }) ?? false
        {
            if turn.flushes, !turn.isSave {
                let settled = try makeDurable(newest, turn, rewriting: false)
                if let error = settled.nameError { throw notNamed(error) }
            }
            let known = published ?? PublishedState(generation: generation, isFlushed: false)
            return RecoveredState(state: newest, rejected: problem, published: known, isFallback: true)
        }
        if let published, generation == published.generation, published.isFlushed || !turn.flushes {
            var published = published
            // A save by way of another arena may have failed since, and its generation is not given away again.
            if isFirst, survey.markedFailures > published.failures {
                published.failures = survey.markedFailures
                turn.lock.publish(published.word)
            }
            // A save whose half is in the other slot may have been told of before a reboot.
            return RecoveredState(
                state: newest,
                rejected: published.failures == 0 ? nil : problem,
                published: published
            )
        }
        if turn.lock.arena == nil, isFlushed(newest.frame) {
            let known = PublishedState(generation: generation, isFlushed: true, failures: survey.failures)
            return RecoveredState(state: newest, rejected: problem, published: known)
        }
        // What another arena's users have saved may have been told to be durable; what a writer of this one was saving when it
        // died was not.
        let isUntold =
            published.map { published in
                !isFirst || published.generation == generation
                    || (turn.lock.isAbandoned && published.next() == generation)
            } ?? false
        let settled = try makeDurable(newest, turn, rewriting: isUntold)
        let nameDoubt = last.nameDoubt.or(PublishedState.NameDoubt(settled.nameError))
        // A damaged slot may be half of a later save, whose generation is not given away again.
        let found = PublishedState(
            generation: generation,
            isFlushed: settled.isWritten && (settled.nameError == nil || nameDoubt == .flushFailed),
            failures: published?.generation == generation
                ? max(published?.failures ?? 0, isFirst ? survey.markedFailures : 0) : survey.failures,
            nameDoubt: nameDoubt
        ).behind(last)
        turn.lock.publish(found.word)
        // A save tries it once more, or makes a new file, and reports it.
        if turn.flushes, !turn.isSave, let error = settled.nameError { throw notNamed(error) }
        return RecoveredState(state: newest, rejected: published == nil ? problem : nil, published: found)
    }

    /// Flushes a state and the name of the file, and before that writes the state again to its slot, if that is asked for.
    ///
    /// Writes again only a state that was never acknowledged as durable: a power cut may damage the sectors that are being
    /// written, though they get the bytes that they have.
    ///
    /// - Parameters:
    ///   - state: The newest one.
    ///   - turn: A load puts up with a file that it cannot write to, and fails where nothing can be flushed if it flushes; a
    ///     save fails in any case.
    ///   - rewriting: Whether its pages may look clean though they are not on the device.
    /// - Returns: What of it succeeded.
    /// - Throws: ``StateFailure`` if the state itself could not be flushed.
    private func makeDurable(
        _ state: StoredState,
        _ turn: borrowing SlotTurn,
        rewriting: Bool
    ) throws(StateFailure) -> Settled {
        let file = turn.file
        var isWritten = true
        do throws(SystemError) {
            do throws(SystemError) {
                if rewriting {
                    if let error = file.writingError { throw error }
                    let offset = file.header.offset(of: state.header.generation.slot)
                    _ = try file.file.write(state.header, state.payload, at: offset)
                }
            } catch  where !turn.isSave && error.isAny(of: EACCES, EPERM, EROFS, ETXTBSY, ENOSPC, EDQUOT) {
                // A process that may only read, or has no room to write, can still flush what others have written.
                isWritten = false
            }
            do throws(SystemError) {
                try file.file.sync(.data)
            } catch  where !turn.isSave && error.isImpossibleFlush {
                isWritten = false
                if turn.flushes, !file.isUnchangeable(error) { throw error }
            } catch {
                // It may have been the first flush of the whole file, and the next one does not tell of the rest.
                turn.lock.publish(PublishedState.doubted(turn.lock.published))
                throw error
            }
        } catch {
            if !turn.isSave { throw .notDurable(error) }
            noteFailure(error)
            throw .system(error)
        }
        return Settled(isWritten: isWritten, nameError: flushName(holding: turn.lock))
    }

    private struct Settled {
        /// Whether the state was written again, if that was asked for.
        var isWritten: Bool
        /// Why the directory could not be flushed.
        var nameError: SystemError?
    }

    /// After one failed flush another might succeed and do nothing.
    func notNamed(_ error: SystemError?) -> StateFailure {
        .notDurable(error, "a flush of it or of its name has failed, which the next durable save mends")
    }

    /// Flushes the directory, and publishes before that the name is in doubt: a process that dies in it leaves it so.
    ///
    /// The name of a file whose directory cannot be written to is not ours to flush.
    ///
    /// - Returns: Why that failed, if it did.
    func flushName(holding lock: borrowing TwoSlotSidecar.Lock) -> SystemError? {
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
        try place.directory.openItself().sync(.full)
    }
}
