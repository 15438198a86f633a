// SPDX-License-Identifier: Apache-2.0

/// One run: which protocol, how hard, how long.
struct RunSettings: StressSettings {
    var protocolName: ProtocolName
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
