// SPDX-License-Identifier: Apache-2.0
//
// The published word as a reader sees it: in an arena that it is no member of, so that no reader takes a slot, or waits for
// a process that is opening the arena.

public import Synchronization

/// The word of one arena, for reading.
final class PublishedWord: Sendable {
    private let view: ArenaView
    /// Which arena it is.
    let arena: ArenaIdentity

    /// Opens the arena that is there; makes none.
    init(_ names: CompanionNames, in directory: OpenDirectory) throws(LockError) {
        view = try ArenaView(names.arena, in: directory, count: 1)
        arena = ArenaIdentity(key: view.key, file: view.identity)
    }

    /// What is published; 0 if that is not known.
    var current: UInt64 { view.published(0) }

    /// Whether it can be looked at still: a forked child opens its own.
    var isCurrent: Bool { view.isCurrent }

    /// Has those who look at it look for the arena again.
    func end() { view.end() }

    /// Where a reader looks that knows what is published.
    func place(for file: OpenSlots) -> PublishedPlace { PublishedPlace(view, file) }
}

/// A word in memory, with what must live as long as it is believed.
@safe
@usableFromInline
struct PublishedPlace: Sendable {
    private let view: ArenaView
    /// Its marks on the state's inode keep the word true.
    private let file: OpenSlots
    @usableFromInline nonisolated(unsafe) let isCurrent: UnsafeMutablePointer<Atomic<UInt32>>
    @usableFromInline nonisolated(unsafe) let word: UnsafeMutablePointer<Atomic<UInt64>>

    init(_ view: ArenaView, _ file: OpenSlots) {
        self.view = view
        self.file = file
        unsafe isCurrent = unsafe view.current
        unsafe word = unsafe view.word(0)
    }

    /// What is published; 0 if that is not to be believed any more, and in a forked child, which has no mapping to look at.
    @inlinable var current: UInt64 {
        guard unsafe isCurrent.pointee.load(ordering: .relaxed) != 0 else { return 0 }
        return unsafe word.pointee.load(ordering: .acquiring)
    }
}

/// Which arena the users of a two-slot file meet in.
struct ArenaIdentity: Hashable, Sendable {
    /// Its random number.
    let key: UInt64
    /// The file that has it.
    let file: FileIdentity
}
