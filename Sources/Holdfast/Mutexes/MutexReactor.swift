// SPDX-License-Identifier: Apache-2.0
//
// The one thread of a process that sleeps at the words of mutexes for which tasks wait. Tasks of one process stand in line
// for each mutex; the thread contends for it as any other waiter does, for the first in the line, and hands it over.
//
// Invariants: what is granted, cancelled or expired is decided by the line's `WaitQueue`, under one lock, in which nothing
// asks the kernel; a waiter that is told anything but its grant holds nothing. Only the thread makes attempts, outside that
// lock. A mutex that is slept at keeps its arena mapped. A waiter costs the thread a bounded number of steps, however many
// wait with it; a turn looks once at each mutex that is waited for.

internal import Synchronization
internal import _HoldfastCShims

package final class MutexReactor: Sendable {
    typealias Outcome = Result<MutexGrant, LockError>
    fileprivate typealias Ticket = WaitQueue.Ticket

    /// One task that waits.
    fileprivate struct Waiter: Sendable {
        let ticket: Ticket
        let contender: MutexContender
        let continuation: CheckedContinuation<Outcome, Never>

        func resume(_ outcome: Outcome) { continuation.resume(returning: outcome) }
        func resumeCancelled() { resume(.failure(contender.mutex.cancelled)) }
    }

    /// The tasks that wait for one mutex, in the order in which they came.
    fileprivate struct Line {
        var queue = WaitQueue()
        var waiters: [Ticket: Waiter] = [:]
    }

    fileprivate struct State {
        var lines: [UInt: Line] = [:]
        /// Mutexes of which the thread has something to learn.
        var news: [SharedMemoryMutex] = []
        var isRunning = false
        /// What lines that are gone have cost.
        var steps = 0
    }

    private let state = Mutex(State())
    private let turns = Atomic(0)
    /// Changed and woken when there is something new for the thread.
    private let bell = Bell()

    private let worker = Worker(mostThreads: 1)

    /// For how long the thread sleeps at most.
    private static let longestSleep: Int64 = 1_000_000_000
    private static let instance = PerProcess { MutexReactor() }

    /// The reactor of this process.
    package static var current: MutexReactor { instance.withLock { $0 } }

    /// How many places of the lines, and mutexes that are waited for, were looked at since the process began, for tests of
    /// the cost.
    package var steps: Int {
        state.withLock { state in
            state.lines.values.reduce(state.steps) { $0 + $1.queue.steps } + turns.load(ordering: .relaxed)
        }
    }

    /// Waits in this task until the mutex is granted, or will not be.
    func wait(for mutex: SharedMemoryMutex, deadline: ContinuousClock.Instant?) async -> Outcome {
        let ticket = state.withLock { $0.lines[mutex.key, default: Line()].queue.draw() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let contender = MutexContender(mutex)
                enqueue(Waiter(ticket: ticket, contender: contender, continuation: continuation), deadline)
            }
        } onCancel: {
            cancel(ticket, of: mutex)
        }
    }

    private func enqueue(_ waiter: Waiter, _ deadline: ContinuousClock.Instant?) {
        let mutex = waiter.contender.mutex
        let refusal: LockError? = state.withLock { state in
            guard state.lines[mutex.key]?.queue.enqueue(waiter.ticket, deadline: deadline) == .waiting else {
                state.forgetIfUnused(mutex.key)
                return mutex.cancelled
            }
            if !state.isRunning {
                do throws(SystemError) {
                    try worker.begin {
                        self.run()
                        return false
                    }
                } catch {
                    _ = state.lines[mutex.key]?.queue.remove(waiter.ticket)
                    state.forgetIfUnused(mutex.key)
                    return LockError(error, path: mutex.arena.path, while: "start the thread that waits for it")
                }
                state.isRunning = true
            }
            state.lines[mutex.key]?.waiters[waiter.ticket] = waiter
            state.news.append(mutex)
            return nil
        }
        if let refusal { waiter.resume(.failure(refusal)) } else { bell.ring() }
    }

    private func cancel(_ ticket: Ticket, of mutex: SharedMemoryMutex) {
        let waiter: Waiter? = state.withLock { state in
            guard state.lines[mutex.key]?.queue.cancel(ticket) == true else { return nil }
            state.news.append(mutex)
            return state.lines[mutex.key]?.waiters.removeValue(forKey: ticket)
        }
        guard let waiter else { return }
        waiter.resumeCancelled()
        bell.ring()
    }
}

extension MutexReactor.State {
    /// Forgets a line in which no task waits, nor is about to.
    fileprivate mutating func forgetIfUnused(_ key: UInt) {
        guard let line = lines[key], line.queue.isUnused else { return }
        steps += line.queue.steps
        lines[key] = nil
    }
}

extension MutexReactor {
    /// Serves the waiters until there are none.
    private func run() {
        var watches: [UInt: MutexWatch] = [:]
        while true {
            let heard = bell.count
            for mutex in state.withLock({ exchange(&$0.news, with: []) }) {
                watches[mutex.key, default: MutexWatch(mutex)].isDue = true
            }
            let now = hf_monotonic()
            var sleep = Self.longestSleep
            var words: [(mutex: SharedMemoryMutex, seen: MutexWord)] = []
            for key in Array(watches.keys) {
                turns.wrappingAdd(1, ordering: .relaxed)
                guard var watch = watches[key] else { continue }
                let isWaitedFor = !watch.isToBeServed(at: now) || serve(&watch, at: now)
                watches[key] = isWaitedFor ? watch : nil
                if !isWaitedFor { continue }
                words.append((watch.mutex, watch.contender.seen))
                sleep = min(sleep, watch.rest(at: now))
            }
            if watches.isEmpty, isToEnd() { return }
            bell.wait(unless: heard, beside: words, nanoseconds: max(sleep, 0))
        }
    }

    private func isToEnd() -> Bool {
        state.withLock { state in
            state.isRunning = !state.news.isEmpty
            return !state.isRunning
        }
    }

    /// Takes the mutex for the first of its line as often as it can be had, and takes out those whose deadline has come.
    ///
    /// - Returns: Whether a task waits for it still.
    private func serve(_ watch: inout MutexWatch, at now: Int64) -> Bool {
        let mutex = watch.mutex
        watch.isDue = false
        while let waiter = attempt(mutex.key) {
            let outcome = watch.contend(for: waiter, at: now)
            switch (conclude(waiter, hasOutcome: outcome != nil), outcome) {
            // Also if the task was cancelled meanwhile: that came after the grant. To let go of it would lose a token, and the
            // report of a death, which this grant alone has.
            case (_, .success(let acquisition)): waiter.resume(.success(acquisition))
            case (.cancelled, _): waiter.resumeCancelled()
            case (_, .failure(let error)): waiter.resume(.failure(error))
            case (_, nil):
                let expired = expire(mutex.key)
                if !expired.isEmpty {
                    let error = watch.contender.timedOut
                    for waiter in expired { waiter.resume(.failure(error)) }
                }
                // Else the next in line is the first now.
                if !expired.contains(where: { $0.ticket == waiter.ticket }) {
                    watch.deadline = state.withLock { $0.lines[mutex.key]?.queue.nextDeadline }
                    return true
                }
            }
        }
        // A wake-up that no task here needs any more is another waiter's.
        mutex.passOnWakeUp()
        state.withLock { $0.forgetIfUnused(mutex.key) }
        return false
    }

    private func attempt(_ key: UInt) -> Waiter? {
        state.withLock { state in state.lines[key]?.queue.attempt().flatMap { state.lines[key]?.waiters[$0] } }
    }

    private func conclude(
        _ waiter: Waiter,
        hasOutcome: Bool
    ) -> WaitQueue.Conclusion {
        let key = waiter.contender.mutex.key
        return state.withLock { state in
            let conclusion = state.lines[key]?.queue.conclude(hasOutcome: hasOutcome) ?? .settled
            if conclusion != .waiting { state.lines[key]?.waiters[waiter.ticket] = nil }
            return conclusion
        }
    }

    private func expire(_ key: UInt) -> [Waiter] {
        state.withLock { state in
            let tickets = state.lines[key]?.queue.expire(at: .now) ?? []
            return tickets.compactMap { state.lines[key]?.waiters.removeValue(forKey: $0) }
        }
    }
}

/// What the thread keeps about one mutex that is waited for.
///
/// Touched by that thread alone.
private struct MutexWatch {
    let mutex: SharedMemoryMutex
    /// Something has happened in the line.
    var isDue = true
    /// For whom the thread contends.
    private var ticket: MutexReactor.Ticket?
    private(set) var contender: MutexContender
    /// When to look whether the holder lives; nil before the first of the line has tried.
    private var nextLook: Int64?
    /// The earliest deadline in the line.
    var deadline: ContinuousClock.Instant?

    init(_ mutex: SharedMemoryMutex) {
        self.mutex = mutex
        contender = MutexContender(mutex)
    }

    func isToBeServed(at now: Int64) -> Bool {
        isDue || mutex.word != contender.seen || rest(at: now) <= 0
    }

    /// How long there is nothing to do unless the word or the line changes.
    func rest(at now: Int64) -> Int64 {
        min((nextLook ?? now) - now, deadline.map(nanoseconds(until:)) ?? .max)
    }

    /// Tries once for the first of the line; nil if it has to wait on.
    mutating func contend(for waiter: MutexReactor.Waiter, at now: Int64) -> MutexReactor.Outcome? {
        if ticket != waiter.ticket { (ticket, contender, nextLook) = (waiter.ticket, waiter.contender, nil) }
        do throws(LockError) {
            if let nextLook { try contender.wake(wasWoken: now < nextLook) }
            if let acquisition = try contender.attempt() { return .success(acquisition) }
        } catch {
            return .failure(error)
        }
        if nextLook.map({ $0 <= now }) ?? true { nextLook = now + contender.sleep }
        return nil
    }
}

extension Bell {
    /// Sleeps until it rings, one of the words changes, or the time is over; not if it has rung since it was heard.
    fileprivate func wait(
        unless heard: UInt32,
        beside mutexes: [(mutex: SharedMemoryMutex, seen: MutexWord)],
        nanoseconds: Int64
    ) {
        let words = unsafe mutexes.map { unsafe hf_word(address: $0.mutex.futex, expected: $0.seen.futex) }
        let all = unsafe [hf_word(address: address, expected: heard)] + words
        unsafe all.withUnsafeBufferPointer { all in
            guard let start = all.baseAddress else { return }
            unsafe hf_words_wait(start, all.count, nanoseconds)
        }
    }
}

extension SharedMemoryMutex {
    /// What tells this mutex from others in this process.
    var key: UInt { unsafe UInt(bitPattern: cell) }

    fileprivate var word: MutexWord { unsafe MutexWord(raw: cell.pointee.word.load(ordering: .relaxed)) }

    /// Wakes another waiter if no process holds the mutex.
    fileprivate func passOnWakeUp() {
        if word.holder == .nobody { unsafe hf_word_wake(futex) }
    }

    /// Acquires it for a task, which is suspended meanwhile.
    func waitInLine(deadline: ContinuousClock.Instant?) async throws(LockError) -> MutexGrant {
        if Task.isCancelled { throw cancelled }
        var contender = MutexContender(self)
        if let acquisition = try contender.attempt() { return acquisition }
        countContention()
        if let deadline, deadline <= .now { return try contender.last() }
        return try await MutexReactor.current.wait(for: self, deadline: deadline).get()
    }
}
