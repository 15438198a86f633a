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
    /// - Returns: What was found.
    /// - Throws: ``StateError`` if there is no sound state, or it cannot be made durable.
    func recover(
        _ file: OpenSlots,
        _ lock: borrowing TwoSlotSidecar.Lock,
        _ operation: StateError.Operation,
        flushing: Bool
    ) throws(StateError) -> RecoveredState {
        let survey = try survey(file, operation)
        guard let newest = survey.newest else { throw nothingSound(survey, operation) }
        let problem = survey.problem(operation, path: path)
        let word = lock.published
        let published = PublishedState(word: word)
        let generation = newest.header.generation
        // What could not be read may be read the next time, so nothing later is made of the older state. And if a published
        // state is damaged, this is the one before. If both slots are sound all the same, somebody has put another file here,
        // which counts as it is.
        if let problem, published?.generation != generation,
            problem.code != .corrupt || published.map({ generation < $0.generation }) ?? false
        {
            if flushing, !operation.isSave {
                _ = try settle(newest, file, operation, rewriting: false, flushing: flushing)
            }
            let known = published ?? PublishedState(generation: generation, isFlushed: false)
            return RecoveredState(state: newest, rejected: problem, published: known, isFallback: true)
        }
        if let published, generation == published.generation, published.isFlushed || !flushing {
            return RecoveredState(state: newest, published: published)
        }
        let isSettled = try settle(newest, file, operation, rewriting: published != nil, flushing: flushing)
        let isNameInDoubt = published?.isNameInDoubt ?? false
        // A damaged slot may be half of a later save, whose generation is not given away again.
        let found = PublishedState(
            generation: generation,
            isFlushed: isSettled && !isNameInDoubt,
            failures: published?.generation == generation ? published?.failures ?? 0 : survey.failures,
            isNameInDoubt: isNameInDoubt
        ).behind(.last(in: word))
        lock.publish(found.word)
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
    ///   - operation: A load puts up with a file that it cannot write to.
    ///   - rewriting: Whether its pages may look clean though they are not on the device.
    ///   - flushing: Whether the caller promises durability.
    /// - Returns: Whether everybody may take it for durable.
    /// - Throws: ``StateError`` if it is not durable, and somebody counts on that.
    private func settle(
        _ state: StoredState,
        _ file: OpenSlots,
        _ operation: StateError.Operation,
        rewriting: Bool,
        flushing: Bool
    ) throws(StateError) -> Bool {
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
            try file.file.sync(.data)
        } catch {
            if operation.isSave { noteFailure(error) }
            throw StateError(operation.isSave ? .notSaved : .notDurable, operation, path: path, cause: error)
        }
        do throws(SystemError) {
            try flushName()
            return isWritten
        } catch {
            // A save tries it once more, and reports it.
            if operation.isSave || !flushing { return false }
            throw StateError(.notDurable, operation, path: path, cause: error)
        }
    }

    /// Flushes the directory.
    func flushName() throws(SystemError) {
        try files.directory.openItself().sync(.full)
    }
}
