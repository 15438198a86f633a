// SPDX-License-Identifier: Apache-2.0

/// One run: which protocol, how hard, how long.
struct RunSettings {
    var protocolName: ProtocolName
    /// Where the run's own directory is made.
    var parent: String
    var workers: Int
    /// Ends the run; nil for no such limit.
    var acquisitions: UInt64?
    /// Ends the run; nil for no such limit.
    var length: Duration?
    /// Ends the run at the first overlap.
    var untilOverlap: Bool
    /// Whether overlaps are what the run has to find.
    var expectsOverlaps: Bool
    /// The longest pause in microseconds.
    var pause: UInt64
    /// Of 1000 holders, how many die.
    var deaths: UInt64
    /// Of 1000 system calls of the protocol, before how many the process dies.
    var deathsInCalls: UInt64
    /// Whether the file system has O_TMPFILE, or is to look as if it had not.
    var hasUnnamedFiles: Bool
    var seed: UInt64
}

extension RunSettings {
    /// The orders of one worker.
    func plan(in directory: RunDirectory, slot: Int, incarnation: UInt64) -> WorkerPlan {
        WorkerPlan(
            protocolName: protocolName,
            pagePath: directory.page,
            lockDirectory: directory.locks,
            slot: slot,
            slots: workers,
            incarnation: incarnation,
            seed: seed &+ UInt64(slot) << 32 &+ incarnation,
            pause: pause,
            deaths: deaths,
            deathsInCalls: deathsInCalls,
            hasUnnamedFiles: hasUnnamedFiles
        )
    }
}
