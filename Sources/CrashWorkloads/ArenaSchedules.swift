// SPDX-License-Identifier: Apache-2.0
//
// Processes that open one arena at once, in every order of their calls: makers, claimers of slots, those who take it over
// after a reboot, and one that renews a mutex's tokens. What a process does in memory between two calls is one step.

internal import Holdfast
package import HoldfastTesting
internal import _HoldfastCShims

/// What the processes find.
package enum ArenaSchedules: String, CaseIterable, Sendable {
    /// No file: each tries to make it.
    case nothing = "arena-of-nothing"
    /// An arena of this boot: each claims a slot.
    case current = "arena"
    /// An arena that an earlier boot left, in which a holder died: the first one takes it over.
    case ofEarlierBoot = "arena-of-earlier-boot"
    /// One whose mutex has no token left in its epoch: the process that takes it begins a new one.
    case usedUp = "arena-used-up"
    /// A control: the maintenance lock excludes no process.
    case unguarded = "arena-unguarded"

    private static let name = FileName.known("a.arena")

    /// Whether no two processes have one slot, one token, or one mutex at a time.
    package var isSound: Bool { self != .unguarded }

    /// Explores every schedule, up to so many states.
    package func explore(
        processes: Int = 2,
        limit: Int = .max,
        onProgress: @escaping (Int) -> Void = { _ in }
    ) throws -> ScheduleReport {
        let openers = (1...processes).map { number in
            ScheduledProcess("opener \(number)") { try use($0) }
        }
        return try ScheduleExplorer.explore(openers, limit: limit, walks: 200) { fileSystem in
            try prepare(fileSystem)
        } onProgress: {
            onProgress($0)
        }
    }

    private func prepare(_ fileSystem: SimulatedFileSystem) throws {
        if self == .nothing { return }
        let directory = try fileSystem.directory()
        let arena = try MutexArena(Self.name, in: directory, count: 1)
        let held = try arena[0].lock(deadline: .now)
        switch self {
        case .ofEarlierBoot, .unguarded: fileSystem.forgetSharedMemory()
        case .usedUp:
            try held.release()
            let word = MutexWord(futex: 0, count: MutexWord.lastCount)
            let file = try directory.open(Self.name, .readWrite)
            try unsafe withUnsafeBytes(of: word.raw) { try unsafe file.writeAll($0, at: Int64(ArenaLayout.cells)) }
            return
        default: try held.release()
        }
        fileSystem.ignoresMaintenanceLocks = self == .unguarded
    }

    /// Opens the arena, has the mutex if it is free, and leaves.
    private func use(_ life: ScheduledLife) throws {
        let arena = try MutexArena(Self.name, in: life.directory, count: 1)
        guard case .acquired(let lock) = try arena[0].tryLock() else { return }
        // A name can be given once: so no other process has the token.
        _ = try life.directory.open(.known("token-\(lock.token.value)"), .createNew(permissions: 0o600))
        life.beInside()
        try lock.release()
    }
}
