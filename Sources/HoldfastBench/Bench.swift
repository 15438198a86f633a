// SPDX-License-Identifier: Apache-2.0
//
// What a row needs to be measured: where, for how long, and beside whom.

/// Where and how rows are measured.
public final class Bench {
    /// Where everything that is measured is made.
    public let ground: BenchGround
    let effort: Effort
    /// What counts the flushes of durable saves; nil if they cannot be counted.
    public let disk: DiskCounter?
    /// Who else does the work of that name, to be measured with it.
    private let peers: (String) throws -> [Contestant]

    /// - Parameters:
    ///   - ground: Where everything that is measured is made.
    ///   - effort: How much time there is.
    ///   - disk: What counts the flushes of durable saves.
    ///   - peers: Who else does the work of a name.
    public init(
        _ ground: BenchGround,
        _ effort: Effort,
        disk: DiskCounter?,
        peers: @escaping (String) throws -> [Contestant] = { _ in [] }
    ) {
        self.ground = ground
        self.effort = effort
        self.disk = disk
        self.peers = peers
    }

    /// Measures some work, its floor and who else does it, in turns.
    ///
    /// - Parameters:
    ///   - work: The name of the work.
    ///   - seconds: About how long that takes without peers.
    ///   - count: How many operations make a turn.
    ///   - goal: What it should reach.
    ///   - countsFlushes: Whether it flushes.
    ///   - subject: What Holdfast does.
    ///   - floor: What the work cannot do without; its name tells.
    /// - Returns: The row.
    /// - Throws: What one of them threw.
    public func row(
        _ work: String,
        seconds: Double,
        count: Int,
        goal: Goal? = nil,
        countsFlushes: Bool = false,
        subject: @escaping (Int) throws -> Void,
        floor: Contestant
    ) throws -> BenchRow {
        let others = try peers(work)
        let measured = try Harness(effort, seconds: seconds, disk: countsFlushes ? disk : nil).run(
            [floor, Contestant("Holdfast", subject)] + others,
            count: count
        )
        var row = BenchRow(
            work,
            measured[1],
            floor: (floor.name, measured[0]),
            goal: goal,
            countsFlushes: countsFlushes
        )
        row.peers = zip(others, measured[2...]).map { BenchRow.Entry($0.name, $1) }
        return row
    }
}
