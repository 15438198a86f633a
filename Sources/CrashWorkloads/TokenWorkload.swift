// SPDX-License-Identifier: Apache-2.0
//
// Fencing tokens that are reserved, and must never be reserved again.

internal import Holdfast
package import HoldfastTesting

/// Reserves blocks of tokens, as the holder of a lock does at its first acquisition after each start of the machine.
package struct TokenWorkload {
    /// Blocks that were reserved before.
    var before: Int
    var blocks: Int
    /// Which fdatasync(2) or fsync(2) of the reservations after those fails, from 1.
    var failingFlush: Int?

    package init(before: Int, blocks: Int, failingFlush: Int? = nil) {
        self.before = before
        self.blocks = blocks
        self.failingFlush = failingFlush
    }

    private static let name = FileName.known("service.lock")

    /// Every note is the mark behind a block: tokens below it may have been given out.
    package func explore(_ explorer: CrashExplorer) throws -> CrashReport {
        try explorer.explore(
            preparing: { run in
                for _ in 0..<before { run.note(try reserve(run).limit) }
            },
            workload: { (run: CrashRun<UInt64>) in
                run.fileSystem.faults = faults()
                for _ in 0..<blocks {
                    do {
                        run.note(try reserve(run).limit)
                    } catch let error as LockError {
                        // It was told, and uses no token.
                        if !run.fileSystem.calls.contains(where: \.isFaulted) { throw error }
                    }
                }
                run.fileSystem.faults = .none
            },
            recovery: { run in
                let given = run.notes.max() ?? 0
                let (first, limit) = try reserve(run)
                if first < given {
                    throw CrashViolation(.repeated, "token \(first) is given out, and all below \(given) had been")
                }
                run.note(limit)
            }
        )
    }

    private func faults() -> FaultPlan {
        guard let failingFlush else { return .none }
        return .failEvery(with: 5, after: failingFlush - 1, times: 1) { $0.function.hasSuffix("sync") }
    }

    private func reserve(_ run: CrashRun<UInt64>) throws -> (first: UInt64, limit: UInt64) {
        switch try TokenReservation.reserve(above: 0, for: Self.name, in: run.fileSystem.directory()) {
        case .reserved(let first, let limit): return (first, limit)
        case .busy(let holder): throw CrashViolation(.failed, "the guard is held by \(holder)")
        }
    }
}
