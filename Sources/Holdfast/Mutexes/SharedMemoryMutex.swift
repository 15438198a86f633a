// SPDX-License-Identifier: Apache-2.0
//
// The mutex as its users see it. What is `@inlinable` is the path of a mutex that is free: one compare-and-exchange to
// take it, one to let go, no call, no allocation. Everything else is in MutexContender.

public import Synchronization
internal import _HoldfastCShims

/// One mutex of a ``MutexArena``.
///
/// Taking it has no affinity: another thread, or another task, may release what this one took. It is not recursive: a holder
/// that waits for its own mutex waits until the deadline.
@safe
public struct SharedMemoryMutex: Sendable {
    /// Its number in the arena.
    public let index: Int
    @usableFromInline let arena: MutexArena
    @usableFromInline nonisolated(unsafe) let cell: UnsafeMutablePointer<MutexCell>
    /// What an acquisition of this process writes, 0 if it may make none; and what its guards expect to find.
    @usableFromInline nonisolated(unsafe) let acquirer: UnsafeMutablePointer<Atomic<UInt32>>
    @usableFromInline nonisolated(unsafe) let owner: UnsafeMutablePointer<Atomic<UInt32>>

    init(_ arena: MutexArena, _ index: Int) {
        self.index = index
        self.arena = arena
        let isThere = (0..<arena.count).contains(index)
        unsafe cell = unsafe arena.file.cell(isThere ? index : 0)
        unsafe (acquirer, owner) = unsafe isThere ? arena.file.words : Self.noWords
    }

    /// In place of the words of this process for a mutex that is not there: with these nothing is acquired.
    private nonisolated(unsafe) static let noWords = {
        let zero = UnsafeMutablePointer<Atomic<UInt32>>.allocate(capacity: 1)
        unsafe zero.initialize(to: Atomic(0))
        return unsafe (acquirer: zero, owner: zero)
    }()

    /// Why this process may not acquire it, if it may not.
    func checkMembership() throws(LockError) {
        guard (0..<arena.count).contains(index) else {
            let reason = "an arena of \(arena.count) mutexes has none with the number \(index)"
            throw LockError(.refused, path: arena.path, reason: reason).about(.arena)
        }
        try arena.checkMembership()
    }
}

extension SharedMemoryMutex {
    /// Takes it if it is free: one compare-and-exchange.
    ///
    /// Nil if it takes more than that.
    @inlinable @inline(__always)
    func acquireIfFree() -> MutexGrant? {
        let me = unsafe acquirer.pointee.load(ordering: .relaxed)
        // In a forked child the mapping is not there.
        guard me != 0 else { return nil }
        let seen = unsafe cell.pointee.word.load(ordering: .relaxed)
        // Free, with nobody waiting, and the count not at its end.
        guard seen & 0xffff_ffff == 0, seen < 0xffff_ffff_0000_0000 else { return nil }
        let held = seen &+ 0x1_0000_0000 | UInt64(me)
        // Releasing too: who sees our slot in the word must see the slot's generation as we wrote it.
        guard
            unsafe cell.pointee.word.compareExchange(
                expected: seen,
                desired: held,
                successOrdering: .acquiringAndReleasing,
                failureOrdering: .relaxed
            ).exchanged
        else { return nil }
        let epoch = unsafe cell.pointee.epoch.load(ordering: .relaxed)
        return MutexGrant(held: held, token: MutexToken(UInt64(epoch) << 32 | held >> 32))
    }

    /// Lets go if nobody waits: one compare-and-exchange.
    ///
    /// False if it takes more than that.
    @inlinable @inline(__always)
    func releaseIfUnwanted(_ grant: MutexGrant) -> Bool {
        // In a forked child this is 0, and the mapping is not there.
        guard unsafe owner.pointee.load(ordering: .relaxed) == UInt32(truncatingIfNeeded: grant.held) else {
            return false
        }
        return unsafe cell.pointee.word.compareExchange(
            expected: grant.held,
            desired: grant.held & 0xffff_ffff_0000_0000,
            successOrdering: .releasing,
            failureOrdering: .relaxed
        ).exchanged
    }

    @inlinable @inline(__always)
    func release(_ grant: MutexGrant) throws(LockError) {
        if !releaseIfUnwanted(grant) { try letGo(grant) }
    }
}

extension SharedMemoryMutex {
    /// Runs the body while this thread holds the mutex.
    ///
    /// Uncontended, two atomic instructions, no system call, no allocation. The thread sleeps while another holder has it.
    ///
    /// - Parameter body: What is done while it is held.
    /// - Returns: What the body returned.
    /// - Throws: ``LockError`` as ``lock(deadline:timeout:)``, or `.compromised` at the release if a program overwrote the word;
    ///   what the body throws.
    @inlinable
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    @_disfavoredOverload  // in a task the other one is meant, also for a body that does not suspend
    @discardableResult
    public func withLock<Result>(_ body: (MutexGrant) throws -> Result) throws -> Result {
        try withAcquired(acquireIfFree() ?? acquire(deadline: nil, timeout: nil), body)
    }

    /// Runs the body while this thread holds the mutex, if it is granted in time.
    ///
    /// Costs a few nanoseconds more than ``withLock(_:)`` for the times.
    ///
    /// - Parameters:
    ///   - deadline: When to give up waiting for it; one in the past tries once. Nil waits forever.
    ///   - timeout: How long to wait for it; with a deadline as well, the earlier of the two counts.
    ///   - body: What is done while it is held.
    /// - Returns: What the body returned.
    /// - Throws: As ``withLock(_:)``, and ``LockError`` `.timedOut`.
    @inlinable
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    @_disfavoredOverload
    @discardableResult
    public func withLock<Result>(
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil,
        _ body: (MutexGrant) throws -> Result
    ) throws -> Result {
        try withAcquired(acquireIfFree() ?? acquire(deadline: deadline, timeout: timeout), body)
    }

    @inlinable @inline(__always)
    func withAcquired<Result>(_ grant: MutexGrant, _ body: (MutexGrant) throws -> Result) throws -> Result {
        let result: Result
        do {
            result = try body(grant)
        } catch {
            try? release(grant)
            throw error
        }
        try release(grant)
        return result
    }

    /// Runs the body while this task holds the mutex.
    ///
    /// Uncontended, it costs what the blocking one does. The task is suspended while another holder has it.
    ///
    /// - Parameters:
    ///   - deadline: When to give up waiting for it; one in the past tries once. Nil waits forever.
    ///   - timeout: How long to wait for it; with a deadline as well, the earlier of the two counts.
    ///   - body: What is done while it is held.
    /// - Returns: What the body returned.
    /// - Throws: ``LockError`` as ``lock(deadline:timeout:)``, or `.compromised` at the release if a program overwrote the word;
    ///   what the body throws.
    @inlinable
    @discardableResult
    public func withLock<Result>(
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil,
        _ body: (MutexGrant) async throws -> Result
    ) async throws -> Result {
        let grant: MutexGrant
        if let free = acquireIfFree() {
            grant = free
        } else {
            grant = try await acquire(deadline: deadline, timeout: timeout)
        }
        let result: Result
        do {
            result = try await body(grant)
        } catch {
            try? release(grant)
            throw error
        }
        try release(grant)
        return result
    }

    /// Takes the mutex if it is free, or its holder has died, or it becomes free in time; this thread sleeps meanwhile.
    ///
    /// One compare-and-exchange if it is free. If it is held: one system call, whether its holder lives, and a look at
    /// `/proc`, what its name is.
    ///
    /// - Parameter timeout: How long to wait for it; without a positive one it is tried once.
    /// - Returns: The held mutex, or the holder that is in the way.
    /// - Throws: ``LockError`` `.compromised` if the arena's file was deleted or replaced; `.unsupported` in a forked child.
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    public func tryLock(timeout: Duration = .zero) throws(LockError) -> HeldMutex.Attempt {
        if timeout <= .zero { return try tryOnce() }
        do throws(LockError) {
            return .acquired(try lock(timeout: timeout))
        } catch {
            return .busy(try error.holderInTheWay())
        }
    }

    /// Takes the mutex if it is free, or its holder has died, or it becomes free in time; this task is suspended meanwhile.
    ///
    /// Costs what the blocking method of the same name does. Without a timeout the task is not suspended.
    ///
    /// - Parameter timeout: How long to wait for it; without a positive one it is tried once.
    /// - Returns: The held mutex, or the holder that is in the way.
    /// - Throws: ``LockError`` `.compromised` if the arena's file was deleted or replaced; `.unsupported` in a forked child;
    ///   with a timeout `.cancelled`.
    public func tryLock(timeout: Duration = .zero) async throws(LockError) -> HeldMutex.Attempt {
        if timeout <= .zero { return try tryOnce() }
        do throws(LockError) {
            return .acquired(try await lock(timeout: timeout))
        } catch {
            return .busy(try error.holderInTheWay())
        }
    }

    private func tryOnce() throws(LockError) -> HeldMutex.Attempt {
        var contender = MutexContender(self)
        if let lock = try take(&contender) { return .acquired(lock) }
        return .busy(try contender.timedOut.holderInTheWay())
    }

    /// Takes the mutex if it is free, or its holder has died; does not find out which holder is in the way.
    func takeIfFree() throws(LockError) -> HeldMutex? {
        var contender = MutexContender(self)
        return try take(&contender)
    }

    private func take(_ contender: inout MutexContender) throws(LockError) -> HeldMutex? {
        if let grant = acquireIfFree() { return HeldMutex(self, grant) }
        do throws(LockError) {
            if let grant = try contender.attempt(mayWait: false) { return HeldMutex(self, grant) }
            try contender.look()
            return try contender.attempt(mayWait: false).map { HeldMutex(self, $0) }
        } catch {
            throw error.about(.mutex(index))
        }
    }

    /// Takes the mutex; this thread sleeps until it is granted.
    ///
    /// - Parameters:
    ///   - deadline: When to give up; one in the past tries once. Nil waits forever.
    ///   - timeout: How long to wait; with a deadline as well, the earlier of the two counts.
    /// - Returns: The held mutex.
    /// - Throws: ``LockError``: `.timedOut`; `.compromised` if the arena's file was deleted or replaced; `.unsupported` in a
    ///   forked child. Nothing is held then.
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    public func lock(
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil
    ) throws(LockError) -> HeldMutex {
        if let grant = acquireIfFree() { return HeldMutex(self, grant) }
        return HeldMutex(self, try acquire(deadline: deadline, timeout: timeout))
    }

    /// Takes the mutex; this task is suspended until it is granted.
    ///
    /// No thread is held meanwhile.
    ///
    /// - Parameters:
    ///   - deadline: When to give up; one in the past tries once. Nil waits forever.
    ///   - timeout: How long to wait; with a deadline as well, the earlier of the two counts.
    /// - Returns: The held mutex.
    /// - Throws: ``LockError``: `.timedOut`, `.cancelled`; `.compromised` if the arena's file was deleted or replaced;
    ///   `.unsupported` in a forked child. Nothing is held then. A cancellation that comes after the grant does not take it
    ///   back.
    public func lock(
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil
    ) async throws(LockError) -> HeldMutex {
        if let grant = acquireIfFree() { return HeldMutex(self, grant) }
        return HeldMutex(self, try await acquire(deadline: deadline, timeout: timeout))
    }
}

extension SharedMemoryMutex {
    /// What it takes to get a mutex that is not simply free, in this thread.
    @usableFromInline
    @available(*, noasync, message: "this blocks the thread")
    func acquire(deadline: ContinuousClock.Instant?, timeout: Duration?) throws(LockError) -> MutexGrant {
        do throws(LockError) {
            return try acquireSlowly(deadline: earlier(deadline, timeout))
        } catch {
            throw error.about(.mutex(index))
        }
    }

    /// What it takes to get a mutex that is not simply free, in this task.
    @usableFromInline
    func acquire(
        deadline: ContinuousClock.Instant?,
        timeout: Duration?
    ) async throws(LockError) -> MutexGrant {
        do throws(LockError) {
            return try await waitInLine(deadline: earlier(deadline, timeout))
        } catch {
            throw error.about(.mutex(index))
        }
    }

    /// What it takes to let go of a mutex for which others wait.
    @usableFromInline
    func letGo(_ grant: MutexGrant) throws(LockError) {
        do throws(LockError) {
            try releaseSlowly(grant)
        } catch {
            throw error.about(.mutex(index))
        }
    }
}

extension SharedMemoryMutex {
    /// What has happened to a mutex since its file was made.
    public struct Statistics: Hashable, Codable, Sendable {
        /// How often it was taken.
        public let acquisitions: UInt64
        /// How often somebody had to wait for it.
        public let contended: UInt64
        /// How often a holder died.
        public let abandoned: UInt64
    }

    /// What has happened to it, counted by all processes.
    ///
    /// Three loads, not at one instant. After a power cut what was counted since the last writeback may be missing.
    public var statistics: Statistics {
        get throws(LockError) {
            try checkMembership()
            let count = unsafe MutexWord(raw: cell.pointee.word.load(ordering: .relaxed)).count
            let earlier = unsafe cell.pointee.earlierAcquisitions.load(ordering: .relaxed)
            return unsafe Statistics(
                acquisitions: earlier &+ UInt64(count),
                contended: cell.pointee.contended.load(ordering: .relaxed),
                abandoned: cell.pointee.abandoned.load(ordering: .relaxed)
            )
        }
    }

    /// What the last holder that had something to tell has told; 0 after a reboot, and in a forked child.
    @inlinable package var published: UInt64 {
        guard unsafe owner.pointee.load(ordering: .relaxed) != 0 else { return 0 }
        return unsafe cell.pointee.published.load(ordering: .acquiring)
    }
}
