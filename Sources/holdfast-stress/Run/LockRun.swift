// SPDX-License-Identifier: Apache-2.0
//
// A run from an empty directory to the verdict.

internal import Holdfast
internal import _HoldfastStressShims

extension RunSettings {
    /// Runs it, tidies up, and reports.
    ///
    /// Nothing of the run is left on disk, whatever the verdict.
    func run() throws -> RunReport {
        let directory = try RunDirectory(in: parent)
        defer {
            do throws(SystemError) {
                try directory.remove()
            } catch {
                complain("cannot remove \(directory.path): \(error)")
            }
        }
        let page = try SharedPage(making: directory.page, slots: workers)
        var supervisor = try Supervisor(self, in: directory, page)
        let length = supervisor.run()
        var failures = supervisor.failures
        if let failure = try tidy(directory, page, dead: supervisor.lastDead) { failures.append(failure) }

        var report = RunReport(settings: self, length: length, kills: supervisor.kills, failures: failures)
        report.stoodStill = supervisor.stoodStill
        for counter in Counter.allCases { report.counts[counter] = page[counter].load() }
        // A holder counts its increment after it has made it, so less than the sum means that one was overwritten.
        let increments = (0..<workers).reduce(0) { $0 + page.increments(of: $1).load() }
        let guarded = page[.guarded].load()
        if increments > guarded { report.counts[.lostUpdates, default: 0] += increments - guarded }
        report.leftovers = try directory.leftovers(except: protocolName.expectedFiles)
        report.stopSignal = hfs_stop_signal()
        return report
    }

    /// The last holder may have died: its lock is removed as any other stale one.
    private func tidy(_ directory: RunDirectory, _ page: SharedPage, dead pid: Int32) throws -> String? {
        var plan = plan(in: directory, slot: 0, incarnation: 0)
        plan.deathsInCalls = 0
        let chance = Chance(seed: 0, longestPause: 0)
        let contender = try protocolName.contender(plan, chance: chance, page: page)
        do {
            return try contender.tidy(dead: pid)
        } catch {
            return "at the end: \(error)"
        }
    }
}
