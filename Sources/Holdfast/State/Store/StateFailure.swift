// SPDX-License-Identifier: Apache-2.0
//
// What goes wrong inside: without the path of the file and the operation, which StateEngine adds when it makes a StateError.

internal import _HoldfastCShims

/// Why a state cannot be loaded or saved.
enum StateFailure: Error, Sendable {
    /// A system call failed: nothing was saved, or nothing was read.
    case system(SystemError)
    /// Other processes come between again and again.
    case interrupted(String)
    /// The published word cannot be looked at.
    case unseen(LockError)
    /// The state was read, and could not be flushed.
    case notDurable(SystemError?, String? = nil)
    case notFound(String? = nil)
    case corrupt(StateCorruption, String? = nil)
    /// Holdfast's magic with a later format number.
    case newerFormat(UInt64)
    case newerSchema(UInt32, supported: UInt32)
    case wrongStore(StoreID, expected: StoreID)
    case tooLarge(UInt64, limit: Int)
    case refused(String)
    case conflict(Generation, expected: Generation)
    case fenced(UInt64, stored: UInt64)
    case timedOut(LockError? = nil)
    case notLocked(LockError, String? = nil)
    /// The file that is to be locked cannot be opened.
    case notLockable(SystemError)
    case directoryNotSynced(SystemError)
    case outcomeUnknown(SystemError, Generation)
    case latched(SystemError)
    case compromised(String? = nil)
    /// What is wrong with the previous copy, and not with the state itself.
    indirect case previous(StateFailure)
}

extension StateFailure {
    /// The check that the file failed, if this is about one.
    var corruption: StateCorruption? { if case .corrupt(let corruption, _) = self { corruption } else { nil } }

    /// Whether the file is there and its content is lost: the checksum says so, or the device does.
    var isDamage: Bool {
        switch self {
        case .corrupt: true
        case .system(let cause): cause.code == EIO
        case .unseen(let error): error.cause?.code == EIO
        default: false
        }
    }
}

extension StateError {
    /// The error that a caller gets for a failure of this operation on the state with this path.
    init(_ failure: StateFailure, _ operation: Operation, path: String) {
        func error(
            _ code: Code,
            _ cause: SystemError? = nil,
            corruption: StateCorruption? = nil,
            expected: UInt64? = nil,
            found: UInt64? = nil,
            underlying: LockError? = nil,
            _ detail: String? = nil
        ) -> StateError {
            StateError(
                code,
                operation,
                path: path,
                cause: cause ?? underlying?.cause,
                corruption: corruption,
                expected: expected,
                found: found,
                underlying: underlying,
                detail: detail
            )
        }
        self =
            switch failure {
            case .system(let cause): error(operation.failure, cause)
            case .interrupted(let detail): error(operation.failure, nil, detail)
            case .unseen(let lock): error(operation.failure, underlying: lock)
            case .notDurable(let cause, let detail): error(.notDurable, cause, detail)
            case .notFound(let detail): error(.notFound, nil, detail)
            case .corrupt(let corruption, let detail): error(.corrupt, corruption: corruption, detail)
            case .newerFormat(let version): error(.newerFormat, found: version)
            case .newerSchema(let found, let supported):
                error(.newerSchema, expected: UInt64(supported), found: UInt64(found))
            case .wrongStore(let found, let expected):
                error(.wrongStore, expected: expected.value, found: found.value)
            case .tooLarge(let found, let limit): error(.tooLarge, expected: UInt64(limit), found: found)
            case .refused(let detail): error(.refused, nil, detail)
            case .conflict(let found, let expected): error(.conflict, expected: expected.value, found: found.value)
            case .fenced(let found, let stored): error(.fenced, expected: stored, found: found)
            case .timedOut(let lock): error(.timedOut, underlying: lock)
            case .notLocked(let lock, let detail): error(.notLocked, underlying: lock, detail)
            case .notLockable(let cause): error(.notLocked, cause)
            case .directoryNotSynced(let cause): error(.directoryNotSynced, cause)
            case .outcomeUnknown(let cause, let generation):
                error(.outcomeUnknown, cause, found: generation.value)
            case .latched(let cause): error(.latched, cause)
            case .compromised(let detail): error(.compromised, nil, detail)
            case .previous(let failure): StateError(failure, operation, path: path)
            }
    }
}
