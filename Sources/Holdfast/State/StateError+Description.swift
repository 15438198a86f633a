// SPDX-License-Identifier: Apache-2.0
//
// The sentences: what was done, to what, why not, what is true now, what to do.

extension StateError: CustomStringConvertible {
    /// For example `Saving /srv/a/state failed: fsync: Input/output error (5). The old state stands. …`.
    public var description: String {
        let head = "\(operation.rawValue.capitalizedFirst) \(shown(path)) failed: \(reason)."
        return [head, truth, advice].compactMap { $0 }.joined(separator: " ")
    }

    /// Why not.
    private var reason: String {
        if let detail { return detail }
        let expected = expected.map { "\($0)" } ?? "?"
        let found = found.map { "\($0)" } ?? "?"
        switch code {
        case .notFound: return "there is no such file"
        case .corrupt: return "it is not the state that was saved: \(corruption?.description ?? "")"
        case .newerFormat: return "it has the file format \(found), and this version of Holdfast reads up to 2"
        case .newerSchema: return "its schema is \(found), and this program supports up to \(expected)"
        case .missingMigration: return "no migration leads from its schema \(found) towards \(expected)"
        case .migrationFailed: return "the migration from schema \(found) threw: \(thrown)"
        case .decodingFailed: return "the payload is what was saved, but the codec cannot decode it: \(thrown)"
        case .encodingFailed: return "the codec cannot encode the value: \(thrown)"
        case .wrongStore:
            return "it belongs to store \(hexadecimal(self.found ?? 0)), not \(hexadecimal(self.expected ?? 0))"
        case .tooLarge: return "the payload has \(found) bytes, and the limit is \(expected)"
        case .conflict: return "the state has generation \(found), not \(expected)"
        case .fenced: return "the fencing token \(found) is older than the state's, \(expected)"
        case .timedOut: return "another writer held its lock until the deadline"
        case .notLocked: return "its lock cannot be taken: \(thrown)"
        case .compromised: return "other processes use this file by another name or from another directory"
        case .latched: return "earlier flushes of it failed, the last one with \(cause?.description ?? "?")"
        default: return underlying.map { "\($0)" } ?? cause?.description ?? code.description
        }
    }

    private var thrown: String { underlying.map { "\($0)" } ?? cause?.description ?? "unknown" }

    /// What is true now.
    private var truth: String? {
        switch code {
        case .directoryNotSynced: "The new state is in place and visible, but a power cut may bring back the old one."
        case .outcomeUnknown:
            """
            Readers see the old state; after a reboot it may be that one or generation \(found.map { "\($0)" } ?? "?"), \
            which was being saved.
            """
        case .notDurable: "What was read may be taken back by a power cut."
        case .notFound: nil
        default: operation.isSave ? "The old state stands." : nil
        }
    }

    /// What to do.
    private var advice: String? {
        switch code {
        case .corrupt where operation == .restoring:
            "Nothing was restored: this copy has to come from a backup."
        case .corrupt:
            """
            Restore the previous copy if one is kept, or move the file away to begin anew; a save never replaces a \
            corrupt state.
            """
        case .newerFormat, .newerSchema: "Use the newer version of the program, or restore a backup from before it."
        case .missingMigration: "Give the state file a migration for each schema since."
        case .wrongStore: "Somebody put another store's file here: put the right one back."
        case .tooLarge:
            """
            The limit keeps a damaged or foreign file from exhausting memory; only a program that sets a larger one \
            (StateOptions.maximumLength) goes beyond it.
            """
        case .conflict: "Load it again and decide anew."
        case .fenced: "Stop: another holder of the lock has taken over."
        case .outcomeUnknown:
            "Look at the kernel's log, and save again when the device works: that writes everything anew."
        case .compromised:
            """
            What is saved by one name is not seen by the other. Use one path everywhere: remove the second name (hard link), or \
            mount the directory instead of the single file, and end the processes that have the file open by the other path.
            """
        case .latched: "Look at the kernel's log, and open the state file anew before saving again."
        // The lock's own words have it.
        case .notLocked where cause?.permissionAdvice != nil: nil
        case .notLocked
        where (underlying as? LockError).map { $0.code == .refused && $0.path.hasSuffix(".arena") } ?? false:
            "If no other program needs that file, delete it: the state is not in it, and Holdfast makes a new one."
        case .notSaved, .notRead, .notLocked, .directoryNotSynced, .notDurable: cause?.advice
        default: nil
        }
    }
}

extension String {
    fileprivate var capitalizedFirst: String { prefix(1).uppercased() + dropFirst() }
}
