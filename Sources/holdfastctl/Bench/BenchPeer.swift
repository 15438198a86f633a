// SPDX-License-Identifier: Apache-2.0
//
// The other processes of `bench`: this program again, told by a byte on standard input what to do, answering with numbers
// on standard output. One ends when its standard input does, so none outlives the benchmark.

internal import ArgumentParser
#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif
internal import Holdfast
internal import _HoldfastFloors

/// What takes the lock in a peer.
enum LockImplementation: String, ExpressibleByArgument, CaseIterable {
    case holdfast
    /// The floor: a blocking flock(2).
    case kernel
}

struct BenchPeer: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench-peer",
        abstract: "What bench starts; not for use.",
        discussion: "Examples: none, because only bench knows what to say to it.",
        shouldDisplay: false
    )

    enum Role: String, ExpressibleByArgument {
        /// For each byte: waits for the lock, releases it, and answers.
        case waiter
        /// Takes the lock, answers, and keeps it until it is killed.
        case holder
    }

    @Argument var role: Role
    @Argument var implementation: LockImplementation
    @Argument var path: String

    func run() throws {
        let lock = try BenchLock(implementation, path)
        switch role {
        case .waiter:
            while readByte() {
                let before = Clock.processorTime
                let held = try lock.wait()
                let granted = Clock.now
                let used = Clock.processorTime - before
                try held.release()
                try answer(granted, used)
            }
        case .holder:
            let held = try lock.wait()
            try answer(Clock.now, 0)
            while readByte() {}
            try held.release()
        }
    }

    private func readByte() -> Bool {
        var byte: UInt8 = 0
        return unsafe read(0, &byte, 1) == 1
    }

    private func answer(_ granted: UInt64, _ processorTime: UInt64) throws {
        try StandardStreams.write(unsafe [granted, processorTime].withUnsafeBytes { unsafe Array($0) })
    }
}

/// A lock of either kind.
struct BenchLock {
    private let file: LockFile?
    private let directory: Directory
    private let name: FileName

    init(_ implementation: LockImplementation, _ path: String) throws {
        (directory, name) = try Directory.resolve(path)
        file = implementation == .holdfast ? try LockFile(name, in: directory) : nil
    }

    /// A held lock of either kind.
    struct Held: ~Copyable {
        fileprivate var lock: FileLock?
        fileprivate let descriptor: Int32

        consuming func release() throws {
            if let lock = lock.take() { try lock.release() } else { close(descriptor) }
        }
    }

    /// Waits until it is granted.
    func wait() throws -> Held {
        if let file { return Held(lock: try file.lock(), descriptor: -1) }
        let descriptor = unsafe hf_floor_wait_for_lock(directory.descriptor.rawValue, name.description)
        try checkFloor("flock", descriptor)
        return Held(lock: nil, descriptor: descriptor)
    }
}
