// SPDX-License-Identifier: Apache-2.0
//
// The seam over the C module: one method, one call, errno read straight after it. EBADF and EFAULT trap where only a
// defect of this library (or a stranger closing our descriptor) can cause them.

internal import _HoldfastCShims

/// The real file system.
package struct KernelFileSystem: FileSystem {
    package init() {}

    package func openDirectory(path: String) throws(SystemError) -> Int32 {
        try unsafe path.withPath { path throws(SystemError) in
            try checked("open", unsafe hf_open_directory(AT_FDCWD, path, true))
        }
    }

    package func openDirectory(
        _ name: String,
        in directory: Int32,
        followingLink: Bool
    ) throws(SystemError) -> Int32 {
        try unsafe name.withPath { name throws(SystemError) in
            try checked("openat", unsafe hf_open_directory(directory, name, followingLink))
        }
    }

    package func open(_ name: String, in directory: Int32, _ mode: OpenMode) throws(SystemError) -> Int32 {
        let (flags, permissions): (Int32, UInt32) =
            switch mode {
            case .read: (O_RDONLY, 0)
            case .readWrite: (O_RDWR, 0)
            case .readWriteOrCreate(let permissions): (O_RDWR | O_CREAT, permissions)
            case .createNew(let permissions): (O_RDWR | O_CREAT | O_EXCL, permissions)
            }
        return try unsafe name.withPath { name throws(SystemError) in
            try checked("openat", unsafe hf_openat(directory, name, flags, mode_t(permissions)))
        }
    }

    package func openUnnamed(in directory: Int32, permissions: UInt32) throws(SystemError) -> Int32 {
        try checked("openat(O_TMPFILE)", hf_open_unnamed(directory, mode_t(permissions)))
    }

    package func close(_ descriptor: Int32) throws(SystemError) {
        try check("close", hf_close(descriptor))
    }

    package func status(_ descriptor: Int32) throws(SystemError) -> FileStatus {
        var raw = hf_status()
        try check("fstat", unsafe hf_fstat(descriptor, &raw))
        return FileStatus(raw)
    }

    package func status(of name: String, in directory: Int32) throws(SystemError) -> FileStatus {
        var raw = hf_status()
        try unsafe name.withPath { name throws(SystemError) in
            try check("fstatat", unsafe hf_fstatat(directory, name, &raw))
        }
        return FileStatus(raw)
    }

    package func identity(of name: String, in directory: Int32) throws(SystemError) -> FileIdentity {
        var identity = FileIdentity(device: 0, inode: 0)
        try unsafe name.withPath { name throws(SystemError) in
            try check("statx", unsafe hf_identity_at(directory, name, &identity.device, &identity.inode))
        }
        return identity
    }

    package func isOpen(_ descriptor: Int32, on file: FileIdentity) -> Bool {
        var found = FileIdentity(device: 0, inode: 0)
        return unsafe hf_identity_at(descriptor, "", &found.device, &found.inode) == 0 && found == file
    }

    package func read(
        _ descriptor: Int32,
        into first: UnsafeMutableRawBufferPointer,
        _ second: UnsafeMutableRawBufferPointer,
        at offset: Int64
    ) throws(SystemError) -> Int {
        try checked(
            "preadv",
            unsafe hf_pread2(
                descriptor,
                first.baseAddress,
                first.count,
                second.baseAddress,
                second.count,
                off_t(offset)
            )
        )
    }

    package func write(
        _ descriptor: Int32,
        _ first: UnsafeRawBufferPointer,
        _ second: UnsafeRawBufferPointer,
        at offset: Int64
    ) throws(SystemError) -> Int {
        try checked(
            "pwritev",
            unsafe hf_pwrite2(
                descriptor,
                first.baseAddress,
                first.count,
                second.baseAddress,
                second.count,
                off_t(offset)
            )
        )
    }

    package func truncate(_ descriptor: Int32, to size: Int64) throws(SystemError) {
        try check("ftruncate", ftruncate(descriptor, off_t(size)))
    }

    package func sync(_ descriptor: Int32, _ kind: SyncKind) throws(SystemError) {
        switch kind {
        case .full: try check("fsync", hf_fsync(descriptor))
        case .data: try check("fdatasync", hf_fdatasync(descriptor))
        case .barrier: try check("fsync", hf_barrier(descriptor))
        }
    }

    package func rename(
        _ name: String,
        to newName: String,
        in directory: Int32,
        replacing: Bool
    ) throws(SystemError) {
        try unsafe withPaths(name, newName) { from, to throws(SystemError) in
            if replacing {
                try check("renameat", unsafe renameat(directory, from, directory, to))
            } else {
                try check("renameat2", unsafe hf_renameat_noreplace(directory, from, to))
            }
        }
    }

    package func link(_ name: String, to newName: String, in directory: Int32) throws(SystemError) {
        try unsafe withPaths(name, newName) { from, to throws(SystemError) in
            try check("linkat", unsafe linkat(directory, from, directory, to, 0))
        }
    }

    package func link(unnamed descriptor: Int32, to name: String, in directory: Int32) throws(SystemError) {
        try unsafe name.withPath { name throws(SystemError) in
            try check("linkat", unsafe hf_link_descriptor(descriptor, directory, name))
        }
    }

    package func unlink(_ name: String, in directory: Int32) throws(SystemError) {
        try unsafe name.withPath { name throws(SystemError) in
            try check("unlinkat", unsafe unlinkat(directory, name, 0))
        }
    }

    package func makeDirectory(_ name: String, in directory: Int32, permissions: UInt32) throws(SystemError) {
        try unsafe name.withPath { name throws(SystemError) in
            try check("mkdirat", unsafe mkdirat(directory, name, mode_t(permissions)))
        }
    }

    package func names(in directory: Int32) throws(SystemError) -> [String] {
        var names: [String] = []
        try unsafe withUnsafeMutablePointer(to: &names) { names throws(SystemError) in
            try check(
                "readdir",
                unsafe hf_list(
                    directory,
                    { context, name in
                        let bytes = unsafe UnsafeRawBufferPointer(start: name, count: strlen(name))
                        unsafe context.assumingMemoryBound(to: [String].self).pointee.append(String(pathBytes: bytes))
                    },
                    names
                )
            )
        }
        return names
    }

    package func setOwner(_ descriptor: Int32, owner: UInt32, group: UInt32) throws(SystemError) {
        try check("fchown", fchown(descriptor, owner, group))
    }

    package func setPermissions(_ descriptor: Int32, _ permissions: UInt32) throws(SystemError) {
        try check("fchmod", fchmod(descriptor, mode_t(permissions)))
    }

    package func attributeNames(_ descriptor: Int32) throws(SystemError) -> [String] {
        let list = try unsafe sized("flistxattr") { bytes, capacity in
            unsafe hf_flistxattr(descriptor, bytes?.assumingMemoryBound(to: CChar.self), capacity)
        }
        return list.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }

    package func attribute(_ name: String, of descriptor: Int32) throws(SystemError) -> [UInt8] {
        try unsafe name.withPath { name throws(SystemError) in
            try unsafe sized("fgetxattr") { bytes, capacity in unsafe hf_fgetxattr(descriptor, name, bytes, capacity) }
        }
    }

    package func setAttribute(_ name: String, of descriptor: Int32, to value: [UInt8]) throws(SystemError) {
        try unsafe name.withPath { name throws(SystemError) in
            try check("fsetxattr", unsafe hf_fsetxattr(descriptor, name, value, value.count))
        }
    }

    package func tryLock(_ descriptor: Int32, _ kind: LockFamily, exclusive: Bool) throws(SystemError) -> Bool {
        let (call, result) =
            switch kind {
            case .flock: ("flock", hf_flock(descriptor, exclusive))
            case .openFileDescription: ("fcntl(F_OFD_SETLK)", hf_ofd_lock(descriptor, exclusive, false, 0, 0))
            }
        if result == 0 { return true }
        let code = hf_errno()
        // EACCES stands for EAGAIN in POSIX's fcntl; flock(2) never leaves it.
        if code == EWOULDBLOCK || code == EAGAIN || (code == EACCES && kind == .openFileDescription) { return false }
        throw SystemError(call: call, code: code)
    }

    package func unlock(_ descriptor: Int32, _ kind: LockFamily) throws(SystemError) {
        switch kind {
        case .flock: try check("flock", hf_flock_release(descriptor))
        case .openFileDescription: try check("fcntl(F_OFD_SETLK)", hf_ofd_release_range(descriptor, 0, 0))
        }
    }

    package func tryLock(
        _ descriptor: Int32,
        _ range: Range<Int64>,
        exclusive: Bool
    ) throws(SystemError) -> Bool {
        if hf_ofd_lock(descriptor, exclusive, false, range.start, range.length) == 0 { return true }
        let code = hf_errno()
        if code == EAGAIN || code == EACCES { return false }
        throw failure("fcntl(F_OFD_SETLK)", code)
    }

    package func unlock(_ descriptor: Int32, _ range: Range<Int64>) throws(SystemError) {
        try check("fcntl(F_OFD_SETLK)", hf_ofd_release_range(descriptor, range.start, range.length))
    }

    package func isLocked(_ descriptor: Int32, _ range: Range<Int64>) throws(SystemError) -> Bool {
        let result = hf_ofd_test(descriptor, range.start, range.length)
        if result >= 0 { return result == 1 }
        // Also EBADF: this is how an arena finds out that other code has closed its descriptor.
        throw SystemError(call: "fcntl(F_OFD_GETLK)", code: hf_errno())
    }

    package func isShared(_ descriptor: Int32) throws(SystemError) -> Bool {
        try checked("fstatfs", hf_is_network_file_system(descriptor)) == 1
    }

    package func isOverlay(_ descriptor: Int32) -> Bool { hf_is_overlay(descriptor) == 1 }

    package func allocate(_ descriptor: Int32, length: Int64) throws(SystemError) {
        try check("fallocate", hf_allocate(descriptor, off_t(length)))
    }

    package func map(
        _ descriptor: Int32,
        length: Int,
        isWritable: Bool
    ) throws(SystemError) -> UnsafeMutableRawPointer {
        guard let address = unsafe hf_map_shared(descriptor, length, isWritable) else {
            throw failure("mmap", hf_errno())
        }
        return unsafe address
    }

    package func unmap(_ address: UnsafeMutableRawPointer, length: Int) {
        _ = unsafe hf_unmap(address, length)
    }

    package func monotonicTime() -> Int64 { hf_monotonic() }
    package var simulatedBootID: String? { nil }
    package var hasOtherProcesses: Bool { true }

    package func lockHolder(of file: FileIdentity) -> Int32? {
        let pid = hf_lock_holder(file.device, file.inode)
        return pid > 0 ? pid : nil
    }
}

/// Reads errno if the call failed.
@inline(__always)
private func check(_ call: StaticString, _ result: Int32) throws(SystemError) {
    if result < 0 { throw failure(call, hf_errno()) }
}

/// The result of a call that returns one, or its errno.
@inline(__always)
private func checked<Result: SignedInteger>(_ call: StaticString, _ result: Result) throws(SystemError) -> Result {
    if result >= 0 { return result }
    throw failure(call, hf_errno())
}

@inline(never)
private func failure(_ call: StaticString, _ code: Int32) -> SystemError {
    precondition(code != EBADF && code != EFAULT, "\(call): a descriptor or buffer of Holdfast's own is not valid")
    return SystemError(call: "\(call)", code: code)
}

/// Calls twice: for the size, then for the bytes; again if they grew in between (ERANGE).
private func sized(
    _ call: StaticString,
    _ read: (UnsafeMutableRawPointer?, Int) -> Int
) throws(SystemError) -> [UInt8] {
    while true {
        let size = try checked(call, read(nil, 0))
        if size == 0 { return [] }
        var count = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: size) { buffer, initialized in
            count = unsafe read(buffer.baseAddress, size)
            initialized = max(count, 0)
        }
        if count >= 0 { return bytes }
        let code = hf_errno()
        if code != ERANGE { throw failure(call, code) }
    }
}

extension Range<Int64> {
    /// The `l_len` of a lock, in which 0 stands for everything from its start.
    fileprivate var length: off_t { upperBound == .max ? 0 : off_t(upperBound - lowerBound) }
    fileprivate var start: off_t { off_t(lowerBound) }
}
