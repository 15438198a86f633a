// SPDX-License-Identifier: Apache-2.0
//
// A run from an empty directory to the verdict.

internal import Holdfast
internal import _HoldfastStressShims

extension RunSettings {
    func run(in directory: RunDirectory) throws -> RunReport {
        let workers = limits.workers
        let page = try SharedPage(making: directory.page, lines: LocksPage.lines(slots: workers))
        let locks = LocksPage(page: page, slots: workers)
        var supervisor = try Supervisor(LockRun(settings: self, directory: directory, locks: locks))
        supervisor.supervise()
        var outcome = supervisor.outcome(try tidy(directory, page, dead: supervisor.lastDead))
        // A holder counts its increment after it has made it, so less than the sum means that one was overwritten.
        let increments = (0..<workers).reduce(0) { $0 + locks.increments(of: $1).load() }
        let guarded = page[.guarded].load()
        if increments > guarded { outcome.counts[.lostUpdates, default: 0] += increments - guarded }
        let leftovers = try directory.leftovers(except: protocolName.expectedFiles)
        return RunReport(settings: self, outcome: outcome, leftovers: leftovers)
    }

    /// The last holder may have died: its lock is removed as any other stale one.
    private func tidy(_ directory: RunDirectory, _ page: SharedPage, dead pid: Int32) throws -> [String] {
        var plan = WorkerPlan(settings: self, directory: directory, worker: WorkerID(slot: 0, incarnation: 0))
        plan.settings.deathsInCalls = 0
        let chance = Chance(seed: 0, longestPause: 0)
        let contender = try protocolName.contender(plan, chance: chance, page: page)
        do {
            return try contender.tidy(dead: pid).map { [$0] } ?? []
        } catch {
            return ["at the end: \(error)"]
        }
    }
}

/// A run of `locks`, as its supervisor sees it.
struct LockRun: SupervisedRun {
    let settings: RunSettings
    let directory: RunDirectory
    let locks: LocksPage

    var limits: RunLimits { settings.limits }
    var page: SharedPage { locks.page }

    func orders(for worker: WorkerID) -> WorkerOrders {
        .locks(WorkerPlan(settings: settings, directory: directory, worker: worker))
    }

    func bury(_ worker: WorkerID) {
        locks.occupancy[worker.slot].store(OccupancyWord.dead(incarnation: worker.incarnation))
    }

    func disturb(_ workers: [Int32: WorkerID]) -> Int64 { .max }
}
