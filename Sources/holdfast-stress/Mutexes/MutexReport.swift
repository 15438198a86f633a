// SPDX-License-Identifier: Apache-2.0
//
// What a run of `mutex` saw and whether that is good.

/// The outcome of one run.
struct MutexReport {
    let settings: MutexSettings
    private(set) var outcome: RunOutcome
    let deaths: DeathTally
    private var others: [MutexCounter: UInt64] = [:]
    /// Times from a death to the grant of one who was waiting then, in nanoseconds, sorted.
    private let measurements: [UInt64]
    /// Increments of what was guarded that no live holder has made.
    private let surplus: UInt64

    init(settings: MutexSettings, _ outcome: RunOutcome, _ deaths: DeathTally, _ page: MutexPage) {
        self.settings = settings
        self.outcome = outcome
        self.deaths = deaths
        for counter in MutexCounter.allCases { others[counter] = page[counter].load() }
        let count = min(Int(page[.measurements].load()), MutexPage.capacity)
        measurements = (0..<count).map { page.measurement($0).load() }.sorted()
        // A holder counts its increment after it has made it, so less than the sum means that one was overwritten.
        let increments = (0..<settings.crowd.contenders).reduce(0) { $0 + page.increments(of: $1).load() }
        let guarded = (0..<settings.crowd.mutexes).reduce(0) { $0 + page.guarded(by: $1).load() }
        if increments > guarded { self.outcome.counts[.lostUpdates, default: 0] += increments - guarded }
        surplus = guarded > increments ? guarded - increments : 0
    }

    subscript(_ counter: MutexCounter) -> UInt64 { others[counter] ?? 0 }

    /// The time from a death to the grant of one who was waiting, in milliseconds, of which this share of all is not longer.
    func latency(_ share: Double) -> Double {
        guard !measurements.isEmpty else { return 0 }
        return Double(measurements[min(Int(share * Double(measurements.count)), measurements.count - 1)]) / 1e6
    }

    var longestWait: Double { Double(self[.longestWait]) / 1e6 }

    var problems: [String] {
        var problems = outcome.failures
        if outcome.limits.expectsOverlaps {
            return self[.overlaps] > 0 ? problems : problems + ["no overlap was found in a mutex that has them"]
        }
        if outcome.stoodStill { problems.append("a standstill: nobody got a mutex any more") }
        func require(_ count: UInt64, _ what: String, atMost limit: UInt64 = 0) {
            if count > limit { problems.append("\(count) \(what)\(limit > 0 ? ", of which \(limit) can be" : "")") }
        }
        require(self[.overlaps], "overlaps")
        require(self[.lostUpdates], "lost updates")
        require(surplus, "updates that nobody counted", atMost: deaths.contenders[.inside] ?? 0)
        require(self[.undecided], "sections with a holder that neither moved nor died")
        require(self[.tokenRegressions], "tokens that did not grow")
        require(self[.missedAbandoned], "dead holders that were not reported")
        require(self[.falseAbandoned], "false reports of a dead holder")
        let unknown: [Phase] = [.acquiring, .renewing, .entering]
        require(
            self[.unknownDead],
            "reports of a dead holder that nobody was",
            atMost: unknown.reduce(0) { $0 + (deaths.contenders[$1] ?? 0) }
        )
        require(self[.errors], "errors")
        if self[.acquisitions] == 0 { problems.append("no acquisition at all") }
        return problems
    }
}

extension MutexReport: StressReport {
    static let columns: [Column] = [
        Column("mutex", 8), Column("acquisitions", 13), Column("overlaps", 10), Column("lost", 6),
        Column("killed", 8), Column("recovered", 11), Column("missed", 8), Column("false", 7),
        Column("tokens back", 13), Column("renewed", 9), Column("errors", 8), Column("per second", 12), Column("", 0),
    ]

    var lines: String {
        let cells: [Any] = [
            settings.kind.rawValue, self[.acquisitions], self[.overlaps], self[.lostUpdates], outcome.kills,
            self[.abandoned], self[.missedAbandoned], self[.falseAbandoned], self[.tokenRegressions], self[.renewals],
            self[.errors], rate, verdict,
        ]
        let line = Self.columns.row(cells.map { "\($0)" })
        if outcome.limits.expectsOverlaps { return line }
        func list(_ tally: [Phase: UInt64]) -> String {
            Phase.allCases.compactMap { phase in tally[phase].map { "\(phase) \($0)" } }.joined(separator: ", ")
        }
        return """
            \(line)
              killed at a place of their choice: \(list(deaths.chosen.filter { $0.key != .idle })); \
            by the supervisor: \(deaths.chosen[.idle] ?? 0)
              \(self[.unknownDead]) of the recovered died before they could say who they were
              all their threads and tasks were then: \(list(deaths.contenders))
              from a death to the grant of one who was waiting (\(measurements.count) times): median \(milliseconds(latency(0.5))), \
            p99 \(milliseconds(latency(0.99))), longest \(milliseconds(latency(1)))
              longest wait \(milliseconds(longestWait)); stopped \(deaths.stops) times, \(deaths.stopsInside) of them inside
            """
    }

    private func milliseconds(_ value: Double) -> String { "\((value * 100).rounded() / 100) ms" }

    var fields: [String] {
        func object(_ tally: [Phase: UInt64]) -> String {
            "{\(Phase.allCases.map { "\"\($0)\":\(tally[$0] ?? 0)" }.joined(separator: ","))}"
        }
        var fields = [
            "\"mutex\":\"\(settings.kind.rawValue)\"", "\"processes\":\(settings.crowd.processes)",
            "\"threads\":\(settings.crowd.threads)", "\"tasks\":\(settings.crowd.tasks)",
            "\"seconds\":\(outcome.length / .seconds(1))", "\"perSecond\":\(rate)", "\"killed\":\(outcome.kills)",
        ]
        let counters: [Counter] = [
            .acquisitions, .overlaps, .lostUpdates, .undecided, .tokenRegressions, .abandoned, .missedAbandoned,
            .falseAbandoned, .errors, .busy,
        ]
        fields += counters.map { "\"\($0)\":\(self[$0])" }
        return fields + [
            "\"unknownDead\":\(self[.unknownDead])", "\"renewals\":\(self[.renewals])", "\"surplus\":\(surplus)",
            "\"chosen\":\(object(deaths.chosen))", "\"contenders\":\(object(deaths.contenders))",
            "\"stops\":\(deaths.stops)", "\"stopsInside\":\(deaths.stopsInside)",
            "\"deathToGrantMedian\":\(latency(0.5))", "\"deathToGrantP99\":\(latency(0.99))",
            "\"deathToGrantLongest\":\(latency(1))", "\"longestWait\":\(longestWait)",
            "\"stoodStill\":\(outcome.stoodStill)",
        ]
    }
}
