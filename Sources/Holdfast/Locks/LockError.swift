// SPDX-License-Identifier: Apache-2.0
//
// Why a lock was not taken. "Busy" and "cannot lock here" are different codes: the first may be waited for, the second
// must never be taken for the first, nor for success.

internal import _HoldfastCShims

/// A lock that was not taken, or not released as it should be.
public struct LockError: Error, Hashable, Sendable {
    /// What kind of failure it is.
    ///
    /// More may be added, so a `switch` needs a `default`.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Storage: String {
            case busy, timedOut, cancelled, reentrant, unsupported, refused, familyMismatch, compromised, exhausted
            case systemFailure
        }
        private let storage: Storage

        /// Somebody else holds it, and the call does not wait.
        public static let busy = Code(storage: .busy)
        /// The deadline passed while somebody else held it.
        ///
        /// Nothing is held.
        public static let timedOut = Code(storage: .timedOut)
        /// The waiting task was cancelled before it was granted the lock.
        ///
        /// Nothing is held.
        public static let cancelled = Code(storage: .cancelled)
        /// The same task (or thread, outside a task) holds it already: waiting would never end.
        public static let reentrant = Code(storage: .reentrant)
        /// This file system or kernel cannot lock this file (ENOLCK, EOPNOTSUPP, ENOSYS, EINVAL).
        ///
        /// Nothing is held.
        public static let unsupported = Code(storage: .unsupported)
        /// What stands at the path is not safe to use: a symbolic link, not a regular file, a name that is too long, contents
        /// that are not a lock's.
        public static let refused = Code(storage: .refused)
        /// The file's record says that it is locked with the other family, which this one does not exclude.
        public static let familyMismatch = Code(storage: .familyMismatch)
        /// Somebody keeps replacing or damaging the file, or its tokens are used up.
        public static let compromised = Code(storage: .compromised)
        /// Every slot of a ``MutexArena`` is taken: too many processes have it open.
        public static let exhausted = Code(storage: .exhausted)
        /// A system call failed; ``LockError/cause`` says which.
        public static let systemFailure = Code(storage: .systemFailure)

        /// The name of the code.
        public var description: String { storage.rawValue }
    }

    /// What kind of failure it is.
    public let code: Code
    /// The path of the lock file, or of the arena.
    public let path: String
    /// The number of the mutex in its arena, if the error is about a mutex.
    public var mutex: Int? {
        if case .mutex(let index) = subject { index } else { nil }
    }
    /// What was done and why it did not work, as a clause.
    public let reason: String
    /// Who holds the lock, as far as that is known, if somebody does.
    public let holder: LockHolder?
    /// The system call that failed, if one did.
    public let cause: SystemError?
    private var subject = Subject.lockFile

    /// What an error is about.
    package enum Subject: Hashable, Sendable {
        case lockFile, arena
        case mutex(Int)
    }

    package init(
        _ code: Code,
        path: String,
        reason: String,
        holder: LockHolder? = nil,
        cause: SystemError? = nil
    ) {
        self.code = code
        self.path = path
        self.reason = reason
        self.holder = holder
        self.cause = cause
    }
}

extension LockError: CustomStringConvertible {
    /// One sentence: to what, what and why not, who holds it.
    public var description: String {
        var text =
            switch subject {
            case .lockFile: "lock file \(quoted(path)): \(reason)"
            case .arena: "arena \(quoted(path)): \(reason)"
            case .mutex(let index): "mutex \(index) of arena \(quoted(path)): \(reason)"
            }
        if let cause {
            text += ": \(cause)"
            // A caller that quotes the sentence ends it.
            if let advice = cause.permissionAdvice { text += ". \(advice.dropLast())" }
        }
        if let holder { text += "; held by \(holder); \(holder.remedy)" }
        return text
    }
}

extension LockError {
    /// The same error, about an arena or one of its mutexes: the inner rooms do not know which.
    func about(_ subject: Subject) -> LockError {
        var error = self
        error.subject = subject
        return error
    }

    /// The holder that a wait has not outlasted.
    ///
    /// - Throws: This error, if it is another one than that the time was over.
    func holderInTheWay() throws(LockError) -> LockHolder {
        guard code == .timedOut else { throw self }
        return holder ?? LockHolder()
    }

    /// The error for a call that failed on the lock file itself.
    init(_ cause: SystemError, path: String, while action: String) {
        switch cause.code {
        case ELOOP:
            self.init(.refused, path: path, reason: "is a symbolic link, which is never followed", cause: cause)
        case EISDIR, ENXIO, ENODEV:
            self.init(.refused, path: path, reason: "is not a regular file", cause: cause)
        case ENAMETOOLONG:
            self.init(.refused, path: path, reason: "the name is too long", cause: cause)
        default:
            self.init(.systemFailure, path: path, reason: "could not \(action)", cause: cause)
        }
    }

    /// The error for a kernel lock that was neither granted nor refused as busy.
    static func cannotLock(_ cause: SystemError, path: String) -> LockError {
        switch cause.code {
        case ENOLCK, EOPNOTSUPP, ENOTSUP, ENOSYS, EINVAL, EBADF:
            LockError(.unsupported, path: path, reason: "this file system cannot lock it", cause: cause)
        default:
            LockError(.systemFailure, path: path, reason: "could not lock it", cause: cause)
        }
    }
}
