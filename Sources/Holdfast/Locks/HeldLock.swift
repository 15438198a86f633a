// SPDX-License-Identifier: Apache-2.0
//
// The held lock. Closing its open file description is the unlock, and the kernel does that for a process that dies.
//
// Invariant: while a HeldLock exists, the path named the locked inode when it was granted, and a process that
// follows the rules (locks before it replaces or removes) cannot change that. Its end blanks line 1, so that the next
// holder can tell a release from a death. A forked child only closes: the lock, and the record, are its parent's.

internal import _HoldfastCShims

/// A lock that is held for as long as this value lives.
///
/// It may be moved to another task and stored; it is released by ``release()``, or silently when it goes out of scope,
/// or by the kernel when the process ends, however it ends.
///
///     let lock = try file.lock()
///     try useWhatItProtects(fence: lock.fence)
///     try lock.release()
///
/// `_ = try file.lock()` releases at once.
public struct HeldLock: ~Copyable, Sendable {
    /// How the lock excludes others.
    public enum Mode: Hashable, Sendable {
        /// One holder. The corresponding C constant is `LOCK_EX`.
        case exclusive
        /// Many holders, and no exclusive one. The corresponding C constant is `LOCK_SH`.
        case shared
    }

    /// How the lock excludes others.
    public let mode: Mode
    /// The token of this acquisition.
    ///
    /// Nil if it is shared, of a ``PIDFile``, or of a file that this process may only read: that file has no room for a
    /// token, so what asks for one has to refuse such a holder.
    public let token: FencingToken?
    /// What a save under this lock proves; nil where there is no ``token``.
    public var fence: Fence? { token.map { Fence($0) } }
    /// The previous exclusive holder if that never released: it died, or its machine did.
    ///
    /// What the lock protects may be half changed. Reported to the next exclusive holder, once. After a power cut it may
    /// be reported although the holder had released, because a release is not flushed. A holder that may only read the file
    /// cannot write that it was told, so the next one is told too.
    public var abandoned: LockHolder? { abandonedRecord.map { LockHolder(abandoned: $0) } }

    /// What the previous holder left in the file.
    private let abandonedRecord: LockRecord?
    /// Nil when the lock has ended.
    private var opened: OpenLockFile?
    private var hold: Hold

    /// What the end of a lock has to know beside its open file.
    fileprivate struct Hold: Sendable {
        let file: LockFile
        var holder: HolderID
        /// Tells this lock from a later one with the same descriptor.
        let number: UInt64
        /// How many digits line 1 of our record has; 0 if the acquisition wrote none.
        let pidLength: Int
        /// Whether the description has locks of both families.
        let hasBothFamilies: Bool
        /// Whether a child process shares the description: an unlock of it would take the child's lock too.
        var isInherited = false
    }

    var file: LockFile { hold.file }

    init(
        _ opened: consuming OpenLockFile,
        of file: LockFile,
        mode: Mode,
        holder: HolderID,
        token: FencingToken? = nil,
        abandoned: LockRecord? = nil,
        _ template: LockRecordTemplate? = nil,
        hasBothFamilies: Bool = false
    ) {
        self.mode = mode
        self.token = token
        abandonedRecord = abandoned
        hold = Hold(
            file: file,
            holder: holder,
            number: file.site.hold(holder, with: opened.descriptor.rawValue),
            pidLength: template?.pidLength ?? 0,
            hasBothFamilies: hasBothFamilies
        )
        self.opened = consume opened
    }

    deinit {
        let hold = hold
        if let opened { _ = hold.end(opened) }
    }

    /// Releases the lock and reports what went wrong with that.
    ///
    /// Four system calls beside getpid(2): the descriptor is looked at, and the record, whose first line is blanked; the lock is
    /// let go. For a ``PIDFile`` the file is removed. A file to which another program wrote meanwhile is left as it is.
    ///
    /// - Throws: ``LockError`` `.systemFailure`: the lock is released all the same; the next holder may be told that this
    ///   one died. `.compromised`: other code of this process has closed the lock's descriptor, and with that released it
    ///   before.
    public consuming func release() throws(LockError) {
        if let opened = opened.take(), let failure = hold.end(opened) { throw failure }
    }

    /// Whether the path still names the locked file.
    ///
    /// False: somebody deleted or replaced it, and may hold another lock of the same name. One system call.
    ///
    /// - Throws: ``LockError`` `.systemFailure` if that cannot be found out.
    public borrowing func isStillInPlace() throws(LockError) -> Bool {
        do throws(SystemError) {
            return try opened?.isNamed(file.name, in: file.directory) ?? false
        } catch {
            throw LockError(error, path: file.path, while: "look at it")
        }
    }

    /// The locked open file description, for a child process that shall share it: the lock is then held for as long as
    /// either lives, so its release here only closes.
    package mutating func inheritableDescriptor() -> Int32 {
        hold.isInherited = true
        return opened?.descriptor.rawValue ?? -1
    }

    /// Makes another task or thread of this process its holder.
    mutating func hand(to other: HolderID) {
        file.site.letGo(hold.holder)
        file.site.hold(other)
        hold.holder = other
    }
}

extension HeldLock.Hold {
    /// Unlocks the file, and closes it or keeps it for the next lock.
    fileprivate func end(_ opened: consuming OpenLockFile) -> LockError? {
        var failure: SystemError?
        func note(_ action: () throws(SystemError) -> Void) {
            do throws(SystemError) { try action() } catch { failure = failure ?? error }
        }
        // After a fork the description is shared with the parent: anything but close would release or falsify its lock.
        if opened.owner != getpid() { return nil }
        // Else what is written, unlocked and closed is a stranger's file, or another lock.
        let number = opened.descriptor.rawValue
        guard file.site.letGo(holder, with: number, self.number), opened.isStillOpen() else {
            _ = opened.relinquish()
            file.site.wakeWaiters()
            let reason = """
                other code in this process has closed its file descriptor \(number), and with that released it
                """
            return LockError(.compromised, path: file.path, reason: reason)
        }
        if pidLength > 0 {
            note { () throws(SystemError) in try file.role.end(opened, of: file, pidLength: pidLength) }
        }
        // Unlocked, not just closed: a process that is being spawned at this moment has a copy until its exec.
        if !isInherited {
            let fileSystem = file.directory.fileSystem
            note { () throws(SystemError) in try fileSystem.unlock(number, file.family) }
            if hasBothFamilies { note { () throws(SystemError) in try fileSystem.unlock(number, file.family.other) } }
        }
        var closing: OpenLockFile? = consume opened
        if pidLength > 0, !isInherited, failure == nil, let kept = closing.take() { closing = file.keep(kept) }
        if let closing {
            do throws(SystemError) { try closing.close() } catch { failure = failure ?? error }
        }
        file.site.wakeWaiters()
        return failure.map { LockError($0, path: file.path, while: "release it cleanly") }
    }
}
