// SPDX-License-Identifier: Apache-2.0
//
// A state in an ordinary file that each save replaces by a rename, on bytes. What the protocol does stands in
// ReplaceEngine+Replace.swift, what it may replace in +Target, how it reads in +Reading. Invariants:
// - a reader opens the name once and has one whole state, the old or the new one, without any lock;
// - writers exclude one another by the kernel lock on `.NAME.lock`, which is only held inside a call;
// - an idle engine holds no descriptor but the directory's.

internal import Synchronization
internal import _HoldfastCShims

/// One state file, kept by renaming.
final class ReplaceEngine: Sendable {
    let directory: OpenDirectory
    let names: CompanionNames
    let options: StateOptions
    /// For messages.
    let path: String
    private let memory = Mutex(Memory())

    /// What this engine knows from its own calls.
    ///
    /// Losing it costs a read, never correctness, but for what is doubtful.
    private struct Memory {
        var verified: (file: Version, frame: SealedHeader)?
        /// Of which state a flush has failed here: a second one might succeed and do nothing.
        var doubtful: SealedHeader?
        var hasSwept = false
        /// Whether what has the previous copy's name was seen to be one.
        var hasSeenPrevious = false
        var lockFile: LockFile?
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

    init(_ names: CompanionNames, in directory: OpenDirectory, options: StateOptions) {
        self.directory = directory
        self.names = names
        var options = options
        options.maximumLength = max(0, options.maximumLength)
        self.options = options
        self.path = directory.path(of: names.state)
    }

    /// What the file with this status must begin with to be the one that was last verified or saved here, untouched since.
    ///
    /// The status alone does not tell: the file system gives the inode number of a replaced file to the next one, whose
    /// times are the same as long as its clock does not tick (some milliseconds on Linux before 6.13). The header does,
    /// because it carries the generation and the checksum.
    func verifiedFrame(of status: FileStatus) -> SealedHeader? {
        memory.withLock { memory in
            guard let verified = memory.verified, verified.file == Version(status) else { return nil }
            return verified.frame
        }
    }

    func remember(_ status: FileStatus, _ frame: SealedHeader) {
        memory.withLock { memory in memory.verified = (Version(status), frame) }
    }

    func doubt(_ frame: SealedHeader) {
        memory.withLock { $0.doubtful = frame }
    }

    func isDoubtful(_ frame: SealedHeader) -> Bool {
        memory.withLock { $0.doubtful == frame }
    }

    /// Waits for the lock that makes this the only writer.
    func lock(_ operation: StateError.Operation, deadline: ContinuousClock.Instant?) throws(StateError) -> HeldLock {
        do throws(LockError) {
            let lock = try LockTurn.lock(lockFile(), deadline: deadline)
            // Whoever saved last may have died over it, and the lock tells that once.
            if lock.abandoned != nil { sweepAgain() }
            return lock
        } catch {
            throw lockFailure(error, operation)
        }
    }

    /// A lock that was not taken.
    func lockFailure(_ error: LockError, _ operation: StateError.Operation) -> StateError {
        let late = error.code == .timedOut || error.code == .busy
        var detail: String?
        if error.cause?.isAny(of: EACCES, EPERM) ?? false, isMade(error.path) {
            detail = "its lock cannot be taken: \(error); who may save the state has to be given '\(error.path)' too"
        }
        return StateError(
            late ? .timedOut : .notLocked,
            operation,
            path: path,
            cause: error.cause,
            underlying: error,
            detail: detail
        )
    }

    /// Whether this is the path of a companion that is there.
    private func isMade(_ path: String) -> Bool {
        [names.lock, names.arena].contains { name in
            directory.path(of: name) == path && (try? directory.status(of: name)) != nil
        }
    }

    /// How a first state is made.
    var creation: FileCreation { FileCreation(permissions: options.permissions, group: options.group) }

    /// How a file beside the state is made.
    var companions: FileCreation {
        FileCreation(permissions: options.permissions, group: options.group, beside: names.state)
    }

    /// Made at the first save, because who only reads may not even be allowed to make the file.
    private func lockFile() throws(LockError) -> LockFile {
        if let made = memory.withLock({ $0.lockFile }) { return made }
        let made = try LockFile(sidecar: names.lock, in: directory, companions)
        memory.withLock { $0.lockFile = made }
        return made
    }

    /// Refuses to keep a previous copy in the place of another program's data.
    ///
    /// Looks once: four system calls.
    func checkPrevious(_ operation: StateError.Operation) throws(StateError) {
        if !options.keepsPrevious || memory.withLock({ $0.hasSeenPrevious }) { return }
        let path = directory.path(of: names.previous)
        let isFree: Bool
        do throws(SystemError) {
            isFree = try hasNoForeignPrevious()
        } catch {
            throw StateError(.notSaved, operation, path: path, cause: error)
        }
        if !isFree {
            let detail = "there is something that is no state, and is not overwritten"
            throw StateError(.refused, operation, path: path, detail: detail)
        }
        memory.withLock { $0.hasSeenPrevious = true }
    }

    /// Whether a file that is there begins with a header of a known format, or has no bytes but zeros, as a crash leaves it.
    private func hasNoForeignPrevious() throws(SystemError) -> Bool {
        // A symbolic link is not followed, and a FIFO not waited for.
        guard let status = try directory.status(of: names.previous) else { return true }
        if status.kind != .regular { return false }
        let file = try directory.open(names.previous, .read)
        var header = Frame.Header(repeating: 0)
        var bytes = header.mutableSpan
        if try file.readAll(into: &bytes) == Frame.headerLength, (try? header.formatNumber()) == Frame.formatVersion {
            return true
        }
        return try isBlank(file, length: status.size)
    }

    private func isBlank(_ file: borrowing Descriptor, length: Int64) throws(SystemError) -> Bool {
        try unsafe withBuffer(1 << 16) { bytes throws(SystemError) in
            var offset: Int64 = 0
            while offset < length {
                let count = try unsafe file.readAll(into: bytes, at: offset)
                if count == 0 { break }
                if unsafe !bytes[..<count].allSatisfy({ $0 == 0 }) { return false }
                offset += Int64(count)
            }
            return true
        }
    }

    /// Has the next save look for what a writer left that died.
    func sweepAgain() { memory.withLock { $0.hasSwept = false } }

    /// Removes what writers that died left behind: at the first save here, and when the lock says that one died.
    ///
    /// The caller holds the lock, so every temporary file of this name is nobody's. Failing to remove one harms nobody
    /// and is tried again.
    func sweep() {
        if memory.withLock({ $0.hasSwept }) { return }
        guard let entries = try? directory.names() else { return }
        for entry in entries where names.isTemporary(entry) {
            // Nothing but a regular file was ever made there.
            guard let name = FileName(entry), (try? directory.status(of: name))?.kind == .regular else { continue }
            try? directory.unlink(name)
        }
        memory.withLock { $0.hasSwept = true }
    }
}
