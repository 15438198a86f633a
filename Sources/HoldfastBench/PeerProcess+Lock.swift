// SPDX-License-Identifier: Apache-2.0
//
// The benchmark's end of a process that waits for, holds or contends for a lock: see BenchPeer.swift for the other.

extension PeerProcess {
    /// Starts this program once more.
    convenience init(
        _ role: BenchPeer.Role,
        _ implementation: LockImplementation,
        _ path: String,
        _ ground: BenchGround
    ) throws {
        try self.init([Self.program, BenchPeer.command, role.rawValue, implementation.rawValue, path], ground)
    }

    /// Has a waiter wait for the lock.
    func ask() throws { try ask(1 as UInt8) }

    /// When it was granted, by ``Clock/now``, and the nanoseconds of processor time that the waiting cost.
    func answer() throws -> (granted: UInt64, processorTime: UInt64) {
        let numbers = try numbers(2)
        return (numbers[0], numbers[1])
    }
}
