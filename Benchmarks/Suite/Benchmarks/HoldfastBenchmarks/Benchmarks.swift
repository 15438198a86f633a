// SPDX-License-Identifier: Apache-2.0
//
// Counts that are the same in every run: how often an operation calls write(2) and its like, and how often it has the disk
// flush. The first have thresholds in ../../Thresholds, which CI checks; the second are shown only, because the benchmark
// package keeps no thresholds of counters that are not its own (scripts/checks/flushes checks them). Times are for
// `compare`, which measures them beside floors and peers.

import Benchmark
import Holdfast
import HoldfastBench

extension BenchmarkMetric {
    /// Flushes of the disk per operation.
    static var flushes: Self { .custom("Flushes", polarity: .prefersSmaller, useScalingFactor: true) }
}

let benchmarks: @Sendable () -> Void = {
    Benchmark.defaultConfiguration = .init(
        metrics: [.writeSyscalls, .flushes],
        warmupIterations: 1,
        maxDuration: .seconds(2),
        maxIterations: 50
    )

    /// An operation that is prepared in a directory of its own.
    func count(_ name: String, _ prepare: @escaping @Sendable (BenchGround) throws -> @Sendable () throws -> Void) {
        Benchmark(name) { benchmark in
            let ground = try BenchGround(in: ".") { print($0) }
            defer { ground.remove() }
            let disk = DiskCounter(of: ground.directory, on: Mount(of: ground.path))
            let operation = try prepare(ground)
            try operation()
            let before = disk?.count()?.flushes
            benchmark.startMeasurement()
            for _ in benchmark.scaledIterations { try operation() }
            benchmark.stopMeasurement()
            if let before, let after = disk?.count()?.flushes {
                benchmark.measurement(.flushes, Int(after - before))
            }
        }
    }

    let payload = [UInt8](repeating: 42, count: 4096)

    count("mutex.uncontended") { ground in
        let mutex = try MutexArena("\(ground.path)/arena", count: 1)[0]
        return { try mutex.withLock { _ in } }
    }
    count("lock.exclusive") { ground in
        let file = try LockFile("\(ground.path)/lock")
        return { try file.lock().release() }
    }
    count("state.save.two-slot") { ground in
        let file = try StateFile<[UInt8]>("\(ground.path)/state", options: StateOptions(strategy: .twoSlot))
        try file.save(payload)
        return { try file.save(payload) }
    }
    count("state.save.replace") { ground in
        let file = try StateFile<[UInt8]>("\(ground.path)/state")
        return { try file.save(payload) }
    }
    count("state.load") { ground in
        let file = try StateFile<[UInt8]>("\(ground.path)/state")
        try file.save(payload)
        return { _ = try file.load() }
    }
}
