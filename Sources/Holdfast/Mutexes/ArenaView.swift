// SPDX-License-Identifier: Apache-2.0
//
// What a process that only reads sees of an arena. It is no member: it takes no slot and no lock, waits for nothing, and
// changes nothing. Invariants:
// - what is published counts only if the arena is of this boot: an earlier boot's word says nothing of what is on the device;
// - once the view has ended, and in a forked child, nothing is published any more.

internal import Synchronization
internal import _HoldfastCShims

/// A read-only look at the file of an arena.
@safe
final class ArenaView: Sendable {
    /// The file that is mapped.
    let identity: FileIdentity
    /// The random number of the arena: another file at its path has another one.
    let key: UInt64
    private let fileSystem: any FileSystem
    private let layout: ArenaLayout
    private nonisolated(unsafe) let member: UnsafeMutablePointer<hf_member>
    private nonisolated(unsafe) let base: UnsafeMutableRawPointer
    private let bootID: [UInt8]

    /// Opens an arena that is there.
    ///
    /// - Throws: ``LockError``: `.refused` for what is no arena of this layout, `.systemFailure` if it cannot be opened, or read,
    ///   or is not there (ENOENT); `.unsupported` if it cannot be mapped, or the boot id cannot be read.
    init(_ name: FileName, in directory: OpenDirectory, count: Int) throws(LockError) {
        let path = directory.path(of: name)
        let layout = ArenaLayout(count: count)
        guard let bootID = ArenaFile.bootID(on: directory.fileSystem), bootID.utf8.count == ArenaLayout.bootID.count
        else {
            throw LockError(.unsupported, path: path, reason: ArenaFile.noBootID)
        }
        let member = try unsafe Self.open(name, in: directory, path)
        let file = unsafe Descriptor(directory.fileSystem, owning: member.pointee.descriptor)
        do throws(LockError) {
            (identity, key) = try ArenaFile.look(at: file, layout, path)
            unsafe base = try unsafe ArenaFile.map(file, layout, path, isWritable: false)
        } catch {
            unsafe hf_member_destroy(member)
            throw error
        }
        fileSystem = directory.fileSystem
        self.layout = layout
        self.bootID = Array(bootID.utf8)
        unsafe self.member = unsafe member
        _ = file.relinquish()
        unsafe hf_member_begin(member, 1)
    }

    /// Opens it for writing too, if that is allowed: on overlayfs a file that was opened for reading alone stays the one of a
    /// lower layer after another process has written to it.
    private static func openToLook(_ name: FileName, in directory: OpenDirectory) throws(SystemError) -> Descriptor {
        do throws(SystemError) {
            return try directory.open(name, .readWrite)
        } catch  where error.isAny(of: EACCES, EPERM, EROFS, ETXTBSY) {
            let file = try directory.open(name, .read)
            if directory.fileSystem.isOverlay(file.rawValue) { throw SystemError(call: "fstatfs", code: EACCES) }
            return file
        }
    }

    /// The open file, known to the handler that closes a forked child's copy.
    private static func open(
        _ name: FileName,
        in directory: OpenDirectory,
        _ path: String
    ) throws(LockError) -> UnsafeMutablePointer<hf_member> {
        do throws(SystemError) {
            return try unsafe ArenaMember.make(on: directory.fileSystem) { () throws(SystemError) in
                try openToLook(name, in: directory)
            }
        } catch {
            throw LockError(error, path: path, while: "open it")
        }
    }

    /// Whether something may be published in it still.
    var isCurrent: Bool { unsafe current.pointee.load(ordering: .relaxed) != 0 }

    /// From now on nothing is published.
    func end() { unsafe hf_member_end(member) }

    /// What is published beside a mutex; 0 if nothing is, or if the arena was last used in an earlier boot.
    func published(_ index: Int) -> UInt64 {
        guard isCurrent, isOfThisBoot else { return 0 }
        return unsafe word(index).pointee.load(ordering: .acquiring)
    }

    /// Where ``published(_:)`` looks, for a reader that has seen that it counts.
    func word(_ index: Int) -> UnsafeMutablePointer<Atomic<UInt64>> {
        let offset = ArenaLayout.cells + index * MutexCell.size + MutexCell.publishedOffset
        return unsafe (base + offset).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    /// 0 once the view has ended.
    var current: UnsafeMutablePointer<Atomic<UInt32>> {
        unsafe UnsafeMutableRawPointer(member).assumingMemoryBound(to: Atomic<UInt32>.self)
    }

    private var isOfThisBoot: Bool {
        let start = unsafe UnsafeRawPointer(base) + ArenaLayout.bootID.lowerBound
        let isOurs = unsafe UnsafeRawBufferPointer(start: start, count: bootID.count).elementsEqual(bootID)
        atomicMemoryFence(ordering: .acquiring)
        return isOurs
    }

    deinit {
        let descriptor = unsafe member.pointee.descriptor
        unsafe hf_member_destroy(member)
        // A forked child has neither.
        if descriptor < 0 { return }
        // Else the number is another file's by now.
        if fileSystem.isOpen(descriptor, on: identity) { try? fileSystem.close(descriptor) }
        unsafe fileSystem.unmap(base, length: layout.size)
    }
}
