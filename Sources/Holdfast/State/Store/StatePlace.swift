// SPDX-License-Identifier: Apache-2.0
//
// Where a state is kept, and what every writer does there, whatever the kind of the file: how a file of it is opened, the
// lock beside it, and what dead writers left. Invariants:
// - writers that may change the kind of the file exclude one another by the kernel lock on `.NAME.lock`, which is only held
//   inside a call;
// - an idle state holds no descriptor of its own here but the directory's.

internal import Synchronization
internal import _HoldfastCShims

/// The directory, the names and the options of one state.
final class StatePlace: Sendable {
    let directory: OpenDirectory
    let names: CompanionNames
    let options: StateOptions
    /// For messages.
    let path: String
    private let memory = Mutex(Memory())

    /// What is known from earlier calls; losing it costs some calls.
    private struct Memory {
        var hasSwept = false
        /// Whether the file with the previous copy's name was seen to be a previous copy.
        var hasSeenPrevious = false
        var lockFile: LockFile?
    }

    init(_ names: CompanionNames, in directory: OpenDirectory, options: StateOptions) {
        self.directory = directory
        self.names = names
        var options = options
        options.maximumLength = max(0, options.maximumLength)
        self.options = options
        self.path = directory.path(of: names.state)
    }

    /// The error that a caller gets.
    func error(_ failure: StateFailure, _ operation: StateError.Operation) -> StateError {
        if case .previous(let failure) = failure {
            return StateError(failure, operation, path: directory.path(of: names.previous))
        }
        return StateError(failure, operation, path: path)
    }
}

/// An open regular file with its status.
struct OpenedState: ~Copyable {
    let file: Descriptor
    let status: FileStatus

    /// What a file that takes its place takes over.
    borrowing func metadata() throws(StateFailure) -> FileMetadata {
        do throws(SystemError) {
            return try FileMetadata(of: file, status)
        } catch {
            throw .system(error)
        }
    }
}

extension StatePlace {
    /// Opens a file of this state; nil if there is none.
    ///
    /// Opens nothing but a regular file, and never waits: it does not follow a link and does not block on a FIFO.
    func open(_ name: FileName, _ mode: OpenMode = .read) throws(StateFailure) -> OpenedState? {
        func refused(_ what: String) -> StateFailure { .refused("\(what), and a state is only kept in a regular file") }
        do throws(SystemError) {
            let file = try directory.open(name, mode)
            let status = try file.status()
            if status.kind == .regular { return OpenedState(file: file, status: status) }
            throw SystemError(call: "fstat", code: status.kind == .directory ? EISDIR : ENXIO)
        } catch {
            switch error.code {
            case ENOENT: return nil
            case ELOOP, EMLINK: throw refused("it is a symbolic link")
            case EISDIR: throw refused("it is a directory")
            case ENXIO, ENODEV: throw refused("it is a FIFO, a socket or a device")
            default: throw .system(error)
            }
        }
    }

    /// Looks before a lock or an arena is made beside a file that does not exist.
    func checkExists() throws(StateFailure) {
        do throws(SystemError) {
            if try directory.status(of: names.state) != nil { return }
        } catch {
            throw .system(error)
        }
        throw .notFound()
    }
}

extension StatePlace {
    /// How a first state is made.
    var creation: FileCreation { FileCreation(permissions: options.permissions, group: options.group) }

    /// How a file beside the state is made.
    var companions: FileCreation {
        FileCreation(permissions: options.permissions, group: options.group, beside: names.state)
    }

    /// Waits for the lock under which the file is of one kind.
    func lock(deadline: ContinuousClock.Instant?) throws(StateFailure) -> HeldLock {
        do throws(LockError) {
            let lock = try LockTurn.lock(lockFile(), deadline: deadline)
            // The last writer may have died while saving, and the lock tells that once.
            if lock.abandoned != nil { sweepAgain() }
            return lock
        } catch {
            throw lockFailure(error)
        }
    }

    /// The failure of a save whose lock was not taken.
    func lockFailure(_ error: LockError) -> StateFailure {
        if error.code == .timedOut || error.code == .busy { return .timedOut(error) }
        guard error.cause?.isAny(of: EACCES, EPERM) ?? false, isMade(error.path) else { return .notLocked(error) }
        let detail =
            "its lock cannot be taken: \(error); each user that may save the state has to be given '\(error.path)' too"
        return .notLocked(error, detail)
    }

    /// Whether this is the path of a companion that exists.
    private func isMade(_ path: String) -> Bool {
        [names.lock, names.arena].contains { name in
            directory.path(of: name) == path && (try? directory.status(of: name)) != nil
        }
    }

    /// Made at the first save, because a process that only reads may not even be allowed to make the file.
    private func lockFile() throws(LockError) -> LockFile {
        if let made = memory.withLock({ $0.lockFile }) { return made }
        let made = try LockFile(sidecar: names.lock, in: directory, companions)
        memory.withLock { $0.lockFile = made }
        return made
    }

    /// Has the next save look for what a dead writer left.
    func sweepAgain() { memory.withLock { $0.hasSwept = false } }

    /// Removes what dead writers left behind: at the first save here, and when the lock says that a writer died.
    ///
    /// The caller holds the lock, so no writer uses a temporary file of this name. Failing to remove a file does no harm
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

    /// Refuses to keep a previous copy in the place of another program's data.
    ///
    /// Looks once: four system calls.
    func checkPrevious() throws(StateFailure) {
        if !options.keepsPrevious || memory.withLock({ $0.hasSeenPrevious }) { return }
        let isFree: Bool
        do throws(SystemError) {
            isFree = try hasNoForeignPrevious()
        } catch {
            throw .previous(.system(error))
        }
        if !isFree { throw .previous(.refused("there is something that is no state, and is not overwritten")) }
        memory.withLock { $0.hasSeenPrevious = true }
    }

    /// Whether a file with that name begins with a header of a known format, or has no bytes but zeros, as a crash leaves it.
    private func hasNoForeignPrevious() throws(SystemError) -> Bool {
        // A symbolic link is not followed, and a FIFO not waited for.
        guard let status = try directory.status(of: names.previous) else { return true }
        if status.kind != .regular { return false }
        let file = try directory.open(names.previous, .read)
        if let header = try file.frameHeader(), (try? header.formatNumber()) == Frame.formatVersion { return true }
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
}
