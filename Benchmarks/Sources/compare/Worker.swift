// SPDX-License-Identifier: Apache-2.0
//
// This program as a peer in another process, by the protocol of Benchmarks/README.md: a line is WORK SIZE COUNT PATH, the
// answer a number.

internal import Foundation
internal import Holdfast
internal import HoldfastBench
internal import _PeerShims

/// A lock that a process of its own takes.
enum WorkerLock: String {
    case mutex
    case lockFile = "lock-file"
    case pidFile = "pid-file"
    case pthread, flock, ofd, semaphore, sqlite, lmdb

    /// How many acquisitions take some milliseconds, so that two processes are at it together.
    var turn: Int {
        switch self {
        case .mutex, .pthread: 500_000
        case .semaphore, .lmdb: 100_000
        case .lockFile, .flock, .ofd, .sqlite: 1000
        case .pidFile: 20
        }
    }
}

enum Worker {
    static let command = "peer"

    /// Serves until standard input ends.
    static func run(_ arguments: [String]) throws {
        guard let kind = arguments.first.flatMap(WorkerLock.init) else {
            throw BenchError("'peer' is for compare alone")
        }
        answer("Holdfast")
        var contenders: [String: any Contender] = [:]
        while let line = readLine() {
            let words = line.split(separator: " ", maxSplits: 3).map(String.init)
            guard words.count == 4, let count = Int(words[2]) else { throw BenchError("no such work: \(line)") }
            let contender = try contenders[words[3]] ?? make(kind, words[3])
            contenders[words[3]] = contender
            let start = Clock.now
            switch words[0] {
            case "lock":
                try contender.lock(count)
                answer("\(Clock.now - start)")
            case "wait":
                try contender.lock(1)
                answer("\(Clock.now)")
            case "hold":
                try contender.hold()
                answer("\(Clock.now)")
            default: throw BenchError("no such work: \(line)")
            }
        }
    }

    private static func answer(_ line: String) { FileHandle.standardOutput.write(Data("\(line)\n".utf8)) }

    private static func make(_ kind: WorkerLock, _ path: String) throws -> any Contender {
        switch kind {
        case .mutex: MutexContender(try MutexArena(path, count: 1)[0])
        case .lockFile: HoldfastContender(.file(try LockFile(path)))
        case .pidFile: HoldfastContender(.pidFile(try PIDFile(path)))
        case .pthread: try PthreadContender(path)
        case .flock: try KernelContender(path)
        case .ofd: OFDContender(path: path)
        case .semaphore: try SemaphoreContender(path)
        case .sqlite: DatabaseContender(try Database(sqlite: path, .writeAhead))
        case .lmdb: DatabaseContender(try Database(lmdb: path))
        }
    }

    /// The name of a semaphore for a path.
    static func semaphoreName(_ path: String) -> String {
        "/" + path.split(separator: "/").suffix(2).joined(separator: "-")
    }
}

/// A lock as a worker uses it.
private protocol Contender {
    func lock(_ count: Int) throws
    /// Takes it for as long as this process lives.
    func hold() throws
}

private final class MutexContender: Contender {
    private let mutex: SharedMemoryMutex
    private var held: HeldMutex?

    init(_ mutex: SharedMemoryMutex) { self.mutex = mutex }

    func lock(_ count: Int) throws { for _ in 0..<count { try mutex.withLock { _ in } } }
    func hold() throws { held = try mutex.lock() }
}

private final class HoldfastContender: Contender {
    enum File {
        case file(LockFile)
        case pidFile(PIDFile)

        func lock() throws -> HeldLock {
            switch self {
            case .file(let file): try file.lock()
            case .pidFile(let file): try file.lock()
            }
        }
    }

    private let file: File
    private var held: HeldLock?

    init(_ file: File) { self.file = file }

    func lock(_ count: Int) throws { for _ in 0..<count { try file.lock().release() } }
    func hold() throws { held = try file.lock() }
}

private final class PthreadContender: Contender {
    private let page: FloorPage

    init(_ path: String) throws { page = try FloorPage(path) }

    func lock(_ count: Int) throws { try page.lockAndUnlock(count) }
    func hold() throws { try page.lock() }
}

private final class KernelContender: Contender {
    private let directory: OpenDirectory
    private let name: String

    init(_ path: String) throws {
        let url = URL(filePath: path)
        directory = try OpenDirectory(url.deletingLastPathComponent().path)
        name = url.lastPathComponent
    }

    func lock(_ count: Int) throws { try Floors.lock(directory, name, count) }
    func hold() throws { _ = try Floors.waitForLock(directory, name) }
}

private final class OFDContender: Contender {
    private let path: String

    init(path: String) { self.path = path }

    func lock(_ count: Int) throws { try checkPeer(unsafe peer_ofd_lock(path, count)) }
    func hold() throws { try checkPeer(unsafe peer_ofd_hold(path)) }
}

/// A named semaphore, opened once.
@safe
final class Semaphore {
    nonisolated(unsafe) private let semaphore: UnsafeMutableRawPointer
    private let name: String

    init(_ name: String) throws {
        unsafe semaphore = try unsafe checkPeer(peer_semaphore_open(name))
        self.name = name
    }

    func cycle(_ count: Int) throws { try checkPeer(unsafe peer_semaphore_cycle(semaphore, count)) }

    /// Takes its name away, not itself.
    func unlink() { _ = unsafe peer_semaphore_unlink(name) }
}

private final class SemaphoreContender: Contender {
    private let semaphore: Semaphore

    init(_ path: String) throws { semaphore = try Semaphore(Worker.semaphoreName(path)) }

    func lock(_ count: Int) throws { try semaphore.cycle(count) }
    func hold() throws { throw BenchError("nobody frees the semaphore of a process that died") }
}

private final class DatabaseContender: Contender {
    private let database: Database

    init(_ database: Database) { self.database = database }

    func lock(_ count: Int) throws { try database.lock(count) }
    func hold() throws { try database.hold() }
}
