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

    /// Measures some contestants in turns for one number.
    mutating func add(_ x: Int, _ contestants: [Contestant], _ harness: Harness, count: Int) throws {
        for (contestant, measured) in zip(contestants, try harness.run(contestants, count: count)) {
            guard let time = measured.time.median else { continue }
            let index = curves.firstIndex { $0.name == contestant.name }
            if index == nil { curves.append(Curve(name: contestant.name)) }
            curves[index ?? curves.count - 1].points.append(Point(x: x, nanoseconds: time.rounded(to: 0.01)))
        }
    }
}

/// What is measured for curves.
struct GrowthWork {
    let name: String
    let measure: (Bench, Effort, Peers) throws -> Growth

    static var all: [GrowthWork] {
        [
            GrowthWork(name: "growth.payload", measure: payload),
            GrowthWork(name: "growth.waiters", measure: waiters),
            GrowthWork(name: "growth.mutexes", measure: mutexes),
            GrowthWork(name: "growth.states", measure: states),
        ]
    }

    private static func payload(_ bench: Bench, _ effort: Effort, _ peers: Peers) throws -> Growth {
        var growth = Growth(
            name: "growth.payload",
            title: "A durable save, by the size of the payload",
            axis: "payload"
        )
        let lengths = effort.isFull ? [128, 1 << 10, 8 << 10, 64 << 10, 512 << 10, 4 << 20, 64 << 20] : [128, 8 << 10]
        for length in lengths {
            let payload = somePayload(length)
            let frame = payload + [UInt8](repeating: 0, count: 128)
            let folder = "\(bench.ground.path)/payload.\(length)"
            let inPlace = try StateFile<[UInt8]>(path: "\(folder).slots", options: StateOptions(strategy: .twoSlot))
            let replaced = try StateFile<[UInt8]>(path: "\(folder).replaced")
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
                let database = try Database(lmdb: "\(folder).lmdb")
                contestants.append(Contestant("LMDB") { try database.save(payload, $0) })
            }
            if peers.versions[.sqlite] != nil {
                let database = try Database(sqlite: "\(folder).sqlite", .writeAhead)
                contestants.append(Contestant("SQLite, WAL FULL") { try database.save(payload, $0) })
            }
            try growth.add(length, contestants, Harness(effort, seconds: 0.5), count: length > 1 << 20 ? 1 : 2)
        }
        return growth
    }

    private static func waiters(_ bench: Bench, _ effort: Effort, _ peers: Peers) throws -> Growth {
        var growth = Growth(
            name: "growth.waiters",
            title: "A grant, by how many threads wait for the lock",
            axis: "waiting threads"
        )
        let page = try FloorPage("\(bench.ground.path)/waiters.page")
        let mutex = try MutexArena("\(bench.ground.path)/waiters.arena", count: 1)[0]
        let file = try LockFile("\(bench.ground.path)/waiters.lock")
        let directory = bench.ground.directory
        /// Holds the lock until all threads want it, and then has each of them take it once.
        func contestant(
            _ name: String,
            _ threads: Int,
            _ hold: @escaping () throws -> (() throws -> Void),
            _ cycle: @escaping () throws -> Void
        ) -> Contestant {
            .timingItself(name, count: threads) { _ in
                let release = try hold()
                let time = try Threads.runAfterAllWait(threads, release, cycle)
                return time
            }
        }
        for count in effort.isFull ? [1, 4, 16, 64, 256] : [1, 4] {
            let contestants = [
                contestant(
                    "robust pthread mutex",
                    count,
                    {
                        try page.lock()
                        return { try page.unlock() }
                    },
                    { try page.lockAndUnlock(1) }
                ),
                contestant(
                    "Holdfast, SharedMemoryMutex",
                    count,
                    {
                        let box = Box(try mutex.lock())
                        return { try box.release { try $0.release() } }
                    },
                    { try mutex.withLock { _ in } }
                ),
                contestant(
                    "flock",
                    count,
                    {
                        let descriptor = try Floors.waitForLock(directory, "waiters.flock")
                        return { close(descriptor) }
                    },
                    { try Floors.lock(directory, "waiters.flock", 1) }
                ),
                contestant(
                    "Holdfast, LockFile",
                    count,
                    {
                        let box = Box(try file.lock())
                        return { try box.release { try $0.release() } }
                    },
                    { try file.lock().release() }
                ),
            ]
            try growth.add(count, contestants, Harness(effort, seconds: 0.6), count: count)
        }
        return growth
    }

    /// Keeps a guard for a closure.
    private final class Box<Guard: ~Copyable> {
        private var held: Guard?
        init(_ held: consuming Guard) { self.held = consume held }
        func release(_ body: (consuming Guard) throws -> Void) throws {
            if let held = held.take() { try body(held) }
        }
    }

    private static func mutexes(_ bench: Bench, _ effort: Effort, _ peers: Peers) throws -> Growth {
        var growth = Growth(
            name: "growth.mutexes",
            title: "Mutexes, by how many the arena has",
            axis: "mutexes in the arena"
        )
        for count in effort.isFull ? [1, 16, 256, 4096, 65_536] : [1, 16] {
            let path = "\(bench.ground.path)/\(count).arena"
            let arena = try MutexArena(path, count: count)
            let order = (0..<1024).map { _ in Int.random(in: 0..<count) }
            let contestants = [
                Contestant("take and release one at random") { turns in
                    for turn in 0..<turns { try arena[order[turn & 1023]].withLock { _ in } }
                },
                Contestant("take and release the same one", count: 10_000) { turns in
                    let mutex = arena[0]
                    for _ in 0..<turns { try mutex.withLock { _ in } }
                },
                Contestant("open the arena") { turns in for _ in 0..<turns { _ = try MutexArena(path, count: count) } },
            ]
            try growth.add(count, contestants, Harness(effort, seconds: 0.4), count: 10_000)
        }
        return growth
    }

    private static func states(_ bench: Bench, _ effort: Effort, _ peers: Peers) throws -> Growth {
        var growth = Growth(
            name: "growth.states",
            title: "A state of 4 KiB, by how many states are in its directory",
            axis: "states in the directory"
        )
        let payload = somePayload(4 << 10)
        for count in effort.isFull ? [1, 10, 100, 1000, 10_000] : [1, 10] {
            let folder = "\(bench.ground.path)/states.\(count)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
            let directory = try Directory(folder)
            let names = (0..<count).compactMap { FileName("state.\($0)") }
            // Copies of one: the first save of each would look through the directory, which is one of the curves.
            try StateFile<[UInt8]>(names[0], in: directory).save(payload, durability: .processCrash)
            let state = try Data(contentsOf: URL(filePath: "\(folder)/state.0"))
            for name in names.dropFirst() { try state.write(to: URL(filePath: "\(folder)/\(name)")) }
            let files = try (0..<16).map { _ in
                try StateFile<[UInt8]>(names[Int.random(in: 0..<count)], in: directory)
            }
            let frame = payload + [UInt8](repeating: 0, count: 128)
            let contestants = [
                Contestant("floor: rename sequence") { try Floors.save(directory, "floor", frame, $0) },
                Contestant("Holdfast, durable save") { for turn in 0..<$0 { try files[turn & 15].save(payload) } },
                Contestant("Holdfast, load", count: 50) { for turn in 0..<$0 { _ = try files[turn & 15].load() } },
                Contestant("Holdfast, a first save", count: 1) { _ in
                    try StateFile<[UInt8]>(names[Int.random(in: 0..<count)], in: directory)
                        .save(payload, durability: .processCrash)
                },
            ]
            try growth.add(count, contestants, Harness(effort, seconds: 0.5), count: 3)
        }
        return growth
    }
}

extension Threads {
    /// Starts so many threads that each take a lock once, and releases it when they have had the time to wait for it.
    ///
    /// - Returns: The time from the release until all have had it.
    static func runAfterAllWait(
        _ count: Int,
        _ release: @escaping () throws -> Void,
        _ cycle: @escaping () throws -> Void
    )
        throws -> UInt64
    {
        var start: UInt64 = 0
        // Released by the thread that took it, as a pthread mutex must be.
        let meanwhile = {
            // Longer than it takes to start them all and to go to sleep.
            Clock.sleep(milliseconds: 2 + count / 8)
            start = Clock.now
            try release()
        }
        try run(count, meanwhile: meanwhile) { _ in try cycle() }
        return Clock.now - start
    }
}
