// SPDX-License-Identifier: Apache-2.0
//
// The calls of the seam that work on an open file: transferring, flushing, describing, locking.

package import Holdfast
internal import _HoldfastCShims

extension SimulatedFileSystem {
    package func close(_ descriptor: Int32) throws(SystemError) {
        try perform(Call("close", descriptor)) { state throws(Failure) in state.close(descriptor) }
    }

    package func status(_ descriptor: Int32) throws(SystemError) -> FileStatus {
        try perform(Call("fstat", descriptor)) { state throws(Failure) in
            state.volume.status(state.inode(descriptor))
        }
    }

    package func read(
        _ descriptor: Int32,
        into first: UnsafeMutableRawBufferPointer,
        _ second: UnsafeMutableRawBufferPointer,
        at offset: Int64
    ) throws(SystemError) -> Int {
        let total = first.count + second.count
        let call = Call("preadv", descriptor, details: ["[\(first.count), \(second.count)]", "\(offset)"])
        let bytes = try perform(call) { state throws(Failure) in
            try state.read(descriptor, total, at: offset)
        }
        unsafe first.copyBytes(from: bytes.prefix(first.count))
        unsafe second.copyBytes(from: bytes.dropFirst(first.count))
        return bytes.count
    }

    package func write(
        _ descriptor: Int32,
        _ first: UnsafeRawBufferPointer,
        _ second: UnsafeRawBufferPointer,
        at offset: Int64
    ) throws(SystemError) -> Int {
        let bytes = unsafe Array(first) + Array(second)
        let call = Call("pwritev", descriptor, details: ["[\(first.count), \(second.count)]", "\(offset)"])
        return try perform(call) { state throws(Failure) in
            try state.write(descriptor, bytes, at: offset)
        }
    }

    package func truncate(_ descriptor: Int32, to size: Int64) throws(SystemError) {
        try perform(Call("ftruncate", descriptor, details: ["\(size)"])) { state throws(Failure) in
            try state.truncate(descriptor, to: size)
        }
    }

    package func sync(_ descriptor: Int32, _ kind: SyncKind) throws(SystemError) {
        let function =
            switch kind {
            case .full, .barrier: "fsync"
            case .data: "fdatasync"
            }
        try perform(Call(function, descriptor)) { state throws(Failure) in
            let number = state.inode(descriptor)
            if state.volume[number].kind == .other { throw Failure(EINVAL) }
            state.flushed(number, kind)
        }
    }

    package func setOwner(_ descriptor: Int32, owner: UInt32, group: UInt32) throws(SystemError) {
        try perform(Call("fchown", descriptor, details: ["\(owner)", "\(group)"])) { state throws(Failure) in
            state.setOwner(descriptor, owner: owner, group: group)
        }
    }

    package func setPermissions(_ descriptor: Int32, _ permissions: UInt32) throws(SystemError) {
        try perform(Call("fchmod", descriptor, details: [octal(permissions)])) { state throws(Failure) in
            let number = state.inode(descriptor)
            state.volume[number].permissions = permissions & 0o7777
            state.volume.touchOwner(number)
        }
    }

    package func attributeNames(_ descriptor: Int32) throws(SystemError) -> [String] {
        try perform(Call("flistxattr", descriptor)) { state throws(Failure) in
            state.volume[state.inode(descriptor)].attributes.keys.sorted()
        }
    }

    package func attribute(_ name: String, of descriptor: Int32) throws(SystemError) -> [UInt8] {
        try perform(Call("fgetxattr", descriptor, name: name)) { state throws(Failure) in
            try state.attribute(name, of: descriptor)
        }
    }

    package func setAttribute(_ name: String, of descriptor: Int32, to value: [UInt8]) throws(SystemError) {
        let call = Call("fsetxattr", descriptor, name: name, details: ["[\(value.count)]"])
        try perform(call) { state throws(Failure) in
            try state.setAttribute(name, of: descriptor, to: value)
        }
    }

    package func tryLock(_ descriptor: Int32, _ kind: LockFamily, exclusive: Bool) throws(SystemError) -> Bool {
        let call =
            switch kind {
            case .flock: Call("flock", descriptor, flags: [exclusive ? "LOCK_EX" : "LOCK_SH", "LOCK_NB"])
            case .openFileDescription:
                Call("fcntl", descriptor, flags: ["F_OFD_SETLK", exclusive ? "F_WRLCK" : "F_RDLCK"])
            }
        do {
            try perform(call) { state throws(Failure) in
                try state.lock(descriptor, kind, exclusive ? .exclusive : .shared)
            }
            return true
        } catch  where error.code == EWOULDBLOCK || (error.code == EACCES && kind == .openFileDescription) {
            return false
        }
    }

    package func unlock(_ descriptor: Int32, _ kind: LockFamily) throws(SystemError) {
        let call =
            switch kind {
            case .flock: Call("flock", descriptor, flags: ["LOCK_UN"])
            case .openFileDescription: Call("fcntl", descriptor, flags: ["F_OFD_SETLK", "F_UNLCK"])
            }
        try perform(call) { state throws(Failure) in
            precondition(state.open[descriptor] != nil, "descriptor \(descriptor) is not open")
            switch kind {
            case .flock: state.open[descriptor]?.flock = nil
            case .openFileDescription: state.open[descriptor]?.setRange(wholeFile, nil)
            }
        }
    }

    package func tryLock(
        _ descriptor: Int32,
        _ range: Range<Int64>,
        exclusive: Bool
    ) throws(SystemError) -> Bool {
        let flags = ["F_OFD_SETLK", exclusive ? "F_WRLCK" : "F_RDLCK"]
        do {
            try perform(Call("fcntl", descriptor, flags: flags, details: ["\(range)"])) { state throws(Failure) in
                try state.lock(descriptor, range, exclusive ? .exclusive : .shared)
            }
            return true
        } catch  where error.isAny(of: EWOULDBLOCK, EACCES) {
            return false
        }
    }

    package func unlock(_ descriptor: Int32, _ range: Range<Int64>) throws(SystemError) {
        let call = Call("fcntl", descriptor, flags: ["F_OFD_SETLK", "F_UNLCK"], details: ["\(range)"])
        try perform(call) { state throws(Failure) in
            precondition(state.open[descriptor] != nil, "descriptor \(descriptor) is not open")
            state.open[descriptor]?.setRange(range, nil)
        }
    }

    package func isLocked(_ descriptor: Int32, _ range: Range<Int64>) throws(SystemError) -> Bool {
        let call = Call("fcntl", descriptor, flags: ["F_OFD_GETLK", "F_WRLCK"], details: ["\(range)"])
        return try perform(call) { state throws(Failure) in state.open.isBusy(descriptor, range, .exclusive) }
    }

    /// This process, if any descriptor has the file flocked: the table does not know simulated processes.
    ///
    /// It is no system call, and not recorded.
    package func lockHolder(of file: FileIdentity) -> Int32? {
        withState { state in
            let isHeld = state.open.values.contains { $0.inode == file.inode && $0.flock != nil }
            return isHeld ? getpid() : nil
        }
    }

    package func allocate(_ descriptor: Int32, length: Int64) throws(SystemError) {
        try perform(Call("fallocate", descriptor, details: ["\(length)"])) { state throws(Failure) in
            try state.allocate(descriptor, length)
        }
    }

    package func map(
        _ descriptor: Int32,
        length: Int,
        isWritable: Bool
    ) throws(SystemError) -> UnsafeMutableRawPointer {
        let flags = isWritable ? ["PROT_READ", "PROT_WRITE", "MAP_SHARED"] : ["PROT_READ", "MAP_SHARED"]
        let call = Call("mmap", descriptor, flags: flags, details: ["\(length)"])
        let address = try perform(call) { state throws(Failure) in
            try state.checkMapping(descriptor, length, isWritable: isWritable)
            return state.map(descriptor, length: length)
        }
        guard let pointer = unsafe UnsafeMutableRawPointer(bitPattern: address) else { preconditionFailure() }
        return unsafe pointer
    }

    /// The same for a process that has the memory itself: which file it has mapped.
    func noteMapping(_ descriptor: Int32, _ length: Int, isWritable: Bool) throws(SystemError) -> UInt64 {
        try perform(Call("mmap", descriptor)) { state throws(Failure) in
            try state.checkMapping(descriptor, length, isWritable: isWritable)
            let number = state.inode(descriptor)
            state.volume[number].isMapped = true
            return number
        }
    }

    /// Not recorded as a call: no failure could befall it.
    package func unmap(_ address: UnsafeMutableRawPointer, length: Int) {
        let address = UInt(bitPattern: address)
        withState { $0.unmap(address) }
    }

    /// As if each look came 10 ms after the last one.
    ///
    /// It is no system call, and not recorded.
    package func monotonicTime() -> Int64 {
        withState { state in
            state.time += 10_000_000
            return state.time
        }
    }

    package var simulatedBootID: String? {
        withState { state in
            let number = String(state.volume.boot)
            return "00000000-0000-0000-0000-" + String(repeating: "0", count: 12 - number.count) + number
        }
    }

    /// None that the simulation does not know of.
    package var hasOtherProcesses: Bool { false }

    package func isShared(_ descriptor: Int32) throws(SystemError) -> Bool {
        try perform(Call("fstatfs", descriptor)) { state throws(Failure) in state.isShared }
    }
}
