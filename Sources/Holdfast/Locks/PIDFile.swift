// SPDX-License-Identifier: Apache-2.0
//
// The PID file: a lock file whose first line is the decimal PID of the one process that runs.

/// A PID file that is a kernel lock, and that cleans up after processes that died.
///
/// Its first line is the PID alone, so that tools that read PID files read it. Unlike the usual kind it is locked
/// with flock(2) before it gets its name (on a network file system or FUSE right after that), so it is never empty, and a
/// process that died, was reused or lives in another
/// PID namespace is never mistaken for another. A bare PID that another program wrote is respected while its process lives,
/// and taken over when that is proven dead.
///
/// Its mode is 0644 less the umask, as daemons make it, so that monitoring and log rotation of other users can read it.
/// flock(2) asks for no more than that: any user who may read the file can also lock it, and keep the service from
/// starting. `permissions: 0o600` excludes them.
///
///     try await PIDFile("/run/service.pid").withLock(timeout: .zero) { _ in
///         try await serve()
///     }
///
/// A service that keeps the lock in a variable ends with `try lock.release()`: a variable that is not used any more may be
/// destroyed, and releases the lock then.
public struct PIDFile: Sendable {
    let file: LockFile

    /// Names a PID file.
    ///
    /// Nothing is opened or made until it is locked.
    ///
    /// - Parameters:
    ///   - name: At most 226 bytes long, because of its companions.
    ///   - directory: Where it is or will be.
    ///   - label: What the process is called in messages, of which at most 64 bytes of whole characters are kept, control
    ///     characters as `?`; by default, and in place of a blank one, its executable's name.
    ///   - permissions: The mode of the file if it is made here, exactly, whatever the umask: at least 0600, at most 0777.
    ///     By default 0644 less the umask, or as much of it as the directory's default access list grants.
    ///   - group: The numerical group of the file if it is made here; by default the kernel's choice.
    /// - Throws: ``LockError`` `.refused` for too long a name or other permissions, `.systemFailure` if the directory
    ///   cannot be looked at.
    public init(
        _ name: FileName,
        in directory: OpenDirectory,
        label: String? = nil,
        permissions: UInt32? = nil,
        group: UInt32? = nil
    ) throws(LockError) {
        var creation = FileCreation(permissions: permissions, group: group)
        creation.ordinary = 0o644
        file = try LockFile(name, in: directory, family: .flock, label: label, role: .pidFile, creation)
    }

    /// Names a PID file by a path, whose directory is opened and must exist.
    ///
    /// - Throws: ``LockError`` as ``init(_:in:label:permissions:group:)``, and `.systemFailure` if the directory cannot be opened.
    public init(
        _ path: String,
        label: String? = nil,
        permissions: UInt32? = nil,
        group: UInt32? = nil
    ) throws(LockError) {
        let (directory, name) = try LockFile.resolve(path)
        try self.init(name, in: directory, label: label, permissions: permissions, group: group)
    }

    /// Makes the PID file, or takes over a dead process's, if that is possible in time; blocks this thread meanwhile.
    ///
    /// About ten system calls, some 25 on a network file system or FUSE, and, for a new file, one flush, without which a power
    /// cut might leave an empty file that no process may take over. The lock has no fencing token; its release removes the file.
    /// A process that may not remove it any more, because it has dropped its privileges, leaves it without a PID, free for the
    /// next start.
    ///
    /// - Parameter timeout: How long to wait; without a positive one it is tried once.
    /// - Returns: The held lock, or the holder that is in the way.
    /// - Throws: ``LockError``: `.unsupported`, `.refused` (a symbolic link, no regular file, or it holds anything but a PID),
    ///   `.familyMismatch`, `.compromised` or `.systemFailure`, and with a timeout `.reentrant`; nothing is held then.
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    public func tryLock(timeout: Duration = .zero) throws(LockError) -> HeldLock.Attempt {
        try file.tryLock(timeout: timeout)
    }

    /// Makes the PID file, or takes over a dead process's, if that is possible in time; suspends this task meanwhile.
    ///
    /// Without a timeout the task is not suspended, and its thread flushes a new file.
    ///
    /// - Parameter timeout: How long to wait; without a positive one it is tried once.
    /// - Returns: The held lock, or the holder that is in the way.
    /// - Throws: ``LockError`` as the blocking method of the same name, and with a timeout `.cancelled`; nothing is held then.
    public func tryLock(timeout: Duration = .zero) async throws(LockError) -> HeldLock.Attempt {
        try await file.tryLock(timeout: timeout)
    }

    /// Makes the PID file, or takes over a dead process's; blocks this thread until that is possible.
    ///
    /// - Parameters:
    ///   - deadline: When to give up; one in the past tries once. Nil waits forever.
    ///   - timeout: How long to wait; with a deadline as well, the earlier of the two counts.
    /// - Returns: The held lock.
    /// - Throws: ``LockError``: `.timedOut`, `.reentrant`, or as ``tryLock(timeout:)``; nothing is held then.
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    public func lock(
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil
    ) throws(LockError) -> HeldLock {
        try file.lock(deadline: deadline, timeout: timeout)
    }

    /// Makes the PID file, or takes over a dead process's; suspends this task until that is possible.
    ///
    /// - Parameters:
    ///   - deadline: When to give up; one in the past tries once. Nil waits forever.
    ///   - timeout: How long to wait; with a deadline as well, the earlier of the two counts.
    /// - Returns: The held lock.
    /// - Throws: ``LockError``: `.timedOut`, `.cancelled`, `.reentrant`, or as ``tryLock(timeout:)``; nothing is held then.
    public func lock(
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil
    ) async throws(LockError) -> HeldLock {
        try await file.lock(deadline: deadline, timeout: timeout)
    }

    /// Runs the body while this process has the PID file; blocks this thread.
    ///
    /// - Parameters:
    ///   - deadline: When to give up waiting for it; one in the past tries once. Nil waits forever.
    ///   - timeout: How long to wait; with a deadline as well, the earlier of the two counts.
    ///   - body: What is done while it is held.
    /// - Returns: What the body returned.
    /// - Throws: ``LockError`` if the PID file was not taken, or not removed cleanly; what the body throws.
    @available(*, noasync, message: "this blocks the thread; await the method of the same name")
    @_disfavoredOverload
    @discardableResult
    public func withLock<Result>(
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil,
        _ body: (LockHold) throws -> Result
    ) throws -> Result {
        try file.withLock(.exclusive, deadline: deadline, timeout: timeout, body)
    }

    /// Runs the body while this process has the PID file; suspends this task until that is possible.
    ///
    /// - Parameters:
    ///   - deadline: When to give up waiting for it; one in the past tries once. Nil waits forever.
    ///   - timeout: How long to wait; with a deadline as well, the earlier of the two counts.
    ///   - body: What is done while it is held.
    /// - Returns: What the body returned.
    /// - Throws: ``LockError`` if the PID file was not taken, or not removed cleanly; what the body throws.
    @discardableResult
    public func withLock<Result>(
        deadline: ContinuousClock.Instant? = nil,
        timeout: Duration? = nil,
        _ body: (LockHold) async throws -> Result
    ) async throws -> Result {
        try await file.withLock(.exclusive, deadline: deadline, timeout: timeout, body)
    }

    /// Looks which process has the PID file, without taking it.
    ///
    /// As ``LockFile/status()``: a bare PID of another program is `held` while its process lives.
    ///
    /// - Returns: What was seen.
    /// - Throws: ``LockError`` `.refused` for what is no regular file, `.systemFailure` if it cannot be opened or read.
    public func status() throws(LockError) -> LockStatus {
        try file.status()
    }

    /// The path of the file.
    public var path: String { file.path }
}
