// SPDX-License-Identifier: Apache-2.0
//
// A run of `mutex` from an empty directory to the verdict, and what its supervisor does to the workers meanwhile.

internal import Holdfast
internal import _HoldfastCShims
internal import _HoldfastStressShims

/// One run: which mutex, how hard, how long.
struct MutexSettings: StressSettings {
    var kind: MutexKind
    var limits: RunLimits
    var crowd: MutexCrowd
    /// The longest pause in microseconds.
    var pause: UInt64
    /// The average time between two processes that the supervisor kills, in microseconds.
    var killInterval: UInt64
    /// For how long a process may be stopped, or a thread stand still, in microseconds; 0 if none is.
    var longestStop: UInt64
    var seed: UInt64
}

extension MutexSettings {
    func run(in directory: RunDirectory) throws -> MutexReport {
        let page = MutexPage(
            page: try SharedPage(making: directory.page, lines: MutexPage.lines(crowd)),
            crowd: crowd
        )
        var supervisor = try Supervisor(MutexRun(settings: self, directory: directory, mutexes: page))
        supervisor.supervise()
        // After a standstill it would be one more.
        let failures = kind.isUnsound || supervisor.stoodStill ? [] : takeEachOnce(directory, page)
        return MutexReport(settings: self, supervisor.outcome(failures), supervisor.run.deaths, page)
    }

    /// The last holders may have died: the mutexes are to be had, with a report of that.
    private func takeEachOnce(_ directory: RunDirectory, _ page: MutexPage) -> [String] {
        do {
            let arena = try MutexArena(directory.arena, count: crowd.mutexes)
            let worker = WorkerID(slot: 0, incarnation: .max >> 17)
            for index in 0..<crowd.mutexes {
                try arena[index].withLock(deadline: .now + .seconds(10)) { acquisition in
                    let abandoned = acquisition.abandoned?.value
                    let grant = SeenGrant(token: acquisition.token.value, abandoned: abandoned)
                    _ = page.checkHandover(of: index, to: worker, grant) { _ in true }
                }
            }
            return []
        } catch {
            return ["at the end: \(error)"]
        }
    }
}

/// Who died, and where.
struct DeathTally {
    /// Processes that had chosen to die in a phase, and did; at `idle` those that the supervisor has killed.
    var chosen: [Phase: UInt64] = [:]
    /// All threads and tasks of the processes that died, by what they were doing.
    var contenders: [Phase: UInt64] = [:]
    /// Processes that were stopped for a while, and how many of them held a mutex then.
    var stops: UInt64 = 0
    var stopsInside: UInt64 = 0
}

/// A run of `mutex`, as its supervisor sees it.
struct MutexRun: SupervisedRun {
    let settings: MutexSettings
    let directory: RunDirectory
    let mutexes: MutexPage
    private let chance: Chance
    private(set) var deaths = DeathTally()
    private var nextKill: Int64
    private var stopped: (pid: Int32, until: Int64)?

    init(settings: MutexSettings, directory: RunDirectory, mutexes: MutexPage) {
        self.settings = settings
        self.directory = directory
        self.mutexes = mutexes
        chance = Chance(seed: settings.seed, longestPause: settings.pause)
        nextKill = hf_monotonic()
    }

    var limits: RunLimits { settings.limits }
    var page: SharedPage { mutexes.page }

    func orders(for worker: WorkerID) -> WorkerOrders {
        mutexes.moment(of: worker).store(0)
        return .mutex(WorkerPlan(settings: settings, directory: directory, worker: worker))
    }

    mutating func bury(_ worker: WorkerID) {
        for contender in mutexes.contenders(of: worker.slot) {
            let phase = mutexes.phase(of: contender).exchange(0)
            deaths.contenders[Phase(rawValue: phase) ?? .idle, default: 0] += 1
            for mutex in 0..<settings.crowd.mutexes {
                mutexes.occupancy(of: mutex)[contender].store(OccupancyWord.dead(incarnation: worker.incarnation))
            }
        }
        let chosen = mutexes.chosen(worker.slot).exchange(0)
        deaths.chosen[Phase(rawValue: chosen) ?? .idle, default: 0] += 1
        mutexes.buried(worker.slot).store(worker.incarnation)
    }

    mutating func disturb(_ workers: [Int32: WorkerID]) -> Int64 {
        let now = hf_monotonic()
        if let (pid, until) = stopped, until <= now || workers[pid] == nil {
            if workers[pid] != nil { kill(pid, SIGCONT) }
            stopped = nil
        }
        if nextKill <= now, let (pid, worker) = workers.randomElement() {
            if settings.longestStop > 0, stopped == nil, chance.happens(500) {
                stop(pid, worker, now)
            } else {
                mutexes.moment(of: worker).replace(0, by: UInt64(now))
                kill(pid, SIGKILL)
            }
            nextKill = now + Int64(chance.below(settings.killInterval * 2000))
        }
        return max(min(nextKill, stopped?.until ?? .max) - now, 0)
    }

    private mutating func stop(_ pid: Int32, _ worker: WorkerID, _ now: Int64) {
        kill(pid, SIGSTOP)
        stopped = (pid, now + Int64(chance.below(settings.longestStop * 1000)))
        deaths.stops += 1
        let phases = mutexes.contenders(of: worker.slot).map { mutexes.phase(of: $0).load() }
        if phases.contains(Phase.inside.rawValue) { deaths.stopsInside += 1 }
    }
}
