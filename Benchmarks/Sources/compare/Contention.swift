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
        if file.hasSuffix("semaphore") { try Semaphore(Worker.semaphoreName(path)).unlink() }
        return .timingItself(name, count: count) { count in
            // From here: by their own clocks they may have been at it one after the other.
            let start = Clock.now
            for process in processes { try process.ask(line: "lock 0 \(count) \(path)") }
            for process in processes { _ = try process.number() }
            return (Clock.now - start) / 2
        }
    }

    static func row(
        _ work: String,
        _ kind: String,
        beside floor: String,
        _ floorName: String,
        count: Int,
        _ bench: Bench
    )
        throws -> BenchRow
    {
        try bench.row(
            work,
            seconds: 2,
            count: count,
            subject: contestant("Holdfast", Peers.worker(kind), "contended.\(kind)", count: count, bench),
            floor: contestant("\(floorName); two processes", Peers.worker(floor), "floor.\(kind)", count: count, bench)
        )
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
