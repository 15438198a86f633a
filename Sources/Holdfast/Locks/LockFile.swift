// SPDX-License-Identifier: Apache-2.0
//
// A lock that the kernel keeps: flock(2) on a file that stays. It excludes, and is excluded by, everything else that locks
// the file in the same way: flock(1), and the file locks of Go, Rust, Python and others.
//
// Invariants: the file is never deleted by this type; what is locked is what the path named after the grant; nothing but
// a granted kernel lock is ever taken for one.

internal import Synchronization
internal import _HoldfastCShims

/// A lock file, which processes and tasks on one machine lock one after another.
///
/// The kernel releases the lock when its holder ends, however it ends; the next exclusive holder is then told
/// (``HeldLock/abandoned``). Each held lock is an open file description of its own, so that tasks and threads exclude each
/// other as processes do. Waiters of one process are served in the order in which they came.
///
///     let file = try LockFile("/var/lib/service/leader.lock")
///     try await file.withLock { grant in
///         try await lead(fence: grant.fence)
///     }
///
/// Advisory: it binds those who lock. On a network file system it is as good as that system's locks are.
public final class LockFile: Sendable {
    package let directory: OpenDirectory
    package let name: FileName
    package let family: LockFamily
    let role: any LockRole
    let label: String?
    /// Who may use the file, if it is made here.
    let creation: FileCreation
    package let site: LockSite
    private let template = Mutex<LockRecordTemplate?>(nil)
    private let idle = Mutex<OpenLockFile?>(nil)

    /// Names a lock file.
    ///
    /// Nothing is opened or made until it is locked.
    ///
    /// - Parameters:
    ///   - name: At most 248 bytes long, because of its companion `.NAME.guard`, which keeps the fencing tokens.
    ///   - directory: Where it is or will be.
    ///   - family: The kernel lock; everybody must use the same. A file that records another is refused.
    ///   - label: What the holder is called in records and messages, of which at most 64 bytes of whole characters are kept,
    ///     control characters as `?`; by default, and in place of a blank one, its executable's name.
    ///   - permissions: The mode of the file if it is made here, exactly, whatever the umask: at least 0600, at most 0777.
    ///     By default what the directory's default access list grants, or 0600 where there is none. The companion
    ///     lets those in who may write to the file.
    ///   - group: The numerical group of the file if it is made here; by default the kernel's choice, which is this
    ///     process's, or the directory's if that has the set-group-ID bit.
    /// - Throws: ``LockError`` `.refused` for too long a name or other permissions, `.systemFailure` if the directory
    ///   cannot be looked at.
    public convenience init(
        _ name: FileName,
        in directory: OpenDirectory,
        family: LockFamily = .flock,
        label: String? = nil,
        permissions: UInt32? = nil,
        group: UInt32? = nil
    ) throws(LockError) {
        let creation = FileCreation(permissions: permissions, group: group)
        try self.init(name, in: directory, family: family, label: label, role: .fenced, creation)
    }

    /// Names a lock file by a path, whose directory is opened and must exist.
    ///
    /// - Throws: ``LockError`` as ``init(_:in:family:label:permissions:group:)``, and `.systemFailure` if the directory
    ///   cannot be opened.
    public convenience init(
        _ path: String,
        family: LockFamily = .flock,
        label: String? = nil,
        permissions: UInt32? = nil,
        group: UInt32? = nil
    ) throws(LockError) {
        let (directory, name) = try Self.resolve(path)
        try self.init(name, in: directory, family: family, label: label, permissions: permissions, group: group)
    }

    /// A lock for what stands beside it: no fencing tokens, no companion, no flush.
    package convenience init(
        sidecar name: FileName,
        in directory: OpenDirectory,
        _ creation: FileCreation = FileCreation()
    ) throws(LockError) {
        try self.init(name, in: directory, family: .flock, label: nil, role: .sidecar, creation)
    }

    init(
        _ name: FileName,
        in directory: OpenDirectory,
        family: LockFamily,
        label: String?,
        role: some LockRole,
        _ creation: FileCreation
    ) throws(LockError) {
        let path = directory.path(of: name)
        if role.longestName(for: name) == nil {
            throw LockError(.refused, path: path, reason: "the name is too long: it leaves none for its companions")
        }
        if let refusal = creation.refusal {
            throw LockError(.refused, path: path, reason: "cannot be made: \(refusal)")
        }
        self.directory = directory
        self.name = name
        self.creation = creation
        self.family = family
        // A blank label would leave messages without a name.
        self.label = label.flatMap { $0.allSatisfy(\.isWhitespace) ? nil : $0 }
        self.role = role
        do throws(SystemError) {
            site = try LockSite.of(name, in: directory)
        } catch {
            throw LockError(error, path: path, while: "look at its directory")
        }
    }

    package static func resolve(_ path: String) throws(LockError) -> (OpenDirectory, FileName) {
        do throws(SystemError) {
            return try OpenDirectory.resolve(path)
        } catch {
            throw LockError(error, path: path, while: "open its directory")
        }
    }

    /// The path of the lock file.
    public var path: String { directory.path(of: name) }
}

extension LockFile {
    /// The record of this process, made once and again after a fork.
    func recordTemplate() -> LockRecordTemplate {
        if let made = template.withLock({ $0 }), made.pid == getpid() { return made }
        // Not under the lock: it asks the kernel who this process is.
        let made = makeTemplate(showsHolder: role.showsHolder)
        template.withLock { $0 = made }
        return made
    }

    /// A record of this process, of which line 1 shows the holder or is blank from the beginning.
    func makeTemplate(showsHolder: Bool) -> LockRecordTemplate {
        let process = ProcessIdentity.current
        return LockRecordTemplate(
            process: process,
            family: family,
            label: label ?? ProcessIdentity.name(of: process.pid) ?? "?",
            showsHolder: showsHolder
        )
    }
}

extension LockFile {
    /// The file that an earlier exclusive lock left open, unlocked, for the next: that saves the next its open and close.
    func takeIdle() -> OpenLockFile? {
        guard let kept = idle.withLock({ $0.take() }) else { return nil }
        // After a fork it is the parent's description too: a lock on it would be one with the parent's.
        if kept.owner != getpid() { return nil }
        return kept
    }

    /// Keeps an unlocked file open for the next exclusive lock, or returns it to be closed.
    ///
    /// Waiters in other processes hear of the release by the write that blanked line 1, a moment before.
    func keep(_ file: consuming OpenLockFile) -> OpenLockFile? {
        var file: OpenLockFile? = consume file
        if role.keepsOpen { idle.withLock { idle in if idle == nil { idle = file.take() } } }
        return file
    }
}
