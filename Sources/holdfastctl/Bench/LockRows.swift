// SPDX-License-Identifier: Apache-2.0
//
// Locks: taking a free one, and what passes between processes.

internal import Holdfast
internal import _HoldfastFloors

/// Taking and releasing a lock that nobody else wants.
enum LockRows {
    static func uncontended(_ mode: FileLock.Mode, _ ground: BenchGround, _ effort: Effort) throws -> BenchRow {
        let isExclusive = mode == .exclusive
        let file = try LockFile("\(ground.path)/uncontended.lock")
        let measured = try Harness(effort, seconds: 1.5).compare(
            rounds: 2000,
            count: 100,
            subject: { count in
                for _ in 0..<count {
                    guard case .acquired(let lock) = try file.tryLock(mode) else {
                        throw CommandFailure(.busy, "somebody else holds '\(file.path)'")
                    }
                    try lock.release()
                }
            },
            floor: { count in
                let directory = ground.directory.descriptor.rawValue
                try checkFloor("flock", unsafe hf_floor_lock(directory, "floor.lock", isExclusive, count))
            }
        )
        return BenchRow(
            isExclusive ? "lock.exclusive" : "lock.shared",
            measured,
            floor: "open, flock, close in C",
            goal: isExclusive ? .ratio(2.5) : nil
        )
    }
}

/// From one process to another.
///
/// The floor of a lock is a process that waits in the kernel, in flock(2) without LOCK_NB, which cannot be given up at a
/// deadline or by a cancelled task. That of a mutex is a bare futex, or for a holder's death a robust pthread mutex.
enum HandoverRows {
    private static let floor = "flock waiting in the kernel"

    static func ofLocks(_ ground: BenchGround, _ effort: Effort) throws -> BenchRow {
        let measured = try handover(.holdfast, beside: .kernel, ground, effort)
        return BenchRow("lock.handover", measured, floor: floor, goal: .nanoseconds(200_000))
    }

    static func ofMutexes(_ ground: BenchGround, _ effort: Effort) throws -> BenchRow {
        let measured = try handover(.mutex, beside: .futex, ground, effort)
        return BenchRow("mutex.handover", measured, floor: "bare futex, from one process to another")
    }

    static func ofDeadLocks(_ ground: BenchGround, _ effort: Effort) throws -> BenchRow {
        let measured = try recovery(.holdfast, beside: .kernel, ground, effort)
        return BenchRow("lock.recovery", measured, floor: floor, goal: .nanoseconds(1_000_000))
    }

    static func ofDeadMutexes(_ ground: BenchGround, _ effort: Effort) throws -> BenchRow {
        let measured = try recovery(.mutex, beside: .pthread, ground, effort)
        return BenchRow("mutex.recovery", measured, floor: "robust pthread mutex", goal: .nanoseconds(20_000_000))
    }

    /// From the call that releases in one process to the grant in another.
    private static func handover(
        _ subject: LockImplementation,
        beside floor: LockImplementation,
        _ ground: BenchGround,
        _ effort: Effort
    ) throws -> Comparison {
        try compare(subject, beside: floor, ground, samples: effort.handovers) { lock, waiter, _ in
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
        _ ground: BenchGround,
        _ effort: Effort
    ) throws -> Comparison {
        try compare(subject, beside: floor, ground, samples: effort.recoveries) { _, waiter, startHolder in
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
    static func idleWait(_ ground: BenchGround, _ effort: Effort) throws -> BenchRow {
        let path = "\(ground.path)/idle.lock"
        let floorPath = "\(ground.path)/idle-floor.lock"
        let waiter = try Peer(.waiter, .holdfast, path, ground)
        let floorWaiter = try Peer(.waiter, .kernel, floorPath, ground)
        let held = try BenchLock(.holdfast, path).wait()
        let floorHeld = try BenchLock(.kernel, floorPath).wait()
        try waiter.ask()
        try floorWaiter.ask()
        Clock.sleep(milliseconds: effort.idleMilliseconds)
        try held.release()
        try floorHeld.release()
        let seconds = Double(effort.idleMilliseconds) / 1000
        return BenchRow(
            work: "lock.idleWait",
            nanoseconds: Double(try waiter.answer().processorTime) / seconds,
            spread: nil,
            floor: "\(floor); per second of waiting",
            floorNanoseconds: Double(try floorWaiter.answer().processorTime) / seconds,
            goal: .nanoseconds(10_000_000),
            isShare: true
        )
    }
}
