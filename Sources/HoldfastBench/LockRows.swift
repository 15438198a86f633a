// SPDX-License-Identifier: Apache-2.0
//
// Locks: taking a free one, and what passes between processes.

public import Holdfast
internal import _HoldfastFloors

/// Taking and releasing a lock that nobody else wants.
public enum LockRows {
    /// A `LockFile`.
    public static func uncontended(_ mode: HeldLock.Mode, _ bench: Bench) throws -> BenchRow {
        let isExclusive = mode == .exclusive
        let file = try LockFile("\(bench.ground.path)/uncontended.lock")
        let directory = bench.ground.directory
        return try bench.row(
            isExclusive ? "lock.exclusive" : "lock.shared",
            seconds: 1.5,
            count: 100,
            goal: isExclusive ? .ratio(2.5) : nil,
            subject: Contestant("Holdfast") { count in
                for _ in 0..<count {
                    guard case .acquired(let lock) = try file.tryLock(mode) else {
                        throw BenchError("somebody else holds '\(file.path)'")
                    }
                    try lock.release()
                }
            },
            floor: Contestant("open, flock, close in C") { try Floors.lock(directory, "floor.lock", mode: mode, $0) }
        )
    }

    /// A `PIDFile`, which is made and removed each time.
    public static func pidFile(_ bench: Bench) throws -> BenchRow {
        let file = try PIDFile("\(bench.ground.path)/service.pid")
        let directory = bench.ground.directory.descriptor.rawValue
        return try bench.row(
            "lock.pid-file",
            seconds: 3,
            count: 5,
            subject: Contestant("Holdfast") { count in
                for _ in 0..<count {
                    guard case .acquired(let lock) = try file.tryLock() else {
                        throw BenchError("somebody else holds '\(file.path)'")
                    }
                    try lock.release()
                }
            },
            floor: Contestant("open, write, fsync, flock, unlink in C") { count in
                try checkFloor("flock", unsafe hf_floor_pid_file(directory, "floor.pid", count))
            }
        )
    }
}

/// From one process to another.
///
/// The floor of a lock is a process that waits in the kernel, in flock(2) without LOCK_NB, which cannot be given up at a
/// deadline or by a cancelled task. That of a mutex is a bare futex, or for a holder's death a robust pthread mutex.
enum HandoverRows {
    private static let floor = "flock waiting in the kernel"

    /// From a `LockFile`'s release to its grant elsewhere.
    static func ofLocks(_ bench: Bench) throws -> BenchRow {
        let (goal, samples) = (Goal.nanoseconds(200_000), bench.effort.handovers)
        return try row("lock.handover", .holdfast, beside: .kernel, floor, goal, samples, bench) { try $0.release() }
    }

    /// From a mutex's release to its grant elsewhere.
    static func ofMutexes(_ bench: Bench) throws -> BenchRow {
        let (floor, samples) = ("bare futex, from one process to another", bench.effort.handovers)
        return try row("mutex.handover", .mutex, beside: .futex, floor, nil, samples, bench) { try $0.release() }
    }

    /// From the SIGKILL of a `LockFile`'s holder to its grant elsewhere.
    static func ofDeadLocks(_ bench: Bench) throws -> BenchRow {
        let (goal, samples) = (Goal.nanoseconds(1_000_000), bench.effort.recoveries)
        return try row("lock.recovery", .holdfast, beside: .kernel, floor, goal, samples, bench) { try $0.crash() }
    }

    /// From the SIGKILL of a mutex's holder to its grant elsewhere.
    static func ofDeadMutexes(_ bench: Bench) throws -> BenchRow {
        let (goal, samples) = (Goal.nanoseconds(20_000_000), bench.effort.recoveries)
        let floor = "robust pthread mutex"
        return try row("mutex.recovery", .mutex, beside: .pthread, floor, goal, samples, bench) { try $0.crash() }
    }

    /// `free` takes the lock, and frees it when the other process waits for it; it returns when.
    private static func row(
        _ work: String,
        _ subject: LockImplementation,
        beside floor: LockImplementation,
        _ floorName: String,
        _ goal: Goal?,
        _ samples: Int,
        _ bench: Bench,
        _ free: @escaping (Side) throws -> UInt64
    ) throws -> BenchRow {
        let sides = try [(floorName, floor), ("Holdfast", subject)].map { name, implementation in
            let side = try Side(implementation, bench.ground)
            return Contestant.timingItself(name) { _ in
                let freed = try free(side)
                return try Clock.wait(from: freed, to: side.waiter.answer().granted)
            }
        }
        return try bench.row(work, sides, goal: goal, samples: samples)
    }

    /// A lock, and another process that waits for it.
    private struct Side {
        private let implementation: LockImplementation
        private let ground: BenchGround
        private let lock: BenchLock
        let waiter: PeerProcess

        init(_ implementation: LockImplementation, _ ground: BenchGround) throws {
            self.implementation = implementation
            self.ground = ground
            let path = "\(ground.path)/handed-over.\(implementation.rawValue)"
            // Before the other process: it finds what it maps made.
            lock = try BenchLock(implementation, path)
            waiter = try PeerProcess(.waiter, implementation, path, ground)
        }

        private func haveItWait() throws {
            try waiter.ask()
            Clock.sleep(milliseconds: 3)
        }

        /// Takes the lock, and calls what releases it.
        func release() throws -> UInt64 {
            let held = try lock.hold()
            try haveItWait()
            let released = Clock.now
            try held.release()
            return released
        }

        /// Has a third process take the lock, and kills that.
        func crash() throws -> UInt64 {
            // The lock stays open here meanwhile.
            let holder = try PeerProcess(.holder, implementation, lock.path, ground)
            _ = try holder.answer()
            try haveItWait()
            return holder.crash()
        }
    }

    /// What a wait costs during which nothing happens, in nanoseconds of processor time per second.
    static func idleWait(_ bench: Bench) throws -> BenchRow {
        let path = "\(bench.ground.path)/idle.lock"
        let floorPath = "\(bench.ground.path)/idle-floor.lock"
        let waiter = try PeerProcess(.waiter, .holdfast, path, bench.ground)
        let floorWaiter = try PeerProcess(.waiter, .kernel, floorPath, bench.ground)
        let held = try BenchLock(.holdfast, path).wait()
        let floorHeld = try BenchLock(.kernel, floorPath).wait()
        try waiter.ask()
        try floorWaiter.ask()
        Clock.sleep(milliseconds: bench.effort.idleMilliseconds)
        try held.release()
        try floorHeld.release()
        let seconds = Double(bench.effort.idleMilliseconds) / 1000
        var (measured, floors) = (Measured(), Measured())
        measured.time.append(Double(try waiter.answer().processorTime) / seconds)
        floors.time.append(Double(try floorWaiter.answer().processorTime) / seconds)
        var row = BenchRow(
            "lock.idleWait",
            measured,
            floor: ("\(floor); per second of waiting", floors),
            goal: .nanoseconds(10_000_000)
        )
        row.isShare = true
        return row
    }
}
