// SPDX-License-Identifier: Apache-2.0
//
// What is stressed, what the supervisor tells a worker of it, and the page they share.

internal import ArgumentParser
internal import Holdfast

/// The ways to keep a state that can be stressed.
enum StateKind: String, CaseIterable, ExpressibleByArgument {
    /// Known bad: loads, changes and saves, with no lock over the three.
    case unlocked
    case replace
    case twoSlot = "two-slot"
    /// Writers convert the file now and then.
    case converted

    var isUnsound: Bool { self == .unlocked }

    var strategy: StateStrategy {
        switch self {
        case .replace: .replace
        case .unlocked, .twoSlot: .twoSlot
        case .converted: .asFound
        }
    }
}

/// One worker's orders.
struct StatePlan {
    /// The first argument of a worker, by which the program knows that it is one.
    static let verb = "state-worker"

    var kind: StateKind
    var pagePath: String
    var statePath: String
    var writers: Int
    var worker: WorkerID
    var seed: UInt64

    var arguments: [String] {
        [Self.verb, kind.rawValue, pagePath, statePath]
            + [UInt64(writers), UInt64(worker.slot), worker.incarnation, seed].map { "\($0)" }
    }
}

extension StatePlan {
    /// Reads what ``arguments`` wrote; nil if it is something else.
    init?(_ arguments: [String]) {
        guard arguments.count == 8, arguments[0] == Self.verb, let kind = StateKind(rawValue: arguments[1]) else {
            return nil
        }
        let numbers = arguments[4...].compactMap { UInt64($0) }
        guard numbers.count == 4 else { return nil }
        self.kind = kind
        pagePath = arguments[2]
        statePath = arguments[3]
        writers = Int(numbers[0])
        worker = WorkerID(slot: Int(numbers[1]), incarnation: numbers[2])
        seed = numbers[3]
    }
}

/// What is counted besides the counters of every run.
enum StateCounter: Int, CaseIterable {
    /// States read.
    case reads
    /// States that are older than one that the same reader has seen.
    case older
    /// Files that were converted.
    case conversions
    /// Updates that are in the state and that nobody has made.
    case surplus
}

/// The page of a run of `state`; its `acquisitions` are the updates that writers were told of.
struct StatePage {
    static func lines(writers: Int) -> Int { StateCounter.allCases.count + writers }

    let page: SharedPage

    subscript(_ counter: Counter) -> SharedWord { page[counter] }
    subscript(_ counter: StateCounter) -> SharedWord { page.word(counter.rawValue) }

    /// How many updates a writer and those before it in its slot were told of.
    func told(_ writer: Int) -> SharedWord { page.word(StateCounter.allCases.count + writer) }
}
