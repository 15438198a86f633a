// SPDX-License-Identifier: Apache-2.0
//
// Mutexes in shared memory: taking a free one, and contending for one.

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif
internal import Holdfast
internal import _HoldfastFloors

/// Taking and releasing a mutex that nobody else wants, with its token.
enum MutexRows {
    /// Beside what no mutex can do without.
    static func besideExchange(_ bench: Bench) throws -> BenchRow {
        let page = try FloorPage("\(bench.ground.path)/exchange.page")
        return try uncontended(
            "mutex.uncontended",
            bench,
            count: 50_000,
            goal: .ratio(1.35),
            floor: Contestant("compare-and-exchange, exchange in C") { page.exchange($0) }
        )
    }

    /// Beside a robust pthread mutex.
    static func besidePthread(_ bench: Bench) throws -> BenchRow {
        let page = try FloorPage("\(bench.ground.path)/pthread.page")
        return try uncontended(
            "mutex.uncontended.pthread",
            bench,
            count: 50_000,
            floor: Contestant("robust pthread mutex, shared by processes") { try page.lockAndUnlock($0) }
        )
    }

    /// Beside flock(2).
    static func besideFlock(_ bench: Bench) throws -> BenchRow {
        let descriptor = try Floors.waitForLock(bench.ground.directory, "floor.lock")
        defer { close(descriptor) }
        return try uncontended(
            "mutex.uncontended.flock",
            bench,
            count: 5000,
            goal: .ratio(0.025),
            floor: Contestant("flock, unlock of an open file") { try Floors.relock(descriptor, $0) }
        )
    }

    private static func uncontended(
        _ work: String,
        _ bench: Bench,
        count: Int,
        goal: Goal? = nil,
        floor: Contestant
    ) throws -> BenchRow {
        let mutex = try MutexArena("\(bench.ground.path)/uncontended.arena", count: 1)[0]
        var newest = MutexToken(0)
        return try bench.row(
            work,
            seconds: 1,
            count: count,
            goal: goal,
            subject: Contestant("Holdfast") { count in
                // A variable of its own stays in a register: the floor writes nothing else to memory either.
                var last = newest
                for _ in 0..<count { try mutex.withLock { last = $0.token } }
                newest = last
            },
            floor: floor
        )
    }
}

/// A page that the floors of a mutex share.
@safe
public final class FloorPage: Sendable {
    nonisolated(unsafe) private let page: OpaquePointer

    /// Maps a file, made if it is not there.
    public init(_ path: String) throws {
        let (directory, name) = try OpenDirectory.resolve(path)
        guard let page = unsafe hf_floor_map(directory.descriptor.rawValue, name.description) else {
            throw SystemError(call: "mmap", code: errno)
        }
        unsafe self.page = unsafe page
    }

    deinit { unsafe hf_floor_unmap(page) }

    /// A compare-and-exchange and an exchange.
    public func exchange(_ count: Int) { unsafe hf_floor_exchange(page, count) }

    /// Takes and releases a robust pthread mutex.
    public func lockAndUnlock(_ count: Int) throws { try check(unsafe hf_floor_mutex(page, count)) }

    /// Takes it.
    public func lock() throws { try check(unsafe hf_floor_mutex_lock(page)) }

    /// Releases it.
    public func unlock() throws { try check(unsafe hf_floor_mutex_unlock(page)) }

    /// Counts up what a mutex guards.
    @discardableResult
    func count() -> UInt64 { unsafe hf_floor_count(page) }

    func pass(mine: UInt32, yours: UInt32) { unsafe hf_floor_pass(page, mine, yours) }

    private func check(_ error: Int32) throws {
        if error != 0 { throw SystemError(call: "pthread_mutex_lock", code: error) }
    }
}
