// SPDX-License-Identifier: Apache-2.0
//
// Who takes locks: free ones, contended ones, and those of holders that died.

internal import Foundation
internal import HoldfastBench
internal import Synchronization
internal import _PeerShims

extension Peers {
    static var memoryLocks: [Peer] {
        [
            Peer("robust pthread mutex") { try FloorPage("\($0.ground.path)/peer.pthread").lockAndUnlock },
            Peer("Synchronization.Mutex, one process only*") { _ in LocalMutex().cycle },
            Peer("POSIX named semaphore") { bench in
                let semaphore = try Semaphore(Worker.semaphoreName("\(bench.ground.path)/uncontended"))
                semaphore.unlink()
                return semaphore.cycle
            },
        ]
    }

    private final class LocalMutex {
        private let value = Mutex(0)

        func cycle(_ count: Int) { for _ in 0..<count { value.withLock { $0 &+= 1 } } }
    }

    static var kernelLocks: [Peer] {
        [
            Peer("flock, open file") { bench in
                let file = OpenFile(try Floors.waitForLock(bench.ground.directory, "peer.flock"))
                return { try Floors.relock(file.descriptor, $0) }
            },
            Peer("OFD lock, open file") { bench in
                let file = OpenFile(try Floors.waitForLock(bench.ground.directory, "peer.ofd"))
                return { try checkPeer(peer_ofd_relock(file.descriptor, $0)) }
            },
            Peer("open, OFD lock, close") { bench in
                let path = "\(bench.ground.path)/peer.ofd-opened"
                return { try checkPeer(unsafe peer_ofd_lock(path, $0)) }
            },
            Peer("SQLite BEGIN IMMEDIATE", needs: .sqlite) {
                try Database(sqlite: "\($0.ground.path)/lock.sqlite", .writeAhead).lock
            },
            Peer("LMDB write transaction", needs: .lmdb) { try Database(lmdb: "\($0.ground.path)/lock.lmdb").lock },
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

    static var fileLocks: [Peer] { lockPrograms.map { fileLock($0.name, $0.program) } }

    static func fileLock(_ name: String, _ program: Program, kind: String? = nil) -> Peer {
        Peer(timingItself: name, needs: program) { bench in
            let arguments = kind.map { program.arguments.dropLast() + [$0] } ?? program.arguments
            let process = try start(arguments, bench)
            let path = "\(bench.ground.path)/peer.\(program).\(kind ?? "lock")"
            return { try process.measure("lock", count: $0, path) }
        }
    }

    /// Locks of the kernel, of libc and of databases, which a process of this program takes.
    private static let workers: [(lock: WorkerLock, name: String, needs: Program?)] = [
        (.flock, "flock", nil), (.ofd, "OFD lock", nil), (.semaphore, "POSIX named semaphore", nil),
        (.sqlite, "SQLite BEGIN IMMEDIATE", .sqlite), (.lmdb, "LMDB write transaction", .lmdb),
    ]

    /// Two processes of each but the floor, if that is one of them.
    static func contended(without floor: WorkerLock? = nil) -> [Peer] {
        workers.filter { $0.lock != floor }.map { lock, name, needs in
            Peer(name: name, needs: needs) { bench in
                try Contention.contestant(name, worker(lock), "contended.\(lock)", count: lock.turn, bench)
            }
        } + contendedPrograms
    }

    private static var contendedPrograms: [Peer] {
        lockPrograms.map { name, program in
            Peer(name: name, needs: program) { bench in
                // Those in Python sleep between attempts, the longer the more of them fail.
                let count = [.filelock, .portalocker].contains(program) ? 100 : 1000
                return try Contention.contestant(name, program.arguments, "contended.\(program)", count: count, bench)
            }
        }
    }

    /// This program as the other process.
    static func worker(_ lock: WorkerLock) -> [String] { [PeerProcess.program, Worker.command, lock.rawValue] }

    /// All but the semaphore, which nobody frees when its holder has died.
    static func deaths(without floor: WorkerLock? = nil) -> [Peer] {
        workers.filter { $0.lock != .semaphore && $0.lock != floor }.map { death($1, $2, worker($0), "\($0)") }
            + lockPrograms.map { death($0, $1, $1.arguments, "\($1)") }
    }

    /// From the SIGKILL of a holder to the grant in another process that waits.
    private static func death(_ name: String, _ needs: Program?, _ arguments: [String], _ kind: String) -> Peer {
        Peer(timingItself: name, needs: needs) { bench in
            let path = "\(bench.ground.path)/death.\(kind)"
            let waiter = try start(arguments, bench)
            return { _ in
                let holder = try start(arguments, bench)
                _ = try holder.measure("hold", count: 1, path)
                try waiter.ask(line: "wait 0 1 \(path)")
                Clock.sleep(milliseconds: 3)
                let crashed = holder.crash()
                return try Clock.wait(from: crashed, to: waiter.number())
            }
        }
    }
}
