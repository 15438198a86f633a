// SPDX-License-Identifier: Apache-2.0
//
// A file system in memory that locks and states can be put on, and made to fail at any call.
//
// - One mutex guards everything; it is not held while a hook runs, so that a hook may use the file system itself.
// - A call is recorded when it begins, without an outcome, and completed when it ends.
// - What a hook does, and what the methods for tests do, is another process's doing: not recorded, counted, failed or hooked.

public import Holdfast
internal import Synchronization

/// A file system in memory, on which locks and states behave as on Linux, and on which any call can be made to fail.
///
/// ```swift
/// let fileSystem = SimulatedFileSystem()
/// let directory = try fileSystem.directory()
/// fileSystem.faults = .failEvery(with: EIO) { $0.function == "fsync" }
/// // Put a lock file or a state file on `directory`, use it, and look at `fileSystem.calls`.
/// ```
///
/// It has files, directories, symbolic links and FIFOs; permissions, owners, extended attributes and times; files without a
/// name; and both families of lock. The process is the superuser: permissions are kept, and nothing is refused for them.
/// Descriptors are numbers from 1000 on which no call outside takes; using one that is closed ends the process, as it does
/// on the real file system.
///
/// It may be used from any thread. A call costs microseconds, and memory for its record until ``resetCalls()``.
public final class SimulatedFileSystem: Sendable {
    /// Called before each call, with its number and the call.
    public typealias Hook = @Sendable (_ number: Int, _ call: Call) -> Void

    private let state: Mutex<SimulatedState>

    /// Makes an empty file system: a root directory with nothing in it.
    public init() {
        state = Mutex(SimulatedState())
    }

    /// What a machine finds when it starts.
    convenience init(_ volume: Volume) {
        self.init(SimulatedState(volume))
    }

    init(_ state: SimulatedState) {
        self.state = Mutex(state)
    }
}

extension SimulatedFileSystem {
    /// Opens a directory of this file system, for locks and states to be put on.
    ///
    /// The corresponding C function is `open`, with `O_DIRECTORY`; it is recorded like any other call.
    ///
    /// - Parameter path: From the root, whether it begins with `/` or not.
    /// - Returns: The directory, which closes its descriptor when nothing refers to it any more.
    /// - Throws: `SystemError`: ENOENT, ENOTDIR, ELOOP, or what the fault plan says.
    public func directory(_ path: String = "/") throws(SystemError) -> OpenDirectory {
        try OpenDirectory(path, on: self)
    }

    /// Opens a directory of this file system after making the levels of its path that are missing.
    ///
    /// As `OpenDirectory(makingPath:permissions:)` does: the parent of each new level is flushed.
    ///
    /// - Parameters:
    ///   - path: From the root, whether it begins with `/` or not.
    ///   - permissions: The mode of new levels, less ``umask``.
    /// - Returns: The directory of the last level.
    /// - Throws: `SystemError`, as ``directory(_:)``.
    public func directory(makingPath path: String, permissions: UInt32 = 0o700) throws(SystemError) -> OpenDirectory {
        try OpenDirectory(makingPath: path, permissions: permissions, on: self)
    }

    /// The calls that were made since the beginning or ``resetCalls()``, in the order in which they began.
    ///
    /// `calls[n - 1]` is the call with number n.
    public var calls: [Call] {
        state.withLock { $0.calls }
    }

    /// Forgets the recorded calls; the next one has number 1.
    public func resetCalls() {
        state.withLock { $0.forgetCalls() }
    }

    /// Which calls go wrong.
    ///
    /// Setting it starts the count of calls at 1 again.
    public var faults: FaultPlan {
        get { state.withLock { $0.faults } }
        set { state.withLock { $0.faults = newValue } }
    }

    /// Runs before each call, on the thread that makes it.
    ///
    /// With it a test is "somebody else" at every call boundary: what the hook does to this file system, by the methods for
    /// tests or by locks and states of its own, happens before the call and is not recorded, counted, failed or hooked.
    /// No lock is held meanwhile.
    public var onCall: Hook? {
        get { state.withLock { $0.hook } }
        set { state.withLock { $0.hook = newValue } }
    }

    /// Does something as somebody else: calls made within it are not recorded, counted, failed or hooked.
    ///
    /// - Parameter body: Runs once, on this thread.
    /// - Returns: What the body returns.
    /// - Throws: What the body throws.
    public func asSomebodyElse<Result, Failure: Error>(_ body: () throws(Failure) -> Result) throws(Failure) -> Result {
        let result = Self.$isSomebodyElse.withValue(true) { () -> Swift.Result<Result, Failure> in
            do throws(Failure) {
                return .success(try body())
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    /// What `OpenDirectory` is told when it asks whether other machines share the file system; false at first.
    public var isShared: Bool {
        get { state.withLock { $0.isShared } }
        set { state.withLock { $0.isShared = newValue } }
    }

    /// Whether locks belong to the name that a file was opened by; false at first.
    ///
    /// So it is on a FUSE file system whose server knows files by their paths (bindfs, sshfs): a name that link(2) makes leads
    /// to another object in the kernel, with the same inode number. There are no files without a name then, and
    /// ``isShared`` is true.
    public var knowsFilesByPath: Bool {
        get { state.withLock { $0.knowsFilesByPath } }
        set {
            state.withLock { state in
                state.knowsFilesByPath = newValue
                state.isShared = newValue
            }
        }
    }

    /// Whether a lock on the first byte of a file is granted to all; false at first.
    package var ignoresMaintenanceLocks: Bool {
        get { state.withLock { $0.ignoresMaintenanceLocks } }
        set { state.withLock { $0.ignoresMaintenanceLocks = newValue } }
    }

    /// The permissions that new files and directories do not get; 0022 at first.
    ///
    /// The corresponding C function is `umask`.
    public var umask: UInt32 {
        get { state.withLock { $0.umask } }
        set { state.withLock { $0.umask = newValue } }
    }

    /// How many changes of files share one time; 1 at first, and at least that.
    ///
    /// With more it is as on a kernel whose file times tick every few milliseconds (Linux before 6.13): a file may change, or
    /// another one take its inode number, and its times stay.
    public var changesPerTick: Int {
        get { state.withLock { Int($0.volume.changesPerTick) } }
        set {
            precondition(newValue >= 1, "a change cannot take less than no time")
            state.withLock { $0.volume.changesPerTick = Int64(newValue) }
        }
    }

    @TaskLocal private static var isSomebodyElse = false
}

extension SimulatedFileSystem {
    /// Looks at or changes the files without making a call.
    func withState<Result: Sendable, Failure: Error>(
        _ body: (inout SimulatedState) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try state.withLock { state throws(Failure) in try body(&state) }
    }

    /// Makes one call: records it, lets the hook run, applies the fault plan, and performs it.
    func perform<Result: Sendable>(
        _ call: Call,
        _ body: (inout SimulatedState) throws(Failure) -> Result
    ) throws(SystemError) -> Result {
        let isObserved = !Self.isSomebodyElse
        var call = call
        var record: SimulatedState.Record?
        if isObserved {
            let hook: Hook?
            (call, record, hook) = state.withLock { $0.begin(call) }
            if let hook, let record {
                asSomebodyElse { hook(record.number, call) }
            }
        }
        do {
            return try state.withLock { state throws(Failure) in
                let fault = isObserved ? state.faults.next(call) : nil
                return try state.end(record, applying: fault, body)
            }
        } catch {
            throw SystemError(call: call.errorName, code: error.code)
        }
    }
}
