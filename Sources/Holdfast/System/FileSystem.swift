// SPDX-License-Identifier: Apache-2.0
//
// The seam: every call that a lock or a state makes to the file system, one requirement for one system call, relative to
// a directory. Each protocol of Holdfast goes through it, so that each can be failed, interrupted and crashed at every
// call. An implementation reports EINTR like any other error; `retrying` above it repeats the call.

/// How a file is opened.
///
/// O_CLOEXEC, O_NOFOLLOW, O_NONBLOCK and O_NOCTTY are always set beside it.
package enum OpenMode: Sendable {
    /// O_RDONLY.
    case read
    /// O_RDWR.
    case readWrite
    /// O_RDWR|O_CREAT with this mode, less the umask.
    case readWriteOrCreate(permissions: UInt32)
    /// O_RDWR|O_CREAT|O_EXCL with this mode, less the umask.
    case createNew(permissions: UInt32)
}

/// What a flush must have put on the device.
package enum SyncKind: Hashable, Sendable {
    /// Data and all metadata: fsync(2), F_FULLFSYNC on Darwin.
    case full
    /// Data and what reading it back needs: fdatasync(2).
    case data
    /// What was written before is on the device before what is written after: F_BARRIERFSYNC on Darwin, else fsync(2).
    case barrier
}

/// The file system under locks and state: ``KernelFileSystem``, or a simulation.
///
/// Descriptors are plain numbers here; ``Descriptor`` owns them above. All methods may be called from any thread.
package protocol FileSystem: Sendable {
    /// open(2) of a directory by an ambient path, whose symbolic links are followed.
    func openDirectory(path: String) throws(SystemError) -> Int32
    /// openat(2) of a directory with O_DIRECTORY where it exists; `"."` is `directory` itself.
    func openDirectory(_ name: String, in directory: Int32, followingLink: Bool) throws(SystemError) -> Int32
    /// openat(2). Never returns a descriptor below 3.
    func open(_ name: String, in directory: Int32, _ mode: OpenMode) throws(SystemError) -> Int32
    /// openat(2) with O_TMPFILE and this mode, less the umask: a file without a name.
    func openUnnamed(in directory: Int32, permissions: UInt32) throws(SystemError) -> Int32
    /// close(2).
    func close(_ descriptor: Int32) throws(SystemError)
    /// fstat(2).
    func status(_ descriptor: Int32) throws(SystemError) -> FileStatus
    /// fstatat(2) with AT_SYMLINK_NOFOLLOW.
    func status(of name: String, in directory: Int32) throws(SystemError) -> FileStatus
    /// statx(2) of the inode number alone, with AT_SYMLINK_NOFOLLOW.
    func identity(of name: String, in directory: Int32) throws(SystemError) -> FileIdentity
    /// statx(2) with AT_EMPTY_PATH: whether the descriptor is open on this file still.
    ///
    /// Other code in the process may have closed the number, and open(2) given it to another file. False also for a number that
    /// is not open.
    func isOpen(_ descriptor: Int32, on file: FileIdentity) -> Bool
    /// preadv(2) into two pieces. Returns how many bytes were read, 0 at the end.
    func read(
        _ descriptor: Int32,
        into first: UnsafeMutableRawBufferPointer,
        _ second: UnsafeMutableRawBufferPointer,
        at offset: Int64
    ) throws(SystemError) -> Int
    /// pwritev(2) of two pieces. Returns how many bytes were written, which may be fewer.
    func write(
        _ descriptor: Int32,
        _ first: UnsafeRawBufferPointer,
        _ second: UnsafeRawBufferPointer,
        at offset: Int64
    ) throws(SystemError) -> Int
    /// ftruncate(2).
    func truncate(_ descriptor: Int32, to size: Int64) throws(SystemError)
    /// fsync(2), fdatasync(2), or Darwin's.
    func sync(_ descriptor: Int32, _ kind: SyncKind) throws(SystemError)
    /// renameat(2) within a directory, or renameat2(2) with RENAME_NOREPLACE.
    func rename(_ name: String, to newName: String, in directory: Int32, replacing: Bool) throws(SystemError)
    /// linkat(2) within a directory.
    func link(_ name: String, to newName: String, in directory: Int32) throws(SystemError)
    /// linkat(2) of an open unnamed file.
    func link(unnamed descriptor: Int32, to name: String, in directory: Int32) throws(SystemError)
    /// unlinkat(2).
    func unlink(_ name: String, in directory: Int32) throws(SystemError)
    /// mkdirat(2).
    func makeDirectory(_ name: String, in directory: Int32, permissions: UInt32) throws(SystemError)
    /// readdir(3) to the end, without "." and "..". A byte that is not UTF-8 stands in a name as in ``FileName``.
    func names(in directory: Int32) throws(SystemError) -> [String]
    /// fchown(2).
    func setOwner(_ descriptor: Int32, owner: UInt32, group: UInt32) throws(SystemError)
    /// fchmod(2).
    func setPermissions(_ descriptor: Int32, _ permissions: UInt32) throws(SystemError)
    /// flistxattr(2).
    func attributeNames(_ descriptor: Int32) throws(SystemError) -> [String]
    /// fgetxattr(2).
    func attribute(_ name: String, of descriptor: Int32) throws(SystemError) -> [UInt8]
    /// fsetxattr(2).
    func setAttribute(_ name: String, of descriptor: Int32, to value: [UInt8]) throws(SystemError)
    /// flock(2) or fcntl(2) F_OFD_SETLK without waiting. False if somebody else holds a lock that is in the way.
    func tryLock(_ descriptor: Int32, _ kind: LockFamily, exclusive: Bool) throws(SystemError) -> Bool
    /// flock(2) LOCK_UN or fcntl(2) F_UNLCK.
    func unlock(_ descriptor: Int32, _ kind: LockFamily) throws(SystemError)
    /// fcntl(2) F_OFD_SETLK on a range of bytes, without waiting. False if another open file holds a lock that is in the way.
    func tryLock(_ descriptor: Int32, _ range: Range<Int64>, exclusive: Bool) throws(SystemError) -> Bool
    /// fcntl(2) F_OFD_SETLK with F_UNLCK on a range of bytes.
    func unlock(_ descriptor: Int32, _ range: Range<Int64>) throws(SystemError)
    /// fcntl(2) F_OFD_GETLK: whether an OFD or POSIX lock of another open file is in the way of an exclusive one.
    func isLocked(_ descriptor: Int32, _ range: Range<Int64>) throws(SystemError) -> Bool
    /// fstatfs(2): whether other machines may share this file system.
    func isShared(_ descriptor: Int32) throws(SystemError) -> Bool
    /// fstatfs(2): whether it is a file of overlayfs, where one that was opened for reading alone may be another one than a
    /// writer's.
    func isOverlay(_ descriptor: Int32) -> Bool
    /// fallocate(2): gives each of the file's first bytes a block of its own, and changes none.
    func allocate(_ descriptor: Int32, length: Int64) throws(SystemError)
    /// mmap(2) with MAP_SHARED from the start of the file; a forked child does not have the mapping.
    ///
    /// It is page-aligned, and lasts until ``unmap(_:length:)``, also when the descriptor is closed.
    func map(_ descriptor: Int32, length: Int, isWritable: Bool) throws(SystemError) -> UnsafeMutableRawPointer
    /// munmap(2).
    func unmap(_ address: UnsafeMutableRawPointer, length: Int)
    /// The PID that the kernel's lock table names for a lock on this file, if it names one.
    func lockHolder(of file: FileIdentity) -> Int32?
    /// clock_gettime(2) CLOCK_MONOTONIC, in nanoseconds: when it is time to look at the files again.
    func monotonicTime() -> Int64
    /// Which boot its mapped files are used in, if that is not this machine's.
    var simulatedBootID: String? { get }
    /// Whether other processes can use its files: what this one knows of them has to be looked at again now and then, and a
    /// fork of it has copies of its descriptors.
    var hasOtherProcesses: Bool { get }
}

extension FileSystem {
    /// The same for the whole file.
    package func isRangeLocked(_ descriptor: Int32) throws(SystemError) -> Bool {
        try isLocked(descriptor, wholeFile)
    }
    package func isOverlay(_ descriptor: Int32) -> Bool { false }
    package func lockHolder(of file: FileIdentity) -> Int32? { nil }
}

/// The bytes of a lock on the whole file.
package let wholeFile: Range<Int64> = 0..<Int64.max
