// SPDX-License-Identifier: Apache-2.0
//
// Which users of a two-slot file this one is among. OpenSlots has the marks; here users wait for one another, look at both slots
// instead of believing the word, and lock the file itself where no arena can be had.

internal import Synchronization
internal import _HoldfastCShims

extension TwoSlotFile {
    /// How long to wait for users of another arena: those of one that was deleted notice it within a second and go, if they
    /// are not stopped.
    private static let patience = Duration.seconds(5)
    private static let pause: Int64 = 5_000_000

    /// The published word, if it can be believed of this file; nil if the slots decide.
    func trustedWord(_ file: OpenSlots) throws(StateFailure) -> PublishedWord? {
        var known = memory.withLock { $0.word }
        if let word = known, word.isCurrent {
            if file.isSure(of: word.arena) { return word }
            // The arena may have been deleted and made again since.
            if (try? place.directory.identity(of: names.arena)) != word.arena.file {
                endLooking(at: word)
                known = nil
            }
        } else {
            known = nil
        }
        let word: PublishedWord
        do throws(LockError) {
            word = if let known { known } else { try PublishedWord(names, in: place.directory) }
        } catch {
            try checkUnseen(error, file)
            return nil
        }
        memory.withLock { $0.word = word }
        if try meet(file, in: word.arena, vouching: false) { return word }
        file.leaveIfUnsure()
        return nil
    }

    /// Whether the slots may decide though the arena cannot be looked at.
    ///
    /// What is no arena, or may not be opened here, never tells anything. What could not be opened just now (EMFILE, EIO) does
    /// later, and a reader that was given a save in progress would then go back.
    private func checkUnseen(
        _ error: LockError,
        _ file: OpenSlots,

    ) throws(StateFailure) {
        if error.code == .refused || error.code == .unsupported { return }
        if let cause = error.cause, cause.isAny(of: ENOENT, EACCES, EPERM, EROFS) { return }
        if (try? file.file.isLocked(PresenceBytes.all)) == false { return }
        throw .unseen(error)
    }

    /// What is published if that can be believed without looking at anything else, and where.
    var sureWord: (word: UInt64, place: PublishedPlace)? {
        let (file, word) = memory.withLock { ($0.file, $0.word) }
        guard let file, let word, file.isOfThisProcess, file.isSure(of: word.arena) else { return nil }
        let current = word.current
        return current == 0 ? nil : (current, word.place(for: file))
    }

    /// Has the arena looked for again that was opened last.
    private func endLooking() {
        if let word = memory.withLock({ $0.word }) { endLooking(at: word) }
    }

    /// Has the arena looked for again, which was deleted or replaced.
    private func endLooking(at word: PublishedWord) {
        word.end()
        memory.withLock { if $0.word === word { $0.word = nil } }
    }

    /// Comes among the users of an arena.
    ///
    /// - Returns: Whether the word can be believed; if not, no other user vouches for it.
    /// - Throws: ``StateFailure`` `compromised` if the file is used by way of another arena, after five seconds.
    private func meet(
        _ file: OpenSlots,
        in arena: ArenaIdentity,
        deadline: ContinuousClock.Instant? = nil,
        vouching: Bool
    ) throws(StateFailure) -> Bool {
        if file.isSure(of: arena, vouching: vouching) { return true }
        // Readers that look at memory alone must not go on with the arena that this user leaves.
        if let word = memory.withLock({ $0.word }), word.arena != arena { endLooking(at: word) }
        let start = ContinuousClock.now
        while true {
            let meeting: OpenSlots.Meeting
            do throws(SystemError) {
                meeting = try file.meet(in: arena, vouching: vouching)
            } catch {
                throw .system(error)
            }
            switch meeting {
            case .joined, .alone:
                watch()
                return meeting == .joined
            case .elsewhere:
                let now = ContinuousClock.now
                if start.duration(to: now) > Self.patience { throw .compromised() }
                if let deadline, deadline <= now { throw .timedOut() }
                hf_wait_readable(-1, -1, Self.pause)
            }
        }
    }

    /// Comes among the writers, under their lock and between `beginUse` and `endUse`.
    ///
    /// The first user of an arena looks at both slots: the file may have been saved by way of another arena since.
    ///
    /// - Returns: What the slots hold, if it had to look.
    func enter(
        _ turn: borrowing SlotTurn,
        deadline: ContinuousClock.Instant? = nil
    ) throws(StateFailure) -> RecoveredState? {
        guard let arena = turn.lock.arena else { return nil }
        if try meet(turn.file, in: arena, deadline: deadline, vouching: true) { return nil }
        let recovered = try recover(turn, isFirst: true)
        do throws(SystemError) {
            try turn.file.vouch(for: arena)
        } catch {
            throw .system(error)
        }
        return recovered
    }

    /// Comes among the users of a file that was made now, and publishes its state.
    func enterNewFile(_ lock: borrowing TwoSlotSidecar.Lock, publishing word: UInt64) {
        guard let arena = lock.arena, let file = try? file() else { return lock.publish(word) }
        file.beginUse()
        defer { file.endUse() }
        let meeting = try? file.meet(in: arena, vouching: true)
        lock.publish(word)
        // Without it the next user looks at both slots.
        if meeting == .alone { try? file.vouch(for: arena) }
        watch()
    }
}

extension TwoSlotFile {
    /// Whether no arena can be had beside the file, because its directory cannot be written to.
    func isWithoutArena(_ error: LockError) -> Bool {
        guard let cause = error.cause else { return false }
        if cause.code == EROFS { return true }
        return cause.isAny(of: EACCES, EPERM) && (try? place.directory.status(of: names.arena)) == .some(.none)
    }

    /// Waits until this is the only user of the file, by a lock on the file's own inode.
    ///
    /// It excludes the users of every arena, whose bytes it covers. It belongs to an open file of its own, so that the
    /// threads of one process exclude each other too.
    func lockInode(
        of file: OpenSlots,
        deadline: ContinuousClock.Instant?
    ) throws(StateFailure) -> TwoSlotSidecar.Lock {
        endLooking()
        file.leave()
        let holder = HolderID.current
        let site = try orNotLocked { () throws(SystemError) in
            try LockSite.of(names.arena, in: place.directory)
        }
        let inode = try orNotLocked { () throws(SystemError) in
            try place.directory.open(names.state, .readWrite)
        }
        do throws(LockError) {
            try site.checkNotHeld(by: holder, path: place.path)
        } catch {
            throw place.lockFailure(error)
        }
        var met: ContinuousClock.Instant?
        while true {
            let now = ContinuousClock.now
            switch try orNotLocked({ () throws(SystemError) in try inode.lockAlone() }) {
            case .locked: return TwoSlotSidecar.Lock(inode, site, holder)
            // Another writer without an arena is done soon; the users of one stay.
            case .busy: met = nil
            case .met: met = met ?? now
            }
            if let met, met.duration(to: now) > Self.patience { throw .compromised() }
            if let deadline, deadline <= now { throw .timedOut() }
            hf_wait_readable(-1, -1, Self.pause)
        }
    }

    /// Refuses a file that has lost its name outside of the mount by which it is seen here.
    ///
    /// Only such a mount shows a file that has no name; some network file systems count none.
    func checkNamed(_ file: OpenSlots) throws(StateFailure) {
        guard let status = try? file.file.status(), status.links == 0, !place.directory.isShared else { return }
        if try !isInPlace(file) { return }
        let detail = "it was replaced outside of this mount, which still shows the old file"
        throw .compromised(detail)
    }

    private func orNotLocked<Result: ~Copyable>(
        _ body: () throws(SystemError) -> Result
    ) throws(StateFailure) -> Result {
        do throws(SystemError) {
            return try body()
        } catch {
            throw .notLockable(error)
        }
    }
}

extension TwoSlotFile {
    /// Has ``SlotWatch`` look around, on a file system that other processes can change.
    private func watch() {
        guard place.directory.fileSystem.hasOtherProcesses else { return }
        if memory.withLock({ $0.directory }) == nil, let status = try? place.directory.descriptor.status() {
            memory.withLock { $0.directory = status.identity }
        }
        SlotWatch.watch(self)
    }

    private var directoryIsSound: Bool {
        guard let identity = memory.withLock({ $0.directory }) else { return false }
        return place.directory.fileSystem.isOpen(place.directory.descriptor.rawValue, on: identity)
    }

    /// Sees whether the file and its arena are still in place, and goes if they are not: users of others wait for that.
    ///
    /// - Returns: Whether it is to be asked again.
    func lookAround() -> Bool {
        guard let file = memory.withLock({ $0.file }), file.isOfThisProcess, let arena = file.arena else {
            return false
        }
        // What a number leads to that other code has closed is not this file's.
        guard file.isSound, directoryIsSound else {
            endLooking()
            return false
        }
        do throws(SystemError) {
            if try place.directory.identity(of: names.state) == file.identity,
                try place.directory.identity(of: names.arena) == arena.file
            {
                return true
            }
        } catch {
            // What cannot be seen (EACCES, ENFILE) is not known to be gone.
            return true
        }
        endLooking()
        file.leave()
        return true
    }
}
