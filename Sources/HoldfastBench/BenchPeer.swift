// SPDX-License-Identifier: Apache-2.0
//
// The other processes of a benchmark: this program again, told by a byte on standard input what to do, answering with numbers
// on standard output. One ends when its standard input does, so none outlives the benchmark.

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif
public import Holdfast

/// What takes a lock.
public enum LockImplementation: String {
    /// A ``LockFile``.
    case holdfast
    /// The floor: a blocking flock(2).
    case kernel
    /// A ``SharedMemoryMutex``.
    case mutex
    /// A robust pthread mutex that processes share.
    case pthread
    /// A bare futex, of which the first process passes the turn to the second.
    case futex
}

/// This program as the other process of a benchmark.
public enum BenchPeer {
    /// The first argument of a program that shall be one.
    public static let command = "bench-peer"

    enum Role: String {
        /// For each byte: waits for the lock, releases it, and answers.
        case waiter
        /// Takes the lock, answers, and keeps it until it is killed.
        case holder
        /// For each byte: contends for the lock, as ``Contention`` says, and answers what it got.
        case contender
    }

    /// Does what a benchmark started it for.
    ///
    /// - Parameter arguments: Those after ``command``.
    /// - Throws: What it met.
    public static func run(_ arguments: [String]) throws {
        guard arguments.count == 3, let role = Role(rawValue: arguments[0]),
            let implementation = LockImplementation(rawValue: arguments[1])
        else { throw BenchError("only a benchmark knows what to say to '\(command)'") }
        let path = arguments[2]
        let lock = try BenchLock(implementation, path)
        switch role {
        case .contender:
            let counter = try BenchLock.counter(beside: path)
            var request = Contention.Request()
            while unsafe withUnsafeMutableBytes(of: &request, { unsafe read(0, $0.baseAddress, $0.count) == $0.count })
            {
                let got = try Contention.run(request, lock, counter)
                try answer(got.total, got.least, got.most, got.longestWait)
            }
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

    private static func readByte() -> Bool {
        var byte: UInt8 = 0
        return unsafe read(0, &byte, 1) == 1
    }

    private static func answer(_ numbers: UInt64...) throws {
        // As short as this it goes into a pipe whole.
        let isWritten = unsafe numbers.withUnsafeBytes { unsafe write(1, $0.baseAddress, $0.count) == $0.count }
        if !isWritten { throw SystemError(call: "write", code: errno) }
    }
}

/// A lock of one of the kinds.
public struct BenchLock: Sendable {
    private enum Kind {
        case file(LockFile)
        case kernel
        case mutex(SharedMemoryMutex)
        case pthread(FloorPage)
        case futex(FloorPage)
    }

    private let kind: Kind
    private let directory: OpenDirectory
    private let name: FileName
    var path: String { directory.path(of: name) }

    /// Opens the lock, made if it is not there.
    public init(_ implementation: LockImplementation, _ path: String) throws {
        (directory, name) = try OpenDirectory.resolve(path)
        kind =
            switch implementation {
            case .holdfast: .file(try LockFile(name, in: directory))
            case .kernel: .kernel
            case .mutex: .mutex(try MutexArena(name, in: directory, count: 1)[0])
            case .pthread: .pthread(try FloorPage(path))
            case .futex: .futex(try FloorPage(path))
            }
    }

    /// What a lock guards that is contended for.
    static func counter(beside path: String) throws -> FloorPage {
        try FloorPage("\(path).counter")
    }

    /// A held lock of one of the kinds.
    public enum Held: ~Copyable {
        /// Of a ``LockFile``.
        case file(HeldLock)
        /// The descriptor, whose close(2) is the release.
        case kernel(Int32)
        /// Of a ``SharedMemoryMutex``.
        case mutex(HeldMutex)
        /// The page of the mutex.
        case pthread(FloorPage)
        /// The page of the futex whose turn is passed by the release.
        case turn(FloorPage)
        /// The turn was passed back at once.
        case nothing

        /// Releases it.
        public consuming func release() throws {
            switch consume self {
            case .file(let lock): try lock.release()
            case .kernel(let descriptor): close(descriptor)
            case .mutex(let lock): try lock.release()
            case .pthread(let page): try page.unlock()
            case .turn(let page): page.pass(mine: 0, yours: 1)
            case .nothing: break
            }
        }
    }

    /// Waits until it is granted.
    public func wait() throws -> Held {
        switch kind {
        case .file(let file): return .file(try file.lock())
        case .kernel: return .kernel(try Floors.waitForLock(directory, name.description))
        case .mutex(let mutex): return .mutex(try mutex.lock())
        case .pthread(let page):
            try page.lock()
            return .pthread(page)
        case .futex(let page):
            page.pass(mine: 1, yours: 0)
            return .nothing
        }
    }

    /// The same for the process that has the first turn.
    func hold() throws -> Held {
        if case .futex(let page) = kind { return .turn(page) }
        return try wait()
    }

    /// Waits, does the body, releases: as its users would.
    public func withLock(_ body: () -> Void) throws {
        switch kind {
        case .mutex(let mutex): try mutex.withLock { _ in body() }
        case .pthread(let page):
            try page.lock()
            body()
            try page.unlock()
        default:
            let held = try wait()
            body()
            try held.release()
        }
    }
}
