// SPDX-License-Identifier: Apache-2.0
//
// A run of `state` from an empty directory to the verdict, and what its supervisor does to the workers meanwhile.

internal import Holdfast
internal import _HoldfastCShims
internal import _HoldfastStressShims

/// One run: which kind, how hard, how long.
struct StateSettings: StressSettings {
    var kind: StateKind
    var limits: RunLimits
    var writers: Int
    /// The average time between two kills, in microseconds.
    var killInterval: UInt64
    var seed: UInt64

    func file(in directory: RunDirectory) throws(StateError) -> StateFile<Tallies> {
        try StateFile(directory.state, codec: TalliesCodec(), options: StateOptions(strategy: kind.strategy))
    }
}

extension StateSettings {
    func run(in directory: RunDirectory) throws -> StateReport {
        let page = StatePage(page: try SharedPage(making: directory.page, lines: StatePage.lines(writers: writers)))
        try file(in: directory).save(Tallies(writers: writers))
        var supervisor = try Supervisor(StateRun(settings: self, directory: directory, states: page))
        supervisor.supervise()
        var failures: [String] = []
        do {
            // The last writers may have died: the state is sound, can be updated, and what they left is swept away.
            let file = try file(in: directory)
            try file.update(deadline: .now + .seconds(10)) { _ in }
            for (writer, count) in try file.load().counts.enumerated() {
                let told = page.told(writer).load()
                if count < told { page[.lostUpdates].add(told - count) }
                if count > told + 1 { page[.surplus].add(count - told - 1) }
            }
            let companions: Set<String> = ["state", ".state.lock", ".state.arena"]
            failures += try directory.leftovers(except: companions).map { "\($0) is left behind" }
        } catch {
            failures.append("at the end: \(error)")
        }
        return StateReport(settings: self, supervisor.outcome(failures), page)
    }
}

/// A run of `state`, as its supervisor sees it.
struct StateRun: SupervisedRun {
    let settings: StateSettings
    let directory: RunDirectory
    let states: StatePage
    private let chance: Chance
    private var nextKill = hf_monotonic()

    init(settings: StateSettings, directory: RunDirectory, states: StatePage) {
        self.settings = settings
        self.directory = directory
        self.states = states
        chance = Chance(seed: settings.seed, longestPause: 0)
    }

    var limits: RunLimits { settings.limits }
    var page: SharedPage { states.page }

    func orders(for worker: WorkerID) -> WorkerOrders {
        .state(WorkerPlan(settings: settings, directory: directory, worker: worker))
    }

    mutating func bury(_ worker: WorkerID) {}

    mutating func disturb(_ workers: [Int32: WorkerID]) -> Int64 {
        let now = hf_monotonic()
        if nextKill <= now, let (pid, _) = workers.randomElement() {
            kill(pid, SIGKILL)
            nextKill = now + Int64(chance.below(settings.killInterval * 2000))
        }
        return max(nextKill - now, 0)
    }
}
