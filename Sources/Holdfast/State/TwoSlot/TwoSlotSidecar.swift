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
        case simulated(LockFile, SimulatedArena)
    }

    private struct Key: Hashable {
        let site: ObjectIdentifier
        /// A forked child is no member of its parent's arenas.
        let process: Int32
    }

    fileprivate let kind: Kind
    fileprivate let site: LockSite
    private let process = getpid()
    private static let all = PerProcess<[Key: WeakReference<TwoSlotSidecar>]> { [:] }

    /// The one of this process, which is opened, or made, if it is not open yet.
    ///
    /// `patience` is how long to wait for another process that is opening it.
    static func of(
        _ names: CompanionNames,
        in directory: OpenDirectory,
        _ creation: FileCreation,
        patience: Duration
    ) throws(LockError) -> TwoSlotSidecar {
        let site: LockSite
        do throws(SystemError) {
            site = try LockSite.of(names.arena, in: directory)
        } catch {
            throw LockError(error, path: directory.path(of: names.arena), while: "look at its directory")
        }
        // What a simulation forgets at a reboot, no earlier user may keep.
        if !(directory.fileSystem is KernelFileSystem) {
            return TwoSlotSidecar(try open(names, in: directory, creation, patience), site)
        }
        let key = Key(site: ObjectIdentifier(site), process: getpid())
        if let sidecar = all.withLock({ $0[key]?.object }) { return sidecar }
        // Opened without the registry's lock: it may wait. Of two that are opened at once the first to be entered stays.
        let opened = TwoSlotSidecar(try open(names, in: directory, creation, patience), site)
        return all.withLock { all in
            if let sidecar = all[key]?.object { return sidecar }
            all[key] = WeakReference(opened)
            return opened
        }
    }

    private init(_ kind: Kind, _ site: LockSite) {
        self.kind = kind
        self.site = site
    }

    deinit {
        retire()
    }

    private static func open(
        _ names: CompanionNames,
        in directory: OpenDirectory,
        _ creation: FileCreation,
        _ patience: Duration
    ) throws(LockError) -> Kind {
        if let arena = try SimulatedArena(names, in: directory, making: creation) {
            return .simulated(try LockFile(sidecar: names.arena, in: directory, creation), arena)
        }
        let bootID = ProcessIdentity.current.bootID
        let arena = try MutexArena(names.arena, in: directory, count: 1, creation, bootID: bootID, patience: patience)
        return .arena(arena[0])
    }

    /// Which arena it is.
    var arena: ArenaIdentity {
        switch kind {
        case .arena(let mutex): ArenaIdentity(key: mutex.arena.file.key, file: mutex.arena.file.identity)
        case .simulated(_, let arena): arena.identity
        }
    }

    /// Whether it can be used: a forked child has to open it anew, and everybody if its file was deleted.
    var isUsable: Bool {
        // In a forked child no arena has a member.
        if case .arena(let mutex) = kind { return (try? mutex.arena.checkMembership()) != nil }
        return process == getpid()
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
        case .simulated(_, let arena): arena.word.current
        }
    }

    /// Tells every process what counts from now on; to be called by the lock's holder.
    func publish(_ value: UInt64) {
        switch kind {
        case .arena(let mutex): mutex.publish(value)
        case .simulated(_, let arena): arena.word.store(value)
        }
    }

    /// Waits for the lock that makes this the only writer.
    func lock(deadline: ContinuousClock.Instant?) throws(LockError) -> Lock {
        switch kind {
        case .arena(let mutex):
            let holder = HolderID.current
            try site.checkNotHeld(by: holder, path: mutex.arena.path)
            try checkPlace()
            let lock = try LockTurn.lock(mutex, deadline: deadline)
            site.hold(holder)
            return Lock(lock, self, holder)
        case .simulated(let file, let arena):
            return Lock(try LockTurn.lock(file, deadline: deadline), self, arena.held)
        }
    }

    /// The held writers' lock; its end is the release.
    struct Lock: ~Copyable, Sendable {
        // One of the three: an enumeration of noncopyable values cannot be borrowed from yet.
        private let mutex: HeldMutex?
        private let file: HeldLock?
        private let inode: Descriptor?
        /// Nil if the writers lock the state's own inode.
        let sidecar: TwoSlotSidecar?
        private let held: SharedWord?
        private let site: LockSite?
        private let holder: HolderID?
        /// Whether the last holder died, perhaps between writing and publishing.
        let isAbandoned: Bool

        fileprivate init(_ lock: consuming HeldMutex, _ sidecar: TwoSlotSidecar, _ holder: HolderID) {
            isAbandoned = lock.abandoned != nil
            held = nil
            mutex = consume lock
            file = nil
            inode = nil
            self.sidecar = sidecar
            site = sidecar.site
            self.holder = holder
        }

        fileprivate init(_ lock: consuming HeldLock, _ sidecar: TwoSlotSidecar, _ held: SharedWord) {
            isAbandoned = lock.abandoned != nil || held.current != 0
            self.held = held
            held.store(1)
            mutex = nil
            file = consume lock
            inode = nil
            self.sidecar = sidecar
            site = nil
            holder = nil
        }

        /// The lock of a writer that has no arena: on the state's own inode, by an open file that no other thread has.
        init(_ inode: consuming Descriptor, _ site: LockSite, _ holder: HolderID) {
            isAbandoned = false
            held = nil
            mutex = nil
            file = nil
            self.inode = consume inode
            sidecar = nil
            self.site = site
            self.holder = holder
            site.hold(holder)
        }

        deinit {
            held?.store(0)
            if let holder { site?.letGo(holder) }
        }

        /// Where the writers meet; nil if that is the state's own inode.
        var arena: ArenaIdentity? { sidecar?.arena }

        /// What counts; 0 if no memory is shared that could tell.
        var published: UInt64 { sidecar?.published ?? 0 }

        func publish(_ value: UInt64) { sidecar?.publish(value) }
    }

    /// What was done under it is done: that it could not be released well would change nothing about that.
    static func release(_ lock: consuming Lock) {}
}
