// SPDX-License-Identifier: Apache-2.0
//
// The owner of one open file description. It closes what it owns exactly once; everything above it borrows.

internal import _HoldfastCShims

/// An open file, closed when the value ends.
package struct Descriptor: ~Copyable, Sendable {
    package let fileSystem: any FileSystem
    package private(set) var rawValue: Int32

    /// Takes ownership of a descriptor that the file system opened.
    package init(_ fileSystem: any FileSystem, owning rawValue: Int32) {
        self.fileSystem = fileSystem
        self.rawValue = rawValue
    }

    deinit {
        if rawValue >= 0 { try? fileSystem.close(rawValue) }
    }

    /// Closes it and reports what close(2) says.
    ///
    /// The descriptor is gone either way, also after EINTR.
    package consuming func close() throws(SystemError) {
        let descriptor = rawValue
        rawValue = -1
        try fileSystem.close(descriptor)
    }
}

extension Descriptor {
    /// Gives up ownership: the caller closes it.
    package consuming func relinquish() -> Int32 {
        disown()
    }

    /// The same for one that is part of another value.
    package mutating func disown() -> Int32 {
        defer { rawValue = -1 }
        return rawValue
    }

    /// fstat(2).
    package borrowing func status() throws(SystemError) -> FileStatus {
        try retrying { () throws(SystemError) in try fileSystem.status(rawValue) }
    }

    /// Whether it is open on a file without a byte.
    package var isEmpty: Bool { (try? status())?.size == 0 }

    /// fsync(2) or fdatasync(2).
    package borrowing func sync(_ kind: SyncKind) throws(SystemError) {
        try retrying { () throws(SystemError) in try fileSystem.sync(rawValue, kind) }
    }

    /// ftruncate(2).
    package borrowing func truncate(to size: Int64) throws(SystemError) {
        try retrying { () throws(SystemError) in try fileSystem.truncate(rawValue, to: size) }
    }

    /// flock(2) or fcntl(2) F_OFD_SETLK; false if another holds it.
    package borrowing func tryLock(_ kind: LockFamily, exclusive: Bool) throws(SystemError) -> Bool {
        try retrying { () throws(SystemError) in
            try fileSystem.tryLock(rawValue, kind, exclusive: exclusive)
        }
    }

    /// flock(2) LOCK_UN or fcntl(2) F_UNLCK, as far as it works.
    ///
    /// Before a close it makes sure that the lock ends now: a process that is being spawned at this moment has a copy of
    /// the descriptor until its exec.
    package borrowing func unlock(_ kind: LockFamily) {
        try? fileSystem.unlock(rawValue, kind)
    }

    /// fcntl(2) F_OFD_GETLK: whether an OFD or POSIX lock of another description is in the way of an exclusive one.
    package borrowing func isRangeLocked() throws(SystemError) -> Bool {
        try retrying { () throws(SystemError) in try fileSystem.isRangeLocked(rawValue) }
    }

    /// fcntl(2) F_OFD_SETLK, shared unless it is to be exclusive; false if another open file is in the way.
    package borrowing func tryLock(_ range: Range<Int64>, exclusive: Bool = false) throws(SystemError) -> Bool {
        try retrying { () throws(SystemError) in try fileSystem.tryLock(rawValue, range, exclusive: exclusive) }
    }

    /// fcntl(2) F_OFD_GETLK: whether another open file has a lock there.
    package borrowing func isLocked(_ range: Range<Int64>) throws(SystemError) -> Bool {
        try retrying { () throws(SystemError) in try fileSystem.isLocked(rawValue, range) }
    }

    /// fallocate(2): every byte has a block of its own.
    package borrowing func allocate(length: Int64) throws(SystemError) {
        try retrying { () throws(SystemError) in try fileSystem.allocate(rawValue, length: length) }
    }

    /// mmap(2), readable and perhaps writable, from the start of the file.
    package borrowing func map(length: Int, isWritable: Bool) throws(SystemError) -> UnsafeMutableRawPointer {
        try unsafe retrying { () throws(SystemError) in
            try unsafe fileSystem.map(rawValue, length: length, isWritable: isWritable)
        }
    }

    /// Reads until both pieces are full or the file ends.
    ///
    /// Returns the bytes read.
    package borrowing func readAll(
        into first: UnsafeMutableRawBufferPointer,
        _ second: UnsafeMutableRawBufferPointer = unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0),
        at offset: Int64 = 0
    ) throws(SystemError) -> Int {
        let total = first.count + second.count
        var done = 0
        while done < total {
            let head = unsafe UnsafeMutableRawBufferPointer(rebasing: first.dropFirst(done))
            let tail = unsafe UnsafeMutableRawBufferPointer(rebasing: second.dropFirst(max(0, done - first.count)))
            let count = try retrying { () throws(SystemError) in
                try unsafe fileSystem.read(rawValue, into: head, tail, at: offset + Int64(done))
            }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Reads until the span is full or the file ends.
    ///
    /// Returns the bytes read.
    borrowing func readAll(into span: inout MutableSpan<UInt8>, at offset: Int64 = 0) throws(SystemError) -> Int {
        // Result carries the type of the error through a closure that is declared `rethrows`.
        let outcome = unsafe span.withUnsafeMutableBytes { bytes in
            Result { () throws(SystemError) in try unsafe readAll(into: bytes, at: offset) }
        }
        return try outcome.get()
    }

    /// Writes both pieces whole, however many calls that takes.
    package borrowing func writeAll(
        _ first: UnsafeRawBufferPointer,
        _ second: UnsafeRawBufferPointer = unsafe UnsafeRawBufferPointer(start: nil, count: 0),
        at offset: Int64 = 0
    ) throws(SystemError) {
        let total = first.count + second.count
        var done = 0
        while done < total {
            let head = unsafe UnsafeRawBufferPointer(rebasing: first.dropFirst(done))
            let tail = unsafe UnsafeRawBufferPointer(rebasing: second.dropFirst(max(0, done - first.count)))
            let count = try retrying { () throws(SystemError) in
                try unsafe fileSystem.write(rawValue, head, tail, at: offset + Int64(done))
            }
            // write(2) of some bytes that writes none has no errno; going on forever would be worse than this.
            if count == 0 { throw SystemError(call: "pwritev", code: ENOSPC) }
            done += count
        }
    }
}
