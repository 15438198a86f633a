// SPDX-License-Identifier: Apache-2.0
//
// What the processes that use one two-slot file share beside it: the writers' lock and the published word, in
// `.NAME.arena`. A process has one for each file, because an arena gives each of its users one of 1024 places.

internal import Synchronization
internal import _HoldfastCShims

/// The companion of a two-slot file.
final class TwoSlotSidecar: Sendable {
    private struct Key: Hashable {
        let site: ObjectIdentifier
        /// A forked child is no member of its parent's arenas.
        let process: Int32
        /// No process outlives a boot; what a simulation has open may.
        let bootID: String?
    }

    private let mutex: SharedMemoryMutex
    fileprivate let site: LockSite
    private let key: Key
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
        let bootID = ArenaFile.bootID(on: directory.fileSystem)
        let key = Key(site: ObjectIdentifier(site), process: getpid(), bootID: bootID)
        if let sidecar = all.withLock({ $0[key]?.object }) { return sidecar }
        // Opened without the registry's lock: it may wait. Of two that are opened at once the first to be entered stays.
        let arena = try MutexArena(names.arena, in: directory, count: 1, creation, bootID: bootID, patience: patience)
        let opened = TwoSlotSidecar(arena, site, key)
        return all.withLock { all in
            if let sidecar = all[key]?.object { return sidecar }
            all[key] = WeakReference(opened)
            return opened
        }
    }

    private init(_ arena: MutexArena, _ site: LockSite, _ key: Key) {
        mutex = arena[0]
        self.site = site
        self.key = key
    }

    deinit {
        retire()
    }

    /// Which arena it is.
    var arena: ArenaIdentity { ArenaIdentity(key: mutex.arena.file.key, file: mutex.arena.file.identity) }

    /// Whether it can be used: a forked child has to open it again, and so has every process if its file was deleted.
    var isUsable: Bool { (try? mutex.arena.checkMembership()) != nil }

    /// Sees now and then whether its file was deleted: then others hold another one.
    func checkPlace() throws(LockError) { try mutex.arena.checkPlace() }

    /// Lets the next one that asks open the file again.
    func retire() {
        let (key, id) = (key, ObjectIdentifier(self))
        Self.all.withLock { all in
            if all[key]?.id == id { all[key] = nil }
        }
    }

    /// What counts now; 0 if that is not known.
    var published: UInt64 { mutex.published }

    /// Tells every process what counts from now on; to be called by the lock's holder.
    func publish(_ value: UInt64) { mutex.publish(value) }

    /// Waits for the lock that makes this the only writer.
    func lock(deadline: ContinuousClock.Instant?) throws(LockError) -> Lock {
        let holder = HolderID.current
        try site.checkNotHeld(by: holder, path: mutex.arena.path)
        try checkPlace()
        return Lock(try LockTurn.lock(mutex, deadline: deadline), self, holder)
    }

    /// The held writers' lock; its end is the release.
    struct Lock: ~Copyable, Sendable {
        private enum Held: ~Copyable, Sendable {
            case mutex(HeldMutex)
            case inode(Descriptor)
        }

        private let held: Held
        /// Nil if the writers lock the state's own inode.
        let sidecar: TwoSlotSidecar?
        private let site: LockSite
        private let holder: HolderID
        /// Whether the last holder died, perhaps between writing and publishing.
        let isAbandoned: Bool

        fileprivate init(_ lock: consuming HeldMutex, _ sidecar: TwoSlotSidecar, _ holder: HolderID) {
            isAbandoned = lock.abandoned != nil
            held = .mutex(lock)
            self.sidecar = sidecar
            site = sidecar.site
            self.holder = holder
            site.hold(holder)
        }

        /// The lock of a writer that has no arena: on the state's own inode, by an open file that no other thread has.
        init(_ inode: consuming Descriptor, _ site: LockSite, _ holder: HolderID) {
            isAbandoned = false
            held = .inode(inode)
            sidecar = nil
            self.site = site
            self.holder = holder
            site.hold(holder)
        }

        deinit {
            site.letGo(holder)
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
