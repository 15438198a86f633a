// SPDX-License-Identifier: Apache-2.0
//
// A state in a two-slot file, on bytes: which file is open, who may write, and what this process knows. Reading slots is in
// +Reading, loading in +Load, recovering what a dead writer left in +Recovery, saving in +Save, making new files in +NewFile.
// Invariants:
// - while the name leads to a two-slot file, a process that writes to it or replaces it holds the sidecar's lock;
// - a process that makes the name lead to a two-slot file first, or to another kind, holds `.NAME.lock` and then that one;
// - readers return no generation after the published one.

internal import Synchronization
internal import _HoldfastCShims

/// One state file, written in place.
final class TwoSlotFile: Sendable {
    let place: StatePlace
    let memory = Mutex(Memory())

    var names: CompanionNames { place.names }
    var options: StateOptions { place.options }

    /// After this many failed flushes in a row nothing is written any more.
    private static let mostFailures = 3

    struct Memory {
        var file: OpenSlots?
        var sidecar: TwoSlotSidecar?
        var word: PublishedWord?
        /// Which directory it was at the first look.
        var directory: FileIdentity?
        /// What was flushed after it was read or saved here: to flush it once more would be of no use.
        var flushed: SealedHeader?
        var hasVoided = false
        var known: KnownState?
        var failures = 0
        var latched: SystemError?
    }

    init(at place: StatePlace) {
        self.place = place
    }

    /// Whether the last look found a two-slot file.
    var hasFile: Bool { memory.withLock { $0.file != nil } }
}

/// The newest state, as long as the published word stays.
struct KnownState: Sendable {
    var word: UInt64
    var header: FrameHeader
}

extension TwoSlotFile {
    /// The two-slot file of the name, opened now or earlier; nil if there is none or it is of another kind.
    func file() throws(StateFailure) -> OpenSlots? {
        if let file = memory.withLock({ $0.file }) {
            if file.isOfThisProcess, try isInPlace(file) { return file }
            forget()
        }
        var writingError: SystemError?
        var opened: OpenedState?
        do throws(StateFailure) {
            opened = try place.open(names.state, .readWrite)
        } catch {
            guard case .system(let cause) = error, cause.isAny(of: EACCES, EPERM, EROFS, ETXTBSY) else { throw error }
            writingError = cause
            opened = try place.open(names.state)
        }
        guard let opened = opened.take(), let header = try header(of: opened) else { return nil }
        let file = opened.slots(header, writingError)
        // One that was opened for reading alone may stay that of a lower layer of overlayfs: it is opened again each time.
        if writingError != nil, place.directory.fileSystem.isOverlay(file.file.rawValue) { return file }
        memory.withLock { memory in
            memory.file = file
            memory.known = nil
        }
        return file
    }

    /// The file that was open at the last look, or else the one that is found now.
    ///
    /// The caller has to look again whether it is in place, under the lock.
    func lastFile() throws(StateFailure) -> OpenSlots? {
        if let file = memory.withLock({ $0.file }), file.isOfThisProcess { return file }
        return try file()
    }

    /// Whether the name leads to this file, and its descriptor still does.
    func isInPlace(_ file: OpenSlots) throws(StateFailure) -> Bool {
        if !file.isSound {
            abandon(file)
            return false
        }
        do throws(SystemError) {
            // Not its times: to have asked for those makes the kernel write them with the next save (multigrain timestamps).
            return try place.directory.identity(of: names.state) == file.identity
        } catch {
            throw .system(error)
        }
    }

    /// The descriptor is a stranger's by now: nothing may be done to it, and it is never closed.
    private func abandon(_ file: OpenSlots) {
        _ = unsafe Unmanaged.passRetained(file)
        memory.withLock { memory in
            if memory.file === file {
                memory.file = nil
                memory.known = nil
            }
        }
    }

    /// The file is another one from now on.
    func forget() {
        let (file, word) = memory.withLock { memory in
            defer {
                memory.file = nil
                memory.word = nil
                memory.known = nil
            }
            return (memory.file, memory.word)
        }
        // Readers that look at memory alone look again.
        word?.end()
        // The locks of a forked child are its parent's.
        if let file, file.isOfThisProcess { file.leave() }
    }

    /// What is beside the file, opened when it is first needed.
    func sidecar(patience: Duration = ArenaFile.longestPatience) throws(LockError) -> TwoSlotSidecar {
        if let sidecar = memory.withLock({ $0.sidecar }), sidecar.isUsable { return sidecar }
        let sidecar = try TwoSlotSidecar.of(names, in: place.directory, place.companions, patience: patience)
        memory.withLock { $0.sidecar = sidecar }
        return sidecar
    }

    /// Its file was deleted, and the next user makes another one.
    func retire(_ sidecar: TwoSlotSidecar) {
        sidecar.retire()
        memory.withLock { memory in
            memory.sidecar = nil
            memory.known = nil
        }
    }

    /// The same for a reader, which makes none: it would belong to the reader, and the writers might not open it.
    ///
    /// - Returns: Nil if there is none.
    func presentSidecar(patience: Duration = ArenaFile.longestPatience) throws(LockError) -> TwoSlotSidecar? {
        if let sidecar = memory.withLock({ $0.sidecar }), sidecar.isUsable { return sidecar }
        guard let found = try? place.directory.status(of: names.arena), found.kind == .regular else { return nil }
        return try sidecar(patience: patience)
    }

    /// Has readers look again that still read a two-slot file which another program removed.
    ///
    /// The caller holds `.NAME.lock`, and the name leads to an ordinary file, or to none.
    func voidPublished(isFirst: Bool, deadline: ContinuousClock.Instant?) throws(StateFailure) {
        if !isFirst, memory.withLock({ $0.hasVoided }) { return }
        defer { if !hasFile { memory.withLock { $0.sidecar = nil } } }
        let sidecar: TwoSlotSidecar?
        do throws(LockError) {
            sidecar = try presentSidecar()
        } catch
            where error.code == .refused || error.code == .unsupported
            || error.cause?.isAny(of: EACCES, EPERM, EROFS) ?? false
        {
            // What is no arena of this system's, or cannot be written to, tells no reader anything.
            sidecar = nil
        } catch {
            throw place.lockFailure(error)
        }
        if let sidecar, PublishedState(word: sidecar.published) != nil {
            let lock = try lock(deadline: deadline)
            lock.publish(PublishedState.void(lock.published))
            TwoSlotSidecar.release(lock)
        }
        memory.withLock { $0.hasVoided = true }
    }

    /// Waits for its turn among the writers of the two-slot file.
    ///
    /// `file` is the one that is there, if one is: its writers lock its own inode where no arena can be had.
    func lock(
        deadline: ContinuousClock.Instant?,
        for file: OpenSlots? = nil
    ) throws(StateFailure) -> TwoSlotSidecar.Lock {
        do throws(LockError) {
            return try lockArena(deadline: deadline)
        } catch {
            if let file, file.writingError == nil, isWithoutArena(error) {
                return try lockInode(of: file, deadline: deadline)
            }
            throw place.lockFailure(error)
        }
    }

    private func lockArena(deadline: ContinuousClock.Instant?) throws(LockError) -> TwoSlotSidecar.Lock {
        let sidecar = try sidecar()
        let lock: TwoSlotSidecar.Lock
        do throws(LockError) {
            lock = try sidecar.lock(deadline: deadline)
        } catch  where error.code == .compromised {
            retire(sidecar)
            lock = try self.sidecar().lock(deadline: deadline)
        }
        if lock.isAbandoned { place.sweepAgain() }
        return lock
    }
}

extension TwoSlotFile {
    func known(_ word: UInt64) -> FrameHeader? {
        memory.withLock { memory in
            guard let known = memory.known, known.word == word, word != 0 else { return nil }
            return known.header
        }
    }

    func isFlushed(_ frame: SealedHeader) -> Bool { memory.withLock { $0.flushed == frame } }

    func noteFlushed(_ frame: SealedHeader?) { memory.withLock { $0.flushed = frame } }

    func remember(_ word: UInt64, _ header: FrameHeader) {
        memory.withLock { $0.known = KnownState(word: word, header: header) }
    }

    /// Counts a failed write or flush of a slot, and gives up after some in a row: the device is not to be trusted then.
    ///
    /// A lack of room is no failure of the device.
    func noteFailure(_ error: SystemError) {
        if error.isAny(of: ENOSPC, EDQUOT, EFBIG) { return }
        memory.withLock { memory in
            memory.failures += 1
            if memory.failures >= Self.mostFailures || error.code == EROFS { memory.latched = error }
        }
    }

    func noteSuccess() {
        memory.withLock { $0.failures = 0 }
    }

    /// Refuses to write after failures.
    func checkNotLatched() throws(StateFailure) {
        if let cause = memory.withLock({ $0.latched }) {
            throw .latched(cause)
        }
    }
}

extension OpenedState {
    fileprivate consuming func slots(_ header: SlotFileHeader, _ error: SystemError?) -> OpenSlots {
        OpenSlots(file, status.identity, header, error)
    }
}
