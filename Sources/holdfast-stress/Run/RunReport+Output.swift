// SPDX-License-Identifier: Apache-2.0
//
// A report as a line of a table, and as JSON.

extension RunReport: StressReport {
    static let columns: [Column] = [
        Column("protocol", 16), Column("acquisitions", 13), Column("overlaps", 10), Column("lost", 7),
        Column("killed", 8), Column("reported", 10), Column("cleaned", 9), Column("displaced", 11),
        Column("tokens back", 13), Column("gone", 7), Column("errors", 8), Column("left", 6),
        Column("per second", 12), Column("", 0),
    ]

    var lines: String {
        let name = settings.protocolName
        let cells: [Any] = [
            name.rawValue, self[.acquisitions], self[.overlaps], self[.lostUpdates], outcome.kills,
            name.reportsAbandoned ? "\(self[.abandoned])" : "-", self[.cleaned], self[.displaced],
            name.givesTokens ? "\(self[.tokenRegressions])" : "-", self[.missing], self[.errors], leftovers.count,
            rate, verdict == "caught" && outcome.stoodStill ? "caught, stood still" : verdict,
        ]
        return Self.columns.row(cells.map { "\($0)" })
    }

    var fields: [String] {
        var fields = [
            "\"protocol\":\"\(settings.protocolName.rawValue)\"", "\"workers\":\(outcome.limits.workers)",
            "\"seconds\":\(outcome.length / .seconds(1))", "\"perSecond\":\(rate)", "\"killed\":\(outcome.kills)",
        ]
        for counter in Counter.allCases where !counter.isBookkeeping {
            fields.append("\"\(counter)\":\(self[counter])")
        }
        return fields + ["\"stoodStill\":\(outcome.stoodStill)", "\"leftovers\":\(jsonArray(leftovers))"]
    }
}

extension Counter {
    /// Whether it is a word that the run works with, and tells a reader nothing.
    fileprivate var isBookkeeping: Bool {
        switch self {
        case .stop, .guarded, .holder, .lastToken: true
        default: false
        }
    }
}
