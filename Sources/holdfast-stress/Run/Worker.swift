// SPDX-License-Identifier: Apache-2.0
//
// One contender: takes the lock again and again, checks inside the section all that exclusion promises, and dies there now
// and then without releasing anything.

internal import Holdfast
internal import _HoldfastStressShims

/// A worker process.
struct Worker {
    /// Of 1000 holders, how many end after they have released.
    private static let departures: UInt64 = 100

    private let plan: WorkerPlan<RunSettings>
    private let page: SharedPage
    private let increments: SharedWord
    private let chance: Chance
    private let contender: any Contender
    private var occupancy: Occupancy

    init(_ plan: WorkerPlan<RunSettings>) throws {
        self.plan = plan
        page = try SharedPage(opening: plan.directory.page)
        chance = Chance(seed: plan.seed, longestPause: plan.settings.pause)
        let locks = LocksPage(page: page, slots: plan.settings.limits.workers)
        increments = locks.increments(of: plan.worker.slot)
        occupancy = Occupancy(page, locks.occupancy, slot: plan.worker.slot, incarnation: plan.worker.incarnation)
        contender = try plan.settings.protocolName.contender(plan, chance: chance, page: page)
    }

    /// Contends until the supervisor says stop.
    mutating func run() {
        while page[.stop].load() == 0 {
            chance.pause()
            do {
                let isGranted = try contender.attempt { grant in section(grant) }
                if !isGranted {
                    page[.busy].add()
                } else if chance.happens(Self.departures) {
                    // The PID that a cleaner has just read is nobody's then, and the name may be another's.
                    _exit(0)
                }
            } catch let error as SystemError where error.code == ENOENT {
                page[.missing].add()
            } catch {
                // The first few tell what is wrong; thousands would hide it.
                if page[.errors].add() <= 5 { complain("\(plan.settings.protocolName.rawValue): \(error)") }
            }
        }
    }

    /// The guarded section.
    ///
    /// Does not return if this holder is one of those that die.
    private mutating func section(_ grant: Grant) {
        page[.acquisitions].add()
        occupancy.enter(shared: grant.isShared)
        if !grant.isShared { checkHandover(grant) }
        let dies = chance.happens(plan.settings.deaths)
        let diesEarly = dies && chance.happens(500)

        let guarded = page[.guarded].load()
        dwell()
        if diesEarly { hfs_die() }
        if page[.guarded].load() != guarded { page[.lostUpdates].add() }
        if !grant.isShared {
            page[.guarded].store(guarded + 1)
            increments.add()
        }
        dwell()
        if dies { hfs_die() }
        if !grant.isShared { page[.holder].store(0) }
        occupancy.leave()
    }

    /// Checks the token and the report of a dead predecessor.
    ///
    /// The words it compares with are written under the lock.
    private func checkHandover(_ grant: Grant) {
        let name = plan.settings.protocolName
        if name.givesTokens {
            let last = page[.lastToken].load()
            if let token = grant.token, token > last {
                page[.lastToken].store(token)
            } else {
                page[.tokenRegressions].add()
            }
        }
        if name.reportsAbandoned { checkReport(of: grant.abandoned) }
    }

    private func checkReport(of reported: ProcessIdentity?) {
        let predecessor = page[.holder].exchange(UInt64(getpid()))
        guard let reported else {
            if predecessor != 0 { page[.missedAbandoned].add() }
            return
        }
        // One that dies in the calls of the lock has not yet, or no longer, written that it holds it.
        let isTrue = UInt64(reported.pid) == predecessor || (plan.settings.deathsInCalls > 0 && isDead(reported))
        page[isTrue ? .abandoned : .falseAbandoned].add()
    }

    /// The kernel drops the locks of a process a moment before it is dead.
    private func isDead(_ process: ProcessIdentity) -> Bool {
        let deadline = ContinuousClock.now + .seconds(5)
        while !Liveness.of(process).isDead {
            if ContinuousClock.now > deadline { return false }
            hfs_sleep(100_000)
        }
        return true
    }

    /// Stays a while, and shows that it is alive.
    private mutating func dwell() {
        for _ in 0..<3 {
            chance.pause()
            occupancy.beat()
        }
    }
}

/// One line on standard error, written at once.
func complain(_ message: String) {
    var line = "holdfast-stress: \(message)\n"
    line.withUTF8 { bytes in
        _ = unsafe write(2, bytes.baseAddress, bytes.count)
    }
}
