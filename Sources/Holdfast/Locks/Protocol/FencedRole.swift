// SPDX-License-Identifier: Apache-2.0
//
// A public lock, which gives out fencing tokens. An exclusive holder reads what its predecessor left, takes the next token,
// writes its own record, and blanks line 1 at the end.

internal import _HoldfastCShims

/// A lock file whose exclusive locks have fencing tokens.
struct FencedRole: LockRole {
    let showsHolder = true
    let keepsOpen = true
    let isWatchable = true

    func longestName(for name: FileName) -> FileName? { TokenFile.name(for: name) }

    func make(
        _ file: LockFile,
        _ mode: HeldLock.Mode,
        holder: HolderID,
        mayFlush: Bool
    ) throws(LockError) -> OpenedForLocking {
        // Made only where its token file can be used, so that a lock that is refused leaves nothing behind.
        if mode == .exclusive { try TokenReservation.check(for: file.name, in: file.directory) }
        return .opened(try file.openOrMake())
    }

    /// Opens a file that may only be read: flock(2) locks it all the same, shared and, as flock(1) does it, exclusively.
    func openUnwritable(
        _ file: LockFile,
        _ mode: HeldLock.Mode,
        _ refusal: SystemError
    ) throws(LockError) -> OpenLockFile {
        guard refusal.isAny(of: EACCES, EROFS), let opened = try? file.directory.open(file.name, .read) else {
            throw LockError(refusal, path: file.path, while: "open it")
        }
        if file.family != .flock, mode == .exclusive {
            throw LockError(
                .unsupported,
                path: file.path,
                reason: """
                    it may only be read here, and an exclusive open-file-description lock takes the right to write; \
                    flock does not
                    """,
                cause: refusal
            )
        }
        do throws(SystemError) {
            return try OpenLockFile(opened, isWritable: false)
        } catch {
            throw LockError(error, path: file.path, while: "open it")
        }
    }

    func admit(
        _ opened: borrowing OpenLockFile,
        of file: LockFile,
        _ mode: HeldLock.Mode,
        mayFlush: Bool
    ) throws(LockError) -> LockAdmission {
        if mode == .shared { return try file.admitReader(opened.descriptor) }
        if !opened.isWritable { return try takeUnrecorded(opened.descriptor, of: file) }
        let template = file.recordTemplate()
        let previous = try unsafe file.previousRecord(in: opened.descriptor, template)
        if let obstacle = try file.obstacle(after: previous, in: opened.descriptor) { return obstacle }
        var next = previous.token == .max ? .max : previous.token + 1
        var limit = previous.limit
        // A record older than a token that this process has had: an earlier copy of the file was put back.
        let newest = file.site.newestToken
        if !previous.isOfThisBoot || next >= limit || next <= newest {
            guard mayFlush else { return .busy }
            switch try TokenReservation.reserve(above: max(previous.token, newest), for: file.name, in: file.directory)
            {
            case .reserved(let first, let end): (next, limit) = (first, end)
            case .busy(let other): return .keptOut(other)
            }
        }
        let token = FencingToken(next)
        try file.record(template, in: opened.descriptor, after: previous, token: token, limit: limit)
        file.site.newestToken = token.value
        return .granted(
            token: token,
            abandoned: previous.abandoned,
            template,
            hasBothFamilies: previous.family == nil
        )
    }

    /// Takes a locked file that this process may only read, as flock(1) does: with nothing written, and so without a token.
    ///
    /// A process that locks it in the same way is excluded. A first user of the other family takes both, so it is excluded
    /// too, if it comes later; if it was here before, the kernel shows it.
    private func takeUnrecorded(_ opened: borrowing Descriptor, of file: LockFile) throws(LockError) -> LockAdmission {
        let previous = try unsafe file.previousRecord(in: opened, file.recordTemplate())
        if let other = try file.ownerAgainstReaders(opened) { return .keptOut(other) }
        // Where that cannot be asked there are no such locks.
        if previous.family == nil, (try? opened.isRangeLocked()) == true { return .busy }
        return .granted(abandoned: previous.abandoned)
    }

    func end(_ opened: borrowing OpenLockFile, of file: LockFile, pidLength: Int) throws(SystemError) {
        if try file.isOurs(opened.descriptor) { try file.blank(opened.descriptor, pidLength) }
    }
}

extension LockRole where Self == FencedRole {
    /// A public lock, which gives out fencing tokens.
    static var fenced: Self { Self() }
}
