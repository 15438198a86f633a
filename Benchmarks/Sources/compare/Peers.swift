// SPDX-License-Identifier: Apache-2.0
//
// Who does the same work as Holdfast, whether it is here, and how to get it.

internal import Foundation
internal import Holdfast
internal import HoldfastBench
internal import Synchronization
internal import _PeerShims

/// Somebody who does some work that Holdfast does.
struct Peer {
    let name: String
    /// What has to be installed for it; nil if it comes with the system or with this program.
    var needs: Program?
    let make: (Bench) throws -> Contestant
}

/// Something that may not be installed.
enum Program: String, CaseIterable {
    case sqlite = "SQLite"
    case lmdb = "LMDB"
    case filelock = "filelock (Python)"
    case portalocker = "portalocker (Python)"
    case python = "Python"
    case flock = "gofrs/flock (Go)"
    case renameio = "google/renameio (Go)"
    case fdLock = "fd-lock (Rust)"
    case writeFileAtomic = "write-file-atomic (npm)"

    /// How it is run.
    fileprivate var arguments: [String] {
        let python = ["\(Peers.built)/python/bin/python3", "\(Peers.sources)/peers.py"]
        return switch self {
        case .sqlite, .lmdb: []
        case .filelock: python + ["filelock"]
        case .portalocker: python + ["portalocker"]
        case .python: ["python3", "\(Peers.sources)/peers.py", "original"]
        case .flock: ["\(Peers.built)/go", "flock"]
        case .renameio: ["\(Peers.built)/go", "renameio"]
        case .fdLock: ["\(Peers.built)/rust/release/fd-lock-peer"]
        case .writeFileAtomic: ["node", "\(Peers.sources)/write-file-atomic.js"]
        }
    }
}

/// All of them.
final class Peers {
    /// How to get those that are missing.
    static let remedy = "Benchmarks/install-peers"
    /// Where `install-peers` puts what it builds, and where the sources are.
    fileprivate static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../..")
        .standardized
    fileprivate static let built = folder.appending(path: ".build/peers").path
    fileprivate static let sources = folder.appending(path: "Peers").path

    /// The versions of those that are here.
    let versions: [Program: String]
    /// Who is missing from the work that has been measured.
    private(set) var missing: [String: [String]] = [:]

    /// Looks for them.
    init(_ ground: BenchGround) {
        var versions: [Program: String] = [:]
        for program in Program.allCases {
            switch program {
            case .sqlite: versions[program] = unsafe peer_sqlite_version().map { unsafe "SQLite \(String(cString: $0))" }
            case .lmdb: versions[program] = unsafe peer_lmdb_version().map { unsafe String(cString: $0) }
            default:
                // It says what it is before it is asked anything.
                let process = try? PeerProcess(program.arguments, ground)
                versions[program] = try? process?.line()
            }
        }
        self.versions = versions
    }

    /// Those who do the work of a name.
    func contestants(for work: String, _ bench: Bench) throws -> [Contestant] {
        var contestants: [Contestant] = []
        for peer in Self.peers(of: work) {
            if let needs = peer.needs, versions[needs] == nil {
                missing[work, default: []].append(peer.name)
            } else {
                contestants.append(try peer.make(bench))
            }
        }
        return contestants
    }

    private static func peers(of work: String) -> [Peer] {
        switch work {
        case "mutex.uncontended": memoryLocks + kernelLocks + fileLocks
        case "lock.exclusive": Array(kernelLocks.dropFirst(2)) + fileLocks
        case "lock.pid-file": [fileLock("filelock SoftFileLock", .filelock, kind: "soft")]
        case "mutex.contended.2": contended()
        case "lock.contended.2", "lock.pid-file.contended.2": contended(without: .flock)
        case "mutex.recovery": deaths()
        case "lock.recovery": deaths(without: .flock)
        case "state.load.4KiB", "state.read.unchanged": loads(length: 4 << 10)
        case "state.read.changed": changedLoads(length: 4 << 10)
        case "state.savers.1", "state.savers.8", "state.savers.64":
            savers(Int(work.split(separator: ".").last ?? "") ?? 1)
        case let work where work.hasPrefix("state.save."): saves(work)
        default: []
        }
    }
}

// MARK: Locks

extension Peers {
    private static var memoryLocks: [Peer] {
        [
            Peer(name: "robust pthread mutex") { bench in
                let page = try FloorPage("\(bench.ground.path)/peer.pthread")
                return Contestant("robust pthread mutex", page.lockAndUnlock)
            },
            Peer(name: "Synchronization.Mutex, one process only*") { _ in
                let value = LocalMutex()
                return Contestant("Synchronization.Mutex, one process only*", value.cycle)
            },
            Peer(name: "POSIX named semaphore") { bench in
                let semaphore = try Semaphore(Worker.semaphoreName("\(bench.ground.path)/uncontended"))
                semaphore.unlink()
                return Contestant("POSIX named semaphore", semaphore.cycle)
            },
        ]
    }

    private final class LocalMutex {
        private let value = Mutex(0)

        func cycle(_ count: Int) { for _ in 0..<count { value.withLock { $0 &+= 1 } } }
    }

    private static var kernelLocks: [Peer] {
        [
            Peer(name: "flock, open file") { bench in
                let file = OpenFile(try Floors.waitForLock(bench.ground.directory, "peer.flock"))
                return Contestant("flock, open file") { try Floors.relock(file.descriptor, $0) }
            },
            Peer(name: "OFD lock, open file") { bench in
                let file = OpenFile(try Floors.waitForLock(bench.ground.directory, "peer.ofd"))
                return Contestant("OFD lock, open file") { try checkPeer(peer_ofd_relock(file.descriptor, $0)) }
            },
            Peer(name: "open, OFD lock, close") { bench in
                let path = "\(bench.ground.path)/peer.ofd-opened"
                return Contestant("open, OFD lock, close") { try checkPeer(unsafe peer_ofd_lock(path, $0)) }
            },
            Peer(name: "SQLite BEGIN IMMEDIATE", needs: .sqlite) { bench in
                let database = try Database(sqlite: "\(bench.ground.path)/lock.sqlite", .writeAhead)
                return Contestant("SQLite BEGIN IMMEDIATE", database.lock)
            },
            Peer(name: "LMDB write transaction", needs: .lmdb) { bench in
                let database = try Database(lmdb: "\(bench.ground.path)/lock.lmdb")
                return Contestant("LMDB write transaction", database.lock)
            },
        ]
    }

    private final class OpenFile {
        let descriptor: Int32
        init(_ descriptor: Int32) { self.descriptor = descriptor }
        deinit { close(descriptor) }
    }

    /// Programs of other languages that take a file lock.
    private static let lockPrograms: [(name: String, program: Program)] = [
        ("filelock (Python)", .filelock), ("portalocker (Python)", .portalocker), ("gofrs/flock (Go)", .flock),
        ("fd-lock (Rust)", .fdLock),
    ]

    private static var fileLocks: [Peer] { lockPrograms.map { fileLock($0.name, $0.program) } }

    private static func fileLock(_ name: String, _ program: Program, kind: String? = nil) -> Peer {
        Peer(name: name, needs: program) { bench in
            let arguments = kind.map { program.arguments.dropLast() + [$0] } ?? program.arguments
            let process = try start(arguments, bench)
            let path = "\(bench.ground.path)/peer.\(program).\(kind ?? "lock")"
            return .timingItself(name) { try process.measure("lock", count: $0, path) }
        }
    }

    static func start(_ arguments: [String], _ bench: Bench) throws -> PeerProcess {
        let process = try PeerProcess(arguments, bench.ground)
        _ = try process.line()
        return process
    }

    /// Locks of the kernel, of libc and of databases, which a process of this program takes.
    private static let workers: [(lock: WorkerLock, name: String, needs: Program?)] = [
        (.flock, "flock", nil), (.ofd, "OFD lock", nil), (.semaphore, "POSIX named semaphore", nil),
        (.sqlite, "SQLite BEGIN IMMEDIATE", .sqlite), (.lmdb, "LMDB write transaction", .lmdb),
    ]

    /// Two processes of each but the floor, if that is one of them.
    private static func contended(without floor: WorkerLock? = nil) -> [Peer] {
        workers.filter { $0.lock != floor }.map { lock, name, needs in
            Peer(name: name, needs: needs) { bench in
                // Some milliseconds, so that both are at it together.
                let count = [.semaphore, .lmdb].contains(lock) ? 100_000 : 1000
                return try Contention.contestant(name, worker(lock), "contended.\(lock)", count: count, bench)
            }
        } + contendedPrograms
    }

    private static var contendedPrograms: [Peer] {
        lockPrograms.map { name, program in
            Peer(name: name, needs: program) { bench in
                try Contention.contestant(name, program.arguments, "contended.\(program)", count: 100, bench)
            }
        }
    }

    /// This program as the other process.
    static func worker(_ lock: WorkerLock) -> [String] { [PeerProcess.program, Worker.command, lock.rawValue] }

    /// All but the semaphore, which nobody frees when its holder has died.
    private static func deaths(without floor: WorkerLock? = nil) -> [Peer] {
        workers.filter { $0.lock != .semaphore && $0.lock != floor }.map { lock, name, needs in
            Peer(name: name, needs: needs) { try death(name, worker(lock), "\(lock)", $0) }
        }
            + lockPrograms.map { name, program in
                Peer(name: name, needs: program) { try death(name, program.arguments, "\(program)", $0) }
            }
    }

    /// From the SIGKILL of a holder to the grant in another process that waits.
    private static func death(_ name: String, _ arguments: [String], _ kind: String, _ bench: Bench) throws
        -> Contestant
    {
        let path = "\(bench.ground.path)/death.\(kind)"
        let waiter = try start(arguments, bench)
        return .timingItself(name) { _ in
            let holder = try start(arguments, bench)
            _ = try holder.measure("hold", count: 1, path)
            try waiter.ask(line: "wait 0 1 \(path)")
            Clock.sleep(milliseconds: 3)
            let crashed = holder.crash()
            return try Clock.wait(from: crashed, to: waiter.number())
        }
    }
}

extension PeerProcess {
    /// Asks for some work and returns the answer.
    func measure(_ work: String, size: Int = 0, count: Int, _ path: String) throws -> UInt64 {
        try ask(line: "\(work) \(size) \(count) \(path)")
        return try number()
    }
}

// MARK: State

extension Peers {
    private static func length(_ work: String) -> Int {
        switch work.split(separator: ".").last {
        case "128B": 128
        case "64KiB": 64 << 10
        case "1MiB": 1 << 20
        default: 4 << 10
        }
    }

    static let renameSequence = "write, fsync, rename, fsync in C"
    static let slotFloor = "pwrite, fdatasync in C*"
    static let original = "the original's algorithm (Python)"
    static let writeAhead = "SQLite, WAL FULL"
    static let rollback = "SQLite, rollback FULL"
    static let lmdb = "LMDB"
    static let atomic = "Foundation .atomic*"

    static func saves(_ work: String) -> [Peer] {
        let isInPlace = work.contains("two-slot")
        return saves(length: length(work), besides: isInPlace ? renameSequence : slotFloor)
    }

    /// Durable saves of so many bytes.
    private static func saves(length: Int, besides floor: String) -> [Peer] {
        let payload = somePayload(length)
        let floorPeer = Peer(name: floor) { bench in
            if floor == slotFloor {
                return Contestant(floor, try SlotFloor(bench, "peer.slots.\(length)", length: length).save)
            }
            let frame = payload + [UInt8](repeating: 0, count: 128)
            return Contestant(floor) { try Floors.save(bench.ground.directory, "peer.renamed", frame, $0) }
        }
        return [
            floorPeer,
            Peer(name: lmdb, needs: .lmdb) { bench in
                let database = try Database(lmdb: "\(bench.ground.path)/save.\(length).lmdb")
                return Contestant(lmdb) { try database.save(payload, $0) }
            },
            Peer(name: writeAhead, needs: .sqlite) { bench in
                let database = try Database(sqlite: "\(bench.ground.path)/save.\(length).sqlite", .writeAhead)
                return Contestant(writeAhead) { try database.save(payload, $0) }
            },
            Peer(name: rollback, needs: .sqlite) { bench in
                let database = try Database(sqlite: "\(bench.ground.path)/rollback.\(length).sqlite", .rollback)
                return Contestant(rollback) { try database.save(payload, $0) }
            },
            Peer(name: atomic) { bench in
                let url = URL(filePath: "\(bench.ground.path)/foundation")
                let data = Data(payload)
                return Contestant(atomic) { for _ in 0..<$0 { try data.write(to: url, options: .atomic) } }
            },
            program(original, .python, length),
            program("google/renameio (Go)*", .renameio, length),
            program("write-file-atomic (npm)*", .writeFileAtomic, length),
        ]
    }

    private static func program(_ name: String, _ program: Program, _ length: Int) -> Peer {
        Peer(name: name, needs: program) { bench in
            let process = try start(program.arguments, bench)
            let path = "\(bench.ground.path)/save.\(program)"
            return .timingItself(name) { try process.measure("save", size: length, count: $0, path) }
        }
    }

    private static func loads(length: Int) -> [Peer] {
        let payload = somePayload(length)
        func peer(_ name: String, _ program: Program, _ open: @escaping (Bench) throws -> Database) -> Peer {
            Peer(name: name, needs: program) { bench in
                let database = try open(bench)
                try database.save(payload, 1)
                var bytes = payload
                return Contestant(name) { try database.load(into: &bytes, $0) }
            }
        }
        return [
            Peer(name: "open, fstat, read, close in C*") { bench in
                Contestant("open, fstat, read, close in C*", try LoadFloor(bench, "peer.loaded", length: length).load)
            },
            peer("LMDB get", .lmdb) { try Database(lmdb: "\($0.ground.path)/load.lmdb") },
            peer("SQLite select", .sqlite) { try Database(sqlite: "\($0.ground.path)/load.sqlite", .writeAhead) },
        ]
    }

    private static func changedLoads(length: Int) -> [Peer] {
        let payload = somePayload(length)
        func peer(_ name: String, _ program: Program, _ open: @escaping (Bench) throws -> Database) -> Peer {
            Peer(name: name, needs: program) { bench in
                let database = try open(bench)
                var bytes = payload
                return .timingItself(name) { count in
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

    /// So many threads, each with a connection of its own if the database has them.
    private static func savers(_ tasks: Int) -> [Peer] {
        let payload = somePayload(4 << 10)
        func peer(
            _ name: String,
            _ program: Program,
            _ open: @escaping (Bench, Int) throws -> [Database]
        ) -> Peer {
            Peer(name: name, needs: program) { bench in
                let databases = try open(bench, tasks)
                return Contestant(name, count: tasks * 2) { count in
                    try Threads(tasks) { try databases[$0 % databases.count].save(payload, count / tasks) }.wait()
                }
            }
        }
        return [
            Peer(name: oneSaver) { bench in
                let path = "\(bench.ground.path)/one-saver.state"
                let file = try StateFile<[UInt8]>(path: path, options: StateOptions(strategy: .twoSlot))
                return Contestant(oneSaver, count: 20) { for _ in 0..<$0 { try file.save(payload) } }
            },
            Peer(name: "Holdfast, replace") { bench in
                let file = try StateFile<[UInt8]>(path: "\(bench.ground.path)/savers.replaced")
                return Contestant("Holdfast, replace", count: tasks * 2) {
                    try SaverRows.save(payload, $0, in: file, tasks: tasks)
                }
            },
            peer("LMDB, a thread each", .lmdb) { bench, _ in [try Database(lmdb: "\(bench.ground.path)/savers.lmdb")] },
            peer("SQLite, WAL FULL, a thread each", .sqlite) { bench, tasks in
                try (0..<tasks).map { _ in try Database(sqlite: "\(bench.ground.path)/savers.sqlite", .writeAhead) }
            },
        ]
    }
}
