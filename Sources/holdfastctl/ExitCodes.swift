// SPDX-License-Identifier: Apache-2.0
//
// The one table from what went wrong to the status that the process exits with. The numbers are those of sysexits.h, so
// that a script can tell "try again later" (75) from "look at the disk" (65, 74) and "do not touch this" (77).

internal import Holdfast
internal import _HoldfastCShims

/// The exit statuses of `holdfastctl`, from the mildest to the gravest.
///
/// A command with several paths exits with the gravest of them. A command that ran under `lock run` has its own.
enum ExitStatus: Int32, CaseIterable, Comparable {
    /// What was asked for was done.
    case done = 0
    /// The arguments make no sense.
    case usage = 64
    /// What should be read is not there, or may not be read.
    case noInput = 66
    /// Another process holds the lock, now or until the time limit.
    case busy = 75
    /// Every place for a process is taken: the slot table of an arena is full.
    case exhausted = 71
    /// Refused for safety: nothing was changed.
    case refused = 77
    /// This file system or kernel cannot lock or flush here, or this version does not have what was asked for.
    case unavailable = 69
    /// What should be made could not be made; what was there stands.
    case cannotCreate = 73
    /// Input or output failed.
    case ioError = 74
    /// What was read is not what was saved.
    case corrupt = 65

    static func < (first: ExitStatus, second: ExitStatus) -> Bool {
        first.gravity < second.gravity
    }

    private var gravity: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

/// What a command was about to do, which decides what a missing or forbidden file means.
enum Access {
    case reading, writing
}

extension ExitStatus {
    init(_ error: LockError, _ access: Access) {
        switch error.code {
        case .busy, .timedOut, .cancelled, .reentrant: self = .busy
        case .unsupported: self = .unavailable
        case .refused, .familyMismatch, .compromised: self = .refused
        case .exhausted: self = .exhausted
        default: self.init(error.cause, access)
        }
    }

    init(_ error: StateError, _ access: Access) {
        if let lockError = error.underlying as? LockError, lockError.code == .exhausted {
            self.init(lockError, access)
            return
        }
        switch error.code {
        case .notFound: self = .noInput
        case .corrupt, .decodingFailed, .migrationFailed: self = .corrupt
        case .conflict, .fenced, .wrongStore, .newerFormat, .newerSchema, .missingMigration, .tooLarge, .refused,
            .compromised:
            self = .refused
        case .timedOut: self = .busy
        case .outcomeUnknown, .latched: self = .ioError
        case .notLocked:
            if let lockError = error.underlying as? LockError {
                self.init(lockError, access)
            } else {
                self.init(error.cause, access)
            }
        default: self.init(error.cause, access)
        }
    }

    /// By the system call that failed.
    init(_ cause: SystemError?, _ access: Access) {
        switch cause?.code {
        case ENOENT, ENOTDIR, EACCES, EPERM, ENAMETOOLONG, ELOOP:
            self = access == .reading ? .noInput : .cannotCreate
        case EOVERFLOW: self = access == .reading ? .noInput : .cannotCreate
        case EINVAL where cause?.call == "fchown": self = .cannotCreate
        case EROFS, ENOSPC, EDQUOT, EFBIG, EXDEV, EBUSY, EEXIST: self = .cannotCreate
        case ENOSYS, ENOTSUP, EOPNOTSUPP, ENOLCK: self = .unavailable
        case EINVAL: self = cause?.call == "open" ? .noInput : .unavailable
        default: self = .ioError
        }
    }
}

/// Why a command did not do what it was asked to, and how the process exits.
struct CommandFailure: Error {
    let status: ExitStatus
    /// One line for standard error, without the program's name.
    let message: String

    init(_ status: ExitStatus, _ message: String) {
        self.status = status
        self.message = message
    }

    /// What the library threw while a command had this in mind.
    init(_ error: any Error, _ access: Access) {
        switch error {
        case let failure as CommandFailure: self = failure
        case let error as LockError: self.init(ExitStatus(error, access), "\(error)")
        case let error as StateError: self.init(ExitStatus(error, access), "\(error)")
        case let error as SystemError: self.init(ExitStatus(error, access), "\(error)")
        default: self.init(.ioError, "\(error)")
        }
    }
}

/// Runs the body and gives what it throws its exit status.
func attempting<Result: ~Copyable>(_ access: Access, _ body: () throws -> Result) throws(CommandFailure) -> Result {
    do {
        return try body()
    } catch {
        throw CommandFailure(error, access)
    }
}
