// SPDX-License-Identifier: Apache-2.0
//
// What a simulated file system has in place of a word in a mapped file.

internal import Synchronization

/// A number that several users of one file see.
package final class SharedWord: Sendable {
    private let value: Atomic<UInt64>
    private let onStore: (@Sendable (UInt64) -> Void)?

    /// A word that holds a number already, and whose owner is told of every later one.
    package init(_ initial: UInt64 = 0, onStore: (@Sendable (UInt64) -> Void)? = nil) {
        value = Atomic(initial)
        self.onStore = onStore
    }

    /// The number that was stored last, and with it what its writer wrote before.
    package var current: UInt64 { value.load(ordering: .acquiring) }

    package func store(_ new: UInt64) {
        value.store(new, ordering: .releasing)
        onStore?(new)
    }
}
