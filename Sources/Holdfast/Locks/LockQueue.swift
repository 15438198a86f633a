// SPDX-License-Identifier: Apache-2.0
//
// Who waits for one lock in this process, in which order, and what became of each: a value without effects, so that every
// order of grant, cancellation and deadline can be tested. `LockSite` keeps it under a mutex, `LockReactor` acts on it.
//
// Invariants: a ticket has exactly one outcome; a ticket that was cancelled or has expired is never granted; a ticket
// cancelled before it was enqueued never enters the queue; the head is the ticket that has waited longest.

/// The first-come, first-served queue of one lock.
package struct LockQueue<Deadline: Comparable & Sendable>: Sendable {
    package typealias Ticket = UInt64

    package enum Enqueued: Hashable, Sendable {
        case waiting
        /// The ticket's cancellation came first.
        case cancelled
    }

    private struct Entry: Sendable {
        let ticket: Ticket
        let deadline: Deadline?
    }

    private var next: Ticket = 1
    private var entries: [Entry] = []
    /// Drawn but not enqueued: whether the cancellation came meanwhile.
    private var drawn: [Ticket: Bool] = [:]

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

    /// Takes a ticket out because it got the lock, or an error.
    ///
    /// False if it waits no more: then the lock is not its own.
    package mutating func settle(_ ticket: Ticket) -> Bool {
        guard let index = entries.firstIndex(where: { $0.ticket == ticket }) else { return false }
        entries.remove(at: index)
        return true
    }

    /// Takes a ticket out because its task was cancelled.
    ///
    /// False if it has its outcome already, or is not enqueued yet; then `enqueue` refuses it.
    package mutating func cancel(_ ticket: Ticket) -> Bool {
        if drawn[ticket] != nil { drawn[ticket] = true }
        return settle(ticket)
    }

    /// Takes out the tickets whose deadline has come.
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
