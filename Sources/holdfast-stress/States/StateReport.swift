// SPDX-License-Identifier: Apache-2.0
//
// What a run of `state` saw and whether that is good.

/// The outcome of one run.
struct StateReport {
    let settings: StateSettings
    let length: Duration
    let kills: UInt64
    let stopSignal: Int32
    private let failures: [String]
    private var counts: [Counter: UInt64] = [:]
    private var others: [StateCounter: UInt64] = [:]

    init(
        settings: StateSettings,
        length: Duration,
        kills: UInt64,
        stoodStill: Bool,
        stopSignal: Int32,
        failures: [String],
        _ page: StatePage
    ) {
        self.settings = settings
        self.length = length
        self.kills = kills
        self.stopSignal = stopSignal
        self.failures = failures + (stoodStill ? ["a standstill: nobody could update any more"] : [])
        for counter in Counter.allCases { counts[counter] = page[counter].load() }
        for counter in StateCounter.allCases { others[counter] = page[counter].load() }
    }

    subscript(_ counter: Counter) -> UInt64 { counts[counter] ?? 0 }
    subscript(_ counter: StateCounter) -> UInt64 { others[counter] ?? 0 }
}

extension StateReport: StressReport {
    private static let columns: [Column] = [
        Column("state", 10), Column("updates", 10), Column("lost", 8), Column("surplus", 9), Column("reads", 12),
        Column("older", 7), Column("converted", 11), Column("killed", 8), Column("errors", 8), Column("per second", 12),
        Column("", 0),
    ]

    static var heading: String { columns.row(columns.map(\.title)) }

    private var rate: Int {
        let seconds = length / .seconds(1)
        return seconds > 0 ? Int(Double(self[.acquisitions]) / seconds) : 0
    }

    /// What is wrong, in words; empty if the run is good.
    var problems: [String] {
        if settings.limits.expectsOverlaps {
            return self[.lostUpdates] > 0 ? [] : failures + ["no lost update was found where there are some"]
        }
        var problems = failures
        func require(_ count: UInt64, _ what: String) {
            if count > 0 { problems.append("\(count) \(what)") }
        }
        require(self[.lostUpdates], "lost updates")
        require(self[.surplus], "updates that nobody made")
        require(self[.older], "reads of an older state than one seen before")
        require(self[.errors], "errors")
        if self[.acquisitions] == 0 { problems.append("no update at all") }
        return problems
    }

    var isGood: Bool { problems.isEmpty && stopSignal == 0 }

    var lines: String {
        let verdict =
            stopSignal != 0 ? "stopped" : !isGood ? "BAD" : settings.limits.expectsOverlaps ? "caught" : "good"
        let cells: [Any] = [
            settings.kind.rawValue, self[.acquisitions], self[.lostUpdates], self[.surplus], self[.reads], self[.older],
            self[.conversions], kills, self[.errors], rate, verdict,
        ]
        return Self.columns.row(cells.map { "\($0)" })
    }

    /// One JSON object, on one line.
    var json: String {
        let fields = [
            "\"kind\":\"\(settings.kind.rawValue)\"", "\"seconds\":\(length / .seconds(1))", "\"perSecond\":\(rate)",
            "\"updates\":\(self[.acquisitions])", "\"lostUpdates\":\(self[.lostUpdates])",
            "\"surplus\":\(self[.surplus])", "\"reads\":\(self[.reads])", "\"older\":\(self[.older])",
            "\"conversions\":\(self[.conversions])", "\"killed\":\(kills)", "\"errors\":\(self[.errors])",
            "\"problems\":\(jsonArray(problems))", "\"good\":\(isGood)",
        ]
        return "{\(fields.joined(separator: ","))}"
    }
}
