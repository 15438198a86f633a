// SPDX-License-Identifier: Apache-2.0
//
// What there is to say of one run, whatever was stressed in it.

/// What its supervisor and the page say of a run that is over.
struct RunOutcome {
    let limits: RunLimits
    let length: Duration
    let kills: UInt64
    /// Nobody made progress any more.
    let stoodStill: Bool
    let failures: [String]
    /// SIGINT or the like, which ended the run early; 0 if none did.
    let stopSignal: Int32
    var counts: [Counter: UInt64]
}

/// What there is to say of one run.
protocol StressReport {
    static var columns: [Column] { get }
    var outcome: RunOutcome { get }
    /// What is wrong, in words; empty if the run is good.
    var problems: [String] { get }
    /// A line of the table, and what belongs to it.
    var lines: String { get }
    /// In JSON, besides the problems.
    var fields: [String] { get }
}

extension StressReport {
    /// The first line of the table.
    static var heading: String { columns.row(columns.map(\.title)) }

    subscript(_ counter: Counter) -> UInt64 { outcome.counts[counter] ?? 0 }

    /// Acquisitions per second.
    var rate: Int {
        let seconds = outcome.length / .seconds(1)
        return seconds > 0 ? Int(Double(self[.acquisitions]) / seconds) : 0
    }

    var isGood: Bool { problems.isEmpty && outcome.stopSignal == 0 }

    var verdict: String {
        if outcome.stopSignal != 0 { return "stopped" }
        if !isGood { return "BAD" }
        return outcome.limits.expectsOverlaps ? "caught" : "good"
    }

    /// One JSON object, on one line.
    var json: String {
        "{\((fields + ["\"problems\":\(jsonArray(problems))", "\"good\":\(isGood)"]).joined(separator: ","))}"
    }
}
