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
    static func besideExchange(_ ground: BenchGround, _ effort: Effort) throws -> BenchRow {
        let page = try FloorPage("exchange.page", in: ground)
        let measured = try uncontended(ground, effort, count: 50_000) { page.exchange($0) }
        let floor = "compare-and-exchange, exchange in C"
        return BenchRow("mutex.uncontended", measured, floor: floor, goal: .ratio(1.35))
    }

    static func besidePthread(_ ground: BenchGround, _ effort: Effort) throws -> BenchRow {
        let page = try FloorPage("pthread.page", in: ground)
        let measured = try uncontended(ground, effort, count: 50_000) { try page.lockAndUnlock($0) }
        return BenchRow("mutex.uncontended.pthread", measured, floor: "robust pthread mutex, shared by processes")
    }

    static func besideFlock(_ ground: BenchGround, _ effort: Effort) throws -> BenchRow {
        let descriptor = unsafe hf_floor_wait_for_lock(ground.directory.descriptor.rawValue, "floor.lock")
        try checkFloor("flock", descriptor)
        defer { close(descriptor) }
        let measured = try uncontended(ground, effort, count: 5000) {
            try checkFloor("flock", hf_floor_flock(descriptor, $0))
        }
        let floor = "flock, unlock of an open file"
        return BenchRow("mutex.uncontended.flock", measured, floor: floor, goal: .ratio(0.025))
    }

    private static func uncontended(
        _ ground: BenchGround,
        _ effort: Effort,
        count: Int,
        floor: (Int) throws -> Void
    ) throws -> Comparison {
        let mutex = try MutexArena("\(ground.path)/uncontended.arena", count: 1)[0]
        var newest = FencingToken(0)
        return try Harness(effort, seconds: 1).compare(
            rounds: 2000,
            count: count,
            subject: { count in
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
final class FloorPage: Sendable {
    nonisolated(unsafe) private let page: OpaquePointer

    init(_ name: FileName, in directory: Directory) throws {
        guard let page = unsafe hf_floor_map(directory.descriptor.rawValue, name.description) else {
            throw SystemError(call: "mmap", code: errno)
        }
        unsafe self.page = unsafe page
    }

    convenience init(_ name: String, in ground: BenchGround) throws {
        guard let name = FileName(name) else { throw SystemError(call: "openat", code: EINVAL) }
        try self.init(name, in: ground.directory)
    }

    deinit { unsafe hf_floor_unmap(page) }

    func exchange(_ count: Int) { unsafe hf_floor_exchange(page, count) }

    func lockAndUnlock(_ count: Int) throws { try check(unsafe hf_floor_mutex(page, count)) }

    func lock() throws { try check(unsafe hf_floor_mutex_lock(page)) }

    func unlock() throws { try check(unsafe hf_floor_mutex_unlock(page)) }

    /// Counts up what a mutex guards.
    @discardableResult
    func count() -> UInt64 { unsafe hf_floor_count(page) }

    func pass(mine: UInt32, yours: UInt32) { unsafe hf_floor_pass(page, mine, yours) }

    private func check(_ error: Int32) throws {
        if error != 0 { throw SystemError(call: "pthread_mutex_lock", code: error) }
    }
}
