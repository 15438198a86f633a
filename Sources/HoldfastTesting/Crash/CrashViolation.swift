// SPDX-License-Identifier: Apache-2.0
//
// What a recovery may find to be wrong, by name.

/// What a recovery found after a crash that must not be.
public struct CrashViolation: Error, Hashable, Sendable, CustomStringConvertible {
    /// What kind of promise was broken.
    ///
    /// An open set: a test may name kinds of its own.
    public struct Kind: Hashable, Sendable, CustomStringConvertible {
        /// The name, for example `lost`.
        public let description: String

        /// Names a kind.
        public init(_ name: String) {
            description = name
        }

        /// A value that was acknowledged as durable is gone, and an older one or none in its place.
        public static let lost = Kind("lost")
        /// A value is there that nobody ever saved: a part, a mixture, or garbage.
        public static let neverSaved = Kind("never saved")
        /// What was there before and what was being saved are both gone, or cannot be read.
        public static let unreadable = Kind("unreadable")
        /// A value that a recovery had relied on was gone after the next crash.
        public static let takenBack = Kind("taken back")
        /// Something that was to be unique was given out twice.
        public static let repeated = Kind("repeated")
        /// A file is left behind that nobody will ever remove.
        public static let leftBehind = Kind("left behind")
        /// The recovery failed with an error.
        public static let failed = Kind("failed")
    }

    /// What kind of promise was broken.
    public let kind: Kind
    /// What was found, as a clause.
    public let detail: String

    /// Reports a violation: thrown by a recovery.
    ///
    /// - Parameters:
    ///   - kind: What kind of promise was broken.
    ///   - detail: What was found, and what should have been, as a clause.
    public init(_ kind: Kind, _ detail: String) {
        self.kind = kind
        self.detail = detail
    }

    /// For example `lost: version 1 is there, and version 2 was acknowledged`.
    public var description: String { "\(kind): \(detail)" }
}
