// SPDX-License-Identifier: Apache-2.0
//
// One word of the page that all processes of a run map.

internal import Synchronization

/// A 64-bit word in shared memory.
///
/// Every access is sequentially consistent: that two holders who both enter cannot both fail to see the other rests on it.
@safe
struct SharedWord: Sendable {
    nonisolated(unsafe) private let address: UnsafeMutablePointer<Atomic<UInt64>>

    /// `address` is aligned to 8 bytes, mapped for the life of the process, and nothing but such words is in it.
    init(at address: UnsafeMutableRawPointer) {
        unsafe self.address = unsafe address.assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    func load() -> UInt64 {
        unsafe address.pointee.load(ordering: .sequentiallyConsistent)
    }

    /// For C; as long as the page is mapped.
    var pointer: UnsafeMutablePointer<UInt64> {
        unsafe UnsafeMutableRawPointer(address).assumingMemoryBound(to: UInt64.self)
    }

    func store(_ value: UInt64) {
        unsafe address.pointee.store(value, ordering: .sequentiallyConsistent)
    }

    /// Stores a value if the word is the expected one, and returns whether it was.
    @discardableResult
    func replace(_ expected: UInt64, by value: UInt64) -> Bool {
        unsafe address.pointee.compareExchange(
            expected: expected,
            desired: value,
            ordering: .sequentiallyConsistent
        ).exchanged
    }

    /// Stores a value if it is greater than what is there.
    func raise(to value: UInt64) {
        var seen = load()
        while seen < value, !replace(seen, by: value) { seen = load() }
    }

    func exchange(_ value: UInt64) -> UInt64 {
        unsafe address.pointee.exchange(value, ordering: .sequentiallyConsistent)
    }

    /// Adds and returns the sum.
    @discardableResult
    func add(_ value: UInt64 = 1) -> UInt64 {
        unsafe address.pointee.wrappingAdd(value, ordering: .sequentiallyConsistent).newValue
    }
}
