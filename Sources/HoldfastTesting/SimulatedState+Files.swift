// SPDX-License-Identifier: Apache-2.0
//
// What the calls on an open file do to it. A descriptor used for what it was not opened for is EBADF on Linux, which is a
// defect of the caller and ends the process here as it does there.

internal import Holdfast
internal import _HoldfastCShims

extension SimulatedState {
    func read(_ descriptor: Int32, _ count: Int, at offset: Int64) throws(Failure) -> [UInt8] {
        let inode = volume[inode(descriptor)]
        switch inode.kind {
        case .directory: throw Failure(EISDIR)
        case .regular: break
        default: throw Failure(ESPIPE)
        }
        if offset < 0 { throw Failure(EINVAL) }
        return Array(inode.bytes.dropFirst(Int(offset)).prefix(count))
    }

    /// Writes as much as it may, filling a gap before it with zeros.
    mutating func write(_ descriptor: Int32, _ bytes: [UInt8], at offset: Int64) throws(Failure) -> Int {
        let file = file(descriptor)
        precondition(file.isWritable, "descriptor \(descriptor) is not open for writing")
        if volume[file.inode].kind != .regular { throw Failure(ESPIPE) }
        if offset < 0 { throw Failure(EINVAL) }
        let bytes = bytes.prefix(writeLimit)
        if bytes.isEmpty { return 0 }
        if Int(offset) + bytes.count > Volume.largestFile { throw Failure(EFBIG) }
        write(bytes, to: file.inode, at: Int(offset))
        return bytes.count
    }

    mutating func truncate(_ descriptor: Int32, to size: Int64) throws(Failure) {
        let file = file(descriptor)
        if size < 0 || !file.isWritable || volume[file.inode].kind != .regular { throw Failure(EINVAL) }
        if size > Volume.largestFile { throw Failure(EFBIG) }
        resize(file.inode, to: Int(size))
    }

    /// Every byte of a file has its place in memory.
    func allocate(_ descriptor: Int32, _ length: Int64) throws(Failure) {
        let file = file(descriptor)
        precondition(file.isWritable, "descriptor \(descriptor) is not open for writing")
        if length <= 0 { throw Failure(EINVAL) }
        if volume[file.inode].kind != .regular { throw Failure(ESPIPE) }
    }

    func checkMapping(_ descriptor: Int32, _ length: Int, isWritable: Bool) throws(Failure) {
        let file = file(descriptor)
        if length <= 0 { throw Failure(EINVAL) }
        if isWritable, !file.isWritable { throw Failure(EACCES) }
        if volume[file.inode].kind != .regular { throw Failure(ENODEV) }
        if let memory = memories[file.inode], length > memory.capacity { throw Failure(ENOMEM) }
    }

    /// Changes the owner; a program that others execute as its owner is that no more (chown(2)).
    mutating func setOwner(_ descriptor: Int32, owner: UInt32, group: UInt32) {
        let number = inode(descriptor)
        volume[number].owner = owner
        volume[number].group = group
        if volume[number].kind != .directory {
            let executable = volume[number].permissions & 0o010 != 0
            volume[number].permissions &= executable ? ~0o6000 : ~0o4000
        }
        volume.touchOwner(number)
    }

    mutating func lock(_ descriptor: Int32, _ kind: LockFamily, _ mode: LockMode) throws(Failure) {
        if kind == .openFileDescription { return try lock(descriptor, wholeFile, mode) }
        precondition(open[descriptor] != nil, "descriptor \(descriptor) is not open")
        try open.lock(descriptor, mode)
    }

    mutating func lock(_ descriptor: Int32, _ range: Range<Int64>, _ mode: LockMode) throws(Failure) {
        precondition(file(descriptor).isWritable || mode == .shared, "descriptor \(descriptor) is not open for writing")
        if ignoresMaintenanceLocks, range == 0..<1 { return }
        try open.lock(descriptor, range, mode)
    }
}

/// Extended attributes (xattr(7)).
extension SimulatedState {
    func attribute(_ name: String, of descriptor: Int32) throws(Failure) -> [UInt8] {
        try check(attribute: name)
        guard let value = volume[inode(descriptor)].attributes[name] else { throw Failure(ENODATA) }
        return value
    }

    mutating func setAttribute(_ name: String, of descriptor: Int32, to value: [UInt8]) throws(Failure) {
        try check(attribute: name)
        if value.count > 65536 { throw Failure(E2BIG) }
        let number = inode(descriptor)
        if name.hasPrefix("user."), volume[number].kind == .other { throw Failure(EPERM) }
        volume[number].attributes[name] = value
        volume.touch(number)
        volume.note(.attribute(number, name, value))
    }

    /// Every attribute stands in a name space.
    private func check(attribute name: String) throws(Failure) {
        if name.isEmpty || name.utf8.count > 255 { throw Failure(ERANGE) }
        if !["user.", "trusted.", "security.", "system."].contains(where: { name.hasPrefix($0) }) {
            throw Failure(EOPNOTSUPP)
        }
    }
}
