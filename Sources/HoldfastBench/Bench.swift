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
    private let peers: (String, Bench) throws -> [Contestant]

    /// - Parameters:
    ///   - ground: Where everything that is measured is made.
    ///   - effort: How much time there is.
    ///   - disk: What counts the flushes of durable saves.
    ///   - peers: Who else does the work of a name, as this measures it.
    public init(
        _ ground: BenchGround,
        _ effort: Effort,
        disk: DiskCounter?,
        peers: @escaping (String, Bench) throws -> [Contestant] = { _, _ in [] }
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
        subject: Contestant,
        floor: Contestant
    ) throws -> BenchRow {
        let contestants = [floor, subject] + (try peers(work, self))
        let harness = Harness(effort, seconds: seconds, disk: countsFlushes ? disk : nil)
        return row(work, contestants, try harness.run(contestants, count: count), goal, countsFlushes)
    }

    /// Measures what happens once, now and then: takes so many samples of each in turns, within a few seconds.
    ///
    /// - Parameters:
    ///   - work: The name of the work.
    ///   - contestants: The floor and Holdfast.
    ///   - goal: What it should reach.
    ///   - samples: How many, if there is time.
    /// - Returns: The row.
    /// - Throws: What one of them threw.
    func row(_ work: String, _ contestants: [Contestant], goal: Goal?, samples: Int) throws -> BenchRow {
        let all = contestants + (try peers(work, self))
        var measured = all.map { _ in Measured() }
        let warmUp = 3
        let end = Clock.now + 2_500_000_000 * UInt64(all.count)
        for index in 0..<(min(samples, effort.rounds ?? samples) + warmUp) where index < warmUp + 3 || Clock.now < end {
            for (one, contestant) in all.enumerated() {
                let time = try contestant.time(1)
                if index >= warmUp { measured[one].time.append(Double(time)) }
            }
        }
        return row(work, all, measured, goal, false)
    }

    private func row(
        _ work: String,
        _ contestants: [Contestant],
        _ measured: [Measured],
        _ goal: Goal?,
        _ countsFlushes: Bool
    ) -> BenchRow {
        var row = BenchRow(
            work,
            measured[1],
            floor: (contestants[0].name, measured[0]),
            goal: goal,
            countsFlushes: countsFlushes
        )
        row.peers = zip(contestants, measured).dropFirst(2).map { BenchRow.Entry($0.name, $1) }
        return row
    }
}
