// SPDX-License-Identifier: Apache-2.0
//
// What the supervisor tells a worker: a line of arguments, because a worker is a fresh program and not a fork.

/// One worker's orders.
struct WorkerPlan {
    /// The first argument of a worker, by which the program knows that it is one.
    static let verb = "worker"

    var protocolName: ProtocolName
    var pagePath: String
    var lockDirectory: String
    var slot: Int
    var slots: Int
    /// Which process of its slot, from 1.
    var incarnation: UInt64
    var seed: UInt64
    /// The longest pause in microseconds.
    var pause: UInt64
    /// Of 1000 holders, how many die.
    var deaths: UInt64
    /// Of 1000 system calls of the protocol, before how many the process dies.
    var deathsInCalls: UInt64
    /// Whether the file system has O_TMPFILE, or is to look as if it had not.
    var hasUnnamedFiles: Bool

    var arguments: [String] {
        [Self.verb, protocolName.rawValue, pagePath, lockDirectory]
            + [
                UInt64(slot), UInt64(slots), incarnation, seed, pause, deaths, deathsInCalls, hasUnnamedFiles ? 1 : 0,
            ]
            .map { "\($0)" }
    }
}

extension WorkerPlan {
    /// Reads what ``arguments`` wrote; nil if it is something else.
    init?(_ arguments: [String]) {
        guard arguments.count == 12, arguments[0] == Self.verb, let name = ProtocolName(rawValue: arguments[1]) else {
            return nil
        }
        let numbers = arguments[4...].compactMap { UInt64($0) }
        guard numbers.count == 8 else { return nil }
        protocolName = name
        pagePath = arguments[2]
        lockDirectory = arguments[3]
        slot = Int(numbers[0])
        slots = Int(numbers[1])
        incarnation = numbers[2]
        seed = numbers[3]
        pause = numbers[4]
        deaths = numbers[5]
        deathsInCalls = numbers[6]
        hasUnnamedFiles = numbers[7] == 1
    }
}
