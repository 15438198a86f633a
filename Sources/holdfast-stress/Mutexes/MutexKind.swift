// SPDX-License-Identifier: Apache-2.0
//
// Which mutexes there are, and how many contend for them.

internal import ArgumentParser

/// The mutexes that can be stressed.
enum MutexKind: String, CaseIterable, Codable, ExpressibleByArgument {
    /// Known bad: takes the mutex of a holder that has had it for long, without asking whether it lives.
    case steal
    /// Mutexes of a `MutexArena`.
    case arena

    var isUnsound: Bool { self == .steal }
}

/// Who contends for how many mutexes.
struct MutexCrowd: Codable {
    var processes: Int
    /// In each process.
    var threads: Int
    /// In each process.
    var tasks: Int
    var mutexes: Int

    var contendersPerProcess: Int { threads + tasks }
    var contenders: Int { processes * contendersPerProcess }
}
