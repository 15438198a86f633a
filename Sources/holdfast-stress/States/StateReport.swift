// SPDX-License-Identifier: Apache-2.0
//
// What a run of `state` saw and whether that is good.

/// The outcome of one run.
struct StateReport {
    let settings: StateSettings
    let outcome: RunOutcome
    private var others: [StateCounter: UInt64] = [:]

    init(settings: StateSettings, _ outcome: RunOutcome, _ page: StatePage) {
        self.settings = settings
        self.outcome = outcome
        for counter in StateCounter.allCases { others[counter] = page[counter].load() }
    }

    subscript(_ counter: StateCounter) -> UInt64 { others[counter] ?? 0 }
}

extension StateReport: StressReport {
    static let columns: [Column] = [
        Column("state", 10), Column("updates", 10), Column("lost", 8), Column("surplus", 9), Column("reads", 12),
        Column("older", 7), Column("converted", 11), Column("killed", 8), Column("errors", 8), Column("per second", 12),
        Column("", 0),
    ]

    var problems: [String] {
        var problems = outcome.failures
        if outcome.stoodStill { problems.append("a standstill: nobody could update any more") }
        if outcome.limits.expectsOverlaps {
            return self[.lostUpdates] > 0 ? [] : problems + ["no lost update was found where there are some"]
        }
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

    var lines: String {
        let cells: [Any] = [
            settings.kind.rawValue, self[.acquisitions], self[.lostUpdates], self[.surplus], self[.reads], self[.older],
            self[.conversions], outcome.kills, self[.errors], rate, verdict,
        ]
        return Self.columns.row(cells.map { "\($0)" })
    }

    var fields: [String] {
        [
            "\"kind\":\"\(settings.kind.rawValue)\"", "\"seconds\":\(outcome.length / .seconds(1))",
            "\"perSecond\":\(rate)", "\"updates\":\(self[.acquisitions])",
            "\"lostUpdates\":\(self[.lostUpdates])", "\"surplus\":\(self[.surplus])", "\"reads\":\(self[.reads])",
            "\"older\":\(self[.older])", "\"conversions\":\(self[.conversions])", "\"killed\":\(outcome.kills)",
            "\"errors\":\(self[.errors])",
        ]
    }
}
