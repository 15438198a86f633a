// SPDX-License-Identifier: Apache-2.0
//
// Saving and loading, and the checksum that goes with it.

public import Holdfast
internal import _HoldfastFloors

/// Saving and loading a state.
public enum StateRows {
    /// Saves of 4 KiB by replacement.
    public static func save(_ durability: StateDurability, _ bench: Bench) throws -> BenchRow {
        try save("4KiB", length: 4 << 10, durability, goal: durability == .powerLoss ? .ratio(1.1) : nil, bench)
    }

    /// Saves by replacement.
    ///
    /// The floor replaces a file of its own by as many bytes as Holdfast writes, header and payload.
    public static func save(
        _ name: String,
        length: Int,
        _ durability: StateDurability = .powerLoss,
        goal: Goal? = nil,
        seconds: Double = 6,
        _ bench: Bench
    ) throws -> BenchRow {
        let isDurable = durability == .powerLoss
        let payload = somePayload(length)
        let file = try StateFile<[UInt8]>("\(bench.ground.path)/saved.state")
        try file.save(payload, durability: durability)
        let frame = [UInt8](repeating: 0x2a, count: 128 + length)
        let directory = bench.ground.directory
        let floor = isDurable ? "open, write, fsync, rename, fsync of the directory in C" : "open, write, rename in C"
        return try bench.row(
            "state.save.replace.\(name)\(isDurable ? "" : ".processCrash")",
            seconds: isDurable ? seconds : 2,
            count: isDurable ? 5 : 20,
            goal: goal,
            countsFlushes: isDurable,
            subject: Contestant("Holdfast") { count in
                for _ in 0..<count { try file.save(payload, durability: durability) }
            },
            floor: Contestant(floor) { try Floors.save(directory, "floor.state", frame, flushes: isDurable, $0) }
        )
    }

    /// Saves in place.
    ///
    /// The floor overwrites a file of its own by as many bytes as Holdfast writes, header and payload.
    public static func saveInPlace(_ name: String, length: Int, seconds: Double = 4, _ bench: Bench) throws -> BenchRow
    {
        let payload = somePayload(length)
        let options = StateOptions(strategy: .twoSlot)
        let file = try StateFile<[UInt8]>("\(bench.ground.path)/slots.\(name)", options: options)
        try file.save(payload)
        let floor = try SlotFloor(bench, "floor.\(name)", length: length)
        return try bench.row(
            "state.save.two-slot.\(name)",
            seconds: seconds,
            count: 10,
            goal: .ratio(1.1),
            countsFlushes: true,
            subject: Contestant("Holdfast") { count in
                for _ in 0..<count { try file.save(payload) }
            },
            floor: Contestant("pwrite, fdatasync in C", floor.save)
        )
    }

    /// Reads a typed state that nobody has changed.
    static func readUnchanged(_ bench: Bench) throws -> BenchRow {
        let options = StateOptions(strategy: .twoSlot)
        let file = try StateFile("\(bench.ground.path)/unchanged.state", codec: NumberCodec(), options: options)
        let value = 42
        try file.save(value)
        let reader = Reader(file)
        var (reads, sum) = (0, 0)
        var word: UInt64 = 1
        let row = try bench.row(
            "state.read.unchanged",
            seconds: 0.5,
            count: 10_000,
            goal: .nanoseconds(10),
            subject: Contestant("Holdfast") { count in
                sum &+= try reader.read(count)
                reads += count
            },
            floor: Contestant("an atomic load in C") { count in _ = unsafe hf_floor_read_word(&word, count) }
        )
        guard sum == value &* reads else { throw BenchError("a read gave another value than was saved") }
        return row
    }

    /// Owns what closures cannot capture.
    private final class Reader {
        private var reader: StateReader<Int>

        init(_ file: StateFile<Int>) { reader = file.reader() }

        // One access of the class's member, not one for each read.
        func read(_ count: Int) throws -> Int { try Self.read(&reader, count) }

        private static func read(_ reader: inout StateReader<Int>, _ count: Int) throws -> Int {
            var sum = 0
            for _ in 0..<count { sum &+= try reader.read() }
            return sum
        }
    }

    /// A whole number, in decimal digits.
    struct NumberCodec: StateCodec {
        struct NotANumber: Error {}

        func encode(_ value: Int) -> [UInt8] { Array("\(value)".utf8) }

        func decode(_ bytes: [UInt8]) throws -> Int {
            guard let value = Int(String(decoding: bytes, as: UTF8.self)) else { throw NotANumber() }
            return value
        }
    }

    /// Loads 4 KiB, with verification.
    public static func load(_ bench: Bench) throws -> BenchRow {
        let file = try StateFile<[UInt8]>("\(bench.ground.path)/loaded.state")
        try file.save(somePayload(4 << 10), durability: .processCrash)
        let floor = try LoadFloor(bench, "floor-loaded.state", length: 128 + 4096)
        return try bench.row(
            "state.load.4KiB",
            seconds: 1.5,
            count: 100,
            goal: .ratio(1.5),
            subject: Contestant("Holdfast") { count in
                for _ in 0..<count { _ = try file.load() }
            },
            floor: Contestant("open, fstat, read, close in C", floor.load)
        )
    }

    /// The checksum of so many bytes that are in the cache.
    public static func checksum(_ name: String, length: Int, _ bench: Bench) throws -> BenchRow {
        let bytes = [UInt8](repeating: 0x2a, count: length)
        var copy = bytes
        return try bench.row(
            "checksum.\(name)",
            seconds: 0.5,
            count: max(4, (1 << 20) / length),
            subject: Contestant("Holdfast") { count in
                for _ in 0..<count {
                    var checksum = Checksum()
                    unsafe bytes.withUnsafeBytes { unsafe checksum.update($0) }
                }
            },
            floor: Contestant("memcpy") { count in
                try checkFloor("memcpy", unsafe hf_floor_copy(&copy, bytes, length, count))
            }
        )
    }
}

/// Bytes that do not compress.
public func somePayload(_ length: Int) -> [UInt8] {
    (0..<length).map { _ in UInt8.random(in: .min ... .max) }
}

/// The floor of a load.
public final class LoadFloor {
    private let directory: OpenDirectory
    private let name: String
    private var buffer: [UInt8]

    /// Makes a file of so many bytes.
    public init(_ bench: Bench, _ name: String, length: Int) throws {
        directory = bench.ground.directory
        self.name = name
        buffer = somePayload(length)
        try Floors.save(directory, name, buffer, flushes: false, 1)
    }

    /// Opens, reads and closes it so many times.
    public func load(_ count: Int) throws {
        let length = buffer.count
        try checkFloor("load", unsafe hf_floor_load(directory.descriptor.rawValue, name, &buffer, length, count))
    }
}

/// The floor of a durable save in place: a file of two slots that are overwritten in turns.
public final class SlotFloor {
    private let file: Descriptor
    private let frame: [UInt8]

    /// Makes a file, for payloads of so many bytes.
    public init(_ bench: Bench, _ name: String, length: Int) throws {
        let (directory, fileName) = try OpenDirectory.resolve("\(bench.ground.path)/\(name)")
        file = try directory.open(fileName, .readWriteOrCreate(permissions: 0o600))
        frame = [UInt8](repeating: 0x2a, count: 128 + length)
        try save(2)
    }

    /// Writes and flushes so many times.
    public func save(_ count: Int) throws {
        let half = (frame.count + 4095) / 4096 * 4096
        try checkFloor("overwrite", unsafe hf_floor_overwrite(file.rawValue, frame, frame.count, off_t(half), count))
    }
}
