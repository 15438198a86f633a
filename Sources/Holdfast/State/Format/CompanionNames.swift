// SPDX-License-Identifier: Apache-2.0
//
// The files beside a state NAME: `.NAME.lock`, `.NAME.arena`, `.NAME.previous`, `.NAME.<16 hex digits>.tmp`. Invariant:
// no state may be called what another state's lock, arena or temporary file is called, so neither a sweep nor a rename can
// hit a state.

/// The names that belong to one state file.
struct CompanionNames: Hashable, Sendable {
    static let temporarySuffix = "tmp"

    let state: FileName
    let lock: FileName
    let arena: FileName
    let previous: FileName

    /// Refuses a name that cannot be a state's.
    init(of state: FileName) throws(StateFailure) {
        if Self.isTakenForCompanion(state) {
            throw .refused("a name like that belongs to the lock or a temporary file of another state")
        }
        guard let lock = state.companion("lock"), let arena = state.companion("arena"),
            let previous = state.companion("previous"),
            state.uniqueCompanion(Self.temporarySuffix) != nil
        else {
            throw .refused("the name is too long: the names of its companion files would exceed 255 bytes")
        }
        self.state = state
        self.lock = lock
        self.arena = arena
        self.previous = previous
    }

    /// A name that no other writer uses, for a file that is about to get its real one.
    func temporary() -> FileName {
        guard let name = state.uniqueCompanion(Self.temporarySuffix) else {
            preconditionFailure("init has made one of the same length")
        }
        return name
    }

    /// Whether it is a temporary file of this state, left behind if no writer holds the lock.
    func isTemporary(_ name: String) -> Bool {
        state.isUniqueCompanion(name, suffix: Self.temporarySuffix)
    }

    /// `.*.lock`, `.*.guard` and `.*.arena`, or `.*.<16 hex digits>.` with the suffix of a temporary file.
    ///
    /// `.NAME.previous` is a state and may be opened as one.
    private static func isTakenForCompanion(_ name: FileName) -> Bool {
        // By scalars: to Swift's strings a dot before a combining mark is another character.
        let scalars = name.description.unicodeScalars
        let parts = scalars.split(separator: ".", omittingEmptySubsequences: false).map { String($0) }
        guard parts.count >= 3, parts[0].isEmpty else { return false }
        if ["lock", "guard", "arena"].contains(parts[parts.count - 1]) { return true }
        let owner = FileName(parts[1..<(parts.count - 2)].joined(separator: "."))
        return [temporarySuffix, OpenDirectory.publishingSuffix, LockFile.removingSuffix].contains { suffix in
            owner?.isUniqueCompanion(name.description, suffix: suffix) ?? false
        }
    }
}
