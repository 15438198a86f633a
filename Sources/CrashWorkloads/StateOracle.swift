// SPDX-License-Identifier: Apache-2.0
//
// What a state file must hold after a crash. It knows what the crash contract says (docs/crash-contract.md), and nothing of
// how it is kept:
// - a load returns a version that was stored, whole; never an older one than the last that was stored durably, nor than
//   one that a durable load returned; never one whose save had not begun;
// - none is there only if none was promised; damage is there only after a power cut over an unflushed save, and is said;
// - the next save works, and no temporary file is left after it.

internal import Holdfast
internal import HoldfastTesting

struct StateOracle {
    private let run: CrashRun<StateNote>
    private let workload: StateWorkload
    /// What each attempt stored, or would have.
    private var versions: [Int: Int] = [:]
    /// The last attempt that nothing may undo, 0 if there is none.
    private var promised = 0
    private var durableSaves = 0
    private var relied = 0

    init(_ run: CrashRun<StateNote>, _ workload: StateWorkload) {
        self.run = run
        self.workload = workload
        let powerFailed = run.crashes.contains(.power)
        for note in run.notes {
            switch note {
            case .began(let attempt, let version): versions[attempt] = version
            case .saved(let attempt, let durability):
                if durability == .powerLoss { durableSaves += 1 }
                if durability == .powerLoss || !powerFailed { promised = max(promised, attempt) }
            case .reliedOn(let attempt): relied = max(relied, attempt)
            }
        }
        // The other slot has the state before, and a load says so.
        if isInDamagedSlot { promised -= 1 }
    }

    func judge() throws {
        let program = try StateProgram(run.fileSystem, workload.options, after: run.notes)
        guard try judgeCurrent(program) else { return }
        if workload.options.keepsPrevious { try judgePrevious(program) }
        try judgeNextSave(program)
    }

    /// False if it is damaged, and may be.
    private func judgeCurrent(_ program: StateProgram) throws -> Bool {
        let payload: [UInt8]
        do throws(StateError) {
            payload = try load(program)
        } catch {
            switch error.code {
            case .notFound:
                if promised == 0, relied == 0 { return true }
                throw CrashViolation(.lost, "there is no state, and attempt \(max(promised, relied)) had stored one")
            case .corrupt where mayBeDamaged:
                try judgeDamaged(program)
                return false
            default: throw CrashViolation(.unreadable, "\(error)")
            }
        }
        guard let version = StateProgram.version(of: payload),
            let attempt = versions.filter({ $0.value == version && $0.key >= promised }).keys.min()
                ?? versions.first(where: { $0.value == version })?.key
        else { throw CrashViolation(.neverSaved, "\(payload.count) bytes are there that nobody saved") }
        if attempt < promised {
            throw CrashViolation(
                .lost,
                "version \(version) of attempt \(attempt) is there, and \(promised) was durable"
            )
        }
        if attempt < relied, versions[relied] != version {
            throw CrashViolation(.takenBack, "version \(version) is there, and a durable load had returned \(relied)")
        }
        if workload.reliesOnLoads { run.note(.reliedOn(attempt: attempt)) }
        return true
    }

    private func load(_ program: StateProgram) throws(StateError) -> [UInt8] {
        do throws(StateError) {
            return try program.state.load(durable: workload.loadsAreDurable)
        } catch  where error.code == .notDurable && !workload.reliesOnLoads {
            return try program.state.load()
        }
    }

    /// Nothing durable was there before.
    private var beganUnflushed: Bool {
        if case .saveUnflushed = workload.steps.first, workload.before.isEmpty { durableSaves == 0 } else { false }
    }

    private var isInDamagedSlot: Bool {
        workload.isDamaged && workload.options.strategy == .twoSlot && promised == workload.before.count
    }

    private var mayBeDamaged: Bool {
        if workload.isDamaged { return promised <= workload.before.count }
        return run.crashes.contains(.power) && (workload.options.durability == .processCrash || beganUnflushed)
    }

    /// The previous copy may be had, or it is said that it may not.
    private func judgeDamaged(_ program: StateProgram) throws {
        guard workload.isDamaged else { return }
        let (payload, report) = try program.state.loadWithReport(orPrevious: true)
        guard report.copy == .previous, StateProgram.version(of: payload) != nil else {
            throw CrashViolation(.neverSaved, "the previous copy is not what was saved")
        }
        try program.perform(.restorePrevious) { run.note($0) }
    }

    /// A save that was durable when it was kept is a sound previous copy.
    private func judgePrevious(_ program: StateProgram) throws {
        if workload.options.durability == .processCrash { return }
        let previous = try StateFile<[UInt8]>(FileName.known(".state.previous"), in: program.directory)
        let payload: [UInt8]
        do throws(StateError) {
            payload = try previous.load()
        } catch {
            // A save in place makes none.
            if error.code == .notFound, durableSaves < 2 || workload.options.strategy == .twoSlot { return }
            throw CrashViolation(.unreadable, "the previous copy: \(error)")
        }
        if StateProgram.version(of: payload) == nil {
            throw CrashViolation(.neverSaved, "the previous copy has \(payload.count) bytes that nobody saved")
        }
    }

    private func judgeNextSave(_ program: StateProgram) throws {
        do {
            try program.perform(.save(30)) { run.note($0) }
        } catch let error as StateError where error.code == .corrupt && workload.isDamaged {
            try program.perform(.restorePrevious) { run.note($0) }
            try program.perform(.save(30)) { run.note($0) }
        }
        let allowed = ["state", ".state.lock", ".state.arena", ".state.previous"]
        if let left = try program.directory.names().first(where: { !allowed.contains($0) }) {
            throw CrashViolation(.leftBehind, "\(left) is there after the next save")
        }
    }
}
