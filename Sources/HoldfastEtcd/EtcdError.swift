// SPDX-License-Identifier: Apache-2.0
//
// What went wrong, in words a program can act on (`code`) and in a sentence for people (`description`).
//
// Invariant: only `outcomeUnknown` leaves open whether anything was changed. No text contains a password or a token of
// the server's user database.

#if Etcd
/// A lock, a session or a state over etcd that could not be had, kept or changed.
public struct EtcdError: Error, Sendable {
    /// What kind of failure it is.
    ///
    /// More may be added, so a `switch` needs a `default`.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String {
            case unavailable, outcomeUnknown, timedOut, cancelled, lost, conflict, fenced, notFound, corrupt,
                newerFormat
            case newerSchema, missingMigration, migrationFailed, encodingFailed, decodingFailed, tooLarge, noSpace
            case authenticationFailed, permissionDenied, unsupportedServer, wrongCluster, refused
        }
        private let value: Value

        /// No endpoint answered before the deadline.
        ///
        /// Nothing was changed, and no request that is still under way changes anything later.
        public static let unavailable = Code(value: .unavailable)
        /// A save was sent, and no answer tells what became of it: it happened, happens later, or never happens.
        ///
        /// Load the state to find out. A request that is still under way changes nothing once the generation has moved.
        public static let outcomeUnknown = Code(value: .outcomeUnknown)
        /// Another holder had the lock until the deadline, or other writers kept coming first until then.
        ///
        /// Nothing is held, and nothing was changed.
        public static let timedOut = Code(value: .timedOut)
        /// The task was cancelled before it was granted the lock or answered.
        ///
        /// Nothing is held.
        public static let cancelled = Code(value: .cancelled)
        /// The session or the lock is lost, or was released: another holder may have the lock.
        public static let lost = Code(value: .lost)
        /// The state has the generation ``EtcdError/found`` and not ``EtcdError/expected``.
        ///
        /// Nothing was changed.
        public static let conflict = Code(value: .conflict)
        /// The lock of the save's fence is not held any more, or the state was saved with a later token.
        ///
        /// Nothing was changed.
        public static let fenced = Code(value: .fenced)
        /// There is no such state.
        public static let notFound = Code(value: .notFound)
        /// The stored bytes are not what a save wrote: another program writes below the namespace.
        public static let corrupt = Code(value: .corrupt)
        /// The state has the format ``EtcdError/found``, which a later Holdfast wrote.
        public static let newerFormat = Code(value: .newerFormat)
        /// The state has the schema ``EtcdError/found``, newer than this program's, ``EtcdError/expected``.
        public static let newerSchema = Code(value: .newerSchema)
        /// No `StateMigration` leads on from the schema ``EtcdError/found`` towards ``EtcdError/expected``.
        public static let missingMigration = Code(value: .missingMigration)
        /// The `StateMigration` from the schema ``EtcdError/found`` threw ``EtcdError/underlying``.
        public static let migrationFailed = Code(value: .migrationFailed)
        /// The codec threw ``EtcdError/underlying`` for the value to save.
        ///
        /// Nothing was changed.
        public static let encodingFailed = Code(value: .encodingFailed)
        /// The codec threw ``EtcdError/underlying`` for a payload whose checksum is right.
        public static let decodingFailed = Code(value: .decodingFailed)
        /// The payload has ``EtcdError/found`` bytes, over the limit ``EtcdError/expected``, or the server finds the
        /// request too large.
        ///
        /// Nothing was changed.
        public static let tooLarge = Code(value: .tooLarge)
        /// The server's database is full: it accepts loads and releases, but no save, no lock and no session.
        ///
        /// Nothing was changed.
        public static let noSpace = Code(value: .noSpace)
        /// The server knows no such user and password, or accepts no token.
        public static let authenticationFailed = Code(value: .authenticationFailed)
        /// The user may not do this below this namespace.
        public static let permissionDenied = Code(value: .permissionDenied)
        /// The server has a version whose defects break what this module promises.
        public static let unsupportedServer = Code(value: .unsupportedServer)
        /// An endpoint answered as a member of another cluster than before: a restored backup, or another deployment.
        public static let wrongCluster = Code(value: .wrongCluster)
        /// The request or the configuration is not valid.
        public static let refused = Code(value: .refused)

        /// The name of the code.
        public var description: String { value.rawValue }
    }

    /// What kind of failure it is.
    public let code: Code
    /// What could not be had, kept or changed, for example `lock 'nightly'`.
    public let subject: String
    /// What was done and why it did not work, as a clause.
    public let reason: String
    /// Who holds the lock, if a holder is why it was not granted.
    public let holder: EtcdHolder?
    /// What was asked for or supported; see the code for what it counts.
    public let expected: UInt64?
    /// What was found or given; see the code for what it counts.
    public let found: UInt64?
    /// What a codec, a migration or the transport threw.
    public let underlying: (any Error)?
    /// Whether an attempt of this call may have reached the server without an answer.
    package var mayHaveHappened = false

    package init(
        _ code: Code,
        _ subject: String,
        _ reason: String,
        holder: EtcdHolder? = nil,
        expected: UInt64? = nil,
        found: UInt64? = nil,
        underlying: (any Error)? = nil,
        mayHaveHappened: Bool = false
    ) {
        self.code = code
        self.subject = subject
        self.reason = reason
        self.holder = holder
        self.expected = expected
        self.found = found
        self.underlying = underlying
        self.mayHaveHappened = mayHaveHappened
    }
}

extension EtcdError: CustomStringConvertible {
    /// One sentence: what, why not, and who holds it.
    public var description: String {
        var text = "\(subject): \(reason)"
        if let holder { text += "; held by \(holder)" }
        return text
    }
}
#endif
