// SPDX-License-Identifier: Apache-2.0
//
// Saving and loading 4 KiB, and the checksum that goes with it.

internal import Holdfast
internal import _HoldfastFloors

enum StateRows {
    /// Saves by replacement.
    ///
    /// The floor replaces a file of its own by as many bytes as Holdfast writes, header and payload.
    static func save(_ durability: Durability, _ ground: BenchGround, _ flushes: FlushCounter?, _ effort: Effort) throws
        -> BenchRow
    {
        let isDurable = durability == .powerLoss
        let payload = somePayload()
        let file = try StateFile<[UInt8]>(path: "\(ground.path)/saved.state")
        try file.save(payload, durability: durability)
        let frame = [UInt8](repeating: 0x2a, count: try length(of: "saved.state", ground))
        let measured = try Harness(effort, seconds: isDurable ? 6 : 2).compare(
            rounds: 2000,
            count: isDurable ? 5 : 20,
            flushes: isDurable ? flushes : nil,
            subject: { count in
                for _ in 0..<count { try file.save(payload, durability: durability) }
            },
            floor: { count in
                let directory = ground.directory.descriptor.rawValue
                try checkFloor(
                    "save",
                    unsafe hf_floor_save(
                        directory,
                        "floor.state",
                        ".floor.state.tmp",
                        frame,
                        frame.count,
                        isDurable,
                        count
                    )
                )
            }
        )
        return BenchRow(
            isDurable ? "state.save.replace.4KiB" : "state.save.replace.4KiB.processCrash",
            measured,
            floor: isDurable ? "open, write, fsync, rename, fsync of the directory in C" : "open, write, rename in C",
            goal: isDurable ? .ratio(1.1) : nil,
            countsFlushes: isDurable
        )
    }

    /// Saves in place.
    ///
    /// The floor overwrites a file of its own by as many bytes as Holdfast writes, header and payload.
    static func saveInPlace(
        _ name: String,
        length: Int,
        _ ground: BenchGround,
        _ flushes: FlushCounter?,
        _ effort: Effort
    ) throws -> BenchRow {
        let payload = somePayload(length)
        let options = StateOptions(strategy: .twoSlot)
        let file = try StateFile<[UInt8]>(path: "\(ground.path)/slots.\(name)", options: options)
        try file.save(payload)
        let frame = [UInt8](repeating: 0x2a, count: 128 + length)
        let half = (frame.count + 4095) / 4096 * 4096
        let (directory, floorName) = try Directory.resolve("\(ground.path)/floor.\(name)")
        let floor = try directory.open(floorName, .readWriteOrCreate(permissions: 0o600))
        let descriptor = floor.rawValue
        try checkFloor("overwrite", unsafe hf_floor_overwrite(descriptor, frame, frame.count, off_t(half), 2))
        let measured = try Harness(effort, seconds: 4).compare(
            rounds: 2000,
            count: 10,
            flushes: flushes,
            subject: { count in
                for _ in 0..<count { try file.save(payload) }
            },
            floor: { count in
                try checkFloor(
                    "overwrite",
                    unsafe hf_floor_overwrite(descriptor, frame, frame.count, off_t(half), count)
                )
            }
        )
        try floor.close()
        return BenchRow(
            "state.save.two-slot.\(name)",
            measured,
            floor: "pwrite, fdatasync in C",
            goal: .ratio(1.1),
            countsFlushes: true
        )
    }

    /// Reads a typed state that nobody has changed.
    static func readUnchanged(_ ground: BenchGround, _ effort: Effort) throws -> BenchRow {
        let options = StateOptions(strategy: .twoSlot)
        let file = try StateFile(path: "\(ground.path)/unchanged.state", codec: NumberCodec(), options: options)
        try file.save(42)
        var reader = file.reader()
        var sum = 0
        var word: UInt64 = 1
        let measured = try Harness(effort, seconds: 0.5).compare(
            rounds: 2000,
            count: 10_000,
            subject: { count in
                for _ in 0..<count { sum &+= try reader.read() }
            },
            floor: { count in
                _ = unsafe hf_floor_read_word(&word, count)
            }
        )
        guard sum.isMultiple(of: 42) else { throw CommandFailure(.ioError, "a read gave another value than was saved") }
        return BenchRow("state.read.unchanged", measured, floor: "an atomic load in C", goal: .nanoseconds(10))
    }

    private struct NumberCodec: StateCodec {
        struct NotANumber: Error {}

        func encode(_ value: Int) -> [UInt8] { Array("\(value)".utf8) }

        func decode(_ bytes: [UInt8]) throws -> Int {
            guard let value = Int(String(decoding: bytes, as: UTF8.self)) else { throw NotANumber() }
            return value
        }
    }

    /// Loads, with verification.
    static func load(_ ground: BenchGround, _ effort: Effort) throws -> BenchRow {
        let file = try StateFile<[UInt8]>(path: "\(ground.path)/loaded.state")
        try file.save(somePayload(), durability: .processCrash)
        var buffer = [UInt8](repeating: 0, count: try length(of: "loaded.state", ground))
        let measured = try Harness(effort, seconds: 1.5).compare(
            rounds: 2000,
            count: 100,
            subject: { count in
                for _ in 0..<count { _ = try file.load() }
            },
            floor: { count in
                let directory = ground.directory.descriptor.rawValue
                let length = buffer.count
                try checkFloor("load", unsafe hf_floor_load(directory, "loaded.state", &buffer, length, count))
            }
        )
        return BenchRow("state.load.4KiB", measured, floor: "open, fstat, read, close in C", goal: .ratio(1.5))
    }

    /// The checksum of so many bytes that are in the cache.
    static func checksum(_ name: String, length: Int, _ effort: Effort) throws -> BenchRow {
        let bytes = [UInt8](repeating: 0x2a, count: length)
        var copy = bytes
        let measured = try Harness(effort, seconds: 0.5).compare(
            rounds: 2000,
            count: max(4, (1 << 20) / length),
            subject: { count in
                for _ in 0..<count {
                    var checksum = Checksum()
                    unsafe bytes.withUnsafeBytes { unsafe checksum.update($0) }
                }
            },
            floor: { count in
                try checkFloor("memcpy", unsafe hf_floor_copy(&copy, bytes, length, count))
            }
        )
        return BenchRow("checksum.\(name)", measured, floor: "memcpy")
    }

    /// Bytes that do not compress.
    private static func somePayload(_ length: Int = 4096) -> [UInt8] {
        (0..<length).map { _ in UInt8.random(in: .min ... .max) }
    }

    private static func length(of name: String, _ ground: BenchGround) throws -> Int {
        let status = try FileName(name).flatMap { try ground.directory.status(of: $0) }
        return Int(status?.size ?? 0)
    }
}
