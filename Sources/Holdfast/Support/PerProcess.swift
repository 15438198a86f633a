// SPDX-License-Identifier: Apache-2.0
//
// What a process keeps for all of the library's objects in it: registries, and the threads that wait. A forked child gets
// none of it. Another thread of the parent may have been inside at the moment of the fork, and in the child no thread ever
// leaves: the lock would stay taken, and what it protects half changed.
//
// Invariants: a box belongs to one process and is never freed, because another thread may be about to look at it; the first
// use in a process makes its box, also after a fork that no handler is told of (`_Fork`, clone(2)).

internal import Synchronization
internal import _HoldfastCShims

/// A value that this process has once, behind a lock, and that a forked child begins again.
final class PerProcess<Value>: Sendable {
    private final class Box: Sendable {
        let process = getpid()
        let value: Mutex<Value>

        init(_ value: consuming sending Value) { self.value = Mutex(value) }
    }

    /// The address of this process's box, or of its parent's.
    private let box = Atomic<UInt>(0)
    private let initial: @Sendable () -> sending Value

    init(_ initial: @escaping @Sendable () -> sending Value) { self.initial = initial }

    /// Runs the body on the value while no other thread of this process does.
    ///
    /// Costs a getpid(2).
    func withLock<Result: ~Copyable>(_ body: (inout sending Value) -> sending Result) -> sending Result {
        current.value.withLock(body)
    }

    private var current: Box {
        while true {
            let seen = box.load(ordering: .acquiring)
            if let pointer = unsafe UnsafeRawPointer(bitPattern: seen) {
                let box = unsafe Unmanaged<Box>.fromOpaque(pointer).takeUnretainedValue()
                if box.process == getpid() { return box }
            }
            let made = unsafe Unmanaged.passRetained(Box(initial()))
            let address = unsafe UInt(bitPattern: made.toOpaque())
            if box.compareExchange(expected: seen, desired: address, ordering: .acquiringAndReleasing).exchanged {
                return unsafe made.takeUnretainedValue()
            }
            unsafe made.release()
        }
    }
}
