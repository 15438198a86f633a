// SPDX-License-Identifier: Apache-2.0
//
// Who does the same work as Holdfast, whether it is here, and how to get it.

internal import Foundation
internal import HoldfastBench
internal import _PeerShims

/// Somebody who does some work that Holdfast does.
struct Peer {
    let name: String
    /// What has to be installed for it; nil if it comes with the system or with this program.
    var needs: Program?
    let make: (Bench) throws -> Contestant
}

extension Peer {
    /// Somebody whose work is timed here.
    init(
        _ name: String,
        needs: Program? = nil,
        count: Int? = nil,
        _ prepare: @escaping (Bench) throws -> (Int) throws -> Void
    ) {
        self.init(name: name, needs: needs) { Contestant(name, count: count, try prepare($0)) }
    }

    /// Somebody who times it.
    init(
        timingItself name: String,
        needs: Program? = nil,
        _ prepare: @escaping (Bench) throws -> (Int) throws -> UInt64
    ) {
        self.init(name: name, needs: needs) { .timingItself(name, try prepare($0)) }
    }
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
    var arguments: [String] {
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
            case .sqlite:
                versions[program] = unsafe peer_sqlite_version().map { unsafe "SQLite \(String(cString: $0))" }
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

    static func start(_ arguments: [String], _ bench: Bench) throws -> PeerProcess {
        let process = try PeerProcess(arguments, bench.ground)
        _ = try process.line()
        return process
    }

    private static func peers(of work: String) -> [Peer] {
        switch work {
        case "mutex.uncontended": memoryLocks + kernelLocks + fileLocks
        // But those of files that stay open: a LockFile opens its own each time.
        case "lock.exclusive": Array(kernelLocks.dropFirst(2)) + fileLocks
        case "lock.pid-file": [fileLock("filelock SoftFileLock", .filelock, kind: "soft")]
        case "mutex.contended.2": contended()
        case "lock.contended.2", "lock.pid-file.contended.2": contended(without: .flock)
        case "mutex.recovery": deaths()
        case "lock.recovery": deaths(without: .flock)
        case "state.load.4KiB": loads(length: 4 << 10)
        // As many bytes as the number has that Holdfast reads.
        case "state.read.unchanged": loads(length: 2)
        case "state.read.changed": changedLoads(length: 4 << 10)
        case let work where work.hasPrefix("state.savers."): savers(work)
        case let work where work.hasPrefix("state.save."): saves(work)
        default: []
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
