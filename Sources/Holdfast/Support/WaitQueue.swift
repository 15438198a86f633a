// SPDX-License-Identifier: Apache-2.0
//
// Who waits for one lock or mutex in this process, in which order, and what became of each: a value without effects, so
// that every order of grant, cancellation and deadline can be tested. `LockSite` keeps it under a mutex and `LockReactor`
// acts on it; for mutexes `MutexReactor` does both.
//
// Cost: each call takes a bounded number of steps, or the logarithm of how many wait, averaged over a ticket's stay. A ticket
// that is out stays in `deadlines` until it comes first there, or until most of them are out.
//
// Invariants: a ticket has exactly one outcome; a ticket that was cancelled or has expired is never granted; a ticket
// cancelled before it was enqueued never enters the queue; the head is the ticket that has waited longest. A cancellation
// that comes during an attempt for its ticket takes effect when the attempt is over and what it got is released: whoever
// sees a wait cancelled finds nothing held for it.

/// The first-come, first-served queue of one lock or mutex.
package struct WaitQueue: Sendable {
    package typealias Deadline = ContinuousClock.Instant
    package typealias Ticket = TicketLine.Ticket

    package enum Enqueued: Hashable, Sendable {
        case waiting
        /// The ticket's cancellation came first.
        case cancelled
    }

    /// What becomes of the ticket for which an attempt was made.
    package enum Conclusion: Hashable, Sendable {
        /// The attempt took it out of the queue: its outcome is the attempt's.
        case settled
        /// It was cancelled meanwhile and is out of the queue: release what the attempt got, then tell it.
        case cancelled
        /// It waits on.
        case waiting
    }

    private var next: Ticket = 1
    private var line = TicketLine()
    /// A heap, the earliest first, of those who have a deadline.
    private var deadlines: [(deadline: Deadline, ticket: Ticket)] = []
    /// Drawn but not enqueued: whether the cancellation came meanwhile.
    private var drawn: [Ticket: Bool] = [:]
    /// The ticket for which an attempt is made: whether the cancellation came meanwhile.
    private var attempted: (ticket: Ticket, isCancelled: Bool)?

    package init() {}

    /// A new ticket, not yet in the queue: its cancellation may arrive before it is enqueued.
    package mutating func draw() -> Ticket {
        defer { next += 1 }
        drawn[next] = false
        return next
    }

    /// Puts a ticket last.
    package mutating func enqueue(_ ticket: Ticket, deadline: Deadline?) -> Enqueued {
        guard let isCancelled = drawn.removeValue(forKey: ticket) else {
            preconditionFailure("a ticket is drawn once and enqueued once")
        }
        if isCancelled { return .cancelled }
        line.append(ticket)
        if let deadline { push(deadline, ticket) }
        return .waiting
    }

    /// The ticket that the next grant is for.
    package var head: Ticket? { line.first }

    package var isEmpty: Bool { line.isEmpty }

    package var count: Int { line.count }

    /// Whether no ticket is in the queue or on its way to it.
    package var isUnused: Bool { line.isEmpty && drawn.isEmpty }

    /// How many places of the line and the heap were looked at, for tests of the cost.
    package var steps: Int { line.steps + heapSteps }
    private var heapSteps = 0

    /// Begins an attempt for the head.
    package mutating func attempt() -> Ticket? {
        precondition(attempted == nil, "one attempt at a time")
        guard let head else { return nil }
        attempted = (head, false)
        return head
    }

    /// Ends the attempt: with an outcome, the lock or an error, or with the lock still busy.
    package mutating func conclude(hasOutcome: Bool) -> Conclusion {
        guard let (ticket, isCancelled) = attempted else { preconditionFailure("no attempt was begun") }
        attempted = nil
        guard hasOutcome || isCancelled else { return .waiting }
        _ = remove(ticket)
        return isCancelled ? .cancelled : .settled
    }

    /// Takes a waiting ticket out; false if it is not in the queue.
    package mutating func remove(_ ticket: Ticket) -> Bool {
        guard line.remove(ticket) else { return false }
        tidyDeadlines()
        return true
    }

    /// Takes a ticket out because its task was cancelled.
    ///
    /// False if it has its outcome already, or will have it soon: `enqueue` refuses it, or `conclude` tells.
    package mutating func cancel(_ ticket: Ticket) -> Bool {
        if drawn[ticket] != nil { drawn[ticket] = true }
        if attempted?.ticket == ticket {
            attempted?.isCancelled = true
            return false
        }
        return remove(ticket)
    }

    /// Takes out the tickets whose deadline has come.
    ///
    /// Not during an attempt.
    package mutating func expire(at now: Deadline) -> [Ticket] {
        var expired: [Ticket] = []
        while let earliest = deadlines.first, earliest.deadline <= now {
            popDeadline()
            if line.remove(earliest.ticket) { expired.append(earliest.ticket) }
        }
        tidyDeadlines()
        return expired
    }

    /// The earliest deadline of a waiting ticket.
    package var nextDeadline: Deadline? { deadlines.first?.deadline }
}

extension WaitQueue {
    /// Sees to it that the first deadline is one of a waiting ticket, and that most are.
    private mutating func tidyDeadlines() {
        while let earliest = deadlines.first, !line.contains(earliest.ticket) { popDeadline() }
        if deadlines.count > 2 * line.count + 16 {
            heapSteps += deadlines.count
            // What is sorted is a heap.
            deadlines = deadlines.filter { line.contains($0.ticket) }.sorted { $0.deadline < $1.deadline }
        }
    }

    private mutating func push(_ deadline: Deadline, _ ticket: Ticket) {
        deadlines.append((deadline, ticket))
        var child = deadlines.count - 1
        while child > 0, deadline < deadlines[(child - 1) / 2].deadline {
            deadlines.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
            heapSteps += 1
        }
    }

    private mutating func popDeadline() {
        deadlines.swapAt(0, deadlines.count - 1)
        deadlines.removeLast()
        heapSteps += 1
        var parent = 0
        while 2 * parent + 1 < deadlines.count {
            var child = 2 * parent + 1
            if child + 1 < deadlines.count, deadlines[child + 1].deadline < deadlines[child].deadline { child += 1 }
            if deadlines[parent].deadline <= deadlines[child].deadline { break }
            deadlines.swapAt(parent, child)
            parent = child
            heapSteps += 1
        }
    }
}
