// SPDX-License-Identifier: Apache-2.0
//
// Two processes that want one lock all the time, and threads.

internal import Foundation
internal import HoldfastBench
internal import Synchronization

enum Contention {
    /// Two processes of a program, each of which takes and releases the lock so many times at the same time.
    ///
    /// - Returns: A contestant whose time is that of an acquisition: the time until both have done, divided by all of them.
    static func contestant(
        _ name: String,
        _ arguments: [String],
        _ file: String,
        count: Int,
        _ bench: Bench
    ) throws -> Contestant {
        let path = "\(bench.ground.path)/\(file)"
        let processes = [try Peers.start(arguments, bench), try Peers.start(arguments, bench)]
        // One after the other: the second finds what the first has made.
        for process in processes { _ = try process.measure("lock", count: 1, path) }
        if arguments == Peers.worker(.semaphore) { try Semaphore(Worker.semaphoreName(path)).unlink() }
        return .timingItself(name, count: count) { count in
            // From here: by their own clocks they may have been at it one after the other.
            let start = Clock.now
            for process in processes { try process.ask(line: "lock 0 \(count) \(path)") }
            for process in processes { _ = try process.number() }
            return (Clock.now - start) / 2
        }
    }

    /// Holdfast in two processes beside the floor in two.
    static func work(
        _ name: String,
        _ subject: WorkerLock,
        beside floor: WorkerLock,
        _ floorName: String
    ) -> Work {
        Work(name) { bench in
            func side(_ name: String, _ lock: WorkerLock, _ file: String) throws -> Contestant {
                try contestant(name, Peers.worker(lock), "\(file).\(subject)", count: lock.turn, bench)
            }
            return try bench.row(
                name,
                seconds: 2,
                count: subject.turn,
                subject: side("Holdfast", subject, "contended"),
                floor: side("\(floorName); two processes", floor, "floor")
            )
        }
    }
}

/// Threads that all do the same, each with its number.
final class Threads {
    private let group = DispatchGroup()
    private let failure = Failure()

    /// Starts so many.
    init(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) {
        for index in 0..<count {
            group.enter()
            Thread { [group, failure] in
                do {
                    try body(index)
                } catch {
                    failure.error.withLock { $0 = error }
                }
                group.leave()
            }.start()
        }
    }

    /// Waits for them all, and throws what one of them threw.
    func wait() throws {
        group.wait()
        if let error = failure.error.withLock({ $0 }) { throw error }
    }

    private final class Failure: Sendable {
        let error = Mutex<(any Error)?>(nil)
    }
}
