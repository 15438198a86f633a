// SPDX-License-Identifier: Apache-2.0
//
// Who waits for one lock in this process, in which order, and what became of each: a value without effects, so that every
// order of grant, cancellation and deadline can be tested. `LockSite` keeps it under a mutex, `LockReactor` acts on it.
//
// Invariants: a ticket has exactly one outcome; a ticket that was cancelled or has expired is never granted; a ticket
// cancelled before it was enqueued never enters the queue; the head is the ticket that has waited longest. A cancellation
// that comes during an attempt for its ticket takes effect when the attempt is over and what it got is released: whoever
// sees a wait cancelled finds nothing held for it.

/// The first-come, first-served queue of one lock.
package struct LockQueue<Deadline: Comparable & Sendable>: Sendable {
    package typealias Ticket = UInt64

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

    private struct Entry: Sendable {
        let ticket: Ticket
        let deadline: Deadline?
    }

    private var next: Ticket = 1
    private var entries: [Entry] = []
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
        entries.append(Entry(ticket: ticket, deadline: deadline))
        return .waiting
    }

    /// The ticket that the next grant is for.
    package var head: Ticket? { entries.first?.ticket }

    package var isEmpty: Bool { entries.isEmpty }

    package var count: Int { entries.count }

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
        guard let index = entries.firstIndex(where: { $0.ticket == ticket }) else { return false }
        entries.remove(at: index)
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
        let expired = entries.filter { entry in entry.deadline.map { $0 <= now } ?? false }.map(\.ticket)
        entries.removeAll { expired.contains($0.ticket) }
        return expired
    }

    /// The earliest deadline of a waiting ticket.
    package var nextDeadline: Deadline? {
        entries.compactMap(\.deadline).min()
    }
}
