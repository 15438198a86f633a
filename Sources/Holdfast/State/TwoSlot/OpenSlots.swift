// SPDX-License-Identifier: Apache-2.0
//
// An open two-slot file, and what its users mark on its own inode: which arena they meet in.
//
// A file can be reached by a second name or directory, and its users then meet in two arenas, which know nothing of each
// other. So each user of an arena holds a shared lock on a byte of the file that stands for the arena, far behind its end;
// a user that finds a byte of another arena locked may neither believe the published word nor write. Each arena has two bytes:
//
//   present   the user believes the word of this arena
//   vouching  the word is right: the user has looked at both slots, or came while another one vouched
//
// Invariants: a word is believed only while its arena's vouching byte is locked, or by a user who has been present since it
// was; a user marks before it looks, so of two that come at once by two arenas at least one sees the other.

internal import Synchronization
internal import _HoldfastCShims

/// An open two-slot file.
final class OpenSlots: Sendable {
    let file: Descriptor
    let identity: FileIdentity
    let header: SlotFileHeader
    /// Why it is open for reading only, if it is.
    let writingError: SystemError?
    private let process = getpid()
    private let presence = Mutex(Presence())

    init(_ file: consuming Descriptor, _ identity: FileIdentity, _ header: SlotFileHeader, _ error: SystemError?) {
        self.file = file
        self.identity = identity
        self.header = header
        writingError = error
    }

    deinit {
        // Not by the close alone: a child that was forked has a copy of the descriptor.
        if isOfThisProcess { presence.withLock { leave(&$0) } }
    }

    /// Whether the descriptor is open on the file still: other code in the process may have closed it.
    var isSound: Bool { file.fileSystem.isOpen(file.rawValue, on: identity) }

    /// Whether it was opened by this process: a forked child has its locks in common with its parent.
    var isOfThisProcess: Bool { process == getpid() }

    /// Whether a flush that is impossible is of no use either: the medium is read-only, and was when it was made.
    func isUnchangeable(_ error: SystemError) -> Bool {
        error.code != EROFS && writingError?.code == EROFS
    }

    private struct Presence {
        var arena: ArenaIdentity?
        /// Whether the arena's word has been right since this user came.
        var isSure = false
        var isVouching = false
        /// How many calls rely on it at this moment.
        var users = 0
        var shallLeave = false
    }

    /// Whom a user met when it came.
    enum Meeting {
        /// Others vouch for the word, or this user does.
        case joined
        /// No user vouches for it.
        case alone
        /// Users of another arena are there, or one that writes without any.
        case elsewhere
    }
}

/// The bytes that stand for arenas.
enum PresenceBytes {
    /// All of them, behind the end of every file.
    static let all: Range<Int64> = 1 << 62..<Int64.max

    /// By the file of the arena as well as by its random number, which a copy of the arena has too.
    static func present(_ arena: ArenaIdentity) -> Range<Int64> {
        var checksum = Checksum()
        for number in [arena.key, arena.file.device, arena.file.inode] {
            unsafe withUnsafeBytes(of: number.littleEndian) { unsafe checksum.update($0) }
        }
        let start = all.lowerBound + Int64(checksum.value >> 4) * 2
        return start..<start + 1
    }

    static func vouching(_ arena: ArenaIdentity) -> Range<Int64> {
        let byte = present(arena).upperBound
        return byte..<byte + 1
    }

    /// Those of every other arena.
    static func others(_ arena: ArenaIdentity) -> [Range<Int64>] {
        [all.lowerBound..<present(arena).lowerBound, vouching(arena).upperBound..<all.upperBound].filter { !$0.isEmpty }
    }
}

extension OpenSlots {
    /// Whether the word of this arena can be believed without looking.
    func isSure(of arena: ArenaIdentity, vouching: Bool = false) -> Bool {
        presence.withLock { $0.isSure && $0.arena == arena && ($0.isVouching || !vouching) }
    }

    /// The arena whose users this one belongs to.
    var arena: ArenaIdentity? { presence.withLock { $0.arena } }

    /// Marks that this user meets the others in an arena, and sees whether any are there.
    ///
    /// Does not wait. No system call if it has met them before, else up to seven.
    ///
    /// If it is `vouching` it writes, in a call between ``beginUse()`` and ``endUse()``: it then vouches for the word from now on, if
    /// others do.
    func meet(in arena: ArenaIdentity, vouching: Bool) throws(SystemError) -> Meeting {
        let outcome = presence.withLock { presence in
            Result { () throws(SystemError) in try meet(in: arena, vouching: vouching, &presence) }
        }
        return try outcome.get()
    }

    private func meet(
        in arena: ArenaIdentity,
        vouching: Bool,
        _ presence: inout Presence
    ) throws(SystemError) -> Meeting {
        if presence.arena == arena, presence.isSure {
            if vouching, !presence.isVouching {
                presence.isVouching = try file.tryLock(PresenceBytes.vouching(arena))
            }
            return vouching && !presence.isVouching ? .elsewhere : .joined
        }
        if presence.arena != nil, presence.arena != arena {
            // Other calls of this process rely on the arena that was there before.
            if presence.users > (vouching ? 1 : 0) { return .elsewhere }
            leave(&presence)
        }
        if try hasOthers(arena) {
            // A lone writer's lock is exclusive, and soon gone: a reader does not wait for it, and looks at the slots.
            if vouching { return .elsewhere }
            guard try file.tryLock(PresenceBytes.present(arena)) else { return .alone }
            try? file.fileSystem.unlock(file.rawValue, PresenceBytes.all)
            return .elsewhere
        }
        guard try file.tryLock(PresenceBytes.present(arena)) else { return vouching ? .elsewhere : .alone }
        presence.arena = arena
        do throws(SystemError) {
            if try hasOthers(arena) {
                leave(&presence)
                return .elsewhere
            }
            guard try file.isLocked(PresenceBytes.vouching(arena)) else { return .alone }
            if vouching { presence.isVouching = try file.tryLock(PresenceBytes.vouching(arena)) }
            presence.isSure = true
            return .joined
        } catch {
            leave(&presence)
            throw error
        }
    }

    private func hasOthers(_ arena: ArenaIdentity) throws(SystemError) -> Bool {
        for range in PresenceBytes.others(arena) where try file.isLocked(range) { return true }
        return false
    }

    /// Whether a user vouches for the word of an arena by now, another thread of this one included.
    func isVouched(in arena: ArenaIdentity) -> Bool {
        // The kernel shows an open file description no lock of its own.
        if presence.withLock({ $0.arena == arena && $0.isVouching }) { return true }
        return (try? file.isLocked(PresenceBytes.vouching(arena))) ?? true
    }

    /// Vouches for the word of the arena in which it is present, which the caller has made right.
    func vouch(for arena: ArenaIdentity) throws(SystemError) {
        let outcome = presence.withLock { presence in
            Result { () throws(SystemError) in
                guard presence.arena == arena, try file.tryLock(PresenceBytes.vouching(arena)) else { return }
                presence.isVouching = true
                presence.isSure = true
            }
        }
        try outcome.get()
    }

    /// Goes, unless it is sure of the word: what it marks would be in others' way for nothing.
    func leaveIfUnsure() {
        presence.withLock { if !$0.isSure, $0.users == 0 { leave(&$0) } }
    }

    /// Goes, as soon as no call relies on it any more.
    func leave() {
        presence.withLock { presence in
            if presence.users == 0 { leave(&presence) } else { presence.shallLeave = true }
        }
    }

    private func leave(_ presence: inout Presence) {
        // Nothing is unlocked by a number that is another file's.
        if presence.arena == nil || !isSound { return }
        try? file.fileSystem.unlock(file.rawValue, PresenceBytes.all)
        presence = Presence(users: presence.users)
    }

    /// A call begins that writes, and relies on being present until it ends.
    func beginUse() { presence.withLock { $0.users += 1 } }

    /// Such a call ends.
    func endUse() {
        presence.withLock { presence in
            presence.users -= 1
            if presence.users == 0, presence.shallLeave || !presence.isSure { leave(&presence) }
        }
    }
}

extension Descriptor {
    /// What became of an attempt to be the only user of a two-slot file.
    enum LoneTurn {
        case locked
        /// Another lone writer is at work.
        case busy
        /// Users of an arena are there.
        case met
    }

    /// Locks the bytes of every arena, if no other open file has any of them.
    borrowing func lockAlone() throws(SystemError) -> LoneTurn {
        if try tryLock(PresenceBytes.all, exclusive: true) { return .locked }
        // A shared lock is granted beside shared ones only.
        guard try tryLock(PresenceBytes.all) else { return .busy }
        try? fileSystem.unlock(rawValue, PresenceBytes.all)
        return .met
    }
}
