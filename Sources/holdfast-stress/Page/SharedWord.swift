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

    func store(_ value: UInt64) {
        unsafe address.pointee.store(value, ordering: .sequentiallyConsistent)
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
