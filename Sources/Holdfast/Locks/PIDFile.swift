// SPDX-License-Identifier: Apache-2.0
//
// The PID file: a lock file whose first line is the decimal PID of the one process that runs.

/// A PID file that is a kernel lock, and that cleans up after processes that died.
///
/// Its first line is the PID alone, so that tools that read PID files read it. Unlike the usual kind it is locked
/// with flock(2) before it gets its name (on a network file system or FUSE right after that), so it is never empty, and a
/// process that died, was reused or lives in another
/// PID namespace is never mistaken for another. A bare PID file of somebody else's is respected while its process lives,
/// and taken over when that is proven dead.
///
/// Its mode is 0644 less the umask, as daemons make it, so that monitoring and log rotation of other users can read it.
/// flock(2) asks for no more than that: any user who may read the file can also lock it, and keep the service from
/// starting. `permissions: 0o600` excludes them.
///
///     let pidFile = try PIDFile("/run/service.pid")
///     let lock = try pidFile.lock(deadline: .now)
///     defer { withExtendedLifetime(lock) {} }
public struct PIDFile: Sendable {
    let file: LockFile

    /// Names a PID file.
    ///
    /// Nothing is opened or made until it is locked.
    ///
    /// - Parameters:
    ///   - name: At most 226 bytes long, because of its companions.
    ///   - directory: Where it is or will be.
    ///   - permissions: The mode of the file if it is made here, exactly, whatever the umask: at least 0600, at most 0777.
    ///     By default 0644 less the umask, or as much of it as the directory's default access list grants.
    ///   - group: The numerical group of the file if it is made here; by default the kernel's choice.
    /// - Throws: ``LockError`` `.refused` for too long a name or other permissions, `.systemFailure` if the directory
    ///   cannot be looked at.
    public init(
        _ name: FileName,
        in directory: OpenDirectory,
        permissions: UInt32? = nil,
        group: UInt32? = nil
    ) throws(LockError) {
        var creation = FileCreation(permissions: permissions, group: group)
        creation.ordinary = 0o644
        file = try LockFile(name, in: directory, family: .flock, label: nil, role: .pidFile, creation)
    }

    /// Names a PID file by a path, whose directory is opened and must exist.
    ///
    /// - Throws: ``LockError`` as ``init(_:in:permissions:group:)``, and `.systemFailure` if the directory cannot be opened.
    public init(_ path: String, permissions: UInt32? = nil, group: UInt32? = nil) throws(LockError) {
        let (directory, name) = try LockFile.resolve(path)
        try self.init(name, in: directory, permissions: permissions, group: group)
    }

    /// Makes the PID file, or takes over a dead process's, if that is possible at once.
    ///
    /// About ten system calls, some 25 on a network file system or FUSE, and, for a new file, one flush, without which a power
    /// cut might leave an empty file that no process may take over. The lock has no fencing token; its release removes the file.
    /// A process that may not remove it any more, because it has dropped its privileges, leaves it without a PID, free for the
    /// next start.
    ///
    /// - Returns: The held lock, or who is in the way.
    /// - Throws: ``LockError``: `.unsupported`, `.refused` (a symbolic link, no regular file, or it holds anything but a PID),
    ///   `.familyMismatch`, `.compromised` or `.systemFailure`; nothing is held then.
    public func tryLock() throws(LockError) -> HeldLock.Attempt {
        try file.tryLock()
    }

    /// Makes the PID file, or takes over a dead process's; blocks this thread until that is possible.
    ///
    /// - Parameter deadline: When to give up; one in the past tries once. Nil waits for ever.
    /// - Returns: The held lock.
    /// - Throws: ``LockError``: `.timedOut`, `.reentrant`, or as ``tryLock()``; nothing is held then.
    public func lock(deadline: ContinuousClock.Instant? = nil) throws(LockError) -> HeldLock {
        try file.lock(deadline: deadline)
    }

    /// Makes the PID file, or takes over a dead process's; suspends this task until that is possible.
    ///
    /// - Parameter deadline: When to give up; one in the past tries once. Nil waits for ever.
    /// - Returns: The held lock.
    /// - Throws: ``LockError``: `.timedOut`, `.cancelled`, `.reentrant`, or as ``tryLock()``; nothing is held then.
    public func lock(deadline: ContinuousClock.Instant? = nil) async throws(LockError) -> HeldLock {
        try await file.lock(deadline: deadline)
    }

    /// The path of the file.
    public var path: String { file.path }
}
