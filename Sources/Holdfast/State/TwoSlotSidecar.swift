// SPDX-License-Identifier: Apache-2.0
//
// What the processes that use one two-slot file share beside it: the writers' lock and the published word, in
// `.NAME.arena`. A process has one for each file, because an arena gives each of its users one of 1024 places.

internal import Synchronization
internal import _HoldfastCShims

/// The companion of a two-slot file.
final class TwoSlotSidecar: Sendable {
    fileprivate enum Kind: Sendable {
        case arena(SharedMemoryMutex)
        /// On a simulated file system, which has no memory to map.
        case simulated(LockFile, SharedWord)
    }

    private struct Key: Hashable {
        let site: ObjectIdentifier
        /// A forked child is no member of its parent's arenas.
        let process: Int32
    }

    fileprivate let kind: Kind
    fileprivate let site: LockSite
    private let process = getpid()
    private static let all = Mutex<[Key: WeakReference<TwoSlotSidecar>]>([:])

    /// The one of this process, which is opened, or made, if nobody has it open.
    static func of(_ names: CompanionNames, in directory: Directory) throws(LockError) -> TwoSlotSidecar {
        let site: LockSite
        do throws(SystemError) {
            site = try LockSite.of(names.arena, in: directory)
        } catch {
            throw LockError(error, path: directory.path(of: names.arena), while: "look at its directory")
        }
        // What a simulation forgets at a reboot, no earlier user may keep.
        if !(directory.fileSystem is KernelFileSystem) { return TwoSlotSidecar(try open(names, in: directory), site) }
        let key = Key(site: ObjectIdentifier(site), process: getpid())
        let outcome: Result<TwoSlotSidecar, LockError> = all.withLock { all in
            if let sidecar = all[key]?.object { return .success(sidecar) }
            return Result { () throws(LockError) in
                let made = TwoSlotSidecar(try open(names, in: directory), site)
                all[key] = WeakReference(made)
                return made
            }
        }
        return try outcome.get()
    }

    private init(_ kind: Kind, _ site: LockSite) {
        self.kind = kind
        self.site = site
    }

    deinit {
        retire()
    }

    private static func open(_ names: CompanionNames, in directory: Directory) throws(LockError) -> Kind {
        if directory.fileSystem is KernelFileSystem {
            return .arena(try MutexArena(names.arena, in: directory, count: 1)[0])
        }
        let lockFile = try LockFile(sidecar: names.arena, in: directory)
        do throws(SystemError) {
            let file = try directory.open(names.arena, .readWriteOrCreate(permissions: 0o600))
            if let word = directory.fileSystem.sharedWord(of: file.rawValue) { return .simulated(lockFile, word) }
        } catch {
            throw LockError(error, path: lockFile.path, while: "open it")
        }
        throw LockError(.unsupported, path: lockFile.path, reason: "its file system has no memory to share")
    }

    /// The mutex whose word readers look at; nil on a simulated file system.
    var mutex: SharedMemoryMutex? {
        if case .arena(let mutex) = kind { mutex } else { nil }
    }

    /// Whether it can be used: a forked child has to open it anew, and everybody if its file was deleted.
    var isUsable: Bool {
        guard process == getpid() else { return false }
        guard case .arena(let mutex) = kind else { return true }
        return (try? mutex.arena.checkMembership()) != nil
    }

    /// Sees now and then whether somebody has deleted its file: then others hold another one.
    func checkPlace() throws(LockError) {
        if case .arena(let mutex) = kind { try mutex.arena.checkPlace() }
    }

    /// Lets the next one that asks open the file anew.
    func retire() {
        let (key, id) = (Key(site: ObjectIdentifier(site), process: process), ObjectIdentifier(self))
        Self.all.withLock { all in
            if all[key]?.id == id { all[key] = nil }
        }
    }

    /// What counts now; 0 if that is not known.
    var published: UInt64 {
        switch kind {
        case .arena(let mutex): mutex.published
        case .simulated(_, let word): word.current
        }
    }

    /// Tells every process what counts from now on; to be called by the lock's holder.
    func publish(_ value: UInt64) {
        switch kind {
        case .arena(let mutex): mutex.publish(value)
        case .simulated(_, let word): word.store(value)
        }
    }

    /// Waits for the lock that makes this the only writer.
    func lock(deadline: ContinuousClock.Instant?) throws(LockError) -> Lock {
        switch kind {
        case .arena(let mutex):
            let holder = HolderID.current
            if site.isHeld(by: holder) {
                let reason = "this task holds it already and would wait for itself"
                throw LockError(.reentrant, path: mutex.arena.path, reason: reason)
            }
            try checkPlace()
            let lock = try mutex.lock(deadline: deadline)
            site.hold(holder)
            return Lock(lock, self, holder)
        case .simulated(let file, _):
            return Lock(try file.lock(.exclusive, deadline: deadline), self)
        }
    }

    /// The held writers' lock; its end is the release.
    struct Lock: ~Copyable, Sendable {
        // One of the two: an enumeration of noncopyable values cannot be borrowed from yet.
        private let arena: SharedMemoryLock?
        private let file: FileLock?
        let sidecar: TwoSlotSidecar
        private let holder: HolderID?
        /// Whether the last holder died, perhaps between writing and publishing.
        let isAbandoned: Bool

        fileprivate init(_ lock: consuming SharedMemoryLock, _ sidecar: TwoSlotSidecar, _ holder: HolderID) {
            isAbandoned = lock.abandoned != nil
            arena = consume lock
            file = nil
            self.sidecar = sidecar
            self.holder = holder
        }

        fileprivate init(_ lock: consuming FileLock, _ sidecar: TwoSlotSidecar) {
            isAbandoned = lock.abandoned != nil
            arena = nil
            file = consume lock
            self.sidecar = sidecar
            holder = nil
        }

        deinit {
            if let holder { sidecar.site.letGo(holder) }
        }

        var published: UInt64 { sidecar.published }

        func publish(_ value: UInt64) { sidecar.publish(value) }
    }

    /// What was done under it is done: that it could not be released well would change nothing about that.
    static func release(_ lock: consuming Lock) {}
}
