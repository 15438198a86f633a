// SPDX-License-Identifier: Apache-2.0
//
// A state in an ordinary file that each save replaces by a rename (Store/NewStateFile.swift has the steps), on bytes. Reading
// is in +Reading, the previous copy in +Previous. Invariants:
// - a reader opens the name once and has one whole state, the old or the new one, without any lock;
// - a writer holds `.NAME.lock` from the look at the file that it replaces until the new one has the name;
// - an idle value holds no descriptor.

internal import Synchronization
internal import _HoldfastCShims

/// One state file, kept by renaming.
final class PlainFile: Sendable {
    let place: StatePlace
    private let memory = Mutex(Memory())

    var options: StateOptions { place.options }

    /// What is known from earlier calls.
    ///
    /// Losing it costs a read, never correctness, but for what is doubtful.
    private struct Memory {
        var verified: (file: Version, frame: SealedHeader)?
        /// Of which state a flush has failed here: a second one might succeed and do nothing.
        var doubtful: SealedHeader?
    }

    /// What writing to a file changes.
    ///
    /// Its rename changes the time of the last status change, so that is not among it.
    private struct Version: Equatable {
        let identity: FileIdentity
        let size: Int64
        let modified: FileStatus.Time

        init(_ status: FileStatus) {
            identity = status.identity
            size = status.size
            modified = status.modified
        }
    }

    init(at place: StatePlace) {
        self.place = place
    }

    /// What the file with this status must begin with to be the one that was last verified or saved here, untouched since.
    ///
    /// The status alone does not tell: the file system gives the inode number of a replaced file to the next one, whose
    /// times are the same as long as its clock does not tick (some milliseconds on Linux before 6.13). The header does,
    /// because it carries the generation and the checksum.
    private func verifiedFrame(of status: FileStatus) -> SealedHeader? {
        memory.withLock { memory in
            guard let verified = memory.verified, verified.file == Version(status) else { return nil }
            return verified.frame
        }
    }

    private func remember(_ status: FileStatus, _ frame: SealedHeader) {
        memory.withLock { memory in memory.verified = (Version(status), frame) }
    }

    /// Remembers a file that has got the name, and whether the flush of that failed.
    func noteInstalled(_ status: FileStatus, _ frame: SealedHeader, _ syncError: SystemError?) {
        remember(status, frame)
        if let syncError, syncError.isFailedFlush { doubt(frame) }
    }
}

/// A writer's turn at an ordinary file, or at none: it holds `.NAME.lock`.
struct PlainTurn: ~Copyable {
    let lock: HeldLock
    let file: ReplacedFile

    /// The state is saved; that the lock's file could not be closed well changes nothing about it.
    consuming func end() { try? lock.release() }
}

extension PlainFile {
    /// Looks at the file that this writer is to replace, under `.NAME.lock`; nil if it is a two-slot file.
    ///
    /// Its payload is read only if `reading` asks for it.
    func look(_ request: SaveRequest, reading: Bool) throws(StateFailure) -> ReplacedFile? {
        guard let file = try currentFile(reading: reading) else { return nil }
        try request.check(against: file.header)
        return file
    }

    private func currentFile(reading: Bool) throws(StateFailure) -> ReplacedFile? {
        guard let opened = try place.open(place.names.state) else { return ReplacedFile() }
        if options.adoptsEmpty, opened.status.size == 0 {
            try checkNoPrevious()
            return ReplacedFile(metadata: try opened.metadata())
        }
        var payload: [UInt8] = []
        let header: FrameHeader
        if !reading, let known = verifiedFrame(of: opened.status), peek(opened) == known {
            header = known.header
        } else {
            guard let stored = try read(opened) else { return nil }
            remember(opened.status, stored.frame)
            (header, payload) = (stored.header, stored.payload)
        }
        return ReplacedFile(header: header, payload: payload, status: opened.status, metadata: try opened.metadata())
    }

    /// Replaces the file, which the caller has looked at, under the lock that the caller holds.
    func replace(
        _ old: ReplacedFile,
        by payload: [UInt8],
        _ header: FrameHeader,
        _ request: SaveRequest
    ) throws(StateFailure) -> StateCommit {
        place.sweep()
        let syncError: SystemError?
        do throws(SystemError) {
            let entry = try place.openForFlush(request.flushes)
            let new = try NewStateFile(at: place, payload, header, old.metadata, flushes: request.flushes)
            if let status = old.status, options.keepsPrevious { try place.keepPrevious(status) }
            let (status, frame) = (new.status, new.frame)
            try new.install(as: place.names.state)
            syncError = entry.flushName()
            noteInstalled(status, frame, syncError)
        } catch {
            throw .system(error)
        }
        return try request.commit(header, .replace, syncError, options)
    }

    /// The generation of the next save.
    func generation(after last: Generation) throws(StateFailure) -> Generation {
        guard let next = last.next else { throw .refused("its generation is the largest number there is") }
        return next
    }
}

extension PlainFile {
    /// The current state; nil if it is in a two-slot file.
    func load(durable: Bool) throws(StateFailure) -> LoadedState? {
        guard let opened = try place.open(place.names.state) else { throw .notFound() }
        guard let state = try read(opened, durable: durable) else { return nil }
        return LoadedState(state: state, copy: .current, strategy: .replace)
    }

    func read(_ opened: borrowing OpenedState, durable: Bool) throws(StateFailure) -> StoredState? {
        let state = try read(opened)
        if durable, let state { try makeDurable(opened.file, state.frame) }
        return state
    }

    /// Flushes the file and then its entry, so that what is returned cannot be taken back.
    ///
    /// It cannot see an error that another process's flush of the same file or directory has already consumed.
    private func makeDurable(_ file: borrowing Descriptor, _ frame: SealedHeader) throws(StateFailure) {
        if memory.withLock({ $0.doubtful == frame }) {
            throw .notDurable(nil, "a flush of it has failed, which the next durable save mends")
        }
        do throws(SystemError) {
            let directory = try place.directory.openItself()
            try file.sync(.full)
            try directory.sync(.full)
        } catch {
            if error.isFailedFlush { doubt(frame) }
            if error.isImpossibleFlush, error.code != EROFS, isOnReadOnlyMedium { return }
            throw .notDurable(error)
        }
    }

    private func doubt(_ frame: SealedHeader) {
        memory.withLock { $0.doubtful = frame }
    }

    /// Whether nothing can be written here, so that what is there cannot be taken back.
    private var isOnReadOnlyMedium: Bool {
        do throws(SystemError) {
            _ = try place.directory.open(place.names.state, .readWrite)
            return false
        } catch {
            return error.code == EROFS
        }
    }
}
