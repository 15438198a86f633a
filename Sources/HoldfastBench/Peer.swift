// SPDX-License-Identifier: Apache-2.0
//
// The benchmark's end of a process that waits for or holds a lock: see BenchPeer.swift for the other.

/// This program once more, waiting for or holding a lock.
struct Peer {
    private let process: PeerProcess

    struct Answer {
        /// When the lock was granted, by ``Clock/now``.
        var granted: UInt64
        /// What the waiting cost, in nanoseconds.
        var processorTime: UInt64
    }

    init(_ role: BenchPeer.Role, _ implementation: LockImplementation, _ path: String, _ ground: BenchGround) throws {
        process = try PeerProcess(
            [PeerProcess.program, BenchPeer.command, role.rawValue, implementation.rawValue, path],
            ground
        )
    }

    func ask() throws { try process.ask(1 as UInt8) }

    func ask(_ request: Contention.Request) throws { try process.ask(request) }

    func answer() throws -> Answer {
        let numbers = try numbers(2)
        return Answer(granted: numbers[0], processorTime: numbers[1])
    }

    /// So many numbers of its answer.
    func numbers(_ count: Int) throws -> [UInt64] { try process.numbers(count) }

    /// Ends it as a crash would, and says when.
    func crash() -> UInt64 { process.crash() }
}
