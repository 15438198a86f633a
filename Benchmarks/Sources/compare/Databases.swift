// SPDX-License-Identifier: Apache-2.0
//
// SQLite and LMDB, as far as they are measured.

internal import HoldfastBench
internal import _PeerShims

/// Throws what a function of the peers left as a sentence.
func checkPeer(_ result: Int32) throws {
    if result < 0 { throw BenchError(unsafe String(cString: peer_error())) }
}

/// The same of a function that returns a pointer, or none.
func checkPeer<Pointer>(_ pointer: Pointer?) throws -> Pointer {
    guard let pointer else { throw BenchError(unsafe String(cString: peer_error())) }
    return pointer
}

/// An open database: several threads may save into it, one may load.
@safe
final class Database: Sendable {
    enum Journal: String {
        case writeAhead = "WAL"
        case rollback = "DELETE"
    }

    nonisolated(unsafe) private let database: UnsafeMutablePointer<peer_database>

    init(sqlite path: String, _ journal: Journal, flushes: Bool = true) throws {
        unsafe database = try unsafe checkPeer(peer_sqlite_open(path, journal.rawValue, flushes ? 1 : 0))
    }

    init(lmdb path: String, flushes: Bool = true) throws {
        unsafe database = try unsafe checkPeer(peer_lmdb_open(path, flushes ? 1 : 0))
    }

    deinit { unsafe database.pointee.close(database) }

    /// A write transaction that changes nothing.
    func lock(_ count: Int) throws { try checkPeer(unsafe database.pointee.lock(database, count)) }

    /// Begins a write transaction that only the end of the process ends.
    func hold() throws { try checkPeer(unsafe database.pointee.hold(database)) }

    func save(_ bytes: [UInt8], _ count: Int) throws {
        try checkPeer(unsafe database.pointee.save(database, bytes, bytes.count, count))
    }

    func load(into bytes: inout [UInt8], _ count: Int) throws {
        let length = bytes.count
        try checkPeer(unsafe database.pointee.load(database, &bytes, length, count))
    }
}
