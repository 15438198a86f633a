// SPDX-License-Identifier: Apache-2.0
//
// Measuring two things against each other: in turns, so that whatever else the machine does meets both alike, and by
// medians of rounds, so that a few disturbed rounds change nothing.

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

enum Clock {
    /// Nanoseconds of a clock that every process of this machine shares.
    static var now: UInt64 { read(CLOCK_MONOTONIC) }

    /// Nanoseconds of processor time that this process has used.
    static var processorTime: UInt64 { read(CLOCK_PROCESS_CPUTIME_ID) }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    static func sleep(milliseconds: Int) {
        usleep(UInt32(milliseconds) * 1000)
    }
}

/// Measurements of one thing.
struct Samples {
    private var values: [Double] = []

    mutating func append(_ value: Double) { values.append(value) }

    var median: Double? { quantile(0.5) }

    /// Half the way from the tenth to the ninetieth percentile, as a part of the median.
    var spread: Double? {
        guard let low = quantile(0.1), let median, let high = quantile(0.9), median > 0 else { return nil }
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

/// What one of the two took, in nanoseconds per operation, and how often it flushed.
struct Measured {
    var time = Samples()
    var flushes = Samples()
}

struct Comparison {
    var subject = Measured()
    var floor = Measured()
}

/// How much time a benchmark takes, and with it how much its numbers are worth.
struct Effort {
    /// Enough to judge by.
    static let full = Effort(
        scale: 1,
        handovers: 100,
        recoveries: 15,
        idleMilliseconds: 3000,
        contentions: 5,
        contentionMilliseconds: 100
    )
    /// Enough to see that everything works.
    static let trial = Effort(
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
}

struct Harness {
    /// A row takes no longer than this, on however slow a disk, if it has its least rounds by then.
    private let budget: UInt64
    private let leastRounds = 5

    init(_ effort: Effort, seconds: Double) {
        budget = UInt64(seconds * effort.scale * 1e9)
    }

    /// Measures both in turns.
    ///
    /// - Parameters:
    ///   - rounds: How many turns each has, if there is time.
    ///   - count: How many operations make a turn.
    ///   - flushes: Read before and after each turn, outside its time.
    ///   - subject: Does the operation as often as it is told.
    ///   - floor: The same.
    /// - Returns: What was measured.
    /// - Throws: What one of the two threw.
    func compare(
        rounds: Int,
        count: Int,
        flushes: FlushCounter? = nil,
        subject: (Int) throws -> Void,
        floor: (Int) throws -> Void
    ) throws -> Comparison {
        var result = Comparison()
        // To warm up caches, branch predictors and the processor's clock.
        try floor(count)
        try subject(count)
        let end = Clock.now + budget
        for round in 0..<rounds {
            if round >= leastRounds && Clock.now > end { break }
            // Who is second may profit from, or pay for, what the first one left behind.
            if round.isMultiple(of: 2) {
                try measure(&result.floor, count, flushes, floor)
                try measure(&result.subject, count, flushes, subject)
            } else {
                try measure(&result.subject, count, flushes, subject)
                try measure(&result.floor, count, flushes, floor)
            }
        }
        return result
    }

    private func measure(
        _ measured: inout Measured,
        _ count: Int,
        _ flushes: FlushCounter?,
        _ body: (Int) throws -> Void
    ) throws {
        let flushesBefore = flushes?.count()
        let start = Clock.now
        try body(count)
        let end = Clock.now
        measured.time.append(Double(end - start) / Double(count))
        if let flushesBefore, let flushesAfter = flushes?.count() {
            measured.flushes.append(Double(flushesAfter - flushesBefore) / Double(count))
        }
    }
}
