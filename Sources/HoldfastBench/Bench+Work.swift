// SPDX-License-Identifier: Apache-2.0
//
// What `holdfastctl bench` measures.

internal import Holdfast

/// Something that can be measured.
public struct Work: Sendable {
    /// The name of its row, or of the most telling one.
    public let name: String
    /// Measures it.
    public let rows: @Sendable (Bench) throws -> [BenchRow]

    /// Work of one row.
    public init(_ name: String, _ row: @escaping @Sendable (Bench) throws -> BenchRow) {
        self.init(name, rows: { [try row($0)] })
    }

    /// Work of several rows.
    public init(_ name: String, rows: @escaping @Sendable (Bench) throws -> [BenchRow]) {
        self.name = name
        self.rows = rows
    }
}

extension Bench {
    /// What `holdfastctl bench` measures, in this order.
    public static let work: [Work] = [
        Work("lock.exclusive") { try LockRows.uncontended(.exclusive, $0) },
        Work("lock.shared") { try LockRows.uncontended(.shared, $0) },
        Work("lock.handover") { try HandoverRows.ofLocks($0) },
        Work("lock.recovery") { try HandoverRows.ofDeadLocks($0) },
        Work("lock.idleWait") { try HandoverRows.idleWait($0) },
        Work("lock.waiters") { try WaiterRows.lockFile($0) },
        Work("mutex.uncontended") { try MutexRows.besideExchange($0) },
        Work("mutex.uncontended.pthread") { try MutexRows.besidePthread($0) },
        Work("mutex.uncontended.flock") { try MutexRows.besideFlock($0) },
        Work("mutex.contended") { try ContentionRows.throughput($0) },
        Work("mutex.leastServed", rows: { try ContentionRows.fairness($0) }),
        Work("mutex.handover") { try HandoverRows.ofMutexes($0) },
        Work("mutex.recovery") { try HandoverRows.ofDeadMutexes($0) },
        Work("mutex.waiters") { try WaiterRows.mutex($0) },
        Work("state.save.replace.4KiB") { try StateRows.save(.powerLoss, $0) },
        Work("state.save.replace.4KiB.processCrash") { try StateRows.save(.processCrash, $0) },
        Work("state.save.two-slot.4KiB") { try StateRows.saveInPlace("4KiB", length: 4 << 10, $0) },
        Work("state.save.two-slot.64KiB") { try StateRows.saveInPlace("64KiB", length: 64 << 10, $0) },
        Work("state.save.two-slot.1MiB") { try StateRows.saveInPlace("1MiB", length: 1 << 20, $0) },
        Work("state.savers.64") { try SaverRows.besideOne(tasks: 64, $0) },
        Work("state.read.unchanged") { try StateRows.readUnchanged($0) },
        Work("state.load.4KiB") { try StateRows.load($0) },
        Work("state.waiters") { try WaiterRows.savers($0) },
        Work("state.readers") { try WaiterRows.readers($0) },
        Work("checksum.4KiB") { try StateRows.checksum("4KiB", length: 4 << 10, $0) },
        Work("checksum.1MiB") { try StateRows.checksum("1MiB", length: 1 << 20, $0) },
    ]
}
