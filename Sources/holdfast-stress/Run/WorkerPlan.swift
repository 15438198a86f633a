// SPDX-License-Identifier: Apache-2.0
//
// What the supervisor tells a worker: JSON in an argument, because a worker is a fresh program and not a fork.

internal import FoundationEssentials
internal import Holdfast
internal import _HoldfastStressShims

/// One worker's orders.
struct WorkerPlan<Settings: StressSettings>: Codable, Sendable {
    var settings: Settings
    var directory: RunDirectory
    var worker: WorkerID

    var seed: UInt64 { settings.seed &+ UInt64(worker.slot) << 32 &+ worker.incarnation }
}

/// The orders of a worker of whichever kind.
enum WorkerOrders: Codable {
    case locks(WorkerPlan<RunSettings>)
    case mutex(WorkerPlan<MutexSettings>)
    case state(WorkerPlan<StateSettings>)

    /// The first argument of a worker, by which the program knows that it is one.
    static let verb = "worker"

    func arguments() throws -> [String] {
        [Self.verb, String(decoding: try JSONEncoder().encode(self), as: UTF8.self)]
    }

    /// The whole of a worker process, which was started with ``arguments()``.
    static func carryOut(_ arguments: [String]) -> Never {
        guard let orders = try? JSONDecoder().decode(WorkerOrders.self, from: Data((arguments.last ?? "").utf8)) else {
            complain("workers are started by the tool itself")
            exit(64)
        }
        let error = hfs_end_with_parent()
        guard error == 0 else {
            complain("\(SystemError(call: "pthread_create", code: error))")
            exit(71)
        }
        do {
            try orders.carryOut()
        } catch {
            complain("worker: \(error)")
            exit(71)
        }
        exit(0)
    }

    private func carryOut() throws {
        switch self {
        case .locks(let plan):
            var worker = try Worker(plan)
            worker.run()
        case .mutex(let plan): try MutexWorker(plan).run()
        case .state(let plan): try StateWorker(plan).run()
        }
    }
}
