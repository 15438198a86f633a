// SPDX-License-Identifier: Apache-2.0
//
// The walk over all crashes of one workload, of its recoveries, and what they found.

internal import Holdfast

struct Exploration<Note: Hashable & Sendable> {
    let settings: CrashExplorer
    let recovery: (CrashRun<Note>) throws -> Void
    private var report = CrashReport()
    private var random: SplitMix
    private var seen: Set<Int> = []
    /// States whose names and sizes are alike need only one crash of their recovery.
    private var shapes: Set<Int> = []
    /// The recoveries that are crashed in turn, for the next profile.
    private var recoveries: [CrashScene<Note>] = []
    /// The crash with the fewest losses, for each kind of violation and number of crashes.
    private var suspects: [Suspect] = []

    private struct Suspect {
        var crash: Crash<Note>
        var violation: CrashViolation
        var count = 1

        var losses: Int { crash.outcomes.count { $0 != .kept } }
    }

    init(settings: CrashExplorer, recovery: @escaping (CrashRun<Note>) throws -> Void) {
        self.settings = settings
        self.recovery = recovery
        random = SplitMix(seed: settings.seed)
    }
}

extension Exploration {
    /// Crashes the workload, and the recoveries that were crashed under the profiles before.
    mutating func explore(_ scene: CrashScene<Note>, under profile: CrashProfile) {
        let known = recoveries
        explore(scene.under(profile))
        for recovery in known { explore(recovery.under(profile)) }
    }

    /// Crashes one life wherever that is new.
    private mutating func explore(_ scene: CrashScene<Note>) {
        let events = scene.graph.log.events
        // Of a life that began with a crash, the time before has been explored.
        let isFirst = scene.crashes.isEmpty
        if scene.crashes != [.process] {
            for position in (isFirst ? 0 : 1)...max(events.count, 1) where position <= events.count {
                guard position == 0 || events[position - 1].isSeenByOthers else { continue }
                let count = scene.graph.count(before: position)
                recover(
                    from: Crash(
                        scene: scene,
                        kind: .process,
                        position: position,
                        outcomes: Array(repeating: .kept, count: count)
                    )
                )
            }
        }
        for position in scene.start...events.count where isFirst || position > scene.start {
            guard position == events.count || events[position].endsFreedom else { continue }
            cutPower(scene, at: position)
        }
    }

    private mutating func cutPower(_ scene: CrashScene<Note>, at position: Int) {
        // The walk is a constant while it goes on, and its random numbers are its own.
        var chance = SplitMix(seed: random.next())
        let coverage = scene.graph.forEachCrash(
            at: position,
            limit: settings.limit,
            wordLimit: settings.wordLimit,
            random: &chance
        ) {
            recover(from: Crash(scene: scene, kind: .power, position: position, outcomes: $0))
        }
        switch coverage {
        case .exhaustive: report.exhaustiveMoments += 1
        case .symmetric: report.symmetricMoments += 1
        case .sampled: report.sampledMoments += 1
        }
    }

    private mutating func recover(from crash: Crash<Note>) {
        report.crashes += 1
        let volume = crash.image(seed: settings.seed)
        let notes = crash.scene.notes(before: crash.position)
        var hasher = Hasher()
        volume.hash(into: &hasher)
        hasher.combine(notes)
        hasher.combine(crash.kind)
        hasher.combine(crash.scene.crashes.contains(.power))
        if crash.kind == .process { hasher.combine(crash.scene.graph.log.failedFlushes(before: crash.position)) }
        guard seen.insert(hasher.finalize()).inserted else { return }
        report.states += 1
        if report.states % 10_000 == 0 { settings.onProgress?(report.states) }

        let isLogged = crash.scene.crashes.isEmpty && (crash.kind == .process || isNewShape(volume, notes.count))
        let (run, violation) = judge(crash, volume, notes, isLogged: isLogged)
        if let violation {
            suspect(crash, violation)
        } else if isLogged {
            let log = run.fileSystem.takenLog()
            let start = crash.kind == .process ? crash.position : 0
            if log.events.count == start { return }
            let profile = crash.scene.graph.profile
            let recovery = CrashScene(log, profile, run.notes, run.crashes, origin: crash, start: start)
            recoveries.append(recovery)
            explore(recovery)
        }
    }

    /// Runs the recovery once.
    private func judge(
        _ crash: Crash<Note>,
        _ volume: Volume,
        _ notes: [Note],
        isLogged: Bool
    ) -> (CrashRun<Note>, CrashViolation?) {
        let fileSystem = SimulatedFileSystem(volume)
        if isLogged {
            fileSystem.withState { state in
                switch crash.kind {
                case .process: state.resumeLog(crash.scene.graph.log.prefix(crash.position))
                case .power: state.beginLog(sectorSize: settings.sectorSize)
                }
            }
        }
        let run = CrashRun<Note>(fileSystem, notes: notes, crashes: crash.scene.crashes + [crash.kind])
        do {
            try recovery(run)
            return (run, nil)
        } catch let violation as CrashViolation {
            return (run, violation)
        } catch {
            return (run, CrashViolation(.failed, "\(error)"))
        }
    }

    private mutating func isNewShape(_ volume: Volume, _ notes: Int) -> Bool {
        if shapes.count >= settings.recoveryLimit { return false }
        var hasher = Hasher()
        for (number, inode) in volume.inodes.sorted(by: { $0.key < $1.key }) {
            hasher.combine(number)
            hasher.combine(inode.size)
            hasher.combine(inode.links)
            hasher.combine(inode.entries.count)
        }
        hasher.combine(notes)
        return shapes.insert(hasher.finalize()).inserted
    }
}

/// What was wrong.
extension Exploration {
    private mutating func suspect(_ crash: Crash<Note>, _ violation: CrashViolation) {
        var new = Suspect(crash: crash, violation: violation)
        let known = suspects.firstIndex {
            $0.violation.kind == violation.kind && $0.crash.scene.crashes.count == crash.scene.crashes.count
        }
        guard let known else {
            suspects.append(new)
            return
        }
        suspects[known].count += 1
        if new.losses < suspects[known].losses {
            new.count = suspects[known].count
            suspects[known] = new
        }
    }

    /// Keeps whatever can be kept without losing the violation.
    private func minimized(_ suspect: Suspect) -> Suspect {
        var best = suspect
        for index in best.crash.outcomes.indices.reversed() where best.crash.outcomes[index] != .kept {
            var crash = best.crash
            crash.outcomes[index] = .kept
            crash.outcomes = crash.scene.graph.possible(crash.outcomes, at: crash.position)
            guard crash.outcomes[index] == .kept else { continue }
            let notes = crash.scene.notes(before: crash.position)
            let (_, violation) = judge(crash, crash.image(seed: settings.seed), notes, isLogged: false)
            if let violation, violation.kind == best.violation.kind {
                best.crash = crash
                best.violation = violation
            }
        }
        return best
    }

    mutating func finish() -> CrashReport {
        report.findings = suspects.map { suspect in
            let smallest = minimized(suspect)
            return CrashReport.Finding(
                violation: smallest.violation,
                count: suspect.count,
                trace: smallest.crash.trace + ["The recovery finds: \(smallest.violation.detail)."],
                seed: settings.seed,
                profile: smallest.crash.scene.graph.profile
            )
        }
        settings.onProgress?(report.states)
        return report
    }
}

extension Crash {
    func image(seed: UInt64) -> Volume {
        var volume = scene.graph.image(outcomes, seed: seed)
        if kind == .power { volume.reboot() }
        return volume
    }
}

extension ChangeLog.Event {
    /// Whether another process, or the next one, may see that it happened.
    fileprivate var isSeenByOthers: Bool {
        switch self {
        case .change(.birth, _), .flush: false
        // Which of the words that were found together was stored first is not known.
        case .change(.word(_, _, let isLast), _): isLast
        // What is seen is the same, and a flush of it is a lie from now on.
        case .change, .failedFlush, .note: true
        }
    }

    /// Whether a power cut before it may do what one after it may not, or has to be judged otherwise.
    fileprivate var endsFreedom: Bool {
        switch self {
        case .flush, .note: true
        case .change, .failedFlush: false
        }
    }
}
