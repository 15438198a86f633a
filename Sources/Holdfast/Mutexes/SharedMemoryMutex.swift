// SPDX-License-Identifier: Apache-2.0
//
// The mutex as its users see it. What is `@inlinable` is the path of a mutex that is free: one compare-and-exchange to
// take it, one to let go, no call, no allocation. Everything else is in MutexContender.

public import Synchronization
internal import _HoldfastCShims

/// One mutex of a ``MutexArena``.
///
/// Taking it has no affinity: another thread, or another task, may release what one took. It is not recursive: who waits
/// for a mutex that it holds itself waits until the deadline.
@safe
public struct SharedMemoryMutex: Sendable {
    /// What an acquisition gives to its holder.
    public struct Acquisition: Sendable {
        /// The mutex's word while it is held and nobody waits.
        @usableFromInline let held: UInt64
        /// The token of this acquisition, greater than that of every earlier one of this mutex.
        public let token: FencingToken
        @usableFromInline let deadToken: UInt64

        @inlinable
        init(held: UInt64, token: FencingToken, deadToken: UInt64 = 0) {
            self.held = held
            self.token = token
            self.deadToken = deadToken
        }

        /// The token of the previous holder if that died while it held the mutex, or its machine stopped; nil if it released.
        ///
        /// What the mutex protects may be half changed. Reported once for each death, to the next who acquires.
        @inlinable public var abandoned: FencingToken? { deadToken == 0 ? nil : FencingToken(deadToken) }
    }

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
            throw LockError(.refused, path: arena.path, reason: reason)
        }
        try arena.checkMembership()
    }
}

extension SharedMemoryMutex {
    /// Takes it if it is free: one compare-and-exchange.
    ///
    /// Nil if it takes more than that.
    @inlinable @inline(__always)
    func acquireIfFree() -> Acquisition? {
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
        return Acquisition(held: held, token: FencingToken(UInt64(epoch) << 32 | held >> 32))
    }

    /// Lets go if nobody waits: one compare-and-exchange.
    ///
    /// False if it takes more than that.
    @inlinable @inline(__always)
    func releaseIfUnwanted(_ acquisition: Acquisition) -> Bool {
        // In a forked child this is 0, and the mapping is not there.
        guard unsafe owner.pointee.load(ordering: .relaxed) == UInt32(truncatingIfNeeded: acquisition.held) else {
            return false
        }
        return unsafe cell.pointee.word.compareExchange(
            expected: acquisition.held,
            desired: acquisition.held & 0xffff_ffff_0000_0000,
            successOrdering: .releasing,
            failureOrdering: .relaxed
        ).exchanged
    }

    @inlinable @inline(__always)
    func release(_ acquisition: Acquisition) throws(LockError) {
        if !releaseIfUnwanted(acquisition) { try releaseSlowly(acquisition) }
    }
}

extension SharedMemoryMutex {
    /// Runs the body while this thread holds the mutex.
    ///
    /// Uncontended, two atomic instructions, no system call, no allocation. The thread sleeps while somebody else holds it.
    ///
    /// - Parameter body: What is done while it is held.
    /// - Returns: What the body returned.
    /// - Throws: ``LockError`` as ``lock(deadline:)``, or `.compromised` at the release if somebody else overwrote the word;
    ///   what the body throws.
    @inlinable
    @_disfavoredOverload  // in a task the other one is meant, also for a body that does not suspend
    public func withLock<Result>(_ body: (Acquisition) throws -> Result) throws -> Result {
        try withAcquired(acquireIfFree() ?? acquireSlowly(), body)
    }

    /// Runs the body while this thread holds the mutex, if it is granted in time.
    ///
    /// Costs a few nanoseconds more than ``withLock(_:)`` for the deadline.
    ///
    /// - Parameters:
    ///   - deadline: When to give up waiting for it; one in the past tries once.
    ///   - body: What is done while it is held.
    /// - Returns: What the body returned.
    /// - Throws: As ``withLock(_:)``, and ``LockError`` `.timedOut`.
    @inlinable
    @_disfavoredOverload
    public func withLock<Result>(
        deadline: ContinuousClock.Instant,
        _ body: (Acquisition) throws -> Result
    ) throws -> Result {
        try withAcquired(acquireIfFree() ?? acquireSlowly(deadline: deadline), body)
    }

    @inlinable @inline(__always)
    func withAcquired<Result>(_ acquisition: Acquisition, _ body: (Acquisition) throws -> Result) throws -> Result {
        let result: Result
        do {
            result = try body(acquisition)
        } catch {
            try? release(acquisition)
            throw error
        }
        try release(acquisition)
        return result
    }

    /// Runs the body while this task holds the mutex.
    ///
    /// Uncontended, it costs what the blocking one does. The task is suspended while somebody else holds it.
    ///
    /// - Parameters:
    ///   - deadline: When to give up waiting for it; one in the past tries once. Nil waits for ever.
    ///   - body: What is done while it is held.
    /// - Returns: What the body returned.
    /// - Throws: ``LockError`` as ``lock(deadline:)``, or `.compromised` at the release if somebody else overwrote the word;
    ///   what the body throws.
    @inlinable
    public func withLock<Result>(
        deadline: ContinuousClock.Instant? = nil,
        _ body: (Acquisition) async throws -> Result
    ) async throws -> Result {
        let acquisition: Acquisition
        if let free = acquireIfFree() {
            acquisition = free
        } else {
            acquisition = try await waitInLine(deadline: deadline)
        }
        let result: Result
        do {
            result = try await body(acquisition)
        } catch {
            try? release(acquisition)
            throw error
        }
        try release(acquisition)
        return result
    }

    /// Takes the mutex if it is free, or its holder has died.
    ///
    /// One system call if it is held: whether its holder lives.
    ///
    /// - Returns: The held lock, or nil if somebody else has it.
    /// - Throws: ``LockError`` `.compromised` if the arena's file was deleted or replaced; `.unsupported` in a forked child.
    public func tryLock() throws(LockError) -> HeldMutex? {
        if let acquisition = acquireIfFree() { return HeldMutex(self, acquisition) }
        var contender = MutexContender(self)
        if let acquisition = try contender.attempt(mayWait: false) { return HeldMutex(self, acquisition) }
        try contender.look()
        return try contender.attempt(mayWait: false).map { HeldMutex(self, $0) }
    }

    /// Takes the mutex; this thread sleeps until it is granted.
    ///
    /// Do not call it from a task, whose thread it would occupy; there is a method of the same name that suspends instead.
    ///
    /// - Parameter deadline: When to give up; one in the past tries once. Nil waits for ever.
    /// - Returns: The held lock.
    /// - Throws: ``LockError``: `.timedOut`; `.compromised` if the arena's file was deleted or replaced; `.unsupported` in a
    ///   forked child. Nothing is held then.
    public func lock(deadline: ContinuousClock.Instant? = nil) throws(LockError) -> HeldMutex {
        if let acquisition = acquireIfFree() { return HeldMutex(self, acquisition) }
        return HeldMutex(self, try acquireSlowly(deadline: deadline))
    }

    /// Takes the mutex; this task is suspended until it is granted.
    ///
    /// No thread is held meanwhile.
    ///
    /// - Parameter deadline: When to give up; one in the past tries once. Nil waits for ever.
    /// - Returns: The held lock.
    /// - Throws: ``LockError``: `.timedOut`, `.cancelled`; `.compromised` if the arena's file was deleted or replaced;
    ///   `.unsupported` in a forked child. Nothing is held then. A cancellation that comes after the grant does not take it
    ///   back.
    public func lock(deadline: ContinuousClock.Instant? = nil) async throws(LockError) -> HeldMutex {
        if let acquisition = acquireIfFree() { return HeldMutex(self, acquisition) }
        return HeldMutex(self, try await waitInLine(deadline: deadline))
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

/// A held ``SharedMemoryMutex``, for as long as this value lives.
///
/// It may be moved to another task and stored; it is released by ``release()``, or silently when it goes out of scope. A
/// process that ends in whatever way while it holds one has abandoned it.
public struct HeldMutex: ~Copyable, Sendable {
    private let mutex: SharedMemoryMutex
    private let acquisition: SharedMemoryMutex.Acquisition
    private var isHeld = true

    init(_ mutex: SharedMemoryMutex, _ acquisition: SharedMemoryMutex.Acquisition) {
        self.mutex = mutex
        self.acquisition = acquisition
    }

    deinit {
        if isHeld { try? mutex.release(acquisition) }
    }

    /// The token of this acquisition, greater than that of every earlier one of this mutex.
    public var token: FencingToken { acquisition.token }

    /// The token of the previous holder if that died while it held the mutex; nil if it released.
    ///
    /// See ``SharedMemoryMutex/Acquisition/abandoned``.
    public var abandoned: FencingToken? { acquisition.abandoned }

    /// Releases the mutex and reports what went wrong with that.
    ///
    /// - Throws: ``LockError``: `.compromised` if the mutex is not held by this value any more, because somebody overwrote
    ///   the file; `.unsupported` in a forked child, whose parent holds it.
    public consuming func release() throws(LockError) {
        isHeld = false
        try mutex.release(acquisition)
    }

    /// Tells every process that looks at ``SharedMemoryMutex/published``.
    package func publish(_ value: UInt64) {
        mutex.publish(value)
    }
}
