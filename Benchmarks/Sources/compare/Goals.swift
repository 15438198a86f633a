// SPDX-License-Identifier: Apache-2.0
//
// What Holdfast should reach beside its floors and peers.

internal import HoldfastBench

/// A goal, and what was measured.
struct GoalResult: Encodable {
    /// What should be.
    let goal: String
    /// What is; nil if something was not measured.
    let figure: Double?
    let unit: String
    let isMet: Bool?

    var verdict: String { isMet.map { $0 ? "met" : "missed" } ?? "not measured" }
    /// The figure in its unit, or nothing.
    var figureText: String { figure.map { "\(BenchTable.decimal($0, 2))\(unit)" } ?? "" }
}

enum Goals {
    static func results(_ rows: [BenchRow]) -> [GoalResult] {
        func row(_ work: String) -> BenchRow? { rows.first { $0.work == work } }
        func ofFloor(_ goal: String, _ work: String, atMost: Double) -> GoalResult {
            let figure = row(work)?.ratio
            return GoalResult(
                goal: "\(goal), at most \(atMost)× its floor",
                figure: figure,
                unit: "×",
                isMet: figure.map { $0 <= atMost }
            )
        }
        func faster(_ goal: String, _ work: String, than peer: String, atLeast: Double) -> GoalResult {
            let figure = row(work).flatMap { row in
                row.peers.first { $0.name == peer }.map { $0.nanoseconds / row.subject.nanoseconds }
            }
            return GoalResult(
                goal: "\(goal), at least \(atLeast)× as fast as \(peer)",
                figure: figure,
                unit: "×",
                isMet: figure.map { $0 >= atLeast }
            )
        }
        let inPlace = "state.save.two-slot.4KiB"
        let read = row("state.read.unchanged")?.subject.nanoseconds
        return [
            ofFloor("uncontended mutex", "mutex.uncontended", atMost: 1.35),
            faster("uncontended mutex", "mutex.uncontended", than: "flock, open file", atLeast: 40),
            ofFloor("durable save in two slots", inPlace, atMost: 1.10),
            faster("durable save in two slots", inPlace, than: Peers.lmdb, atLeast: 1.8),
            faster("durable save in two slots", inPlace, than: Peers.writeAhead, atLeast: 1.5),
            faster("durable save in two slots", inPlace, than: Peers.renameSequence, atLeast: 4),
            ofFloor("durable save by replacement", "state.save.replace.4KiB", atMost: 1.05),
            faster("durable save by replacement", "state.save.replace.4KiB", than: Peers.original, atLeast: 1.3),
            faster("64 savers", "state.savers.64", than: Peers.oneSaver, atLeast: 20),
            GoalResult(goal: "unchanged read, at most 10 ns", figure: read, unit: " ns", isMet: read.map { $0 <= 10 }),
        ]
    }
}
