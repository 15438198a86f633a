// SPDX-License-Identifier: Apache-2.0
//
// A lock beside something else, which it guards: no tokens, so no flush and no companion.
//
// Its record says which process used it last. It is written only when that changes, and never blanked: a lone writer writes
// none. A last user that is not seen to live may have died in the middle, and is reported as if it had.

internal import _HoldfastCShims

/// A lock file beside what its holder writes.
struct SidecarRole: LockRole {
    let showsHolder = false
    let keepsOpen = false
    let isWatchable = true

    func longestName(for name: FileName) -> FileName? { name }

    func make(
        _ file: LockFile,
        _ mode: HeldLock.Mode,
        holder: HolderID,
        mayFlush: Bool
    ) throws(LockError) -> OpenedForLocking {
        .opened(try file.openOrMake())
    }

    func admit(
        _ opened: borrowing OpenLockFile,
        of file: LockFile,
        _ mode: HeldLock.Mode,
        mayFlush: Bool
    ) throws(LockError) -> LockAdmission {
        if mode == .shared { return try file.admitReader(opened.descriptor) }
        let template = file.recordTemplate()
        var isOfThisProcess = false
        let previous = try unsafe file.previousRecord(in: opened.descriptor, template) { summary, bytes in
            isOfThisProcess = unsafe template.isOfSameProcess(as: summary, in: bytes)
            let other = isOfThisProcess ? nil : unsafe LockRecord(bytes)
            return other.flatMap { Liveness.of($0.process).isAlive ? nil : $0 }
        }
        if previous.family == nil, isTorn(opened.descriptor, size: previous.size) {
            return try file.lockOtherFamily(opened.descriptor) ? .granted(hasBothFamilies: true) : .busy
        }
        if let obstacle = try file.obstacle(after: previous, in: opened.descriptor) { return obstacle }
        if !isOfThisProcess { try file.record(template, in: opened.descriptor, after: previous, token: nil, limit: 0) }
        return .granted(abandoned: previous.abandoned, template, hasBothFamilies: previous.family == nil)
    }

    /// Whether it may be what a power cut made of a record that it tore.
    ///
    /// Nothing tells it from another program's data of that length. So nothing is written; but the state beside it, which
    /// is sound, is not shut off either.
    private func isTorn(_ opened: borrowing Descriptor, size: Int) -> Bool {
        guard size == LockRecordLayout.size, case .unreadable = LockContents.read(opened) else { return false }
        return true
    }

    func end(_ opened: borrowing OpenLockFile, of file: LockFile, pidLength: Int) throws(SystemError) {}
}

extension LockRole where Self == SidecarRole {
    /// A lock beside what its holder writes.
    static var sidecar: Self { Self() }
}
