// SPDX-License-Identifier: Apache-2.0
//
// Loading: which copy, and how durable it is when it is returned.

internal import _HoldfastCShims

/// A verified copy, and why it is not the current one if it is not.
struct LoadedState: Sendable {
    var state: StoredState
    var copy: LoadReport.Copy
    var rejected: StateError?
    var strategy = StateStrategy.replace
}

extension ReplaceEngine {
    /// The current state.
    func load(_ operation: StateError.Operation, durable: Bool) throws(StateError) -> LoadedState {
        guard let state = try load(names.state, operation, durable: durable) else {
            throw StateError(.notFound, operation, path: path)
        }
        return LoadedState(state: state, copy: .current)
    }

    /// The previous copy, in place of a current one that is damaged.
    ///
    /// A missing file is no damage: somebody removed it, and what they removed must not come back by itself.
    func loadPrevious(
        insteadOf rejected: StateError,
        _ operation: StateError.Operation,
        durable: Bool
    ) throws(StateError) -> LoadedState {
        guard rejected.isDamage else { throw rejected }
        do throws(StateError) {
            if let state = try load(names.previous, operation, durable: durable) {
                return LoadedState(state: state, copy: .previous, rejected: rejected)
            }
        } catch {
            // The first finding is the one to report: no previous copy makes up for it.
        }
        throw rejected
    }

    private func load(
        _ name: FileName,
        _ operation: StateError.Operation,
        durable: Bool
    ) throws(StateError) -> StoredState? {
        guard let opened = try open(name, operation) else { return nil }
        let state = try read(opened, operation)
        if durable { try makeDurable(opened.file, state.frame, operation) }
        return state
    }

    /// Flushes the file and then its entry, so that what is returned cannot be taken back.
    ///
    /// It cannot see an error that somebody else's flush of the same file or directory has already consumed.
    private func makeDurable(
        _ file: borrowing Descriptor,
        _ frame: SealedHeader,
        _ operation: StateError.Operation
    ) throws(StateError) {
        if isDoubtful(frame) {
            let detail = "a flush of it has failed, which the next durable save mends"
            throw StateError(.notDurable, operation, path: path, detail: detail)
        }
        do throws(SystemError) {
            let directory = try directory.openItself()
            try file.sync(.full)
            try directory.sync(.full)
        } catch {
            if error.isFailedFlush { doubt(frame) }
            if error.isImpossibleFlush, error.code != EROFS, isOnReadOnlyMedium { return }
            throw StateError(.notDurable, operation, path: path, cause: error)
        }
    }
}

extension ReplaceEngine {
    /// Whether nothing can be written here, so that what is there cannot be taken back.
    private var isOnReadOnlyMedium: Bool {
        do throws(SystemError) {
            _ = try directory.open(names.state, .readWrite)
            return false
        } catch {
            return error.code == EROFS
        }
    }
}

extension StateError {
    /// Whether the file is there and its content is lost: the checksum says so, or the device does.
    var isDamage: Bool {
        code == .corrupt || (code == operation.failure && cause?.code == EIO)
    }

    /// Whether the name leads to a file of the strategy that this one is not about.
    var isOtherStrategy: Bool { code == .newerFormat && found == SlotFile.formatVersion }
}
