// SPDX-License-Identifier: Apache-2.0
//
// What one waiter costs when many wait: counted, not timed. Each number is bounded by the same multiple of how many wait,
// whatever that is.

import Holdfast
import HoldfastTesting
import Testing

@Suite(.timeLimit(.minutes(60)))
struct WaitingCostTests {
    private static let crowds = [1000, 10_000]

    /// A queue in which so many wait, every second with a deadline, the latest first.
    private func crowd(_ count: Int) -> (queue: WaitQueue, tickets: [WaitQueue.Ticket]) {
        var queue = WaitQueue()
        let tickets = (0..<count).map { _ in queue.draw() }
        for (index, ticket) in tickets.enumerated() {
            let enqueued = queue.enqueue(ticket, deadline: index % 2 == 0 ? instant(count - index) : nil)
            #expect(enqueued == .waiting)
        }
        return (queue, tickets)
    }

    @Test("A lock file's or mutex's queue: grants, each after a look for deadlines", arguments: crowds)
    func grants(count: Int) {
        var (queue, tickets) = crowd(count)
        for ticket in tickets {
            #expect(queue.nextDeadline.map { $0 > instant(0) } != false)
            let expired = queue.expire(at: instant(0))
            let head = queue.attempt()
            let conclusion = queue.conclude(hasOutcome: true)
            #expect(expired.isEmpty && head == ticket && conclusion == .settled)
        }
        #expect(queue.isUnused)
        #expect(queue.steps <= 40 * count)
    }

    @Test("The same queue: cancellations from behind and from the middle, and deadlines", arguments: crowds)
    func departures(count: Int) {
        var (queue, tickets) = crowd(count)
        for ticket in tickets.reversed() {
            let isOut = queue.cancel(ticket)
            #expect(isOut)
        }
        #expect(queue.steps <= 40 * count)
        (queue, tickets) = crowd(count)
        for index in tickets.indices where index % 3 == 1 { _ = queue.cancel(tickets[index]) }
        for now in 0...count { _ = queue.expire(at: instant(now)) }
        #expect(queue.nextDeadline == nil)
        #expect(queue.head == tickets[3])
        #expect(queue.steps <= 40 * count)
    }

    @Test("A queue with one that waits long keeps nothing of those that come and go behind it")
    func comeAndGo() {
        var queue = WaitQueue()
        let first = queue.draw()
        _ = queue.enqueue(first, deadline: nil)
        for turn in 0..<10_000 {
            let ticket = queue.draw()
            _ = queue.enqueue(ticket, deadline: instant(1_000_000 - turn))
            _ = queue.cancel(ticket)
        }
        #expect(queue.head == first)
        #expect(queue.count == 1)
        #expect(queue.steps <= 40 * 10_000)
    }

    @Test("Awaited saves: each leaves the line in its turn, or from behind at its deadline", arguments: crowds)
    func saves(count: Int) {
        for tickets in [Array(1...UInt64(count)), Array((1...UInt64(count)).reversed())] {
            var line = TicketLine()
            for ticket in 1...UInt64(count) { line.append(ticket) }
            for ticket in tickets {
                let turn = line.prefix { $0 == line.first }
                let isOut = line.remove(ticket)
                #expect(turn.count == 1 && isOut)
            }
            #expect(line.isEmpty)
            #expect(line.steps <= 10 * count)
        }
    }

    /// What comes of tasks that wait.
    enum Ending: String, CaseIterable, Codable {
        case served, cancelled, expired
    }

    @Test(
        "Tasks that wait for one mutex, with deadlines, cost the process's thread a few steps each",
        arguments: Ending.allCases
    )
    func mutexes(ending: Ending) async {
        await #expect(processExitsWith: .success) { [ending] in
            let path = "/tmp/holdfast-crowd-\(ProcessIdentity.current.pid)"
            let mutex = try MutexArena(path, count: 1)[0]
            let before = try mutex.statistics.contended
            let perWaiter = try await steps(
                ending,
                holding: { KeptMutex(try await mutex.lock()).release },
                waiting: { try await mutex.lock(deadline: $0).release() },
                areWaiting: { try mutex.statistics.contended >= before + UInt64($0) },
                steps: { MutexReactor.current.steps }
            )
            try OpenDirectory("/tmp").unlink(fileName(of: path))
            precondition(perWaiter.allSatisfy { $0 <= 60 }, "steps per waiter: \(perWaiter)")
        }
    }

    @Test("Tasks that wait for one lock file, with deadlines, cost a few steps each", arguments: Ending.allCases)
    func lockFiles(ending: Ending) async {
        await #expect(processExitsWith: .success) { [ending] in
            let path = "/tmp/holdfast-crowd-\(ProcessIdentity.current.pid)"
            let directory = try OpenDirectory("/tmp")
            // Without tokens, which would leave a companion.
            let file = try LockFile(sidecar: fileName(of: path), in: directory)
            let before = file.site.steps
            let perWaiter = try await steps(
                ending,
                holding: { KeptLock(try await file.lock()).release },
                waiting: { try await file.lock(deadline: $0).release() },
                areWaiting: { file.site.waitingCount == $0 },
                steps: { file.site.steps }
            )
            try directory.unlink(fileName(of: path))
            precondition(before == 0 && perWaiter.allSatisfy { $0 <= 60 }, "steps per waiter: \(perWaiter)")
        }
    }

    @Test("Readers: each makes a bounded number of calls for each value, however many read", arguments: [100, 400])
    func readers(count: Int) throws {
        let simulation = SimulatedFileSystem()
        let directory = try simulation.directory()
        for strategy in [StateStrategy.replace, .twoSlot] {
            let state = try directory.state("\(strategy)", options: StateOptions(strategy: strategy))
            try state.save([1])
            for value in [UInt8](1...3) {
                try state.save([value])
                let before = simulation.calls.count
                for _ in 0..<count {
                    var reader = try directory.state("\(strategy)").reader()
                    #expect(try reader.read() == [value])
                }
                #expect(simulation.calls.count - before <= 40 * count)
            }
        }
    }
}

private func fileName(of path: String) throws -> FileName {
    try #require(FileName(String(path.dropFirst("/tmp/".count))))
}

/// How many steps each of 1000 tasks that wait for the same costs, and each of 10,000.
private func steps(
    _ ending: WaitingCostTests.Ending,
    holding: @Sendable () async throws -> @Sendable () throws -> Void,
    waiting: @escaping @Sendable (ContinuousClock.Instant) async throws -> Void,
    areWaiting: (Int) throws -> Bool,
    steps: () -> Int
) async throws -> [Int] {
    var perWaiter: [Int] = []
    for count in [1000, 10_000] {
        let before = steps()
        let release = try await holding()
        // One in the past would not wait.
        let deadline = ContinuousClock.now + (ending == .expired ? .seconds(2) : .seconds(3600))
        let codes = try await withThrowingTaskGroup(of: LockError.Code?.self) { group in
            for _ in 0..<count {
                group.addTask {
                    do {
                        try await waiting(deadline)
                        return nil
                    } catch let error as LockError {
                        return error.code
                    }
                }
            }
            while try !areWaiting(count), ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(1)) }
            if ending == .served { try release() }
            if ending == .cancelled { group.cancelAll() }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        if ending != .served { try release() }
        let expected: LockError.Code? =
            switch ending {
            case .served: nil
            case .cancelled: .cancelled
            case .expired: .timedOut
            }
        precondition(codes.allSatisfy { $0 == expected }, "\(codes)")
        perWaiter.append((steps() - before) / count)
    }
    return perWaiter
}
