// SPDX-License-Identifier: Apache-2.0
//
// How cost grows with what there is of something.

internal import Foundation
internal import Holdfast
internal import HoldfastBench

/// Curves over one number.
struct Growth: Encodable {
    struct Point: Encodable {
        let x: Int
        let nanoseconds: Double
    }

    struct Curve: Encodable {
        let name: String
        var points: [Point] = []
    }

    let name: String
    let title: String
    /// What grows.
    let axis: String
    var curves: [Curve] = []

    private enum CodingKeys: String, CodingKey {
        case name, title, axis, curves
    }

    private var isBytes: Bool { name == "growth.payload" }

    func label(_ x: Int) -> String {
        if !isBytes { return "\(x)" }
        return x < 1024 ? "\(x) B" : x < 1 << 20 ? "\(x >> 10) KiB" : "\(x >> 20) MiB"
    }

    /// Adds a point to the curve of that name.
    fileprivate mutating func add(_ x: Int, _ name: String, _ measured: Measured) {
        guard let time = measured.time.median else { return }
        let index = curves.firstIndex { $0.name == name }
        if index == nil { curves.append(Curve(name: name)) }
        curves[index ?? curves.count - 1].points.append(Point(x: x, nanoseconds: time.rounded(to: 0.01)))
    }

    /// A line for each number.
    var table: [[String]] {
        let numbers = Set(curves.flatMap { $0.points.map(\.x) }).sorted()
        return [[axis] + curves.map(\.name)]
            + numbers.map { x in
                [label(x)]
                    + curves.map { curve in
                        curve.points.first { $0.x == x }.map { BenchTable.duration($0.nanoseconds) } ?? ""
                    }
            }
    }
}

/// What is measured for curves.
struct GrowthWork: Sendable {
    let name: String
    let title: String
    let axis: String
    /// How much there is of it; with less than full effort only the first two.
    let numbers: [Int]
    let seconds: Double
    /// How many operations make a turn.
    let count: @Sendable (Int) -> Int
    let contestants: @Sendable (Int, Bench, Peers) throws -> [Contestant]

    func measure(_ bench: Bench, _ effort: Effort, _ peers: Peers) throws -> Growth {
        var growth = Growth(name: name, title: title, axis: axis)
        for x in effort.isFull ? numbers : Array(numbers.prefix(2)) {
            let contestants = try contestants(x, bench, peers)
            let results = try Harness(effort, seconds: seconds).run(contestants, count: count(x))
            for (contestant, measured) in zip(contestants, results) { growth.add(x, contestant.name, measured) }
        }
        return growth
    }

    static let all = [
        GrowthWork(
            name: "growth.payload",
            title: "A durable save, by the size of the payload",
            axis: "payload",
            numbers: [128, 1 << 10, 8 << 10, 64 << 10, 512 << 10, 4 << 20, 64 << 20],
            seconds: 0.5,
            count: { $0 > 1 << 20 ? 1 : 2 },
            contestants: saves
        ),
        GrowthWork(
            name: "growth.waiters",
            title: "A grant, by how many threads wait for the lock",
            axis: "waiting threads",
            numbers: [1, 4, 16, 64, 256],
            seconds: 0.6,
            count: { $0 },
            contestants: grants
        ),
        GrowthWork(
            name: "growth.mutexes",
            title: "Mutexes, by how many the arena has",
            axis: "mutexes in the arena",
            numbers: [1, 16, 256, 4096, 65_536],
            seconds: 0.4,
            count: { _ in 10_000 },
            contestants: mutexes
        ),
        GrowthWork(
            name: "growth.states",
            title: "A state of 4 KiB, by how many states are in its directory",
            axis: "states in the directory",
            numbers: [1, 10, 100, 1000, 10_000],
            seconds: 0.5,
            count: { _ in 3 },
            contestants: states
        ),
    ]

    /// Durable saves of so many bytes.
    private static func saves(_ length: Int, _ bench: Bench, _ peers: Peers) throws -> [Contestant] {
        let payload = somePayload(length)
        let frame = payload + [UInt8](repeating: 0, count: 128)
        let path = "\(bench.ground.path)/payload.\(length)"
        let inPlace = try StateFile<[UInt8]>("\(path).slots", options: StateOptions(strategy: .twoSlot))
        let replaced = try StateFile<[UInt8]>("\(path).replaced")
        var contestants = [
            Contestant(
                "floor: pwrite, fdatasync",
                try SlotFloor(bench, "payload.\(length).floor", length: length).save
            ),
            Contestant("Holdfast, two slots") { for _ in 0..<$0 { try inPlace.save(payload) } },
            Contestant("floor: rename sequence") {
                try Floors.save(bench.ground.directory, "payload.\(length).renamed", frame, $0)
            },
            Contestant("Holdfast, replace") { for _ in 0..<$0 { try replaced.save(payload) } },
        ]
        if peers.versions[.lmdb] != nil {
            let database = try Database(lmdb: "\(path).lmdb")
            contestants.append(Contestant("LMDB") { try database.save(payload, $0) })
        }
        if peers.versions[.sqlite] != nil {
            let database = try Database(sqlite: "\(path).sqlite", .writeAhead)
            contestants.append(Contestant("SQLite, WAL FULL") { try database.save(payload, $0) })
        }
        return contestants
    }

    /// From the release of a lock that so many threads wait for until all have had it.
    private static func grants(_ threads: Int, _ bench: Bench, _ peers: Peers) throws -> [Contestant] {
        func contestant(_ name: String, _ implementation: LockImplementation) throws -> Contestant {
            let lock = try BenchLock(implementation, "\(bench.ground.path)/waiters.\(implementation)")
            return .timingItself(name, count: threads) { _ in
                let held = try lock.wait()
                let waiting = Threads(threads) { _ in try lock.withLock {} }
                // Longer than it takes to start them all and to go to sleep.
                Clock.sleep(milliseconds: 2 + threads / 8)
                let start = Clock.now
                // By the thread that took it, as a pthread mutex must be.
                try held.release()
                try waiting.wait()
                return Clock.now - start
            }
        }
        return [
            try contestant("robust pthread mutex", .pthread),
            try contestant("Holdfast, SharedMemoryMutex", .mutex),
            try contestant("flock", .kernel),
            try contestant("Holdfast, LockFile", .holdfast),
        ]
    }

    private static func mutexes(_ count: Int, _ bench: Bench, _ peers: Peers) throws -> [Contestant] {
        let path = "\(bench.ground.path)/\(count).arena"
        let arena = try MutexArena(path, count: count)
        let order = (0..<1024).map { _ in Int.random(in: 0..<count) }
        return [
            Contestant("take and release one at random") { turns in
                for turn in 0..<turns { try arena[order[turn & 1023]].withLock { _ in } }
            },
            Contestant("take and release the same one", count: 10_000) { turns in
                let mutex = arena[0]
                for _ in 0..<turns { try mutex.withLock { _ in } }
            },
            Contestant("open the arena") { turns in for _ in 0..<turns { _ = try MutexArena(path, count: count) } },
        ]
    }

    private static func states(_ count: Int, _ bench: Bench, _ peers: Peers) throws -> [Contestant] {
        let payload = somePayload(4 << 10)
        let folder = "\(bench.ground.path)/states.\(count)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        let directory = try OpenDirectory(folder)
        let names = (0..<count).compactMap { FileName("state.\($0)") }
        // Copies of one: the first save of each would look through the directory, which is one of the curves.
        try StateFile<[UInt8]>(names[0], in: directory).save(payload, durability: .processCrash)
        let state = try Data(contentsOf: URL(filePath: "\(folder)/state.0"))
        for name in names.dropFirst() { try state.write(to: URL(filePath: "\(folder)/\(name)")) }
        let files = try (0..<16).map { _ in try StateFile<[UInt8]>(names[Int.random(in: 0..<count)], in: directory) }
        let frame = payload + [UInt8](repeating: 0, count: 128)
        return [
            Contestant("floor: rename sequence") { try Floors.save(directory, "floor", frame, $0) },
            Contestant("Holdfast, durable save") { for turn in 0..<$0 { try files[turn & 15].save(payload) } },
            Contestant("Holdfast, load", count: 50) { for turn in 0..<$0 { _ = try files[turn & 15].load() } },
            Contestant("Holdfast, a first save", count: 1) { _ in
                try StateFile<[UInt8]>(names[Int.random(in: 0..<count)], in: directory)
                    .save(payload, durability: .processCrash)
            },
        ]
    }
}
