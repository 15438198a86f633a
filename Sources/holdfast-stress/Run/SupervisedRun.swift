// SPDX-License-Identifier: Apache-2.0
//
// What the supervisor has to know of a run, whatever is stressed in it.

/// How many workers contend, and when that is over.
struct RunLimits: Codable {
    var workers: Int
    /// Ends the run; nil for no such limit.
    var acquisitions: UInt64?
    /// Ends the run; nil for no such limit.
    var length: Duration?
    /// Ends the run at the first overlap or lost update.
    var untilOverlap: Bool
    /// Whether overlaps are what the run has to find.
    var expectsOverlaps: Bool
    /// The program of every second worker; nil for this one.
    var peer: String?
}

/// One process among the workers.
struct WorkerID: Hashable, Codable {
    var slot: Int
    /// Which process of its slot, from 1.
    var incarnation: UInt64
}

/// One run: what is stressed, how hard, how long.
protocol StressSettings: Codable, Sendable {
    associatedtype Report: StressReport
    var seed: UInt64 { get }
    /// Runs it, tidies up, and reports.
    func run(in directory: RunDirectory) throws -> Report
}

/// A run, as its supervisor sees it.
protocol SupervisedRun {
    var limits: RunLimits { get }
    var page: SharedPage { get }
    /// What a worker that is about to be started has to do.
    mutating func orders(for worker: WorkerID) -> WorkerOrders
    /// Says in the page that a worker has been reaped, before anything else is done.
    mutating func bury(_ worker: WorkerID)
    /// What else befalls the workers, which are given with their PIDs. Returns how many nanoseconds there is peace then.
    mutating func disturb(_ workers: [Int32: WorkerID]) -> Int64
}
