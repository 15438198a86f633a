// SPDX-License-Identifier: Apache-2.0
//
// The one thread of a process that sleeps at the words of mutexes for which tasks wait. Tasks of one process stand in line
// for each mutex; the thread contends for it as any other waiter does, for the first in the line, and hands it over.
//
// Invariants: what is granted, cancelled or expired is decided under one lock, which is held for a few microseconds, and
// what takes a waiter out of its line tells it; so a waiter that is told anything but its grant holds nothing. A mutex that
// is slept at keeps its arena mapped.

internal import Synchronization
internal import _HoldfastCShims

final class MutexReactor: Sendable {
    typealias Outcome = Result<SharedMemoryMutex.Acquisition, LockError>

    private struct State {
        var lines: [UInt: MutexLine] = [:]
        /// Tickets whose cancellation came before them.
        var cancelled: Set<UInt64> = []
        var isRunning = false
    }

    private let pid = getpid()
    private let state = Mutex(State())
    private let tickets = Atomic<UInt64>(0)
    /// Changed and woken when there is something new for the thread.
    private let bell: MutexBell

    private static let instance = Mutex<MutexReactor?>(nil)
    /// For how long the thread stays when nobody waits.
    private static let linger: Int64 = 1_000_000_000

    /// The reactor of this process; after a fork, that of the child.
    static var current: MutexReactor {
        instance.withLock { instance in
            if let instance, instance.pid == getpid() { return instance }
            let made = MutexReactor()
            instance = made
            return made
        }
    }

    private init() { bell = MutexBell() }

    /// Waits in this task until the mutex is granted, or will not be.
    func wait(for mutex: SharedMemoryMutex, deadline: ContinuousClock.Instant?) async -> Outcome {
        let ticket = tickets.wrappingAdd(1, ordering: .relaxed).newValue
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                enqueue(
                    MutexLine.Waiter(
                        ticket: ticket,
                        contender: MutexContender(mutex),
                        deadline: deadline,
                        continuation: continuation
                    )
                )
            }
        } onCancel: {
            cancel(ticket, of: mutex)
        }
        // A cancellation that came too late.
        _ = state.withLock { $0.cancelled.remove(ticket) }
        return outcome
    }

    private func enqueue(_ waiter: MutexLine.Waiter) {
        let mutex = waiter.contender.mutex
        let refusal: LockError? = state.withLock { state in
            if state.cancelled.remove(waiter.ticket) != nil { return mutex.cancelled }
            if !state.isRunning {
                do throws(SystemError) {
                    try startThread { self.run() }
                } catch {
                    return LockError(error, path: mutex.arena.path, while: "start the thread that waits for it")
                }
                state.isRunning = true
            }
            state.lines[mutex.key, default: MutexLine()].waiters.append(waiter)
            return nil
        }
        if let refusal { waiter.continuation.resume(returning: .failure(refusal)) } else { bell.ring() }
    }

    private func cancel(_ ticket: UInt64, of mutex: SharedMemoryMutex) {
        let waiter: MutexLine.Waiter? = state.withLock { state in
            guard let index = state.lines[mutex.key]?.waiters.firstIndex(where: { $0.ticket == ticket }) else {
                state.cancelled.insert(ticket)
                return nil
            }
            return state.lines[mutex.key]?.waiters.remove(at: index)
        }
        waiter?.continuation.resume(returning: .failure(mutex.cancelled))
        if waiter != nil { bell.ring() }
    }
}

extension MutexReactor {
    /// The mutexes to sleep at, with their words, and for how long.
    ///
    /// It keeps their arenas mapped.
    private struct Plan {
        var mutexes: [(mutex: SharedMemoryMutex, seen: MutexWord)] = []
        var sleep: Int64
    }

    private func run() {
        var idleSince = hf_monotonic()
        var slept: [SharedMemoryMutex] = []
        while true {
            let heard = bell.count
            var settled: [(MutexLine.Waiter, Outcome)] = []
            let plan: Plan? = state.withLock { state in
                let plan = serve(&state, after: slept, &settled)
                if !plan.mutexes.isEmpty { idleSince = hf_monotonic() }
                if plan.mutexes.isEmpty && hf_monotonic() - idleSince > Self.linger {
                    state.isRunning = false
                    return nil
                }
                return plan
            }
            for (waiter, outcome) in settled { waiter.continuation.resume(returning: outcome) }
            guard let plan else { return }
            bell.sleep(unless: heard, beside: plan.mutexes, nanoseconds: plan.sleep)
            slept = plan.mutexes.map(\.mutex)
        }
    }

    /// Takes what can be had, and says where to sleep for the rest.
    private func serve(
        _ state: inout State,
        after slept: [SharedMemoryMutex],
        _ settled: inout [(MutexLine.Waiter, Outcome)]
    ) -> Plan {
        var plan = Plan(sleep: Self.linger)
        let now = hf_monotonic()
        for key in Array(state.lines.keys) {
            guard var line = state.lines[key] else { continue }
            settled += line.serve(at: now)
            if let first = line.waiters.first?.contender {
                plan.mutexes.append((first.mutex, first.seen))
                plan.sleep = min(plan.sleep, line.rest(at: now))
                state.lines[key] = line
            } else {
                state.lines[key] = nil
            }
        }
        // A wake-up that nobody here needs any more is another waiter's.
        for mutex in slept where state.lines[mutex.key] == nil { mutex.passOnWakeUp() }
        plan.sleep = max(plan.sleep, 0)
        return plan
    }
}

/// The tasks that wait for one mutex, in the order in which they came.
struct MutexLine {
    struct Waiter {
        let ticket: UInt64
        var contender: MutexContender
        let deadline: ContinuousClock.Instant?
        let continuation: CheckedContinuation<MutexReactor.Outcome, Never>
    }

    var waiters: [Waiter] = []
    /// When to look whether the holder lives; nil before the first of the line has tried.
    private var nextLook: Int64?

    /// Takes the mutex for the first of the line, if it can be had, and takes out whoever has an outcome.
    mutating func serve(at now: Int64) -> [(Waiter, MutexReactor.Outcome)] {
        var settled: [(Waiter, MutexReactor.Outcome)] = []
        while !waiters.isEmpty {
            do throws(LockError) {
                if let nextLook { try waiters[0].contender.wake(wasWoken: now < nextLook) }
                guard let acquisition = try waiters[0].contender.attempt() else {
                    if nextLook.map({ $0 <= now }) ?? true { nextLook = now + waiters[0].contender.sleep }
                    break
                }
                settled.append((waiters.removeFirst(), .success(acquisition)))
            } catch {
                settled.append((waiters.removeFirst(), .failure(error)))
            }
            nextLook = nil
        }
        for index in waiters.indices.reversed() {
            guard let deadline = waiters[index].deadline, deadline <= .now else { continue }
            let waiter = waiters.remove(at: index)
            settled.append((waiter, .failure(waiter.contender.timedOut)))
            if index == 0 { nextLook = nil }
        }
        return settled
    }

    /// How long there is nothing to do unless the word changes.
    func rest(at now: Int64) -> Int64 {
        let deadlines = waiters.compactMap { $0.deadline.map(nanoseconds(until:)) }
        return min((nextLook ?? now) - now, deadlines.min() ?? .max)
    }
}

/// A word of this process at which its reactor sleeps, beside those that it shares.
@safe
private struct MutexBell: Sendable {
    nonisolated(unsafe) private let word: UnsafeMutablePointer<UInt32>

    /// Never freed: a process has one, and a forked child one more.
    init() {
        unsafe word = .allocate(capacity: 1)
        unsafe word.initialize(to: 0)
    }

    private var atomic: UnsafeMutablePointer<Atomic<UInt32>> {
        unsafe UnsafeMutableRawPointer(word).assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    /// How often it has rung.
    var count: UInt32 { unsafe atomic.pointee.load(ordering: .acquiring) }

    func ring() {
        unsafe atomic.pointee.wrappingAdd(1, ordering: .releasing)
        unsafe hf_word_wake(word)
    }

    /// Sleeps until it rings, one of the words changes, or the time is over; not if it has rung since it was heard.
    func sleep(unless heard: UInt32, beside mutexes: [(mutex: SharedMemoryMutex, seen: MutexWord)], nanoseconds: Int64)
    {
        let words = unsafe mutexes.map { unsafe hf_word(address: $0.mutex.futex, expected: $0.seen.futex) }
        let all = unsafe [hf_word(address: word, expected: heard)] + words
        unsafe all.withUnsafeBufferPointer { all in
            guard let start = all.baseAddress else { return }
            unsafe hf_words_wait(start, all.count, nanoseconds)
        }
    }
}

extension SharedMemoryMutex {
    /// What tells this mutex from others in this process.
    fileprivate var key: UInt { unsafe UInt(bitPattern: cell) }

    /// Wakes another waiter if nobody holds the mutex.
    fileprivate func passOnWakeUp() {
        let word = unsafe MutexWord(raw: cell.pointee.word.load(ordering: .relaxed))
        if word.holder == .nobody { unsafe hf_word_wake(futex) }
    }

    /// Acquires it for a task, which is suspended meanwhile.
    @usableFromInline
    func waitInLine(deadline: ContinuousClock.Instant?) async throws(LockError) -> Acquisition {
        if Task.isCancelled { throw cancelled }
        var contender = MutexContender(self)
        if let acquisition = try contender.attempt() { return acquisition }
        countContention()
        if let deadline, deadline <= .now { return try contender.last() }
        return try await MutexReactor.current.wait(for: self, deadline: deadline).get()
    }
}
