// SPDX-License-Identifier: Apache-2.0
//
// One thread or task that takes mutexes again and again, and checks inside the section all that exclusion promises.

internal import Holdfast
internal import _HoldfastCShims
internal import _HoldfastStressShims

/// How one worker of a process is to die.
struct Fate {
    /// Where; nowhere means that somebody else may kill it.
    var phase = Phase.idle
    /// After how many turns.
    var turns: UInt64 = 0
    /// Whether it has to be with the last token before a renewal.
    var isAtEnd = false
}

/// One contender.
struct ArenaContender: Sendable {
    /// Of 1000 turns, in how many a mutex is brought to the end of its tokens.
    private static let usesUp: UInt64 = 4
    /// Of 1000 acquisitions or releases, in how many it stands still for a while.
    private static let stops: UInt64 = 10

    private let page: MutexPage
    private let worker: WorkerID
    private let chance: Chance
    private let mutexes: [any StressedMutex]
    private let words: ArenaWords?
    private let phase: SharedWord
    private let increments: SharedWord
    private var occupancies: [Occupancy]
    private var fate: Fate
    /// For how long it may stand still at any instruction, in microseconds; 0 if it never does.
    private let longestStop: UInt64
    private var began: Int64 = 0
    /// Whether its instructions are being counted.
    private var isCounting = false

    /// `words` are nil for a mutex that cannot renew its tokens; `index` is the contender's in its process.
    init(
        _ page: MutexPage,
        _ worker: WorkerID,
        _ index: Int,
        _ chance: Chance,
        _ mutexes: [any StressedMutex],
        _ words: ArenaWords?,
        _ fate: Fate,
        longestStop: UInt64
    ) {
        self.longestStop = longestStop
        self.page = page
        self.worker = worker
        self.chance = chance
        self.mutexes = mutexes
        self.words = words
        self.fate = fate
        let contender = page.contenders(of: worker.slot).lowerBound + index
        phase = page.phase(of: contender)
        increments = page.increments(of: contender)
        occupancies = mutexes.indices.map {
            Occupancy(page.page, page.occupancy(of: $0), slot: contender, incarnation: worker.incarnation)
        }
    }

    var isOver: Bool { page[.stop].load() != 0 }

    /// Contends as a thread until the supervisor says stop.
    mutating func run() {
        while !isOver {
            let index = prepare()
            let (mutex, chance) = (mutexes[index], chance)
            do {
                finish(try mutex.attempt(chance) { section(index, $0) })
            } catch {
                finish(error)
            }
        }
    }

    /// Contends as a task until it is cancelled or the supervisor says stop.
    mutating func runInTask() async {
        while !isOver, !Task.isCancelled {
            let index = prepare()
            let (mutex, chance) = (mutexes[index], chance)
            do {
                finish(try await mutex.attemptInTask(chance) { section(index, $0) })
            } catch {
                finish(error)
            }
        }
    }

    /// Chooses a mutex, and says what is about to be done with it.
    private mutating func prepare() -> Int {
        phase.store(Phase.idle.rawValue)
        chance.pause()
        if fate.turns > 0 { fate.turns -= 1 }
        let index = Int(chance.below(UInt64(mutexes.count)))
        var isUsedUp = false
        if let words {
            let often = fate.turns == 0 && (fate.phase == .renewing || fate.isAtEnd)
            if chance.happens(often ? 500 : Self.usesUp), words.useUp(index) { page[.renewals].add() }
            isUsedUp = MutexWord(raw: words[index].load()).isUsedUp
        }
        began = hf_monotonic()
        enter(isUsedUp ? .renewing : .acquiring)
        return index
    }

    /// Goes into a phase; if it is the one in which to die, or to stand still, that is after so many instructions.
    private mutating func enter(_ phase: Phase) {
        self.phase.store(phase.rawValue)
        let steps = 1 + chance.below(1 << (2 + chance.below(10)))
        if isDue(phase) {
            page.chosen(worker.slot).store(phase.rawValue)
            isCounting = hfs_act_in_steps(steps, 0)
        } else if longestStop > 0, chance.happens(Self.stops) {
            isCounting = hfs_act_in_steps(steps, Int64(1 + chance.below(longestStop * 1000)))
        }
    }

    private func isDue(_ phase: Phase) -> Bool { fate.phase == phase && fate.turns == 0 }

    /// The phase is over, and it has not died.
    private mutating func survive() {
        if isCounting {
            isCounting = false
            _ = hfs_act_in_steps(0, 0)
            if fate.phase != .idle, fate.turns == 0 { page.chosen(worker.slot).store(Phase.idle.rawValue) }
        }
    }

    private mutating func finish(_ isGranted: Bool) {
        survive()
        if !isGranted { page[.busy].add() }
    }

    private mutating func finish(_ error: any Error) {
        survive()
        if let error = error as? LockError, [.timedOut, .cancelled].contains(error.code) {
            page[.busy].add()
        } else if page[.errors].add() <= 5 {
            // The first few tell what is wrong; thousands would hide it.
            complain("\(error)")
        }
    }

    /// The guarded section.
    ///
    /// Does not return if this holder is to die here.
    private mutating func section(_ index: Int, _ grant: SeenGrant) {
        let granted = hf_monotonic()
        survive()
        phase.store(Phase.entering.rawValue)
        page[.longestWait].raise(to: UInt64(granted - began))
        occupancies[index].enter(shared: false)
        let dead = page.checkHandover(of: index, to: worker, grant) { isGone($0, index) }
        phase.store(Phase.inside.rawValue)
        page[.acquisitions].add()
        if let dead { measure(from: dead, to: UInt64(granted)) }

        let isLast = UInt32(truncatingIfNeeded: grant.token) == MutexWord.lastCount
        let dies = isDue(.inside) && (isLast || !fate.isAtEnd)
        let diesEarly = dies && chance.happens(500)
        let guarded = page.guarded(by: index).load()
        dwell(index)
        if diesEarly { die() }
        if page.guarded(by: index).load() != guarded { page[.lostUpdates].add() }
        page.guarded(by: index).store(guarded + 1)
        increments.add()
        dwell(index)
        if dies { die() }

        page.handover(of: index).store(Handover(worker: worker, isLeaving: true).raw)
        occupancies[index].leave()
        enter(.releasing)
    }

    private func die() {
        page.chosen(worker.slot).store(Phase.inside.rawValue)
        hfs_die()
    }

    /// Stays a while, and shows that it is alive.
    private mutating func dwell(_ index: Int) {
        chance.pause()
        occupancies[index].beat()
    }

    /// Waits until a worker that is said to be dead has been reaped.
    private mutating func isGone(_ other: WorkerID, _ index: Int) -> Bool {
        let deadline = ContinuousClock.now + .seconds(10)
        while page.buried(other.slot).load() < other.incarnation {
            if ContinuousClock.now > deadline { return false }
            occupancies[index].beat()
            hfs_sleep(20_000)
        }
        return true
    }

    /// Measures how long this contender, which was waiting already, had to wait for a mutex whose holder has died.
    private func measure(from dead: WorkerID, to granted: UInt64) {
        let died = page.moment(of: dead).load()
        guard UInt64(began) < died, died < granted else { return }
        let index = page[.measurements].add() - 1
        page.measurement(Int(index)).store(granted - died)
    }
}
