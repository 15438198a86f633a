// SPDX-License-Identifier: Apache-2.0
//
// Several processes and threads that all want one mutex: how often they get it, how evenly, and how long one waits at most.
// The floor is a robust pthread mutex; both guard the same two stores.

internal import Holdfast
internal import Synchronization

/// One run of several threads of one process.
enum Contention {
    struct Request: BitwiseCopyable {
        var threads = 2
        var milliseconds = 100
        /// Whether each wait is timed, which costs more than taking the mutex does.
        var isTimed = false
    }

    struct Result {
        /// How often all threads of the run got the lock, and how often the one that got it least and most.
        var total: UInt64 = 0
        var least = UInt64.max
        var most: UInt64 = 0
        /// In nanoseconds.
        var longestWait: UInt64 = 0

        mutating func add(_ other: Result) {
            total += other.total
            least = min(least, other.least)
            most = max(most, other.most)
            longestWait = max(longestWait, other.longestWait)
        }
    }

    /// What the threads that have ended have got.
    private final class Sum: Sendable {
        private let state = Mutex<(ended: Int, result: Swift.Result<Result, any Error>)>((0, .success(Result())))

        func add(_ one: Swift.Result<Result, any Error>) {
            state.withLock { state in
                state.ended += 1
                state.result = Swift.Result {
                    var sum = try state.result.get()
                    sum.add(try one.get())
                    return sum
                }
            }
        }

        /// Waits until so many have ended.
        func result(of threads: Int) throws -> Result {
            while state.withLock({ $0.ended }) < threads { Clock.sleep(milliseconds: 1) }
            return try state.withLock { $0.result }.get()
        }
    }

    // What the lock guards is counted in the page.
    static func run(_ request: Request, _ lock: BenchLock, _ counter: FloorPage) throws -> Result {
        let end = Clock.now + UInt64(request.milliseconds) * 1_000_000
        let sum = Sum()
        for _ in 0..<request.threads {
            try startThread {
                sum.add(Swift.Result { try contend(lock, counter, until: end, isTimed: request.isTimed) })
            }
        }
        return try sum.result(of: request.threads)
    }

    private static func contend(
        _ lock: BenchLock,
        _ counter: FloorPage,
        until end: UInt64,
        isTimed: Bool
    ) throws -> Result {
        var (count, longest) = (0 as UInt64, 0 as UInt64)
        while Clock.now < end {
            if isTimed {
                let start = Clock.now
                var granted = start
                try lock.withLock {
                    granted = Clock.now
                    counter.count()
                }
                longest = max(longest, granted - start)
                count += 1
            } else {
                for _ in 0..<20 { try lock.withLock { counter.count() } }
                count += 20
            }
        }
        return Result(total: count, least: count, most: count, longestWait: longest)
    }
}

/// Rows of mutexes that are contended for by two processes.
enum ContentionRows {
    private static let floor = "robust pthread mutex"

    /// What one acquisition takes while two processes of two threads each want it all the time.
    static func throughput(_ bench: Bench) throws -> BenchRow {
        var (samples, floors) = (Measured(), Measured())
        let request = Contention.Request(threads: 2, milliseconds: bench.effort.contentionMilliseconds)
        try compare(bench, request) { subject, floor in
            samples.time.append(Double(request.milliseconds) * 1e6 / Double(max(1, subject.total)))
            floors.time.append(Double(request.milliseconds) * 1e6 / Double(max(1, floor.total)))
        }
        return BenchRow(
            "mutex.contended",
            samples,
            floor: ("\(floor); two processes of two threads", floors),
            goal: .ratio(1)
        )
    }

    /// The longest wait, and the share of the thread that was served least in what the one served most got, while two
    /// processes of four threads each want it.
    static func fairness(_ bench: Bench) throws -> [BenchRow] {
        var (waits, floorWaits) = (Measured(), Measured())
        var (shares, floorShares) = (Measured(), Measured())
        let milliseconds = bench.effort.contentionMilliseconds * 5
        let request = Contention.Request(threads: 4, milliseconds: milliseconds, isTimed: true)
        try compare(bench, request) { subject, floor in
            waits.time.append(Double(subject.longestWait))
            floorWaits.time.append(Double(floor.longestWait))
            shares.time.append(Double(subject.least) / Double(max(1, subject.most)) * 1e9)
            floorShares.time.append(Double(floor.least) / Double(max(1, floor.most)) * 1e9)
        }
        let threads = "\(floor); two processes of four threads"
        var least = BenchRow("mutex.leastServed", shares, floor: (threads, floorShares), goal: .share(1.0 / 3))
        least.isShare = true
        return [BenchRow("mutex.longestWait", waits, floor: (threads, floorWaits)), least]
    }

    private static func compare(
        _ bench: Bench,
        _ request: Contention.Request,
        _ sample: (Contention.Result, Contention.Result) -> Void
    ) throws {
        let subject = try Side(.mutex, bench.ground)
        let floor = try Side(.pthread, bench.ground)
        for _ in 0..<bench.effort.contentions {
            let expected = try floor.run(request)
            sample(try subject.run(request), expected)
        }
    }

    /// This process and another one at the same lock.
    private final class Side {
        private let lock: BenchLock
        private let counter: FloorPage
        private let peer: PeerProcess

        init(_ implementation: LockImplementation, _ ground: BenchGround) throws {
            let path = "\(ground.path)/contended.\(implementation.rawValue)"
            lock = try BenchLock(implementation, path)
            counter = try BenchLock.counter(beside: path)
            peer = try PeerProcess(.contender, implementation, path, ground)
        }

        func run(_ request: Contention.Request) throws -> Contention.Result {
            let before = counter.count()
            try peer.ask(request)
            var result = try Contention.run(request, lock, counter)
            let numbers = try peer.numbers(4)
            result.add(
                Contention.Result(total: numbers[0], least: numbers[1], most: numbers[2], longestWait: numbers[3])
            )
            if counter.count() != before + 1 + result.total {
                throw BenchError("what the mutex guards was changed by two at once")
            }
            return result
        }
    }
}
