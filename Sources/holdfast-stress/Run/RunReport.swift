// SPDX-License-Identifier: Apache-2.0
//
// What a run saw and whether that is good.

/// The outcome of one run.
struct RunReport {
    var settings: RunSettings
    var length: Duration
    var kills: UInt64
    var failures: [String]
    var counts: [Counter: UInt64] = [:]
    var leftovers: [String] = []
    /// Nobody got the lock any more.
    var stoodStill = false
    /// SIGINT or the like, which ended the run early; 0 if none did.
    var stopSignal: Int32 = 0

    subscript(_ counter: Counter) -> UInt64 { counts[counter] ?? 0 }

    /// Acquisitions per second.
    var rate: Double {
        let seconds = length / .seconds(1)
        return seconds > 0 ? Double(self[.acquisitions]) / seconds : 0
    }

    /// What is wrong, in words; empty if the run is good.
    var problems: [String] {
        if settings.limits.expectsOverlaps {
            return self[.overlaps] > 0 ? failures : failures + ["no overlap was found in a protocol that has them"]
        }
        var problems = failures
        if stoodStill { problems.append("a standstill: nobody got the lock any more") }
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

    var isGood: Bool { problems.isEmpty && stopSignal == 0 }
}
