// SPDX-License-Identifier: Apache-2.0
//
// The published word as a reader sees it: in an arena that it is no member of, so that no reader takes a slot, or waits for
// a process that is opening the arena.

public import Synchronization

/// The word of one arena, for reading.
final class PublishedWord: Sendable {
    private enum Place: Sendable {
        case arena(ArenaView)
        /// On a simulated file system, which has no memory to map.
        case simulated(SharedWord)
    }

    private let place: Place
    /// Which arena it is.
    let arena: ArenaIdentity

    /// Opens the arena that is there; makes none.
    init(_ names: CompanionNames, in directory: OpenDirectory) throws(LockError) {
        if let simulated = try SimulatedArena(names, in: directory) {
            place = .simulated(simulated.word)
            arena = simulated.identity
        } else {
            let view = try ArenaView(names.arena, in: directory, count: 1)
            place = .arena(view)
            arena = ArenaIdentity(key: view.key, file: view.identity)
        }
    }

    /// What is published; 0 if that is not known.
    var current: UInt64 {
        switch place {
        case .arena(let view): view.published(0)
        case .simulated(let word): word.current
        }
    }

    /// Whether it can be looked at still: a forked child opens its own.
    var isCurrent: Bool {
        if case .arena(let view) = place { view.isCurrent } else { true }
    }

    /// Has those who look at it look for the arena again.
    func end() {
        if case .arena(let view) = place { view.end() }
    }

    /// Where a reader looks that knows what is published; nil on a simulated file system.
    func place(for file: OpenSlots) -> PublishedPlace? {
        if case .arena(let view) = place { PublishedPlace(view, file) } else { nil }
    }
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

/// What a simulated file system has in place of a mapped arena.
struct SimulatedArena {
    let word: SharedWord
    /// 1 while the mutex is held: who finds that, and gets it, has a predecessor that died.
    let held: SharedWord
    let identity: ArenaIdentity

    /// Nil on a file system whose files can be mapped.
    init?(_ names: CompanionNames, in directory: OpenDirectory, making creation: FileCreation? = nil) throws(LockError)
    {
        if directory.fileSystem is KernelFileSystem { return nil }
        let path = directory.path(of: names.arena)
        do throws(SystemError) {
            let file =
                if let creation { try directory.openOrMake(names.arena, creation) } else {
                    try directory.open(names.arena, .read)
                }
            let status = try file.status()
            let fileSystem = directory.fileSystem
            if let word = fileSystem.sharedWord(of: file.rawValue, 0),
                let held = fileSystem.sharedWord(of: file.rawValue, 1)
            {
                self.word = word
                self.held = held
                identity = ArenaIdentity(key: status.identity.inode, file: status.identity)
                return
            }
        } catch {
            throw LockError(error, path: path, while: "open it")
        }
        throw LockError(.unsupported, path: path, reason: "its file system has no memory to share")
    }
}
