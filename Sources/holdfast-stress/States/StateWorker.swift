// SPDX-License-Identifier: Apache-2.0
//
// A process that updates the state, or reads it, again and again, until the supervisor kills it or says stop.

internal import Holdfast

/// A worker process of a run of `state`.
struct StateWorker {
    /// Of 1000 updates of a kind that is converted, before how many, besides the first, it is converted.
    private static let conversions: UInt64 = 30

    private let plan: WorkerPlan<StateSettings>
    private let page: StatePage
    private let chance: Chance
    private let file: StateFile<Tallies>

    init(_ plan: WorkerPlan<StateSettings>) throws {
        self.plan = plan
        page = StatePage(page: try SharedPage(opening: plan.directory.page))
        chance = Chance(seed: plan.seed, longestPause: 100)
        file = try plan.settings.file(in: plan.directory)
    }

    /// Writes, or reads, until the supervisor says stop.
    func run() throws {
        if plan.worker.slot < plan.settings.writers { try write() } else { read() }
    }

    private var isOver: Bool { page[.stop].load() != 0 }

    private func write() throws {
        let slot = plan.worker.slot
        let told = page.told(slot)
        // Whoever died here before was not told of one update at most. Not by a load: what a dead writer had written and not
        // published is nobody's until the next writer finds it.
        try file.update { value in
            let found = value.counts[slot]
            check(found, isAtLeast: told.load(), atMost: told.load() + 1)
            told.store(found)
        }
        var isFirst = true
        while !isOver {
            do {
                if plan.settings.kind == .converted, isFirst || chance.happens(Self.conversions) {
                    let strategy: StateStrategy = chance.happens(500) ? .twoSlot : .replace
                    if try file.convert(to: strategy) != nil { page[.conversions].add() }
                }
                isFirst = false
                try update(slot, told)
            } catch {
                report(error)
            }
            chance.pause()
        }
    }

    private func update(_ slot: Int, _ told: SharedWord) throws {
        // Most without a flush, which would be all that a run does.
        let durability: StateDurability = chance.happens(100) ? .powerLoss : .processCrash
        if plan.settings.kind == .unlocked {
            var value = try file.load()
            check(value.counts[slot], isAtLeast: told.load(), atMost: told.load())
            value.counts[slot] += 1
            told.store(value.counts[slot])
            try file.save(value, durability: durability)
        } else {
            try file.update(durability: durability) { value in
                check(value.counts[slot], isAtLeast: told.load(), atMost: told.load())
                value.counts[slot] += 1
            }
            told.add()
        }
        page[.acquisitions].add()
    }

    private func check(_ count: UInt64, isAtLeast least: UInt64, atMost most: UInt64) {
        if count < least { page[.lostUpdates].add(least - count) }
        if count > most { page[.surplus].add(count - most) }
    }

    private func read() {
        var reader = file.reader()
        var last: (value: Tallies, generation: Generation)?
        while !isOver {
            do {
                let (value, report) = try chance.happens(500) ? reader.readWithReport() : file.loadWithReport()
                page[.reads].add()
                if let last, report.generation < last.generation || !value.isNotBefore(last.value) {
                    page[.older].add()
                }
                if let rejected = report.rejected { throw rejected }
                last = (value, report.generation)
            } catch {
                self.report(error)
            }
            if chance.happens(100) { chance.pause() }
        }
    }

    private func report(_ error: any Error) {
        // The first few tell what is wrong; thousands would hide it.
        if page[.errors].add() <= 5 { complain("\(plan.settings.kind.rawValue): \(error)") }
    }
}
