// SPDX-License-Identifier: Apache-2.0
//
// Mutexes in a file that is made, opened, taken over after a reboot, renewed and crashed meanwhile. What must hold then
// (docs/lock-protocols.md):
// - the arena opens, and every mutex of it can be had;
// - no token is given out twice, and each is greater than all before it, through every crash;
// - a holder that died while the machine went on is reported, with its token, and no other one is;
// - what was published is there after a process crash, and after a power cut nothing is.

internal import Holdfast
package import HoldfastTesting
internal import _HoldfastCShims

/// What a program did with a mutex.
enum ArenaNote: Hashable, Sendable {
    case acquired(mutex: Int, token: UInt64)
    case publishing(mutex: Int, UInt64)
    case published(mutex: Int, UInt64)
    case releasing(mutex: Int)
}

/// An arena, and what is done with it.
package enum ArenaWorkload: String, CaseIterable, Sendable {
    /// It is made, and its mutexes are used.
    case made
    /// The same on a file system without unnamed files.
    case madeByName = "made-by-name"
    /// It is there, and used.
    case opened
    /// It is of an earlier boot, in which the holder of a mutex died.
    case adopted
    /// The flush of the adoption fails, and the program tries again.
    case failedAdoption = "failed-adoption"
    /// A mutex's count of acquisitions comes to its end.
    case renewed
    /// The flush of a renewal fails, and the program tries again.
    case failedRenewal = "failed-renewal"
    /// Several open it, and take the slots that others have left.
    case slots

    private static let name = FileName.known("a.arena")
    private static let count = 2

    /// Explores it.
    package func explore(_ explorer: CrashExplorer) throws -> CrashReport {
        try explorer.explore(
            preparing: prepare,
            workload: { (run: CrashRun<ArenaNote>) in
                run.fileSystem.faults = faults
                try work(run)
                run.fileSystem.faults = .none
            },
            recovery: judge
        )
    }

    private func prepare(_ run: CrashRun<ArenaNote>) throws {
        if self == .made || self == .madeByName { return }
        let arena = try open(run)
        try use(arena, 0, run)
        switch self {
        case .adopted, .failedAdoption:
            let held = try arena[1].lock()
            run.note(.acquired(mutex: 1, token: held.token.value))
            run.fileSystem.forgetSharedMemory()
        case .renewed, .failedRenewal:
            // All acquisitions of its epoch but one.
            let word = MutexWord(futex: 0, count: MutexWord.lastCount - 1)
            let file = try run.fileSystem.directory().open(Self.name, .readWrite)
            try unsafe withUnsafeBytes(of: word.raw) { try unsafe file.writeAll($0, at: Int64(ArenaLayout.cells)) }
            run.note(.acquired(mutex: 0, token: 1 << 32 | UInt64(word.count)))
            run.note(.releasing(mutex: 0))
        default: break
        }
    }

    private var faults: FaultPlan {
        switch self {
        case .madeByName: .failEvery(with: EOPNOTSUPP) { $0.flags.contains("O_TMPFILE") }
        case .failedAdoption, .failedRenewal: .failEvery(with: EIO, times: 1) { $0.function == "fdatasync" }
        default: .none
        }
    }

    private func work(_ run: CrashRun<ArenaNote>) throws {
        let arena = try trying(run) { try open(run) }
        switch self {
        case .renewed, .failedRenewal:
            for _ in 0..<3 { try trying(run) { try use(arena, 0, run) } }
        case .slots:
            let second = try open(run)
            try use(second, 1, run)
            try { try use(open(run), 0, run) }()
            try use(open(run), 1, run)
            try use(second, 0, run)
        default:
            for index in [1, 0] { try use(arena, index, run) }
        }
    }

    /// Once more, if it was told that it could not.
    private func trying<Result>(_ run: CrashRun<ArenaNote>, _ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as LockError {
            if !run.fileSystem.calls.contains(where: \.isFaulted) { throw error }
            return try body()
        }
    }

    private func open(_ run: CrashRun<ArenaNote>) throws -> MutexArena {
        try MutexArena(Self.name, in: run.fileSystem.directory(), count: Self.count)
    }

    /// Has a mutex for as long as it takes to publish something.
    private func use(_ arena: MutexArena, _ index: Int, _ run: CrashRun<ArenaNote>) throws {
        let lock = try arena[index].lock(deadline: .now)
        run.note(.acquired(mutex: index, token: lock.token.value))
        let value = lock.token.value << 8 | UInt64(index)
        run.note(.publishing(mutex: index, value))
        lock.publish(value)
        run.note(.published(mutex: index, value))
        run.note(.releasing(mutex: index))
        try lock.release()
    }
}

extension ArenaWorkload {
    private func judge(_ run: CrashRun<ArenaNote>) throws {
        let arena: MutexArena
        do {
            arena = try open(run)
        } catch {
            throw CrashViolation(.unreadable, "the arena does not open: \(error)")
        }
        for index in 0..<Self.count { try judge(arena, index, run) }
    }

    private func judge(_ arena: MutexArena, _ index: Int, _ run: CrashRun<ArenaNote>) throws {
        var (last, held): (UInt64, UInt64?) = (0, nil)
        var (published, mayBePublished): (UInt64, UInt64) = (0, 0)
        for note in run.notes {
            switch note {
            case .acquired(index, let token): (last, held) = (token, token)
            case .publishing(index, let value): mayBePublished = value
            case .published(index, let value): (published, mayBePublished) = (value, value)
            case .releasing(index): held = nil
            default: break
            }
        }
        let found = arena[index].published
        let isSameBoot = !run.crashes.contains(.power) && self != .adopted && self != .failedAdoption
        if isSameBoot, found != published, found != mayBePublished {
            throw CrashViolation(.lost, "mutex \(index) has \(found) published, not \(published)")
        }
        if run.crashes.last == .power, found != 0 {
            throw CrashViolation(.neverSaved, "\(found) is published, and no process of this boot has done that")
        }
        do {
            let lock = try arena[index].lock(deadline: .now)
            if lock.token.value <= last {
                throw CrashViolation(.repeated, "token \(lock.token) of mutex \(index), and \(last) was given out")
            }
            // A later holder may have been told, and have died before it noted that it held the mutex. A machine that stopped
            // may have lost the holder's word, and have kept an earlier one.
            if let held, (lock.abandoned?.value ?? 0) < held, !run.crashes.contains(.power) {
                throw CrashViolation(.lost, "mutex \(index) says \(lock.abandoned as Any), and \(held) had died")
            }
            if let abandoned = lock.abandoned, abandoned.value > lock.token.value {
                throw CrashViolation(.neverSaved, "token \(abandoned) has not been given out yet")
            }
            run.note(.acquired(mutex: index, token: lock.token.value))
            run.note(.releasing(mutex: index))
            try lock.release()
        } catch let error as LockError {
            throw CrashViolation(.unreadable, "no process holds mutex \(index), and it is not to be had: \(error)")
        }
    }
}
