// SPDX-License-Identifier: Apache-2.0
//
// What it takes to get, or to let go of, a mutex that is not simply free.
//
// A waiter sets the waiting flag and sleeps at the word, for a limited time. When the time is over it asks whether the
// holder lives; so a wake-up that is lost, because who should have given or passed it on died, costs that time and nothing
// more. Everything is decided by a compare-and-exchange of the whole word that was judged.
//
// A waiter that was passed over for a millisecond by others, who took the mutex without waiting, sets the reserved flag:
// the holder then leaves the mutex to those who have waited.

internal import Synchronization
internal import _HoldfastCShims

/// One wait for a mutex, in progress.
struct MutexContender {
    /// How long to sleep before the first look at the holder, and the longest such time.
    static let firstSleep: Int64 = 1_000_000
    static let longestSleep: Int64 = 8_000_000
    /// For how long one may be passed over, in nanoseconds.
    private static let patience: Int64 = 1_000_000

    let mutex: SharedMemoryMutex
    private let start = hf_monotonic()
    private var hasWaited = false
    /// The word of an acquisition whose holder is dead for certain: the kernel has said that nobody has its slot.
    ///
    /// With the count: slot and generation alone come back in the course of half a million processes.
    private var dead: MutexWord?
    /// What the word was when it last was not to be had.
    private(set) var seen = MutexWord(raw: 0)
    /// How long to sleep now.
    private(set) var sleep = Self.firstSleep

    init(_ mutex: SharedMemoryMutex) { self.mutex = mutex }

    /// Takes the mutex if it can be had; else it is marked as waited for, unless we may not wait.
    mutating func attempt(mayWait: Bool = true) throws(LockError) -> MutexGrant? {
        let arena = mutex.arena
        while true {
            let me = unsafe mutex.acquirer.pointee.load(ordering: .relaxed)
            if me == 0 { try mutex.checkMembership() }
            seen = unsafe MutexWord(raw: mutex.cell.pointee.word.load(ordering: .acquiring))
            if seen.isUsedUp {
                try unsafe arena.renew(mutex.cell.pointee, seen)
                continue
            }
            var deadToken: UInt64 = 0
            switch seen.holder {
            case .nobody:
                if seen.isReserved && !hasWaited && mayWait { return nil }
            case .dead:
                deadToken = unsafe mutex.cell.pointee.deadToken.load(ordering: .acquiring)
            case .slot(let slot, let generation):
                if dead != seen.unflagged, arena.file.isCurrent(slot, generation) {
                    if mayWait && !mark() { continue }
                    return nil
                }
                deadToken = unsafe mutex.cell.pointee.token(of: seen)
                if seen.count == MutexWord.lastCount {
                    try unsafe arena.renew(mutex.cell.pointee, seen)
                    continue
                }
            }
            let taken = seen.taken(by: me, waiting: seen.isWaitedFor || hasWaited)
            guard unsafe mutex.cell.pointee.replace(seen, by: taken) else { continue }
            if deadToken != 0 { unsafe mutex.cell.pointee.abandoned.wrappingAdd(1, ordering: .relaxed) }
            return MutexGrant(
                held: MutexWord(futex: me, count: taken.count).raw,
                token: MutexToken(unsafe mutex.cell.pointee.token(of: taken)),
                deadToken: deadToken
            )
        }
    }

    /// Marks the mutex as waited for; false if its word has changed.
    private mutating func mark() -> Bool {
        let isPassedOver = hasWaited && hf_monotonic() - start > Self.patience
        let marked = seen.with(MutexWord.waiting | (isPassedOver ? MutexWord.reserved : 0))
        if marked != seen {
            guard unsafe mutex.cell.pointee.replace(seen, by: marked) else { return false }
            seen = marked
        }
        return true
    }

    /// To be called after a sleep; if nobody ended it, it is time to look whether the holder lives.
    mutating func wake(wasWoken: Bool) throws(LockError) {
        hasWaited = true
        if wasWoken { return }
        sleep = min(sleep * 2, Self.longestSleep)
        try look()
    }

    /// Asks the kernel whether the holder lives, and whether the file is still in place.
    mutating func look() throws(LockError) {
        try mutex.arena.checkPlace()
        let word = unsafe MutexWord(raw: mutex.cell.pointee.word.load(ordering: .acquiring))
        guard case .slot(let slot, _) = word.holder, word.owner != mutex.ownWord else { return }
        // Whoever wrote the word had the slot's byte then and until its end; now nobody has.
        if try !mutex.arena.file.isTaken(slot) { dead = word.unflagged }
    }

    /// The last attempt, after a look, when there is no more time.
    mutating func last() throws(LockError) -> MutexGrant {
        try look()
        if let acquisition = try attempt(mayWait: false) { return acquisition }
        throw timedOut
    }

    /// That somebody else held it until the deadline, and who.
    var timedOut: LockError {
        var holder: LockHolder?
        if case .slot(let slot, _) = seen.holder, slot < ArenaLayout.slots {
            let pid = Int32(bitPattern: unsafe mutex.arena.file.slot(slot).pointee.pid.load(ordering: .relaxed))
            // The slot does not say in which PID namespace that is. A process here that has the arena open is meant.
            let isHere =
                unsafe hf_proc_is_ours() && hf_process_has_open(pid, mutex.arena.file.member.pointee.descriptor) == 1
            holder = LockHolder(
                slotOf: pid,
                name: isHere ? ProcessIdentity.name(of: pid) : nil,
                note: isHere ? nil : "as its own PID namespace numbers it"
            )
        }
        return LockError(.timedOut, path: mutex.arena.path, reason: "the deadline passed", holder: holder)
    }
}

extension ArenaFile {
    /// Whether a slot is in the same generation still.
    ///
    /// An owner writes its generation before its first word, and the word with release: whoever has read the word reads
    /// that generation here, or a later one.
    func isCurrent(_ slot: Int, _ generation: UInt32) -> Bool {
        // No process writes a slot beyond the table; a damaged word must not make us read there.
        if slot >= ArenaLayout.slots { return false }
        return unsafe self.slot(slot).pointee.generation.load(ordering: .acquiring) == generation
    }

    /// Where the member's words stand.
    var words: (acquirer: UnsafeMutablePointer<Atomic<UInt32>>, owner: UnsafeMutablePointer<Atomic<UInt32>>) {
        let start = unsafe UnsafeMutableRawPointer(member)
        let owner = unsafe start + (MemoryLayout<hf_member>.offset(of: \.owner) ?? 0)
        return unsafe (
            start.assumingMemoryBound(to: Atomic<UInt32>.self), owner.assumingMemoryBound(to: Atomic<UInt32>.self)
        )
    }
}

extension SharedMemoryMutex {
    var ownWord: UInt32 { unsafe owner.pointee.load(ordering: .relaxed) }

    /// The 32 bits at which to sleep.
    var futex: UnsafePointer<UInt32> {
        #if _endian(big)
        unsafe (UnsafeRawPointer(cell) + 4).assumingMemoryBound(to: UInt32.self)
        #else
        unsafe UnsafeRawPointer(cell).assumingMemoryBound(to: UInt32.self)
        #endif
    }

    func acquireSlowly(deadline: ContinuousClock.Instant?) throws(LockError) -> MutexGrant {
        var contender = MutexContender(self)
        if let acquisition = try contender.attempt() { return acquisition }
        countContention()
        while true {
            var sleep = contender.sleep
            if let deadline {
                let rest = nanoseconds(until: deadline)
                if rest <= 0 { return try contender.last() }
                sleep = min(sleep, rest)
            }
            let wasWoken = unsafe hf_word_wait(futex, contender.seen.futex, sleep)
            try contender.wake(wasWoken: wasWoken)
            if let acquisition = try contender.attempt() { return acquisition }
        }
    }

    func releaseSlowly(_ acquisition: MutexGrant) throws(LockError) {
        let held = MutexWord(raw: acquisition.held)
        if ownWord != held.owner {
            throw LockError(
                .unsupported,
                path: arena.path,
                reason: "it was locked before a fork, and its parent holds it"
            )
        }
        while true {
            let seen = unsafe MutexWord(raw: cell.pointee.word.load(ordering: .relaxed))
            guard seen.owner == held.owner, seen.count == held.count else {
                let reason = "somebody overwrote it: another may have held the mutex meanwhile"
                throw LockError(.compromised, path: arena.path, reason: reason)
            }
            if unsafe cell.pointee.replace(seen, by: seen.released) {
                if seen.isWaitedFor { unsafe hf_word_wake(futex) }
                return
            }
        }
    }

    func publish(_ value: UInt64) {
        guard ownWord != 0 else { return }
        unsafe cell.pointee.published.store(value, ordering: .releasing)
    }

    func countContention() {
        unsafe cell.pointee.contended.wrappingAdd(1, ordering: .relaxed)
    }

    var cancelled: LockError {
        LockError(.cancelled, path: arena.path, reason: "the waiting task was cancelled")
    }
}
