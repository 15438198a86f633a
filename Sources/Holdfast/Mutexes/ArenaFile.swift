// SPDX-License-Identifier: Apache-2.0
//
// Opening the file of an arena: making it, checking it, taking it over after a reboot, and claiming a slot of it.
//
// All of that happens under the maintenance lock, a kernel lock on the first byte of the file. Steps, and why there:
//
//   1. the maintenance lock; then the path must still name the open file, or a replaced one would be used by some
//   2. header and size, before the file is mapped: beyond its end a mapping traps
//   2a. a block for every byte, before the first store: a copy of an arena may have holes, or share its blocks
//   3. if the boot id is not ours: nobody of that boot lives. The epoch grows and is flushed before any token of it exists,
//      every held mutex is buried, and only then is our boot id written: a crash in between repeats it all
//   4. a slot: first the kernel's lock on its byte, then its generation, then its use. Whoever sees a word with a slot
//      and generation can so tell whether its owner is gone: the generation moved on, or nobody has the byte

internal import Synchronization
internal import _HoldfastCShims

/// The mapped file of an arena, of which this process is a member.
@safe
package struct ArenaFile {
    nonisolated(unsafe) let member: UnsafeMutablePointer<hf_member>
    nonisolated(unsafe) let base: UnsafeMutableRawPointer
    private let fileSystem: any FileSystem
    let layout: ArenaLayout
    let identity: FileIdentity
    let path: String
    /// The bytes of which this open file has the kernel's lock: the first, or that of its slot.
    private var own = maintenanceByte

    fileprivate init(
        _ member: UnsafeMutablePointer<hf_member>,
        _ base: UnsafeMutableRawPointer,
        _ fileSystem: any FileSystem,
        _ layout: ArenaLayout,
        _ identity: FileIdentity,
        _ path: String
    ) {
        unsafe self.member = unsafe member
        unsafe self.base = unsafe base
        self.fileSystem = fileSystem
        self.layout = layout
        self.identity = identity
        self.path = path
    }

    static let publishingSuffix = OpenDirectory.publishingSuffix
    /// How long an opening waits for another one.
    package static let longestPatience = Duration.seconds(10)
    static let noBootID = "the boot id cannot be read, so a reboot could not be noticed"
    fileprivate static let maintenanceByte: Range<Int64> = 0..<1
    fileprivate static let slotBytes = Int64(ArenaLayout.slotTable)..<Int64(ArenaLayout.cells)

    /// The byte of a slot that the kernel keeps locked for its owner.
    private static func byte(ofSlot slot: Int) -> Range<Int64> {
        let start = Int64(ArenaLayout.offset(ofSlot: slot))
        return start..<start + 1
    }

    /// The file's, or the number that other code has closed; -1 in a forked child.
    private var descriptor: Int32 { unsafe member.pointee.descriptor }

    /// The mutexes, one after another.
    func cell(_ index: Int) -> UnsafeMutablePointer<MutexCell> {
        unsafe (base + ArenaLayout.cells + index * MutexCell.size).assumingMemoryBound(to: MutexCell.self)
    }

    /// The random number of the arena.
    var key: UInt64 {
        unsafe UnsafeRawPointer(base).loadUnaligned(fromByteOffset: ArenaLayout.random, as: UInt64.self)
    }

    func slot(_ index: Int) -> UnsafeMutablePointer<ArenaSlot> {
        unsafe (base + ArenaLayout.offset(ofSlot: index)).assumingMemoryBound(to: ArenaSlot.self)
    }

    /// Whether a process has a slot: whether the kernel keeps a lock on the slot's byte for another open file than ours.
    ///
    /// True if the kernel does not say.
    ///
    /// - Throws: ``LockError`` `.compromised` if the answer is about another file.
    func isTaken(_ slot: Int) throws(LockError) -> Bool {
        try checkDescriptor()
        if (try? isLocked(Self.byte(ofSlot: slot))) ?? true { return true }
        // Once more: the number may have been closed and given to another file between the two.
        try checkDescriptor()
        return false
    }

    private func isLocked(_ range: Range<Int64>) throws(SystemError) -> Bool {
        try retrying { () throws(SystemError) in try fileSystem.isLocked(descriptor, range) }
    }

    /// Whether the descriptor is still what was opened.
    ///
    /// Other code of the process may have closed the number, and open(2) given it to another file: then nothing that the
    /// kernel says of it is about the arena. Other files are told by their identity; another open file of the same file is
    /// told by F_OFD_GETLK, which shows the lock that this one has to every other. The lock outlives such a close, because
    /// the mapping refers to the open file too.
    private func seesDescriptor() throws(SystemError) -> Bool {
        guard fileSystem.isOpen(descriptor, on: identity) else { return false }
        do throws(SystemError) {
            return try !isLocked(own)
        } catch  where error.code == EBADF {
            return false
        }
    }

    /// Whether other code has closed the descriptor; false if the kernel does not say.
    var hasLostDescriptor: Bool { (try? seesDescriptor()) == false }

    /// Sees that the descriptor still is this arena's; if it is not, nothing can be acquired any more.
    func checkDescriptor() throws(LockError) {
        do throws(SystemError) {
            if try seesDescriptor() { return }
        } catch {
            throw .cannotLock(error, path: path)
        }
        unsafe hf_member_end(member)
        throw lostDescriptor
    }

    var lostDescriptor: LockError {
        let reason = """
            other code in this process has closed its file descriptor \(descriptor), by which alone it can be seen who lives; \
            open it again
            """
        return LockError(.compromised, path: path, reason: reason)
    }

    /// Closes and unmaps it; in a forked child, which has neither, it only forgets.
    func close() {
        let descriptor = descriptor
        let isMember = descriptor >= 0
        // Else the number is another file's by now, and the unmapping alone lets go.
        let isOurs = isMember && (try? seesDescriptor()) ?? true
        // Before the close: a process that is being spawned at this moment has a copy of the descriptor until its exec.
        if isOurs { try? fileSystem.unlock(descriptor, wholeFile) }
        unsafe hf_member_destroy(member)
        if isOurs { try? fileSystem.close(descriptor) }
        if isMember { unsafe fileSystem.unmap(base, length: layout.size) }
    }

    /// Does what only one process at a time may do.
    ///
    /// The lock belongs to the open file: within one arena object, ``MutexArena`` sees to it that one thread has it.
    func withMaintenance<Result>(_ body: () throws(LockError) -> Result) throws(LockError) -> Result {
        try checkDescriptor()
        try Self.lockMaintenance(fileSystem, descriptor, path)
        defer { unlockMaintenance() }
        return try body()
    }

    private func unlockMaintenance() { try? fileSystem.unlock(descriptor, Self.maintenanceByte) }
}

extension ArenaFile {
    /// Opens the file, or makes it, in the boot that has this id.
    static func open(
        _ name: FileName,
        in directory: OpenDirectory,
        _ layout: ArenaLayout,
        _ creation: FileCreation,
        bootID: String?,
        patience: Duration
    ) throws(LockError) -> ArenaFile {
        let path = directory.path(of: name)
        guard let bootID, bootID.utf8.count == ArenaLayout.bootID.count else {
            throw LockError(.unsupported, path: path, reason: noBootID)
        }
        // Before anything is made; and each file again, because one may be mounted from elsewhere.
        if directory.isShared { throw shared(path) }
        // Each turn after the first needs another process to have made or replaced the file within microseconds.
        for _ in 0..<1000 {
            guard var opened = try openOrMake(name, in: directory, layout, creation, path) else { continue }
            try check(opened.file, path)
            try opened.lockMaintenance(path, patience)
            guard let identity = try checkLayout(of: opened.file, name, in: directory, layout, path) else { continue }
            try opened.allocate(layout, path)
            var arena = try opened.map(layout, identity, path)
            do throws(LockError) {
                // Before the first store: is that what was mapped?
                try arena.checkDescriptor()
                if unsafe !arena.bootID.elementsEqual(bootID.utf8) { try arena.adopt(bootID, in: directory) }
                try arena.claimSlot()
            } catch {
                arena.close()
                throw error
            }
            arena.unlockMaintenance()
            return arena
        }
        throw LockError(.compromised, path: path, reason: "somebody keeps replacing it")
    }

    /// Nil if it was made now, by us or somebody else, and is to be opened.
    private static func openOrMake(
        _ name: FileName,
        in directory: OpenDirectory,
        _ layout: ArenaLayout,
        _ creation: FileCreation,
        _ path: String
    ) throws(LockError) -> OpenedArena? {
        do throws(SystemError) {
            do throws(SystemError) {
                return try OpenedArena(name, in: directory)
            } catch  where error.code == ENOENT {
                _ = try make(name, in: directory, layout, creation)
                return nil
            }
        } catch {
            throw LockError(error, path: path, while: "open it")
        }
    }

    /// Makes the file whole, with every block of it on the device: no store into the mapping can find the disk full.
    package static func make(
        _ name: FileName,
        in directory: OpenDirectory,
        _ layout: ArenaLayout,
        _ creation: FileCreation = FileCreation()
    ) throws(SystemError) -> Descriptor? {
        try directory.publish(name, suffix: publishingSuffix, creation, isOurs: ArenaLayout.isBegun) {
            file throws(SystemError) in
            guard try file.tryLock(.flock, exclusive: true) else { return false }
            let header = layout.header(random: .random(in: .min ... .max))
            let chunk = 1 << 16
            try unsafe withBuffer(chunk) { bytes throws(SystemError) in
                unsafe bytes.initializeMemory(as: UInt8.self, repeating: 0)
                unsafe bytes.copyBytes(from: header)
                var offset = 0
                while offset < layout.size {
                    let piece = unsafe UnsafeRawBufferPointer(rebasing: bytes[..<min(chunk, layout.size - offset)])
                    try unsafe file.writeAll(piece, at: Int64(offset))
                    if offset == 0 { unsafe bytes.initializeMemory(as: UInt8.self, repeating: 0) }
                    offset += piece.count
                }
            }
            try file.sync(.full)
            file.unlock(.flock)
            return true
        }
    }

    private static func check(_ file: borrowing Descriptor, _ path: String) throws(LockError) {
        let isRegular: Bool
        do throws(SystemError) {
            isRegular = try file.status().kind == .regular
        } catch {
            throw LockError(error, path: path, while: "look at it")
        }
        if !isRegular { throw LockError(.refused, path: path, reason: "is not a regular file") }
        let isShared = try? retrying { () throws(SystemError) in try file.fileSystem.isShared(file.rawValue) }
        if isShared ?? true { throw shared(path) }
    }

    private static func shared(_ path: String) -> LockError {
        let reason = "other machines may share its file system, which cannot share memory with them"
        return LockError(.unsupported, path: path, reason: reason)
    }

    /// Takes the maintenance lock, which others have for microseconds or for the length of a flush.
    fileprivate static func lockMaintenance(
        _ fileSystem: any FileSystem,
        _ descriptor: Int32,
        _ path: String,
        _ patience: Duration = longestPatience
    ) throws(LockError) {
        let deadline = ContinuousClock.now + patience
        do throws(SystemError) {
            while true {
                let isLocked = try retrying { () throws(SystemError) in
                    try fileSystem.tryLock(descriptor, maintenanceByte, exclusive: true)
                }
                if isLocked { return }
                if ContinuousClock.now >= deadline { break }
                hf_wait_readable(-1, -1, 200_000)
            }
        } catch {
            throw .cannotLock(error, path: path)
        }
        let time = patience == .zero ? "is opening it" : "has been opening it for more than \(patience)"
        throw LockError(.timedOut, path: path, reason: "another process \(time)")
    }

    /// Which file it is, if it is the one at the path and what it should be; nil if the path names another by now.
    private static func checkLayout(
        of file: borrowing Descriptor,
        _ name: FileName,
        in directory: OpenDirectory,
        _ layout: ArenaLayout,
        _ path: String
    ) throws(LockError) -> FileIdentity? {
        do throws(SystemError) {
            guard try directory.identity(of: name) == file.status().identity else { return nil }
        } catch {
            throw LockError(error, path: path, while: "look at it")
        }
        return try look(at: file, layout, path).identity
    }

    /// Which file it is, and the arena's random number, if it is an arena of this layout.
    static func look(
        at file: borrowing Descriptor,
        _ layout: ArenaLayout,
        _ path: String
    ) throws(LockError) -> (identity: FileIdentity, key: UInt64) {
        let status: FileStatus
        let header: [UInt8]
        do throws(SystemError) {
            status = try file.status()
            if status.kind != .regular { throw SystemError(call: "fstat", code: ENODEV) }
            header = try unsafe withBuffer(ArenaLayout.headerSize) { bytes throws(SystemError) in
                let count = try unsafe file.readAll(into: bytes)
                return unsafe Array(bytes[..<count])
            }
        } catch {
            throw LockError(error, path: path, while: "read it")
        }
        if let fault = layout.fault(in: header, fileSize: status.size) {
            throw LockError(fault.code, path: path, reason: fault.reason)
        }
        return (status.identity, ArenaLayout.key(in: header))
    }
}

/// The open file of an arena, not mapped yet, but known to the handler that closes a forked child's copy.
@safe
private struct OpenedArena: ~Copyable {
    var file: Descriptor
    private let member: UnsafeMutablePointer<hf_member>
    private var isLocked = false

    init(_ name: FileName, in directory: OpenDirectory) throws(SystemError) {
        unsafe member = try unsafe ArenaMember.make(on: directory.fileSystem) { () throws(SystemError) in
            try directory.open(name, .readWrite)
        }
        file = unsafe Descriptor(directory.fileSystem, owning: member.pointee.descriptor)
    }

    deinit {
        // Mapped: all of it is the ArenaFile's.
        if file.rawValue < 0 { return }
        if isLocked { try? file.fileSystem.unlock(file.rawValue, ArenaFile.maintenanceByte) }
        unsafe hf_member_destroy(member)
    }

    mutating func lockMaintenance(_ path: String, _ patience: Duration) throws(LockError) {
        try ArenaFile.lockMaintenance(file.fileSystem, file.rawValue, path, patience)
        isLocked = true
    }

    /// Gives every byte of the file a block of its own: without one, a store into the mapping ends the process (SIGBUS) when
    /// the disk is full.
    ///
    /// The file that was made had them all; one that was copied with holes (`cp --sparse`, `tar -S`, `rsync -S`) or shares
    /// its blocks (`cp` on xfs) may not.
    func allocate(_ layout: ArenaLayout, _ path: String) throws(LockError) {
        do throws(SystemError) {
            do throws(SystemError) {
                try file.allocate(length: Int64(layout.size))
            } catch  where error.isAny(of: EOPNOTSUPP, ENOSYS) {
                // Only while no other process stores into it. One that does has been here before, or would have died.
                if try !file.isLocked(ArenaFile.slotBytes) { try rewrite(layout.size) }
            }
        } catch {
            let isFull = error.isAny(of: ENOSPC, EDQUOT)
            let reason =
                isFull
                ? "the disk is full, and the file lacks blocks of its own, as a copy with holes or with shared blocks does"
                : "could not give it the blocks that it may lack"
            throw LockError(.systemFailure, path: path, reason: reason, cause: error)
        }
    }

    /// Writes every byte as it is, which gives it a block where fallocate(2) cannot.
    private func rewrite(_ size: Int) throws(SystemError) {
        try unsafe withBuffer(1 << 16) { bytes throws(SystemError) in
            var offset = 0
            while offset < size {
                let piece = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[..<min(bytes.count, size - offset)])
                let count = try unsafe file.readAll(into: piece, at: Int64(offset))
                try unsafe file.writeAll(UnsafeRawBufferPointer(rebasing: piece[..<count]), at: Int64(offset))
                if count < piece.count { return }
                offset += count
            }
        }
    }

    consuming func map(_ layout: ArenaLayout, _ identity: FileIdentity, _ path: String) throws(LockError) -> ArenaFile {
        let base = try unsafe ArenaFile.map(file, layout, path, isWritable: true)
        let fileSystem = file.fileSystem
        _ = file.disown()
        return unsafe ArenaFile(member, base, fileSystem, layout, identity, path)
    }
}

extension ArenaFile {
    /// The id of the boot in which files of this file system are mapped; nil if it cannot be read.
    static func bootID(on fileSystem: any FileSystem) -> String? {
        fileSystem.simulatedBootID ?? ProcessIdentity.current.bootID
    }

    static func map(
        _ file: borrowing Descriptor,
        _ layout: ArenaLayout,
        _ path: String,
        isWritable: Bool
    ) throws(LockError) -> UnsafeMutableRawPointer {
        do throws(SystemError) {
            return try unsafe file.map(length: layout.size, isWritable: isWritable)
        } catch {
            throw LockError(.unsupported, path: path, reason: "it cannot be mapped", cause: error)
        }
    }
}

extension ArenaFile {
    private var epoch: UnsafeMutablePointer<Atomic<UInt32>> {
        unsafe (base + ArenaLayout.epoch).assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    private var bootID: UnsafeMutableRawBufferPointer {
        unsafe UnsafeMutableRawBufferPointer(
            start: base + ArenaLayout.bootID.lowerBound,
            count: ArenaLayout.bootID.count
        )
    }

    /// Begins a new epoch, which no token has yet.
    ///
    /// Under the maintenance lock. One flush: the epoch is on the device before it is used.
    func beginEpoch() throws(LockError) -> UInt32 {
        try checkDescriptor()
        let last = unsafe epoch.pointee.load(ordering: .relaxed)
        if last == .max { throw LockError(.compromised, path: path, reason: "its fencing tokens are used up") }
        unsafe epoch.pointee.store(last + 1, ordering: .relaxed)
        do throws(SystemError) {
            try retrying { () throws(SystemError) in try fileSystem.sync(descriptor, .data) }
        } catch {
            throw LockError(.systemFailure, path: path, reason: "could not reserve fencing tokens", cause: error)
        }
        // Else another file was flushed.
        try checkDescriptor()
        return last + 1
    }

    /// Makes an arena that is new, or that an earlier boot left, this boot's.
    private func adopt(_ ours: String, in directory: OpenDirectory) throws(LockError) {
        // Whoever has a slot lives, so its boot is ours, whatever it believes.
        let isUsed: Bool
        do throws(SystemError) {
            isUsed = try isLocked(Self.slotBytes)
        } catch {
            throw .cannotLock(error, path: path)
        }
        if isUsed {
            let reason = "a process uses it that sees another boot id than this one"
            throw LockError(.unsupported, path: path, reason: reason)
        }
        try checkDescriptor()
        // Until the first adoption is complete, so that one after a crash in the middle makes the name durable too.
        let isNew = unsafe bootID.allSatisfy { $0 == 0 }
        let epoch = try beginEpoch()
        if isNew {
            do throws(SystemError) {
                try directory.syncEntries()
            } catch {
                throw LockError(.systemFailure, path: path, reason: "could not make its name durable", cause: error)
            }
        }
        for index in 0..<layout.count {
            unsafe cell(index).pointee.restart(epoch: epoch)
            unsafe cell(index).pointee.published.store(0, ordering: .relaxed)
        }
        // Who sees the boot id sees that nothing is published.
        atomicMemoryFence(ordering: .releasing)
        unsafe bootID.copyBytes(from: ours.utf8)
    }

    /// Claims the first free slot, under the maintenance lock.
    private mutating func claimSlot() throws(LockError) {
        for index in 0..<ArenaLayout.slots {
            let byte = Self.byte(ofSlot: index)
            do throws(SystemError) {
                let (fileSystem, descriptor) = (fileSystem, descriptor)
                let isLocked = try retrying { () throws(SystemError) in
                    try fileSystem.tryLock(descriptor, byte, exclusive: true)
                }
                if !isLocked { continue }
            } catch {
                throw .cannotLock(error, path: path)
            }
            own = byte
            let slot = unsafe slot(index)
            let last = unsafe slot.pointee.generation.load(ordering: .relaxed)
            let generation = (last &+ 1) % MutexWord.generations
            // Words of the earliest generations must not come to life again when the count begins again.
            if generation == 0 {
                for cell in 0..<layout.count { unsafe self.cell(cell).pointee.buryHolder(inSlot: index) }
            }
            unsafe slot.pointee.pid.store(UInt32(bitPattern: getpid()), ordering: .relaxed)
            unsafe slot.pointee.generation.store(generation, ordering: .sequentiallyConsistent)
            let owner = MutexWord.owner(slot: index, generation: generation)
            unsafe hf_member_begin(member, owner)
            return
        }
        let reason = """
            all \(ArenaLayout.slots) slots of the arena are taken, each by an open of it; 'lsof \(path)' lists the processes \
            that have it open: end those that need not, and let each open it once
            """
        throw LockError(.exhausted, path: path, reason: reason)
    }
}
