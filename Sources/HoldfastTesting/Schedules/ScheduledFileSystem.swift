// SPDX-License-Identifier: Apache-2.0
//
// The file system that one process of a schedule sees: a record of answers. A process whose calls are all answered up to
// some point, and that asks for one more, is ended there; that call is what it does next. So a process can be brought to any
// point of its life again, and many processes be interleaved, without a thread for each.

package import Holdfast
internal import Synchronization
internal import _HoldfastCShims

/// A call that a process is about to make.
struct PendingCall: Sendable {
    /// As strace(1) would show it.
    let words: String
    /// Makes it; gives the answer, or throws a `SystemError`.
    let perform: @Sendable (SimulatedFileSystem) throws -> any Sendable
    /// What it works on is this process's alone: it makes no difference to others when it is made.
    var isPrivate = false
    /// It is never made.
    var isLast = false
    /// The lock that it takes, if who finds it taken only tries again.
    var awaitedLock: AwaitedLock?
}

/// A lock that a process asks for until it gets it.
struct AwaitedLock: Sendable {
    let descriptor: Int32
    /// Nil if it is a flock(2) of the whole file.
    let range: Range<Int64>?
}

/// What a call came to.
enum CallAnswer: Sendable {
    case value(any Sendable)
    case failure(SystemError)

    var words: String {
        switch self {
        case .failure(let error): return "-1 \(errnoName(error.code))"
        case .value(let value):
            if let status = value as? FileStatus { return "inode \(status.identity.inode), \(status.size) bytes" }
            if let identity = value as? FileIdentity { return "inode \(identity.inode)" }
            if let bytes = value as? [UInt8] { return "\(bytes.count) bytes" }
            return value is () ? "0" : "\(value)"
        }
    }
}

/// An answer, and the bytes of mapped files when it was given.
///
/// What a process does in memory between two calls is one step with the first of them.
struct ScheduledAnswer: Sendable {
    let answer: CallAnswer
    let memory: [UInt64: [UInt8]]
}

/// Answers a process from a record, and ends it behind the last answer.
package final class ScheduledFileSystem: FileSystem {
    private struct State {
        var answers: ArraySlice<ScheduledAnswer>
        var pending: PendingCall?
        /// The bytes of mapped files at the last answer, and this process's own memory of those that it has mapped.
        var seen: [UInt64: [UInt8]] = [:]
        var memories: [UInt64: MappedMemory] = [:]
        var stores: [UInt64: [StoredWord]] = [:]
        var time: Int64 = 0
        var names: [String: String] = [:]
        var unnamed: Set<Int32> = []

        /// Gives the process the memory of the moment of an answer; its own stores until then are in it.
        mutating func show(_ memory: [UInt64: [UInt8]]) {
            seen = memory
            for (number, own) in memories {
                if let bytes = memory[number] { own.show(bytes, 0..<bytes.count) }
            }
        }

        var newStores: [UInt64: [StoredWord]] {
            memories.reduce(into: [:]) { stores, memory in
                stores[memory.key] = seen[memory.key].map { memory.value.stores(over: $0) }
            }
        }
    }

    private let number: Int
    private let isShared: Bool
    private let bootID: String?
    private let state: Mutex<State>

    /// The descriptor on which every process has the root directory open.
    static func root(of process: Int) -> Int32 { Int32(process + 1) * 100_000 }

    init(process: Int, answers: [ScheduledAnswer], isShared: Bool, bootID: String?) {
        number = process
        self.bootID = bootID
        self.isShared = isShared
        state = Mutex(State(answers: answers[...]))
    }

    /// The call that has no answer; nil if there was none.
    var pending: PendingCall? { state.withLock { $0.pending } }

    /// Answers a call.
    private func ask<Answer: Sendable>(
        _ words: String,
        isPrivate: Bool = false,
        isLast: Bool = false,
        awaitedLock: AwaitedLock? = nil,
        _ perform: @escaping @Sendable (SimulatedFileSystem) throws(SystemError) -> Answer
    ) throws(SystemError) -> Answer {
        let answer = state.withLock { state -> CallAnswer in
            if state.pending == nil {
                if let answer = state.answers.popFirst() {
                    state.show(answer.memory)
                    return answer.answer
                }
                state.stores = state.newStores
                state.pending = PendingCall(
                    words: words,
                    perform: { try perform($0) },
                    isPrivate: isPrivate,
                    isLast: isLast,
                    awaitedLock: awaitedLock
                )
            }
            // An errno that nobody expects: the process gives up, and whatever it asks for meanwhile fails too.
            return .failure(SystemError(call: "end", code: 9999))
        }
        switch answer {
        case .failure(let error): throw error
        case .value(let value):
            guard let value = value as? Answer else { preconditionFailure("\(words) had another answer before") }
            return value
        }
    }

    /// What the process has stored since its last answer, by the file.
    var stores: [UInt64: [StoredWord]] {
        state.withLock { $0.pending == nil ? $0.newStores : $0.stores }
    }

    /// A moment at which others may act, without a call.
    func pause(forEver isLast: Bool = false) {
        try? ask("does its work", isLast: isLast) { _ in }
    }

    /// Names with a number that no other has get one that tells only whose it is, so that equal states are equal.
    private func stable(_ name: String) -> String {
        let pieces = name.split(separator: ".", omittingEmptySubsequences: false)
        guard pieces.count > 2, pieces[pieces.count - 2].utf8.count == 16 else { return name }
        let digits = String(pieces[pieces.count - 2])
        if digits.hasPrefix("000000000000") { return name }
        return state.withLock { state in
            if let known = state.names[digits] { return name.replacing(digits, with: known) }
            let stable = hexadecimal(UInt64(number * 256 + state.names.count))
            state.names[digits] = stable
            return name.replacing(digits, with: stable)
        }
    }

    private func isUnnamed(_ descriptor: Int32) -> Bool {
        state.withLock { $0.unnamed.contains(descriptor) }
    }

    private var root: Int32 { Self.root(of: number) }
}

/// What does not depend on anybody is answered at once.
extension ScheduledFileSystem {
    package func openDirectory(path: String) throws(SystemError) -> Int32 { root }

    package func status(_ descriptor: Int32) throws(SystemError) -> FileStatus {
        if descriptor == root { return Volume().status(Volume.root) }
        // Which file it is, nobody changes; how long it is and how many names it has, nobody may ask.
        return try ask("fstat(\(descriptor))", isPrivate: true) { system throws(SystemError) in
            var status = try system.status(descriptor)
            // But an arena has its length, a page and more, before it has its name.
            if status.size < Int64(Volume.pageSize) { status.size = 0 }
            status.links = 0
            return status
        }
    }

    package func isShared(_ descriptor: Int32) throws(SystemError) -> Bool { isShared }

    /// Without a crash it changes nothing.
    package func sync(_ descriptor: Int32, _ kind: SyncKind) throws(SystemError) {}

    package func close(_ descriptor: Int32) throws(SystemError) {
        if descriptor == root { return }
        try ask("close(\(descriptor))") { system throws(SystemError) in try system.close(descriptor) }
    }
}

extension ScheduledFileSystem {
    package func openDirectory(_ name: String, in directory: Int32, followingLink: Bool) throws(SystemError) -> Int32 {
        try ask("openat(\"\(name)\", O_DIRECTORY)") { system throws(SystemError) in
            try system.openDirectory(name, in: directory, followingLink: followingLink)
        }
    }

    package func open(_ name: String, in directory: Int32, _ mode: OpenMode) throws(SystemError) -> Int32 {
        let name = stable(name)
        return try ask("openat(\"\(name)\", \(mode))") { system throws(SystemError) in
            try system.open(name, in: directory, mode)
        }
    }

    package func openUnnamed(in directory: Int32, permissions: UInt32) throws(SystemError) -> Int32 {
        let descriptor = try ask("openat(O_TMPFILE)") { system throws(SystemError) in
            try system.openUnnamed(in: directory, permissions: permissions)
        }
        state.withLock { _ = $0.unnamed.insert(descriptor) }
        return descriptor
    }

    package func status(of name: String, in directory: Int32) throws(SystemError) -> FileStatus {
        let name = stable(name)
        return try ask("fstatat(\"\(name)\")") { system throws(SystemError) in
            try system.status(of: name, in: directory)
        }
    }

    /// No other process of a schedule closes a descriptor of this one.
    package func isOpen(_ descriptor: Int32, on file: FileIdentity) -> Bool { true }

    package func identity(of name: String, in directory: Int32) throws(SystemError) -> FileIdentity {
        let name = stable(name)
        return try ask("statx(\"\(name)\")") { system throws(SystemError) in
            try system.identity(of: name, in: directory)
        }
    }

    package func read(
        _ descriptor: Int32,
        into first: UnsafeMutableRawBufferPointer,
        _ second: UnsafeMutableRawBufferPointer,
        at offset: Int64
    ) throws(SystemError) -> Int {
        let count = first.count + second.count
        let bytes = try ask("pread(\(descriptor), \(count), \(offset))") { system throws(SystemError) in
            try system.posix.pread(descriptor, count: count, at: offset)
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
        let words = "pwrite(\(descriptor), [\(bytes.count)], \(offset))"
        return try ask(words, isPrivate: isUnnamed(descriptor)) { system throws(SystemError) in
            try system.posix.pwrite(descriptor, bytes, at: offset)
        }
    }

    package func truncate(_ descriptor: Int32, to size: Int64) throws(SystemError) {
        try ask("ftruncate(\(descriptor), \(size))") { system throws(SystemError) in
            try system.truncate(descriptor, to: size)
        }
    }

    package func rename(
        _ name: String,
        to newName: String,
        in directory: Int32,
        replacing: Bool
    ) throws(SystemError) {
        let (name, newName) = (stable(name), stable(newName))
        try ask("rename(\"\(name)\", \"\(newName)\"\(replacing ? "" : ", RENAME_NOREPLACE"))") {
            system throws(SystemError) in
            try system.rename(name, to: newName, in: directory, replacing: replacing)
        }
    }

    package func link(_ name: String, to newName: String, in directory: Int32) throws(SystemError) {
        let (name, newName) = (stable(name), stable(newName))
        try ask("link(\"\(name)\", \"\(newName)\")") { system throws(SystemError) in
            try system.link(name, to: newName, in: directory)
        }
    }

    package func link(unnamed descriptor: Int32, to name: String, in directory: Int32) throws(SystemError) {
        let name = stable(name)
        try ask("linkat(\(descriptor), \"\(name)\")") { system throws(SystemError) in
            try system.link(unnamed: descriptor, to: name, in: directory)
        }
        state.withLock { _ = $0.unnamed.remove(descriptor) }
    }

    package func unlink(_ name: String, in directory: Int32) throws(SystemError) {
        let name = stable(name)
        try ask("unlink(\"\(name)\")") { system throws(SystemError) in try system.unlink(name, in: directory) }
    }

    package func makeDirectory(_ name: String, in directory: Int32, permissions: UInt32) throws(SystemError) {
        try ask("mkdir(\"\(name)\")") { system throws(SystemError) in
            try system.makeDirectory(name, in: directory, permissions: permissions)
        }
    }

    package func names(in directory: Int32) throws(SystemError) -> [String] {
        try ask("readdir()") { system throws(SystemError) in try system.names(in: directory) }
    }

    package func setOwner(_ descriptor: Int32, owner: UInt32, group: UInt32) throws(SystemError) {
        try ask("fchown(\(descriptor))") { system throws(SystemError) in
            try system.setOwner(descriptor, owner: owner, group: group)
        }
    }

    package func setPermissions(_ descriptor: Int32, _ permissions: UInt32) throws(SystemError) {
        try ask("fchmod(\(descriptor))") { system throws(SystemError) in
            try system.setPermissions(descriptor, permissions)
        }
    }

    package func attributeNames(_ descriptor: Int32) throws(SystemError) -> [String] {
        try ask("flistxattr(\(descriptor))") { system throws(SystemError) in try system.attributeNames(descriptor) }
    }

    package func attribute(_ name: String, of descriptor: Int32) throws(SystemError) -> [UInt8] {
        try ask("fgetxattr(\(descriptor), \"\(name)\")") { system throws(SystemError) in
            try system.attribute(name, of: descriptor)
        }
    }

    package func setAttribute(_ name: String, of descriptor: Int32, to value: [UInt8]) throws(SystemError) {
        try ask("fsetxattr(\(descriptor), \"\(name)\")") { system throws(SystemError) in
            try system.setAttribute(name, of: descriptor, to: value)
        }
    }

    package func tryLock(_ descriptor: Int32, _ kind: LockFamily, exclusive: Bool) throws(SystemError) -> Bool {
        let words = "\(kind == .flock ? "flock" : "fcntl")(\(descriptor), \(exclusive ? "exclusive" : "shared"))"
        let awaited = kind == .flock ? AwaitedLock(descriptor: descriptor, range: nil) : nil
        return try ask(words, isPrivate: isUnnamed(descriptor), awaitedLock: awaited) {
            system throws(SystemError) in
            try system.tryLock(descriptor, kind, exclusive: exclusive)
        }
    }

    package func unlock(_ descriptor: Int32, _ kind: LockFamily) throws(SystemError) {
        try ask("\(kind == .flock ? "flock" : "fcntl")(\(descriptor), unlock)") { system throws(SystemError) in
            try system.unlock(descriptor, kind)
        }
    }

    package func tryLock(
        _ descriptor: Int32,
        _ range: Range<Int64>,
        exclusive: Bool
    ) throws(SystemError) -> Bool {
        let words = "fcntl(\(descriptor), \(exclusive ? "exclusive" : "shared"), \(range))"
        // A process that finds the first byte of an arena locked does nothing but try again.
        let awaited = range == 0..<1 && exclusive ? AwaitedLock(descriptor: descriptor, range: range) : nil
        return try ask(words, isPrivate: isUnnamed(descriptor), awaitedLock: awaited) { system throws(SystemError) in
            try system.tryLock(descriptor, range, exclusive: exclusive)
        }
    }

    package func unlock(_ descriptor: Int32, _ range: Range<Int64>) throws(SystemError) {
        try ask("fcntl(\(descriptor), unlock, \(range))") { system throws(SystemError) in
            try system.unlock(descriptor, range)
        }
    }

    package func isLocked(_ descriptor: Int32, _ range: Range<Int64>) throws(SystemError) -> Bool {
        try ask("fcntl(\(descriptor), F_OFD_GETLK, \(range))") { system throws(SystemError) in
            try system.isLocked(descriptor, range)
        }
    }

    package func allocate(_ descriptor: Int32, length: Int64) throws(SystemError) {
        try ask("fallocate(\(descriptor), \(length))") { system throws(SystemError) in
            try system.allocate(descriptor, length: length)
        }
    }

    /// The process gets memory of its own, which is made to hold at each answer what all have stored until then.
    package func map(
        _ descriptor: Int32,
        length: Int,
        isWritable: Bool
    ) throws(SystemError) -> UnsafeMutableRawPointer {
        let number = try ask("mmap(\(descriptor), \(length))") { system throws(SystemError) in
            try system.noteMapping(descriptor, length, isWritable: isWritable)
        }
        let memory = state.withLock { state in
            let memory = state.memories[number] ?? MappedMemory(state.seen[number] ?? [], length: length)
            state.memories[number] = memory
            return memory
        }
        return unsafe memory.base
    }

    /// What it stored last counts still; the memory goes with the process.
    package func unmap(_ address: UnsafeMutableRawPointer, length: Int) {}

    package func monotonicTime() -> Int64 {
        state.withLock { state in
            state.time += 10_000_000
            return state.time
        }
    }

    package var simulatedBootID: String? { bootID }
    package var hasOtherProcesses: Bool { false }
}
