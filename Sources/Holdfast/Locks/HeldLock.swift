// SPDX-License-Identifier: Apache-2.0
//
// The held lock. Closing its open file description is the unlock, and the kernel does that for a process that dies.
//
// Invariant: while a HeldLock exists, the path named the locked inode when it was granted, and whoever follows the rules
// (locks before it replaces or removes) cannot change that. Its end blanks line 1, so that the next holder can tell a
// release from a death. A forked child only closes: the lock, and the record, are its parent's.

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

    let file: LockFile
    let rawDescriptor: Int32
    private let identity: FileIdentity
    /// What the previous holder left in the file.
    private let abandonedRecord: LockRecord?
    private var holder: HolderID
    /// Tells this lock from a later one with the same descriptor.
    private let hold: UInt64
    /// The process that took the lock, which alone may write to the file.
    private let owner: Int32
    /// How many digits line 1 of our record has; 0 if the acquisition wrote none.
    private let pidLength: Int
    private var isHeld = true
    /// Whether the description has locks of both families.
    private let hasBothFamilies: Bool
    /// Whether a child process shares the description: an unlock of it would take the child's lock too.
    private var isInherited = false

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
        self.file = file
        self.holder = holder
        identity = opened.identity
        owner = opened.owner
        rawDescriptor = opened.relinquish()
        pidLength = template?.pidLength ?? 0
        self.hasBothFamilies = hasBothFamilies
        hold = file.site.hold(holder, with: rawDescriptor)
    }

    deinit {
        if isHeld { _ = end() }
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
        isHeld = false
        if let failure = end() { throw failure }
    }

    /// Whether the path still names the locked file.
    ///
    /// False: somebody deleted or replaced it, and may hold another lock of the same name. One system call.
    ///
    /// - Throws: ``LockError`` `.systemFailure` if that cannot be found out.
    public borrowing func isStillInPlace() throws(LockError) -> Bool {
        do throws(SystemError) {
            return try file.directory.identity(of: file.name) == identity
        } catch {
            throw LockError(error, path: file.path, while: "look at it")
        }
    }

    /// The locked open file description, for a child process that shall share it: the lock is then held for as long as
    /// either lives, so its release here only closes.
    package mutating func inheritableDescriptor() -> Int32 {
        isInherited = true
        return rawDescriptor
    }

    /// Makes another task or thread of this process its holder.
    mutating func hand(to other: HolderID) {
        file.site.letGo(holder)
        file.site.hold(other)
        holder = other
    }

    private borrowing func end() -> LockError? {
        let fileSystem = file.directory.fileSystem
        var failure: SystemError?
        func note(_ action: () throws(SystemError) -> Void) {
            do throws(SystemError) { try action() } catch { failure = failure ?? error }
        }
        // After a fork the description is shared with the parent: anything but close would release or falsify its lock.
        guard owner == getpid() else {
            note { () throws(SystemError) in try fileSystem.close(rawDescriptor) }
            return nil
        }
        // Else what is written, unlocked and closed is a stranger's file, or another lock.
        let isOurs = file.site.letGo(holder, with: rawDescriptor, hold)
        guard isOurs, ((try? fileSystem.status(rawDescriptor).identity) ?? identity) == identity else {
            file.site.wakeWaiters()
            let reason = """
                other code in this process has closed its file descriptor \(rawDescriptor), and with that released it
                """
            return LockError(.compromised, path: file.path, reason: reason)
        }
        if pidLength > 0, file.role != .sidecar {
            note { () throws(SystemError) in try file.endRecord(of: rawDescriptor, pidLength: pidLength) }
        }
        // Unlocked, not just closed: a process that is being spawned at this moment has a copy until its exec.
        if !isInherited {
            let family = file.family
            note { () throws(SystemError) in try fileSystem.unlock(rawDescriptor, family) }
            if hasBothFamilies {
                note { () throws(SystemError) in try fileSystem.unlock(rawDescriptor, family.other) }
            }
        }
        let isKept = pidLength > 0 && !isInherited && failure == nil && file.keep(rawDescriptor, identity)
        if !isKept { note { () throws(SystemError) in try fileSystem.close(rawDescriptor) } }
        file.site.wakeWaiters()
        return failure.map { LockError($0, path: file.path, while: "release it cleanly") }
    }
}
