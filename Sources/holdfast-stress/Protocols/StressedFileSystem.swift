// SPDX-License-Identifier: Apache-2.0
//
// The real file system with a random pause, and now and then a death, before every call: every window between two system
// calls of a protocol is widened, without a line of test code in the protocol.

internal import Holdfast
internal import _HoldfastCShims
internal import _HoldfastStressShims

/// ``KernelFileSystem``, slowed down and deadly.
struct StressedFileSystem: FileSystem {
    private let kernel = KernelFileSystem()
    let chance: Chance
    /// Of 1000 calls, how many this process does not live to make.
    var deaths: UInt64 = 0
    /// Whether it sometimes stands still for long.
    var isSlow = false
    /// Whether it has O_TMPFILE.
    var hasUnnamedFiles = true

    private func step() {
        if isSlow { chance.longPause() } else { chance.pause() }
        if deaths > 0, chance.happens(deaths) { hfs_die() }
    }

    func openDirectory(path: String) throws(SystemError) -> Int32 {
        try kernel.openDirectory(path: path)
    }

    func openDirectory(_ name: String, in directory: Int32, followingLink: Bool) throws(SystemError) -> Int32 {
        step()
        return try kernel.openDirectory(name, in: directory, followingLink: followingLink)
    }

    func open(_ name: String, in directory: Int32, _ mode: OpenMode) throws(SystemError) -> Int32 {
        step()
        return try kernel.open(name, in: directory, mode)
    }

    func openUnnamed(in directory: Int32, permissions: UInt32) throws(SystemError) -> Int32 {
        step()
        guard hasUnnamedFiles else { throw SystemError(call: "openat(O_TMPFILE)", code: EOPNOTSUPP) }
        return try kernel.openUnnamed(in: directory, permissions: permissions)
    }

    func close(_ descriptor: Int32) throws(SystemError) {
        step()
        try kernel.close(descriptor)
    }

    func status(_ descriptor: Int32) throws(SystemError) -> FileStatus {
        step()
        return try kernel.status(descriptor)
    }

    func status(of name: String, in directory: Int32) throws(SystemError) -> FileStatus {
        step()
        return try kernel.status(of: name, in: directory)
    }

    func isOpen(_ descriptor: Int32, on file: FileIdentity) -> Bool {
        step()
        return kernel.isOpen(descriptor, on: file)
    }

    func identity(of name: String, in directory: Int32) throws(SystemError) -> FileIdentity {
        step()
        return try kernel.identity(of: name, in: directory)
    }

    func read(
        _ descriptor: Int32,
        into first: UnsafeMutableRawBufferPointer,
        _ second: UnsafeMutableRawBufferPointer,
        at offset: Int64
    ) throws(SystemError) -> Int {
        step()
        return try unsafe kernel.read(descriptor, into: first, second, at: offset)
    }

    func write(
        _ descriptor: Int32,
        _ first: UnsafeRawBufferPointer,
        _ second: UnsafeRawBufferPointer,
        at offset: Int64
    ) throws(SystemError) -> Int {
        step()
        return try unsafe kernel.write(descriptor, first, second, at: offset)
    }

    func truncate(_ descriptor: Int32, to size: Int64) throws(SystemError) {
        step()
        try kernel.truncate(descriptor, to: size)
    }

    func sync(_ descriptor: Int32, _ kind: SyncKind) throws(SystemError) {
        step()
        try kernel.sync(descriptor, kind)
    }

    func rename(_ name: String, to newName: String, in directory: Int32, replacing: Bool) throws(SystemError) {
        step()
        try kernel.rename(name, to: newName, in: directory, replacing: replacing)
    }

    func link(_ name: String, to newName: String, in directory: Int32) throws(SystemError) {
        step()
        try kernel.link(name, to: newName, in: directory)
    }

    func link(unnamed descriptor: Int32, to name: String, in directory: Int32) throws(SystemError) {
        step()
        try kernel.link(unnamed: descriptor, to: name, in: directory)
    }

    func unlink(_ name: String, in directory: Int32) throws(SystemError) {
        step()
        try kernel.unlink(name, in: directory)
    }

    func makeDirectory(_ name: String, in directory: Int32, permissions: UInt32) throws(SystemError) {
        step()
        try kernel.makeDirectory(name, in: directory, permissions: permissions)
    }

    func names(in directory: Int32) throws(SystemError) -> [String] {
        step()
        return try kernel.names(in: directory)
    }

    func setOwner(_ descriptor: Int32, owner: UInt32, group: UInt32) throws(SystemError) {
        step()
        try kernel.setOwner(descriptor, owner: owner, group: group)
    }

    func setPermissions(_ descriptor: Int32, _ permissions: UInt32) throws(SystemError) {
        step()
        try kernel.setPermissions(descriptor, permissions)
    }

    func attributeNames(_ descriptor: Int32) throws(SystemError) -> [String] {
        step()
        return try kernel.attributeNames(descriptor)
    }

    func attribute(_ name: String, of descriptor: Int32) throws(SystemError) -> [UInt8] {
        step()
        return try kernel.attribute(name, of: descriptor)
    }

    func setAttribute(_ name: String, of descriptor: Int32, to value: [UInt8]) throws(SystemError) {
        step()
        try kernel.setAttribute(name, of: descriptor, to: value)
    }

    func tryLock(_ descriptor: Int32, _ kind: LockFamily, exclusive: Bool) throws(SystemError) -> Bool {
        step()
        return try kernel.tryLock(descriptor, kind, exclusive: exclusive)
    }

    func unlock(_ descriptor: Int32, _ kind: LockFamily) throws(SystemError) {
        step()
        try kernel.unlock(descriptor, kind)
    }

    func tryLock(_ descriptor: Int32, _ range: Range<Int64>, exclusive: Bool) throws(SystemError) -> Bool {
        step()
        return try kernel.tryLock(descriptor, range, exclusive: exclusive)
    }

    func unlock(_ descriptor: Int32, _ range: Range<Int64>) throws(SystemError) {
        step()
        try kernel.unlock(descriptor, range)
    }

    func isLocked(_ descriptor: Int32, _ range: Range<Int64>) throws(SystemError) -> Bool {
        step()
        return try kernel.isLocked(descriptor, range)
    }

    func isShared(_ descriptor: Int32) throws(SystemError) -> Bool {
        try kernel.isShared(descriptor)
    }

    func isOverlay(_ descriptor: Int32) -> Bool {
        kernel.isOverlay(descriptor)
    }

    func allocate(_ descriptor: Int32, length: Int64) throws(SystemError) {
        step()
        try kernel.allocate(descriptor, length: length)
    }

    func map(_ descriptor: Int32, length: Int, isWritable: Bool) throws(SystemError) -> UnsafeMutableRawPointer {
        step()
        return try unsafe kernel.map(descriptor, length: length, isWritable: isWritable)
    }

    func unmap(_ address: UnsafeMutableRawPointer, length: Int) {
        step()
        unsafe kernel.unmap(address, length: length)
    }

    func monotonicTime() -> Int64 { kernel.monotonicTime() }
    var simulatedBootID: String? { nil }
    var hasOtherProcesses: Bool { true }

    func lockHolder(of file: FileIdentity) -> Int32? {
        kernel.lockHolder(of: file)
    }
}
