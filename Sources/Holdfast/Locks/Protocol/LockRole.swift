// SPDX-License-Identifier: Apache-2.0
//
// What an acquisition of a lock file does beside locking it in the kernel depends on what the file is for. Each role has its
// steps in a file of its own; docs/lock-protocols.md has them side by side.

internal import _HoldfastCShims

/// What a lock file is for.
protocol LockRole: Sendable {
    /// Whether line 1 of the record shows the holder, until its release blanks it.
    var showsHolder: Bool { get }
    /// Whether a released file stays open for the next exclusive lock.
    var keepsOpen: Bool { get }
    /// Whether an attempt leaves the file open or alone, so that no attempt looks like a release.
    var isWatchable: Bool { get }

    /// The longest of the names that are made for a lock file; nil if that is too long.
    func longestName(for name: FileName) -> FileName?

    /// Makes the file, which is not there.
    func make(
        _ file: LockFile,
        _ mode: HeldLock.Mode,
        holder: HolderID,
        mayFlush: Bool
    ) throws(LockError) -> OpenedForLocking

    /// Opens the file, which cannot be opened for writing.
    func openUnwritable(
        _ file: LockFile,
        _ mode: HeldLock.Mode,
        _ refusal: SystemError
    ) throws(LockError) -> OpenLockFile

    /// Looks at a file that this process has just locked, and makes it this holder's.
    func admit(
        _ opened: borrowing OpenLockFile,
        of file: LockFile,
        _ mode: HeldLock.Mode,
        mayFlush: Bool
    ) throws(LockError) -> LockAdmission

    /// Who keeps other processes out of a file that is not locked in the kernel.
    func keeper(
        in contents: LockContents,
        of opened: borrowing Descriptor,
        _ file: LockFile
    ) throws(LockError) -> LockHolder?

    /// Ends the record of an exclusive lock; the file is unlocked afterwards.
    func end(_ opened: borrowing OpenLockFile, of file: LockFile, pidLength: Int) throws(SystemError)
}

/// A file that is to be locked.
enum OpenedForLocking: ~Copyable {
    case opened(OpenLockFile)
    /// It was made as a held lock.
    case acquired(HeldLock)
    /// To make it takes a flush, and this attempt must not flush.
    case busy
    /// Another process was faster, or the new file is to be opened by its name.
    case again
}

/// What becomes of a file that is locked in the kernel and in its place.
enum LockAdmission {
    case granted(
        token: FencingToken? = nil,
        abandoned: LockRecord? = nil,
        LockRecordTemplate? = nil,
        hasBothFamilies: Bool = false
    )
    /// Another process has a lock of the other family, or a flush is needed and must not be made here.
    case busy
    /// It has lost its name meanwhile.
    case replaced
    case keptOut(LockHolder)
}

extension LockRole {
    func openUnwritable(
        _ file: LockFile,
        _ mode: HeldLock.Mode,
        _ refusal: SystemError
    ) throws(LockError) -> OpenLockFile {
        throw LockError(refusal, path: file.path, while: "open it")
    }

    func keeper(
        in contents: LockContents,
        of opened: borrowing Descriptor,
        _ file: LockFile
    ) throws(LockError) -> LockHolder? {
        try file.owner(in: contents, of: opened)
    }
}

extension LockFile {
    /// Opens or makes the file by its name, where it is to get its record.
    func openOrMake() throws(LockError) -> OpenLockFile {
        try doing("make it") { () throws(SystemError) in try OpenLockFile(try directory.openOrMake(name, creation)) }
    }
}
