// SPDX-License-Identifier: Apache-2.0
//
// Who saves and loads a state.

internal import Foundation
internal import Holdfast
internal import HoldfastBench

extension Peers {
    /// Of how many bytes saves are measured.
    static let sizes = [("128B", 128), ("4KiB", 4 << 10), ("64KiB", 64 << 10), ("1MiB", 1 << 20)]

    static let renameSequence = "write, fsync, rename, fsync in C"
    static let slotFloor = "pwrite, fdatasync in C*"
    static let original = "the original's algorithm (Python)"
    static let writeAhead = "SQLite, WAL FULL"
    static let rollback = "SQLite, rollback FULL"
    static let lmdb = "LMDB"
    static let atomic = "Foundation .atomic*"

    /// Durable saves by the work of a name, whose last part is a size.
    static func saves(_ work: String) -> [Peer] {
        guard let (_, length) = sizes.first(where: { work.hasSuffix(".\($0.0)") }) else { return [] }
        let payload = somePayload(length)
        // The floor of the other strategy.
        let floor =
            work.contains("two-slot")
            ? Peer(renameSequence) { bench in
                let frame = payload + [UInt8](repeating: 0, count: 128)
                return { try Floors.save(bench.ground.directory, "peer.renamed", frame, $0) }
            }
            : Peer(slotFloor) { try SlotFloor($0, "peer.slots.\(length)", length: length).save }
        func peer(_ name: String, _ program: Program, _ open: @escaping (String) throws -> Database) -> Peer {
            Peer(name, needs: program) { bench in
                let database = try open("\(bench.ground.path)/save.\(length)")
                return { try database.save(payload, $0) }
            }
        }
        return [
            floor,
            peer(lmdb, .lmdb) { try Database(lmdb: "\($0).lmdb") },
            peer(writeAhead, .sqlite) { try Database(sqlite: "\($0).sqlite", .writeAhead) },
            peer(rollback, .sqlite) { try Database(sqlite: "\($0).rollback.sqlite", .rollback) },
            Peer(atomic) { bench in
                let url = URL(filePath: "\(bench.ground.path)/foundation")
                let data = Data(payload)
                return { for _ in 0..<$0 { try data.write(to: url, options: .atomic) } }
            },
            program(original, .python, length),
            program("google/renameio (Go)*", .renameio, length),
            program("write-file-atomic (npm)*", .writeFileAtomic, length),
        ]
    }

    private static func program(_ name: String, _ program: Program, _ length: Int) -> Peer {
        Peer(timingItself: name, needs: program) { bench in
            let process = try start(program.arguments, bench)
            let path = "\(bench.ground.path)/save.\(program)"
            return { try process.measure("save", size: length, count: $0, path) }
        }
    }

    static func loads(length: Int) -> [Peer] {
        let payload = somePayload(length)
        func peer(_ name: String, _ program: Program, _ open: @escaping (Bench) throws -> Database) -> Peer {
            Peer(name, needs: program) { bench in
                let database = try open(bench)
                try database.save(payload, 1)
                var bytes = payload
                return { try database.load(into: &bytes, $0) }
            }
        }
        return [
            Peer("open, fstat, read, close in C*") { try LoadFloor($0, "peer.loaded", length: length).load },
            peer("LMDB get", .lmdb) { try Database(lmdb: "\($0.ground.path)/load.lmdb") },
            peer("SQLite select", .sqlite) { try Database(sqlite: "\($0.ground.path)/load.sqlite", .writeAhead) },
        ]
    }

    /// Loads by the connection that has just saved, not by another: LMDB permits a process no second one.
    static func changedLoads(length: Int) -> [Peer] {
        let payload = somePayload(length)
        func peer(_ name: String, _ program: Program, _ open: @escaping (Bench) throws -> Database) -> Peer {
            Peer(timingItself: name, needs: program) { bench in
                let database = try open(bench)
                var bytes = payload
                return { count in
                    var time: UInt64 = 0
                    for _ in 0..<count {
                        try database.save(payload, 1)
                        let start = Clock.now
                        try database.load(into: &bytes, 1)
                        time += Clock.now - start
                    }
                    return time
                }
            }
        }
        return [
            peer("LMDB get", .lmdb) { try Database(lmdb: "\($0.ground.path)/changed.lmdb", flushes: false) },
            peer("SQLite select", .sqlite) {
                try Database(sqlite: "\($0.ground.path)/changed.sqlite", .writeAhead, flushes: false)
            },
        ]
    }

    static let oneSaver = "Holdfast, one task, one save after another"

    /// So many threads as the name of the work ends in, each with a connection of its own if the database has them.
    static func savers(_ work: String) -> [Peer] {
        guard let tasks = work.split(separator: ".").last.flatMap({ Int($0) }) else { return [] }
        // So many that starting one thread costs little beside its saves; several start while others save.
        let count = max(2, 20 / tasks) * tasks
        let payload = somePayload(4 << 10)
        func peer(_ name: String, _ program: Program, _ open: @escaping (Bench) throws -> [Database]) -> Peer {
            Peer(name, needs: program, count: count) { bench in
                let databases = try open(bench)
                return { count in
                    try Threads(tasks) { try databases[$0 % databases.count].save(payload, count / tasks) }.wait()
                }
            }
        }
        return [
            Peer(oneSaver, count: 20) { bench in
                let path = "\(bench.ground.path)/one-saver.state"
                let file = try StateFile<[UInt8]>(path, options: StateOptions(strategy: .twoSlot))
                return { for _ in 0..<$0 { try file.save(payload) } }
            },
            Peer("Holdfast, replace", count: count) { bench in
                let file = try StateFile<[UInt8]>("\(bench.ground.path)/savers.replaced")
                return { try SaverRows.save(payload, $0, in: file, tasks: tasks) }
            },
            peer("LMDB, a thread each", .lmdb) { [try Database(lmdb: "\($0.ground.path)/savers.lmdb")] },
            peer("SQLite, WAL FULL, a thread each", .sqlite) { bench in
                try (0..<tasks).map { _ in try Database(sqlite: "\(bench.ground.path)/savers.sqlite", .writeAhead) }
            },
        ]
    }
}
