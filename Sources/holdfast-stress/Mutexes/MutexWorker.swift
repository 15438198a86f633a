// SPDX-License-Identifier: Apache-2.0
//
// A process of threads and tasks that contend for the mutexes of an arena. Each process has a fate: it dies while it opens
// the arena, at a chosen instruction of an acquisition or a release, inside, or when the supervisor kills it.

internal import Holdfast
internal import Synchronization
internal import _HoldfastCShims
internal import _HoldfastStressShims

/// A worker process of a run of `mutex`.
final class MutexWorker: Sendable {
    /// The time in which an arena is opened, in microseconds, and a little more.
    private static let timeToOpen: UInt64 = 400

    private let plan: WorkerPlan<MutexSettings>
    private let page: MutexPage
    private let chance: Chance
    private let mutexes: [any StressedMutex]
    private let words: ArenaWords?
    private let fate: Fate
    private let ended = Atomic(0)

    init(_ plan: WorkerPlan<MutexSettings>) throws {
        self.plan = plan
        page = try MutexPage(page: SharedPage(opening: plan.directory.page), crowd: plan.settings.crowd)
        let chance = Chance(seed: plan.seed, longestPause: plan.settings.pause)
        self.chance = chance
        let fates: [Phase] = [.idle, .opening, .acquiring, .renewing, .inside, .inside, .releasing]
        let phase = fates[Int(chance.below(UInt64(fates.count)))]
        let isAtEnd = plan.settings.kind == .arena && phase == .inside && chance.happens(500)
        fate = Fate(phase: phase, turns: 1 + chance.below(100), isAtEnd: isAtEnd)
        unsafe hfs_prepare_death(page.moment(of: plan.worker).pointer)

        let first = page.phase(of: page.contenders(of: plan.worker.slot).lowerBound)
        first.store(Phase.opening.rawValue)
        if fate.phase == .opening {
            page.chosen(plan.worker.slot).store(Phase.opening.rawValue)
            hfs_die_in(Int64(1 + chance.below(Self.timeToOpen)))
        }
        let arena = try MutexArena(plan.directory.arena, count: page.crowd.mutexes)
        hfs_die_in(0)
        page.chosen(plan.worker.slot).store(Phase.idle.rawValue)
        first.store(Phase.idle.rawValue)

        let words = try ArenaWords(plan.directory.arena, count: page.crowd.mutexes)
        switch plan.settings.kind {
        case .arena:
            self.words = words
            mutexes = (0..<page.crowd.mutexes).map { ArenaMutex(mutex: arena[$0]) }
        case .steal:
            self.words = nil
            let owner = MutexWord.owner(slot: plan.worker.slot, generation: UInt32(plan.worker.incarnation))
            mutexes = (0..<page.crowd.mutexes).map { StealingMutex(word: words[$0], owner: owner) }
        }
    }

    /// Contends until the supervisor says stop.
    func run() throws {
        // Only a thread can count its instructions.
        let crowd = page.crowd
        let fated = Int(chance.below(UInt64(fate.phase == .inside ? crowd.contendersPerProcess : crowd.threads)))
        for index in 0..<crowd.contendersPerProcess {
            let contender = ArenaContender(
                page,
                plan.worker,
                index,
                chance,
                mutexes,
                words,
                index == fated ? fate : Fate(),
                longestStop: index < crowd.threads ? plan.settings.longestStop : 0
            )
            if index < crowd.threads { try runInThread(contender) } else { startTask(contender) }
        }
        while ended.load(ordering: .acquiring) < crowd.contendersPerProcess { hfs_sleep(1_000_000) }
    }

    private func runInThread(_ contender: ArenaContender) throws(SystemError) {
        try startThread {
            var contender = contender
            contender.run()
            self.ended.wrappingAdd(1, ordering: .releasing)
        }
    }

    /// A task that is cancelled now and then, wherever it is, and begins again.
    private func startTask(_ contender: ArenaContender) {
        Task.detached { [self] in
            var contender = contender
            while !contender.isOver {
                let life = Task { [contender] in
                    var contender = contender
                    await contender.runInTask()
                    return contender
                }
                try? await Task.sleep(for: .microseconds(chance.below(50_000)))
                life.cancel()
                contender = await life.value
            }
            ended.wrappingAdd(1, ordering: .releasing)
        }
    }
}
