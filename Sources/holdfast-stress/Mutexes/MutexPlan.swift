// SPDX-License-Identifier: Apache-2.0
//
// What is stressed, how hard, and what the supervisor tells a worker of it.

internal import ArgumentParser

/// The mutexes that can be stressed.
enum MutexKind: String, CaseIterable, ExpressibleByArgument {
    /// Known bad: takes the mutex of a holder that has had it for long, without asking whether it lives.
    case steal
    /// Mutexes of a `MutexArena`.
    case arena

    var isUnsound: Bool { self == .steal }
}

/// Who contends for how many mutexes.
struct MutexCrowd {
    var processes: Int
    /// In each process.
    var threads: Int
    /// In each process.
    var tasks: Int
    var mutexes: Int

    var contendersPerProcess: Int { threads + tasks }
    var contenders: Int { processes * contendersPerProcess }
}

/// One worker's orders.
struct MutexPlan {
    /// The first argument of a worker, by which the program knows that it is one.
    static let verb = "mutex-worker"

    var kind: MutexKind
    var pagePath: String
    var arenaPath: String
    var crowd: MutexCrowd
    var worker: WorkerID
    var seed: UInt64
    /// The longest pause in microseconds.
    var pause: UInt64
    /// For how long a thread may stand still at any instruction, in microseconds; 0 if none does.
    var longestStop: UInt64

    var arguments: [String] {
        [Self.verb, kind.rawValue, pagePath, arenaPath]
            + [
                UInt64(crowd.processes), UInt64(crowd.threads), UInt64(crowd.tasks), UInt64(crowd.mutexes),
                UInt64(worker.slot), worker.incarnation, seed, pause, longestStop,
            ]
            .map { "\($0)" }
    }
}

extension MutexPlan {
    /// Reads what ``arguments`` wrote; nil if it is something else.
    init?(_ arguments: [String]) {
        guard arguments.count == 13, arguments[0] == Self.verb, let kind = MutexKind(rawValue: arguments[1]) else {
            return nil
        }
        let numbers = arguments[4...].compactMap { UInt64($0) }
        guard numbers.count == 9 else { return nil }
        self.kind = kind
        pagePath = arguments[2]
        arenaPath = arguments[3]
        crowd = MutexCrowd(
            processes: Int(numbers[0]),
            threads: Int(numbers[1]),
            tasks: Int(numbers[2]),
            mutexes: Int(numbers[3])
        )
        worker = WorkerID(slot: Int(numbers[4]), incarnation: numbers[5])
        seed = numbers[6]
        pause = numbers[7]
        longestStop = numbers[8]
    }
}
