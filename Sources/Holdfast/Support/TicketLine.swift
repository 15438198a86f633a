// SPDX-License-Identifier: Apache-2.0
//
// An order in which anything can leave at any time.
//
// Cost: a bounded number of steps for each ticket, averaged over its stay. A ticket that has left stays in `order` until it
// comes first there, or until most of them have left.

/// Tickets in the order in which they came.
package struct TicketLine: Sendable {
    package typealias Ticket = UInt64

    private var members: Set<Ticket> = []
    /// The order from `start` on, with some that have left; the first one has not.
    private var order: [Ticket] = []
    private var start = 0
    /// How many places of the order were looked at, for tests of the cost.
    package private(set) var steps = 0

    package init() {}

    package var count: Int { members.count }

    package var isEmpty: Bool { members.isEmpty }

    /// The ticket that came first of those that are in the line.
    package var first: Ticket? { start < order.count ? order[start] : nil }

    package func contains(_ ticket: Ticket) -> Bool { members.contains(ticket) }

    /// Puts a ticket last, which is in the line only once.
    package mutating func append(_ ticket: Ticket) {
        members.insert(ticket)
        order.append(ticket)
    }

    /// Takes a ticket out; false if it is not in the line.
    package mutating func remove(_ ticket: Ticket) -> Bool {
        guard members.remove(ticket) != nil else { return false }
        while start < order.count, !members.contains(order[start]) {
            start += 1
            steps += 1
        }
        // As many have left as this looks at, or nearly.
        if order.count > 2 * members.count + 16 {
            steps += order.count
            order = order[start...].filter(members.contains)
            start = 0
        }
        return true
    }

    /// The first tickets of the line for as long as the body says so.
    package func prefix(while isIncluded: (Ticket) -> Bool) -> [Ticket] {
        var prefix: [Ticket] = []
        for ticket in order[start...] where members.contains(ticket) {
            if !isIncluded(ticket) { break }
            prefix.append(ticket)
        }
        return prefix
    }
}
