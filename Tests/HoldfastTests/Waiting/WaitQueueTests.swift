// SPDX-License-Identifier: Apache-2.0
//
// The waiting queue as a value: every order of what can happen to its tickets.

import Holdfast
import Testing

struct WaitQueueTests {
    /// What can happen, in any order that makes sense.
    private enum Event: Hashable {
        case enqueue(Int)
        case cancel(Int)
        case attempt
        case acquire
        case findBusy
        case tick
    }

    private enum Outcome: Hashable {
        case granted, cancelled, timedOut
    }

    /// One history: the queue after some events, and what became of each of three tickets.
    private struct History {
        var queue = WaitQueue()
        var tickets: [WaitQueue.Ticket] = []
        var outcomes: [Int: [Outcome]] = [:]
        var enqueued: [Int] = []
        var granted: [Int] = []
        var cancelled: Set<Int> = []
        var now = 0
        var attempted: Int?

        init() {
            for _ in 0..<3 { tickets.append(queue.draw()) }
        }

        /// Ticket 0 has a deadline at 1, ticket 1 at 2, ticket 2 none.
        private static let deadlines = [instant(1), instant(2), nil]

        mutating func apply(_ event: Event) {
            switch event {
            case .enqueue(let index):
                enqueued.append(index)
                if queue.enqueue(tickets[index], deadline: Self.deadlines[index]) == .cancelled {
                    outcomes[index, default: []].append(.cancelled)
                }
            case .cancel(let index):
                if (outcomes[index] ?? []).isEmpty { cancelled.insert(index) }
                if queue.cancel(tickets[index]) { outcomes[index, default: []].append(.cancelled) }
            case .attempt:
                attempted = queue.attempt().flatMap { tickets.firstIndex(of: $0) }
            case .acquire, .findBusy:
                guard let index = attempted else { return }
                attempted = nil
                switch queue.conclude(hasOutcome: event == .acquire) {
                case .settled:
                    outcomes[index, default: []].append(.granted)
                    granted.append(index)
                case .cancelled: outcomes[index, default: []].append(.cancelled)
                case .waiting: break
                }
            case .tick:
                now += 1
                for ticket in queue.expire(at: instant(now)) {
                    guard let index = tickets.firstIndex(of: ticket) else { continue }
                    outcomes[index, default: []].append(.timedOut)
                }
            }
        }

        /// What must hold at every moment.
        func check(_ trace: [Event]) {
            for index in 0..<3 {
                let results = outcomes[index] ?? []
                #expect(results.count <= 1, "ticket \(index) has \(results) after \(trace)")
                if cancelled.contains(index) {
                    #expect(!results.contains(.granted), "cancelled ticket \(index) was granted after \(trace)")
                    if enqueued.contains(index), attempted != index {
                        #expect(results.count == 1, "cancelled ticket \(index) still waits after \(trace)")
                    }
                }
            }
            // First come, first served, among those that waited.
            #expect(granted == enqueued.filter(granted.contains), "granted \(granted), came \(enqueued): \(trace)")
            let waiting = enqueued.filter { (outcomes[$0] ?? []).isEmpty }
            #expect(queue.count == waiting.count, "after \(trace)")
            #expect(queue.head == waiting.first.map { tickets[$0] }, "after \(trace)")
        }
    }

    @Test("Every order of enqueueing, grant, cancellation and deadline gives each ticket one outcome")
    func everyOrder() {
        var histories = 0
        func explore(_ history: History, _ trace: [Event], _ events: Set<Event>, attempts: Int) {
            histories += 1
            history.check(trace)
            var next = Array(events)
            if history.attempted != nil {
                next += [.acquire, .findBusy]
                next.removeAll { $0 == .tick }
            } else if attempts > 0, history.queue.head != nil {
                next.append(.attempt)
            }
            for event in next {
                var history = history
                history.apply(event)
                var rest = events
                rest.remove(event)
                explore(history, trace + [event], rest, attempts: attempts - (event == .attempt ? 1 : 0))
            }
        }
        let events: Set<Event> = [.enqueue(0), .enqueue(1), .enqueue(2), .cancel(0), .cancel(1), .tick]
        explore(History(), [], events, attempts: 2)
        #expect(histories > 20_000)
    }

    @Test("A cancellation that comes before the ticket is enqueued is not forgotten")
    func cancelledEarly() {
        var queue = WaitQueue()
        let ticket = queue.draw()
        let tookItOut = queue.cancel(ticket)
        #expect(!tookItOut)
        let enqueued = queue.enqueue(ticket, deadline: nil)
        #expect(enqueued == .cancelled)
        #expect(queue.isEmpty)
    }

    @Test("The next deadline is the earliest of those that wait")
    func nextDeadline() {
        var queue = WaitQueue()
        let (first, second) = (queue.draw(), queue.draw())
        _ = queue.enqueue(first, deadline: instant(9))
        _ = queue.enqueue(second, deadline: instant(4))
        #expect(queue.nextDeadline == instant(4))
        let expired = queue.expire(at: instant(4))
        #expect(expired == [second])
        #expect(queue.nextDeadline == instant(9))
    }
}
