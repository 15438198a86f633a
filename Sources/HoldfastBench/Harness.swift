// SPDX-License-Identifier: Apache-2.0
//
// Measuring things against each other: in turns, so that whatever else the machine does meets all alike, and by
// medians of rounds, so that a few disturbed rounds change nothing.

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

/// Times.
public enum Clock {
    /// Nanoseconds of a clock that every process of this machine shares.
    public static var now: UInt64 { read(CLOCK_MONOTONIC) }

    /// Nanoseconds of processor time that this process has used.
    static var processorTime: UInt64 { read(CLOCK_PROCESS_CPUTIME_ID) }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// The time from when a lock got free to when it was granted, in nanoseconds.
    ///
    /// - Throws: ``BenchError`` if it was granted while it was held.
    public static func wait(from freed: UInt64, to granted: UInt64) throws -> UInt64 {
        guard granted >= freed else { throw BenchError("a lock was granted before its holder let go of it") }
        return granted - freed
    }

    /// Blocks this thread.
    public static func sleep(milliseconds: Int) {
        usleep(UInt32(milliseconds) * 1000)
    }
}

/// Measurements of one thing.
public struct Samples {
    private var values: [Double] = []

    /// None yet.
    public init() {}

    /// Adds one.
    public mutating func append(_ value: Double) { values.append(value) }

    /// The one in the middle, nil if there is none.
    public var median: Double? { quantile(0.5) }

    /// Half the way from the tenth to the ninetieth percentile, as a part of the median; nil of a single one.
    public var spread: Double? {
        guard values.count > 1, let low = quantile(0.1), let median, let high = quantile(0.9), median > 0 else {
            return nil
        }
        return (high - low) / 2 / median
    }

    private func quantile(_ part: Double) -> Double? {
        if values.isEmpty { return nil }
        let sorted = values.sorted()
        let position = part * Double(sorted.count - 1)
        let (low, high) = (sorted[Int(position)], sorted[min(Int(position) + 1, sorted.count - 1)])
        return low + (high - low) * (position - position.rounded(.down))
    }
}

/// What one contestant took, in nanoseconds per operation, and what that had the disk do.
public struct Measured {
    /// In nanoseconds per operation.
    public var time = Samples()
    /// Per operation.
    public var flushes = Samples()
    /// Per operation.
    public var bytesWritten = Samples()

    /// Nothing yet.
    public init() {}
}

/// How much time a benchmark takes, and with it how much its numbers are worth.
public struct Effort: Sendable {
    /// Enough to judge by.
    public static let full = Effort(
        scale: 1,
        handovers: 100,
        recoveries: 15,
        idleMilliseconds: 3000,
        contentions: 5,
        contentionMilliseconds: 100
    )
    /// Enough to see that everything works.
    public static let trial = Effort(
        scale: 0.02,
        handovers: 3,
        recoveries: 1,
        idleMilliseconds: 100,
        contentions: 1,
        contentionMilliseconds: 10
    )

    fileprivate let scale: Double
    let handovers: Int
    let recoveries: Int
    let idleMilliseconds: Int
    let contentions: Int
    let contentionMilliseconds: Int
    /// The most rounds of a row, if not as many as its time allows.
    public var rounds: Int?

    /// Whether it is enough to judge by.
    public var isFull: Bool { scale >= 1 }
}

/// Measures contestants in turns.
public struct Harness {
    /// The time for each contestant of a row, on however slow a disk, if it has its least rounds by then.
    private let budget: UInt64
    private let rounds: Int
    private let leastRounds: Int
    private let disk: DiskCounter?
    /// What a turn of a contestant that is much slower than the first one should take, in nanoseconds.
    private let longestTurn: UInt64 = 2_000_000

    /// - Parameters:
    ///   - effort: How much time there is.
    ///   - seconds: About how long two contestants are measured with a full effort; more of them take longer in proportion.
    ///   - disk: Read before and after each turn, outside its time; nil if the work does not write.
    public init(_ effort: Effort, seconds: Double, disk: DiskCounter? = nil) {
        budget = UInt64(seconds / 2 * effort.scale * 1e9)
        rounds = effort.rounds ?? 2000
        leastRounds = min(rounds, 5)
        self.disk = disk
    }

    /// Measures them in turns.
    ///
    /// - Parameters:
    ///   - contestants: The first two do as many operations in a turn as they are told, the others as many of them as fit
    ///     in a short time.
    ///   - count: How many operations make a turn.
    /// - Returns: What was measured of each.
    /// - Throws: What one of them threw.
    public func run(_ contestants: [Contestant], count: Int) throws -> [Measured] {
        var results = contestants.map { _ in Measured() }
        // To warm up caches, branch predictors and the processor's clock.
        let counts = try contestants.indices.map { index in
            if let count = contestants[index].count ?? (index < 2 ? count : nil) {
                _ = try contestants[index].time(count)
                return count
            }
            _ = try contestants[index].time(1)
            let once = max(1, try contestants[index].time(1))
            return max(1, min(count, Int(longestTurn / once)))
        }
        let end = Clock.now + budget * UInt64(contestants.count)
        for round in 0..<rounds {
            if round >= leastRounds && Clock.now > end { break }
            // Who comes later may profit from, or pay for, what the one before left behind.
            for turn in contestants.indices {
                let index = (round + turn) % contestants.count
                try measure(contestants[index], counts[index], &results[index])
            }
        }
        return results
    }

    private func measure(_ contestant: Contestant, _ count: Int, _ measured: inout Measured) throws {
        let before = disk?.count()
        measured.time.append(Double(try contestant.time(count)) / Double(count))
        if let before, let after = disk?.count() {
            measured.flushes.append(Double(after.flushes - before.flushes) / Double(count))
            measured.bytesWritten.append(Double(after.bytesWritten - before.bytesWritten) / Double(count))
        }
    }
}
