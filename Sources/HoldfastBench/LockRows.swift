// SPDX-License-Identifier: Apache-2.0
//
// Locks: taking a free one, and what passes between processes.

public import Holdfast
internal import _HoldfastFloors

/// Taking and releasing a lock that nobody else wants.
public enum LockRows {
    /// A `LockFile`.
    public static func uncontended(_ mode: FileLock.Mode, _ bench: Bench) throws -> BenchRow {
        let isExclusive = mode == .exclusive
        let file = try LockFile("\(bench.ground.path)/uncontended.lock")
        let directory = bench.ground.directory.descriptor.rawValue
        return try bench.row(
            isExclusive ? "lock.exclusive" : "lock.shared",
            seconds: 1.5,
            count: 100,
            goal: isExclusive ? .ratio(2.5) : nil,
            subject: { count in
                for _ in 0..<count {
                    guard case .acquired(let lock) = try file.tryLock(mode) else {
                        throw BenchError("somebody else holds '\(file.path)'")
                    }
                    try lock.release()
                }
            },
            floor: Contestant("open, flock, close in C") { count in
                try checkFloor("flock", unsafe hf_floor_lock(directory, "floor.lock", isExclusive, count))
            }
        )
    }
}

/// From one process to another.
///
/// The floor of a lock is a process that waits in the kernel, in flock(2) without LOCK_NB, which cannot be given up at a
/// deadline or by a cancelled task. That of a mutex is a bare futex, or for a holder's death a robust pthread mutex.
public enum HandoverRows {
    private struct Comparison {
        var subject = Measured()
        var floor = Measured()
    }

    private static let floor = "flock waiting in the kernel"

    /// From a `LockFile`'s release to its grant elsewhere.
    public static func ofLocks(_ bench: Bench) throws -> BenchRow {
        let measured = try handover(.holdfast, beside: .kernel, bench)
        return BenchRow("lock.handover", measured.subject, floor: (floor, measured.floor), goal: .nanoseconds(200_000))
    }

    /// From a mutex's release to its grant elsewhere.
    public static func ofMutexes(_ bench: Bench) throws -> BenchRow {
        let measured = try handover(.mutex, beside: .futex, bench)
        return BenchRow(
            "mutex.handover",
            measured.subject,
            floor: ("bare futex, from one process to another", measured.floor)
        )
    }

    /// From the SIGKILL of a `LockFile`'s holder to its grant elsewhere.
    public static func ofDeadLocks(_ bench: Bench) throws -> BenchRow {
        let measured = try recovery(.holdfast, beside: .kernel, bench)
        return BenchRow(
            "lock.recovery",
            measured.subject,
            floor: (floor, measured.floor),
            goal: .nanoseconds(1_000_000)
        )
    }

    /// From the SIGKILL of a mutex's holder to its grant elsewhere.
    public static func ofDeadMutexes(_ bench: Bench) throws -> BenchRow {
        let measured = try recovery(.mutex, beside: .pthread, bench)
        return BenchRow(
            "mutex.recovery",
            measured.subject,
            floor: ("robust pthread mutex", measured.floor),
            goal: .nanoseconds(20_000_000)
        )
    }

    /// From the call that releases in one process to the grant in another.
    private static func handover(
        _ subject: LockImplementation,
        beside floor: LockImplementation,
        _ bench: Bench
    ) throws -> Comparison {
        try compare(subject, beside: floor, bench.ground, samples: bench.effort.handovers) { lock, waiter, _ in
            let held = try lock.hold()
            try waiter.ask()
            Clock.sleep(milliseconds: 2)
            let released = Clock.now
            try held.release()
            return try waiter.answer().granted &- released
        }
    }

    /// From the SIGKILL of the holder to the grant in another process.
    private static func recovery(
        _ subject: LockImplementation,
        beside floor: LockImplementation,
        _ bench: Bench
    ) throws -> Comparison {
        try compare(subject, beside: floor, bench.ground, samples: bench.effort.recoveries) { _, waiter, startHolder in
            let holder = try startHolder()
            _ = try holder.answer()
            try waiter.ask()
            Clock.sleep(milliseconds: 3)
            let crashed = holder.crash()
            return try waiter.answer().granted &- crashed
        }
    }

    /// Takes samples of both kinds in turns, each with a waiting process of its own.
    private static func compare(
        _ subject: LockImplementation,
        beside floor: LockImplementation,
        _ ground: BenchGround,
        samples: Int,
        _ sample: @escaping (BenchLock, Peer, () throws -> Peer) throws -> UInt64
    ) throws -> Comparison {
        func side(_ implementation: LockImplementation) throws -> () throws -> UInt64 {
            let path = "\(ground.path)/handed-over.\(implementation.rawValue)"
            // Before the other process: it finds what it maps made.
            let lock = try BenchLock(implementation, path)
            let waiter = try Peer(.waiter, implementation, path, ground)
            return { try sample(lock, waiter) { try Peer(.holder, implementation, path, ground) } }
        }
        let (subject, floor) = (try side(subject), try side(floor))
        var result = Comparison()
        let warmUp = 3
        let end = Clock.now + 5_000_000_000
        for index in 0..<(samples + warmUp) where index < warmUp + 3 || Clock.now < end {
            let (floorTime, time) = (try floor(), try subject())
            if index < warmUp { continue }
            result.floor.time.append(Double(floorTime))
            result.subject.time.append(Double(time))
        }
        return result
    }

    /// What a wait costs during which nothing happens, in nanoseconds of processor time per second.
    public static func idleWait(_ bench: Bench) throws -> BenchRow {
        let path = "\(bench.ground.path)/idle.lock"
        let floorPath = "\(bench.ground.path)/idle-floor.lock"
        let waiter = try Peer(.waiter, .holdfast, path, bench.ground)
        let floorWaiter = try Peer(.waiter, .kernel, floorPath, bench.ground)
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
