// SPDX-License-Identifier: Apache-2.0
//
// Mutexes in a mapped file. Taking a free one is one atomic instruction on a word that all processes see; the kernel is
// asked only by those who wait. docs/lock-protocols.md has the steps, the race that each closes, and its memory ordering.
//
// Invariants: a process acts on words only while the kernel keeps the lock on its slot's byte for it; a word names the slot
// and its generation, so a holder is dead for certain if the generation moved on or nobody has the byte; no PID is ever
// consulted. The mapping lives as long as this object, and every guard keeps it alive.

internal import Synchronization
internal import _HoldfastCShims

/// A file of mutexes that all processes on one machine can take, at the speed of memory.
///
/// A lock that a process holds when it dies, however it dies and in whatever container, is given to the next one that wants
/// it, who is told so (``MutexGrant/abandoned``). Every acquisition has a ``MutexToken``.
///
///     let arena = try MutexArena("/dev/shm/service.arena", count: 64)
///     let accounts = arena.mutex(for: "accounts")
///     try accounts.withLock { grant in
///         if grant.abandoned != nil { repair() }
///         update()
///     }
///
/// Where to put it: on tmpfs (`/dev/shm`, `/run`) for the steadiest latency; its tokens then begin again with each boot. On
/// a disk tokens go on growing through reboots and power cuts, and the kernel now and then writes the file back, which can
/// delay an access. Network file systems are refused.
///
/// Advisory: it binds those who lock. Whoever may write to the file can break what it promises, and who truncates it kills
/// the processes that have it open (SIGBUS). Never delete, truncate or replace it while it is in use.
///
/// A child made by fork(2) that does not exec is no member: it keeps none of its parent's locks alive, cannot use this
/// object, and opens the arena again if it wants to. `_Fork` and clone(2) do not tell us, so they must be followed by exec.
public final class MutexArena: Sendable {
    /// How many mutexes an arena can have at most.
    public static let maximumCount = ArenaLayout.maximumCount

    /// How many mutexes it has.
    public var count: Int { file.layout.count }
    /// The path of the file.
    public var path: String { file.path }

    let file: ArenaFile
    private let directory: OpenDirectory
    private let name: FileName
    private let maintenance = Mutex(())
    private let lastLook = Atomic<Int64>(.min / 2)

    /// Opens an arena, or makes it.
    ///
    /// Claims one of its 1024 slots, which is free again when this object ends or its process does: open an arena once in a
    /// process. About twenty system calls, a few more for each slot that is taken. The first one to open it after a boot
    /// flushes the file once, whoever makes it three times.
    ///
    /// - Parameters:
    ///   - name: Of the file.
    ///   - directory: Where it is or will be.
    ///   - count: How many mutexes it has, 1 to ``maximumCount``, each 64 bytes; the same for everybody.
    ///   - permissions: The mode of the file if it is made here, exactly, whatever the umask: at least 0600, at most 0777.
    ///     By default what the directory's default access list grants, or 0600 where there is none.
    ///   - group: The numerical group of the file if it is made here; by default the kernel's choice.
    /// - Throws: ``LockError``: `.refused` (no regular file, no arena, damaged, another count, other permissions), `.unsupported` (network
    ///   file system, newer format, no mapping or locks there), `.exhausted`, `.timedOut` (somebody has been opening it for
    ///   ten seconds), `.compromised` or `.systemFailure`.
    public convenience init(
        _ name: FileName,
        in directory: OpenDirectory,
        count: Int,
        permissions: UInt32? = nil,
        group: UInt32? = nil
    ) throws(LockError) {
        let creation = FileCreation(permissions: permissions, group: group)
        try self.init(name, in: directory, count: count, creation, bootID: ArenaFile.bootID(on: directory.fileSystem))
    }

    /// Opens an arena, or makes it, by a path, whose directory must exist.
    ///
    /// - Throws: ``LockError`` as ``init(_:in:count:permissions:group:)``.
    public convenience init(
        _ path: String,
        count: Int,
        permissions: UInt32? = nil,
        group: UInt32? = nil
    ) throws(LockError) {
        let (directory, name) = try LockFile.resolve(path)
        try self.init(name, in: directory, count: count, permissions: permissions, group: group)
    }

    /// Opens an arena in a boot with this id: after another one, every holder of a mutex is dead.
    ///
    /// `patience` is how long to wait for another process that is opening it.
    package init(
        _ name: FileName,
        in directory: OpenDirectory,
        count: Int,
        _ creation: FileCreation = FileCreation(),
        bootID: String?,
        patience: Duration = ArenaFile.longestPatience
    ) throws(LockError) {
        if let refusal = creation.refusal {
            throw LockError(.refused, path: directory.path(of: name), reason: "cannot be made: \(refusal)").about(
                .arena
            )
        }
        guard (1...Self.maximumCount).contains(count) else {
            let reason = "an arena has 1 to \(Self.maximumCount) mutexes, not \(count)"
            throw LockError(.refused, path: directory.path(of: name), reason: reason).about(.arena)
        }
        let layout = ArenaLayout(count: count)
        do throws(LockError) {
            file = try ArenaFile.open(name, in: directory, layout, creation, bootID: bootID, patience: patience)
        } catch {
            throw error.about(.arena)
        }
        self.directory = directory
        self.name = name
    }

    deinit { file.close() }

    /// A mutex by its number.
    ///
    /// - Parameter index: 0 up to ``count``; every use of another one throws ``LockError`` `.refused`.
    public subscript(index: Int) -> SharedMemoryMutex { SharedMemoryMutex(self, index) }

    /// The mutex that guards a key, the same in every process.
    ///
    /// Keys outnumber mutexes, so two of them may share one: never hold one key's lock while you wait for another's.
    ///
    /// - Parameter key: Any string; equal are those of the same bytes of UTF-8.
    /// - Returns: One of the arena's mutexes.
    public func mutex(for key: String) -> SharedMemoryMutex {
        var checksum = Checksum()
        var key = key
        key.withUTF8 { unsafe checksum.update(UnsafeRawBufferPointer($0)) }
        return self[Int(checksum.value % UInt64(count))]
    }
}

extension MutexArena {
    /// Begins a new epoch for a mutex whose count of acquisitions is at its end, unless its word has changed.
    ///
    /// The word that was seen is one that nobody can take: free, or of a dead holder, with the last count.
    func renew(_ cell: borrowing MutexCell, _ seen: MutexWord) throws(LockError) {
        var failure: LockError?
        maintenance.withLock { _ in
            do throws(LockError) {
                try file.withMaintenance { () throws(LockError) in
                    // Looked at under the lock: no other process can have buried, renewed and let it be taken since.
                    if cell.word.load(ordering: .acquiring) == seen.raw { cell.restart(epoch: try file.beginEpoch()) }
                }
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    /// Why this process may not acquire, if it may not.
    func checkMembership() throws(LockError) {
        if unsafe file.member.pointee.descriptor < 0 {
            throw LockError(.unsupported, path: path, reason: "it was opened before a fork; open it anew in the child")
        }
        if unsafe file.words.acquirer.pointee.load(ordering: .relaxed) == 0 {
            if file.hasLostDescriptor { throw file.lostDescriptor }
            throw LockError(
                .compromised,
                path: path,
                reason: "the path names another file by now, or none: others may hold the same mutex in that one"
            )
        }
    }

    /// Sees whether the path still names the open file, if nobody has looked within 5 ms.
    ///
    /// If it does not, nothing can be acquired any more. One system call.
    func checkPlace() throws(LockError) {
        let now = directory.fileSystem.monotonicTime()
        if now - lastLook.load(ordering: .relaxed) < 5_000_000 { return }
        lastLook.store(now, ordering: .relaxed)
        let found: FileIdentity?
        do throws(SystemError) {
            found = try directory.identity(of: name)
        } catch {
            // What cannot be seen (EACCES, ENFILE) is not known to be gone.
            return
        }
        if found != file.identity {
            unsafe hf_member_end(file.member)
            try checkMembership()
        }
    }
}
