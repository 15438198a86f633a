// SPDX-License-Identifier: Apache-2.0
//
// What a run saw and whether that is good.

/// The outcome of one run.
struct RunReport {
    let settings: RunSettings
    let outcome: RunOutcome
    let leftovers: [String]

    var problems: [String] {
        var problems = outcome.failures
        if outcome.limits.expectsOverlaps {
            return self[.overlaps] > 0 ? problems : problems + ["no overlap was found in a protocol that has them"]
        }
        if outcome.stoodStill { problems.append("a standstill: nobody got the lock any more") }
        func require(_ counter: Counter, _ what: String) {
            if self[counter] > 0 { problems.append("\(self[counter]) \(what)") }
        }
        require(.overlaps, "overlaps")
        require(.lostUpdates, "lost updates")
        require(.displaced, "lock files taken away from their live holders")
        require(.undecided, "sections with a holder that neither moved nor died")
        require(.tokenRegressions, "tokens that did not grow")
        require(.missedAbandoned, "dead holders that were not reported")
        require(.falseAbandoned, "false reports of a dead holder")
        require(.missing, "files that were gone")
        require(.errors, "errors")
        if self[.acquisitions] == 0 { problems.append("no acquisition at all") }
        if !leftovers.isEmpty {
            problems.append("\(leftovers.count) files left behind: \(leftovers.prefix(5).joined(separator: ", "))")
        }
        return problems
    }
}
