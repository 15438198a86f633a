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
            for process in processes { try process.ask(line: "lock 0 \(count) \(path)") }
            return try processes.map { try $0.number() }.max().map { $0 / 2 } ?? 0
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

enum Threads {
    /// Runs the body on so many threads, with their numbers, and waits for them all.
    ///
    /// - Parameters:
    ///   - count: How many threads.
    ///   - meanwhile: Runs on this thread when all are started.
    ///   - body: What each does.
    static func run(
        _ count: Int,
        meanwhile: () throws -> Void = {},
        _ body: @escaping (Int) throws -> Void
    ) throws {
        let failure = Failure()
        let work = Unchecked(body: body)
        let group = DispatchGroup()
        for index in 0..<count {
            group.enter()
            let thread = Thread {
                do {
                    try work.body(index)
                } catch {
                    failure.error.withLock { $0 = error }
                }
                group.leave()
            }
            thread.start()
        }
        try meanwhile()
        group.wait()
        if let error = failure.error.withLock({ $0 }) { throw error }
    }

    private struct Unchecked: @unchecked Sendable {
        let body: (Int) throws -> Void
    }

    private final class Failure: Sendable {
        let error = Mutex<(any Error)?>(nil)
    }
}
