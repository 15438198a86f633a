// SPDX-License-Identifier: Apache-2.0

/// One run: which protocol, how hard, how long.
struct RunSettings {
    var protocolName: ProtocolName
    /// Where the run's own directory is made.
    var parent: String
    var limits: RunLimits
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
    func plan(in directory: RunDirectory, _ worker: WorkerID) -> WorkerPlan {
        WorkerPlan(
            protocolName: protocolName,
            pagePath: directory.page,
            lockDirectory: directory.locks,
            slot: worker.slot,
            slots: limits.workers,
            incarnation: worker.incarnation,
            seed: seed &+ UInt64(worker.slot) << 32 &+ worker.incarnation,
            pause: pause,
            deaths: deaths,
            deathsInCalls: deathsInCalls,
            hasUnnamedFiles: hasUnnamedFiles
        )
    }
}
