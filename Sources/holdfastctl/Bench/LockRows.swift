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
/// The floor is a process that waits in the kernel, in flock(2) without LOCK_NB, which cannot
/// be given up at a deadline or by a cancelled task.
enum HandoverRows {
    private static let floor = "flock waiting in the kernel"

    /// From the call that releases in one process to the grant in another.
    static func handover(_ ground: BenchGround, _ effort: Effort) throws -> BenchRow {
        let measured = try compare(ground, samples: effort.handovers) { path, implementation, waiter in
            let held = try BenchLock(implementation, path).wait()
            try waiter.ask()
            Clock.sleep(milliseconds: 2)
            let released = Clock.now
            try held.release()
            return try waiter.answer().granted &- released
        }
        return BenchRow("lock.handover", measured, floor: floor, goal: .nanoseconds(200_000))
    }

    /// From the SIGKILL of the holder to the grant in another process.
    static func recovery(_ ground: BenchGround, _ effort: Effort) throws -> BenchRow {
        let measured = try compare(ground, samples: effort.recoveries) { path, implementation, waiter in
            let holder = try Peer(.holder, implementation, path, ground)
            _ = try holder.answer()
            try waiter.ask()
            Clock.sleep(milliseconds: 3)
            let crashed = holder.crash()
            return try waiter.answer().granted &- crashed
        }
        return BenchRow("lock.recovery", measured, floor: floor, goal: .nanoseconds(1_000_000))
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

    /// Takes samples of both kinds in turns, each with a waiting process of its own.
    private static func compare(
        _ ground: BenchGround,
        samples: Int,
        _ sample: (String, LockImplementation, Peer) throws -> UInt64
    ) throws -> Comparison {
        var result = Comparison()
        let path = "\(ground.path)/contended.lock"
        let floorPath = "\(ground.path)/contended-floor.lock"
        let waiter = try Peer(.waiter, .holdfast, path, ground)
        let floorWaiter = try Peer(.waiter, .kernel, floorPath, ground)
        let warmUp = 3
        let end = Clock.now + 5_000_000_000
        for index in 0..<(samples + warmUp) where index < warmUp + 3 || Clock.now < end {
            let floorTime = try sample(floorPath, .kernel, floorWaiter)
            let time = try sample(path, .holdfast, waiter)
            if index < warmUp { continue }
            result.floor.time.append(Double(floorTime))
            result.subject.time.append(Double(time))
        }
        return result
    }
}
