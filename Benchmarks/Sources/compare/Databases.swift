// SPDX-License-Identifier: Apache-2.0
//
// SQLite and LMDB, as far as they are measured.

internal import HoldfastBench
internal import _PeerShims

/// Throws what a function of the peers left as a sentence.
func checkPeer(_ result: Int32) throws {
    if result < 0 { throw BenchError(unsafe String(cString: peer_error())) }
}

/// An open database.
protocol Database: AnyObject {
    /// A write transaction that changes nothing.
    func lock(_ count: Int) throws
    /// Begins a write transaction that only the end of the process ends.
    func hold() throws
    func save(_ bytes: [UInt8], _ count: Int) throws
    func load(into bytes: inout [UInt8], _ count: Int) throws
}

@safe
final class SQLite: Database {
    enum Journal: String {
        case writeAhead = "WAL"
        case rollback = "DELETE"
    }

    nonisolated(unsafe) private let database: OpaquePointer

    static var version: String? { unsafe peer_sqlite_version().map { unsafe String(cString: $0) } }

    init(_ path: String, _ journal: Journal, flushes: Bool = true) throws {
        guard let database = unsafe peer_sqlite_open(path, journal.rawValue, flushes ? 1 : 0) else {
            throw BenchError(unsafe String(cString: peer_error()))
        }
        unsafe self.database = unsafe database
    }

    deinit { unsafe peer_sqlite_close(database) }

    func lock(_ count: Int) throws { try checkPeer(unsafe peer_sqlite_lock(database, count)) }

    func hold() throws { try checkPeer(unsafe peer_sqlite_hold(database)) }

    func save(_ bytes: [UInt8], _ count: Int) throws {
        try checkPeer(unsafe peer_sqlite_save(database, bytes, bytes.count, count))
    }

    func load(into bytes: inout [UInt8], _ count: Int) throws {
        let length = bytes.count
        try checkPeer(unsafe peer_sqlite_load(database, &bytes, length, count))
    }
}

@safe
final class LMDB: Database {
    nonisolated(unsafe) private let database: OpaquePointer

    static var version: String? { unsafe peer_lmdb_version().map { unsafe String(cString: $0) } }

    init(_ path: String, flushes: Bool = true) throws {
        guard let database = unsafe peer_lmdb_open(path, flushes ? 1 : 0) else {
            throw BenchError(unsafe String(cString: peer_error()))
        }
        unsafe self.database = unsafe database
    }

    deinit { unsafe peer_lmdb_close(database) }

    func lock(_ count: Int) throws { try checkPeer(unsafe peer_lmdb_lock(database, count)) }

    func hold() throws { try checkPeer(unsafe peer_lmdb_hold(database)) }

    func save(_ bytes: [UInt8], _ count: Int) throws {
        try checkPeer(unsafe peer_lmdb_save(database, bytes, bytes.count, count))
    }

    func load(into bytes: inout [UInt8], _ count: Int) throws {
        let length = bytes.count
        try checkPeer(unsafe peer_lmdb_load(database, &bytes, length, count))
    }
}
