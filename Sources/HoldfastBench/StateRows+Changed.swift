// SPDX-License-Identifier: Apache-2.0
//
// Reading a state that has changed since it was read.

internal import Holdfast

extension StateRows {
    /// Reads a typed state that somebody else has changed, of two slots; the change is not in the time.
    public static func readChanged(_ bench: Bench) throws -> BenchRow {
        let options = StateOptions(strategy: .twoSlot, durability: .processCrash)
        let path = "\(bench.ground.path)/changed.state"
        let writer = try StateFile<[UInt8]>(path, options: options)
        let payload = somePayload(4 << 10)
        try writer.save(payload)
        let reader = ChangedReader(try StateFile<[UInt8]>(path, options: options))
        let floor = try LoadFloor(bench, "floor-changed.state", length: 128 + payload.count)
        return try bench.row(
            "state.read.changed",
            seconds: 1,
            count: 20,
            subject: Contestant.timingItself(
                "Holdfast",
                { count in
                    var time: UInt64 = 0
                    for _ in 0..<count {
                        try writer.save(payload)
                        let start = Clock.now
                        try reader.read()
                        time += Clock.now - start
                    }
                    return time
                }
            ),
            floor: Contestant("open, fstat, read, close in C", floor.load)
        )
    }

    private final class ChangedReader {
        private var reader: StateReader<[UInt8]>

        init(_ file: StateFile<[UInt8]>) { reader = file.reader() }

        func read() throws { _ = try reader.read() }
    }
}
