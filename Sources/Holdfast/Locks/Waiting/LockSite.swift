// SPDX-License-Identifier: Apache-2.0
//
// What the LockFiles of one path share within this process: the queue of waiters, and who holds the lock, so that a task
// that would wait for itself is told so.

internal import Synchronization
internal import _HoldfastCShims

/// One path that is locked in this process.
package final class LockSite: Sendable {
    private struct Key: Hashable {
        let fileSystem: ObjectIdentifier?
        let directory: FileIdentity
        let name: FileName
        /// A forked child has nobody's waiters: the threads that wait are its parent's.
        let process: Int32
    }

    private struct State: ~Copyable {
        var queue = WaitQueue()
        var waiters: [WaitQueue.Ticket: LockWaiter] = [:]
        var holders: [HolderID] = []
        /// The numbers of the descriptors of held locks, and whose each is.
        var descriptors: [Int32: UInt64] = [:]
        var lastHold: UInt64 = 0
        var candidate: OpenLockFile?
    }

    private static let sites = PerProcess<[Key: WeakReference<LockSite>]> { [:] }
    private let key: Key
    private let state = Mutex(State())
    private let waiterCount = Atomic(0)
    private let lastToken = Atomic<UInt64>(0)

    private init(_ key: Key) {
        self.key = key
    }

    deinit {
        let (key, id) = (key, ObjectIdentifier(self))
        Self.sites.withLock { sites in
            if sites[key]?.id == id { sites[key] = nil }
        }
    }

    /// The site of a name.
    ///
    /// Two paths to one directory share it.
    static func of(_ name: FileName, in directory: OpenDirectory) throws(SystemError) -> LockSite {
        let fileSystem = directory.fileSystem
        let key = Key(
            fileSystem: type(of: fileSystem) is AnyClass ? ObjectIdentifier(fileSystem as AnyObject) : nil,
            directory: try directory.descriptor.status().identity,
            name: name,
            process: getpid()
        )
        return sites.withLock { sites in
            if let site = sites[key]?.object { return site }
            let site = LockSite(key)
            sites[key] = WeakReference(site)
            return site
        }
    }
}

extension LockSite {
    /// The last token that this process had of this lock.
    ///
    /// To be set by the lock's holder alone.
    var newestToken: UInt64 {
        get { lastToken.load(ordering: .relaxed) }
        set { lastToken.store(newValue, ordering: .relaxed) }
    }

    /// How many of this process wait.
    package var waitingCount: Int { waiterCount.load(ordering: .acquiring) }

    /// How many places of the queue were looked at, for tests of the cost.
    package var steps: Int { state.withLock { $0.queue.steps } }

    /// Whether a task or thread of this process waits, and must be served first.
    var hasWaiters: Bool { waitingCount > 0 && isOfThisProcess }

    var isOfThisProcess: Bool { key.process == getpid() }

    /// The file system.
    var device: UInt64 { key.directory.device }

    func hold(_ holder: HolderID) {
        state.withLock { $0.holders.append(holder) }
    }

    func letGo(_ holder: HolderID) {
        state.withLock { state in
            if let index = state.holders.firstIndex(of: holder) { state.holders.remove(at: index) }
        }
    }

    /// The same for a lock that has a descriptor.
    ///
    /// A number is given out only when it is free: another lock that has it was closed by a stranger.
    ///
    /// - Returns: What tells this hold from an earlier one with the same descriptor.
    func hold(_ holder: HolderID, with descriptor: Int32) -> UInt64 {
        state.withLock { state in
            state.holders.append(holder)
            state.lastHold += 1
            state.descriptors[descriptor] = state.lastHold
            return state.lastHold
        }
    }

    /// Ends such a hold; false if another lock has got its descriptor meanwhile.
    func letGo(_ holder: HolderID, with descriptor: Int32, _ hold: UInt64) -> Bool {
        letGo(holder)
        return state.withLock { state in
            guard state.descriptors[descriptor] == hold else { return false }
            state.descriptors[descriptor] = nil
            return true
        }
    }

    /// Whether a held lock has this descriptor.
    func isHeld(with descriptor: Int32) -> Bool {
        state.withLock { $0.descriptors[descriptor] != nil }
    }

    /// Refuses a holder that would wait for itself.
    func checkNotHeld(by holder: HolderID, path: String) throws(LockError) {
        if isHeld(by: holder) {
            throw LockError(.reentrant, path: path, reason: "this task holds it already and would wait for itself")
        }
    }

    private func isHeld(by holder: HolderID) -> Bool {
        state.withLock { $0.holders.contains(holder) }
    }

    /// Leaves an open file for the next attempt.
    func offer(_ candidate: consuming OpenLockFile) {
        var offered: OpenLockFile? = consume candidate
        state.withLock { state in
            if state.candidate == nil { state.candidate = offered.take() }
        }
    }

    func takeCandidate() -> OpenLockFile? {
        state.withLock { $0.candidate.take() }
    }

    /// Tells the reactor that a lock of this process was released, if anybody here waits for it.
    func wakeWaiters() {
        if hasWaiters { try? LockReactor.attend(to: self) }
    }
}

extension LockSite {
    typealias Ticket = WaitQueue.Ticket

    func draw() -> Ticket {
        state.withLock { $0.queue.draw() }
    }

    /// Puts a waiter last.
    ///
    /// False if it was cancelled before.
    func enqueue(_ waiter: LockWaiter) -> Bool {
        state.withLock { state in
            guard state.queue.enqueue(waiter.ticket, deadline: waiter.deadline) == .waiting else { return false }
            state.waiters[waiter.ticket] = waiter
            waiterCount.store(state.queue.count, ordering: .releasing)
            return true
        }
    }

    /// Begins an attempt for the waiter that comes first.
    func attempt() -> LockWaiter? {
        state.withLock { state in state.queue.attempt().flatMap { state.waiters[$0] } }
    }

    /// Ends the attempt for a waiter.
    func conclude(_ waiter: LockWaiter, hasOutcome: Bool) -> WaitQueue.Conclusion {
        state.withLock { state in
            let conclusion = state.queue.conclude(hasOutcome: hasOutcome)
            if conclusion != .waiting { state.waiters[waiter.ticket] = nil }
            waiterCount.store(state.queue.count, ordering: .releasing)
            return conclusion
        }
    }

    var nextDeadline: ContinuousClock.Instant? {
        state.withLock { $0.queue.nextDeadline }
    }

    /// Takes a waiter out because nobody can serve it; nil if it has its outcome already.
    func remove(_ ticket: Ticket) -> LockWaiter? {
        state.withLock { state in
            guard state.queue.remove(ticket) else { return nil }
            waiterCount.store(state.queue.count, ordering: .releasing)
            return state.waiters.removeValue(forKey: ticket)
        }
    }

    /// Takes a waiter out because its task was cancelled; nil if it has its outcome already, or gets it from elsewhere.
    func cancel(_ ticket: Ticket) -> LockWaiter? {
        state.withLock { state in
            guard state.queue.cancel(ticket) else { return nil }
            waiterCount.store(state.queue.count, ordering: .releasing)
            return state.waiters.removeValue(forKey: ticket)
        }
    }

    /// Takes out those whose deadline has come.
    func expire() -> [LockWaiter] {
        state.withLock { state in
            let tickets = state.queue.expire(at: .now)
            waiterCount.store(state.queue.count, ordering: .releasing)
            return tickets.compactMap { state.waiters.removeValue(forKey: $0) }
        }
    }
}
