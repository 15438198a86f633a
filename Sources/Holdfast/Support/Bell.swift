// SPDX-License-Identifier: Apache-2.0
//
// How threads sleep until there is something new for them. A thread reads the count, looks for work, and sleeps unless
// the count has changed since: what comes between its look and its sleep is not missed.

internal import Synchronization
internal import _HoldfastCShims

/// A count at which threads sleep until it changes.
///
/// The corresponding C function is `futex`.
@safe
final class Bell: Sendable {
    private nonisolated(unsafe) let word: UnsafeMutablePointer<Atomic<UInt32>>

    init() {
        unsafe word = .allocate(capacity: 1)
        unsafe word.initialize(to: Atomic(0))
    }

    deinit {
        unsafe word.deinitialize(count: 1)
        unsafe word.deallocate()
    }

    /// How often it has rung.
    var count: UInt32 { unsafe word.pointee.load(ordering: .acquiring) }

    /// Changes the count and wakes a thread that sleeps here, if one does.
    func ring() {
        unsafe word.pointee.wrappingAdd(1, ordering: .releasing)
        unsafe hf_word_wake(address)
    }

    /// Sleeps until it rings, and not at all if it has rung since it was heard.
    ///
    /// - Returns: False if the time is over, or a signal came.
    @discardableResult
    func wait(unless heard: UInt32, nanoseconds: Int64) -> Bool {
        unsafe hf_word_wait(address, heard, nanoseconds)
    }

    /// Where a thread can sleep that sleeps at other words too.
    var address: UnsafePointer<UInt32> { unsafe UnsafeRawPointer(word).assumingMemoryBound(to: UInt32.self) }
}
