// SPDX-License-Identifier: Apache-2.0
//
// What went wrong with a state, in words a program can act on (`code`) and in a sentence a person can (`description`).
// Invariant: each code says what is true of the file afterwards; only `directoryNotSynced` and `outcomeUnknown` may leave
// anything changed.

/// A state could not be loaded, saved or verified.
public struct StateError: Error, Sendable {
    /// What went wrong.
    ///
    /// More may be added; treat one that you do not know as a failure.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String {
            case notFound, corrupt, newerFormat, newerSchema, missingMigration, migrationFailed, decodingFailed
            case encodingFailed, wrongStore, tooLarge, refused, conflict, fenced, timedOut, notLocked, notRead
            case notSaved, directoryNotSynced, notDurable, outcomeUnknown, latched, compromised
        }

        private let value: Value

        /// There is no such file.
        ///
        /// StateCorruption is never reported as this.
        public static let notFound = Code(value: .notFound)
        /// The file is not what was saved; ``StateError/corruption`` is the evidence.
        ///
        /// Nothing was changed.
        public static let corrupt = Code(value: .corrupt)
        /// The file has a format that a later Holdfast wrote.
        ///
        /// ``StateError/found`` is its number. Nothing was changed.
        public static let newerFormat = Code(value: .newerFormat)
        /// The file's schema (``StateError/found``) is newer than this program's (``StateError/expected``): it was
        /// written by a later version of the program.
        ///
        /// Nothing was changed.
        public static let newerSchema = Code(value: .newerSchema)
        /// No ``StateMigration`` leads on from the schema ``StateError/found`` towards ``StateError/expected``.
        public static let missingMigration = Code(value: .missingMigration)
        /// The ``StateMigration`` from the schema ``StateError/found`` threw ``StateError/underlying``.
        public static let migrationFailed = Code(value: .migrationFailed)
        /// The codec threw ``StateError/underlying`` for a payload whose checksum is right.
        public static let decodingFailed = Code(value: .decodingFailed)
        /// The codec threw ``StateError/underlying`` for the value to save.
        ///
        /// Nothing was changed.
        public static let encodingFailed = Code(value: .encodingFailed)
        /// The file belongs to the store ``StateError/found`` and not to ``StateError/expected``.
        ///
        /// Nothing was changed.
        public static let wrongStore = Code(value: .wrongStore)
        /// The payload has ``StateError/found`` bytes, over the limit ``StateError/expected``.
        ///
        /// Nothing was changed.
        public static let tooLarge = Code(value: .tooLarge)
        /// The name leads to a symbolic link, a directory, a FIFO or a device, or cannot be a state's name.
        ///
        /// Nothing was read or changed.
        public static let refused = Code(value: .refused)
        /// The state has the generation ``StateError/found`` and not ``StateError/expected``.
        ///
        /// Nothing was changed.
        public static let conflict = Code(value: .conflict)
        /// The state was saved with the token ``StateError/expected``, later than this save's, ``StateError/found``:
        /// this program has lost its lock to another one.
        ///
        /// Nothing was changed.
        public static let fenced = Code(value: .fenced)
        /// Another writer held the state's lock until the deadline.
        ///
        /// Nothing was changed.
        public static let timedOut = Code(value: .timedOut)
        /// The state's lock file could not be locked; ``StateError/underlying`` is the ``LockError``.
        ///
        /// Nothing was changed.
        public static let notLocked = Code(value: .notLocked)
        /// The file could not be opened or read; ``StateError/cause`` says why.
        ///
        /// What it holds is not known.
        public static let notRead = Code(value: .notRead)
        /// The save failed at ``StateError/cause`` before anything was replaced: the old state stands.
        public static let notSaved = Code(value: .notSaved)
        /// The new state is in place and visible, but the directory could not be flushed and
        /// ``StateOptions/requiresDirectorySync`` is set: a power cut may bring back the old state.
        public static let directoryNotSynced = Code(value: .directoryNotSynced)
        /// The state was read, but could not be flushed as the load was asked to: a power cut may take it back.
        public static let notDurable = Code(value: .notDurable)

        /// The new state was written to a two-slot file, and its flush failed at ``StateError/cause``: whether the device
        /// has it is not known.
        ///
        /// Readers are given the old state. After a power cut or a reboot it may be the old one or the new one, whose
        /// generation is ``StateError/found``; the next save that succeeds settles it. Saving again is the way to try
        /// again: it writes everything again.
        public static let outcomeUnknown = Code(value: .outcomeUnknown)
        /// Flushes of this two-slot file have failed before, the last one at ``StateError/cause``, so nothing is saved.
        ///
        /// That is three times in a row, or once because the file system is read-only by now. Make a new `StateFile` to
        /// try again. Nothing was changed.
        public static let latched = Code(value: .latched)
        /// Other processes use this two-slot file by a second name, or from a second directory: they do not see what is saved
        /// by this one.
        ///
        /// Thrown by loads and saves for as long as such a process has the file open. Nothing was changed.
        public static let compromised = Code(value: .compromised)

        /// The name, for example `notSaved`.
        public var description: String { value.rawValue }
    }

    /// What was being done.
    package enum Operation: String, Sendable {
        case loading, saving, converting, verifying, restoring, opening

        var isSave: Bool { [.saving, .converting, .restoring].contains(self) }

        /// What a system call that failed means here: of a save it matters most that nothing was saved.
        var failure: Code { isSave ? .notSaved : .notRead }
    }

    /// What went wrong.
    public let code: Code
    /// The path of the state file.
    public let path: String
    /// The system call that failed, if one did; of the lock, too.
    public let cause: SystemError?
    /// The check that the file failed, if ``code`` is ``Code/corrupt``.
    public let corruption: StateCorruption?
    /// What was asked for or supported; see the code for what it counts.
    public let expected: UInt64?
    /// What was found or given; see the code for what it counts.
    public let found: UInt64?
    /// What a codec, a migration or the lock threw.
    public let underlying: (any Error)?
    /// A clause in place of the code's own, if there is more to say.
    let detail: String?
    let operation: Operation

    init(
        _ code: Code,
        _ operation: Operation,
        path: String,
        cause: SystemError? = nil,
        corruption: StateCorruption? = nil,
        expected: UInt64? = nil,
        found: UInt64? = nil,
        underlying: (any Error)? = nil,
        detail: String? = nil
    ) {
        self.code = code
        self.operation = operation
        self.path = path
        self.cause = cause
        self.corruption = corruption
        self.expected = expected
        self.found = found
        self.underlying = underlying
        self.detail = detail
    }
}
