// SPDX-License-Identifier: Apache-2.0
//
// Threads for work that blocks, which must hold no thread of the cooperative pool: file I/O and flushes that tasks await, and
// waiting for locks on behalf of tasks. They are started when they are needed and end when they are not.
//
// Each file system has threads of its own, so that one that hangs delays no work on another. It has several, so that a file
// that hangs does not delay another file of the same file system. Invariants:
// - work is begun in the order in which it came;
// - a file system has at most `mostThreads`, however much work it has, and none when it has had no work for a while;
// - that work waits for the file system and for nothing else: what needs a lock that is not free ends, and comes again with
//   the lock.

internal import Synchronization
internal import _HoldfastCShims

/// A few threads that do work in the order in which it comes.
package final class Worker: Sendable {
    /// Returns whether it is to be called again, after the work that waits already.
    package typealias Work = @Sendable () -> Bool

    private struct State {
        /// The oldest last.
        var waiting: [Work] = []
        /// What came since those were reversed.
        var new: [Work] = []
        var threads = 0
        var idleThreads = 0

        var count: Int { waiting.count + new.count }

        mutating func next() -> Work? {
            if waiting.isEmpty { (waiting, new) = (new.reversed(), []) }
            return waiting.popLast()
        }
    }

    /// How many threads one file system has at most: a journal gathers the flushes of that many, and seldom do as many files
    /// hang at once.
    package static let mostThreads = 16
    /// How long a thread waits for more before it ends: to start one takes as long as a flush may.
    private static let patience: Int64 = 1_000_000_000
    private static let workers = PerProcess<[UInt64: Worker]> { [:] }

    private let state = Mutex(State())
    private let bell = Bell()
    private let mostThreads: Int

    /// A worker for other work than that on files.
    package init(mostThreads: Int) { self.mostThreads = mostThreads }

    /// The worker of this process for the file system of a directory.
    ///
    /// One system call, for which no file system is asked.
    package static func of(_ directory: OpenDirectory) -> Worker {
        let device = hf_device(directory.descriptor.rawValue)
        return workers.withLock { workers in
            if let worker = workers[device] { return worker }
            let made = Worker(mostThreads: mostThreads)
            workers[device] = made
            return made
        }
    }

    /// How many threads it has now.
    package var threads: Int { state.withLock { $0.threads } }

    /// Has a thread do the work.
    ///
    /// - Throws: ``SystemError`` if there is no thread and none can be started; the work is not done then.
    package func begin(_ work: @escaping Work) throws(SystemError) {
        var hasIdleThread = false
        let failure: SystemError? = state.withLock { state in
            state.new.append(work)
            hasIdleThread = state.idleThreads > 0
            if state.count <= state.idleThreads || state.threads == mostThreads { return nil }
            do throws(SystemError) {
                try startThread { self.serve() }
                state.threads += 1
                return nil
            } catch {
                // Those that are there come to it.
                if state.threads > 0 { return nil }
                state.new.removeLast()
                return error
            }
        }
        if let failure { throw failure }
        if hasIdleThread { bell.ring() }
    }

    /// Does the work on a thread that is not of the cooperative pool, and suspends this task meanwhile.
    ///
    /// A cancelled task waits for it all the same.
    ///
    /// - Throws: ``SystemError`` if no thread can be started; the work is not done then.
    package func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async throws(SystemError) -> Value {
        let result: Result<Value, SystemError> = await withCheckedContinuation { continuation in
            do throws(SystemError) {
                try begin {
                    continuation.resume(returning: .success(body()))
                    return false
                }
            } catch {
                continuation.resume(returning: .failure(error))
            }
        }
        return try result.get()
    }

    private func serve() {
        var isPatient = true
        while true {
            let heard = bell.count
            let (work, isToEnd): (Work?, Bool) = state.withLock { state in
                if let work = state.next() { return (work, false) }
                if isPatient { state.idleThreads += 1 } else { state.threads -= 1 }
                return (nil, !isPatient)
            }
            if isToEnd { return }
            guard let work else {
                isPatient = bell.wait(unless: heard, nanoseconds: Self.patience)
                state.withLock { $0.idleThreads -= 1 }
                continue
            }
            isPatient = true
            if work() { state.withLock { $0.new.append(work) } }
        }
    }
}
