// SPDX-License-Identifier: Apache-2.0
//
// Values that several tasks of a test share.

import Holdfast
import Synchronization

/// A held lock that a task can release although another took it.
final class KeptLock: Sendable {
    private let lock: Mutex<HeldLock?>

    init(_ lock: consuming sending HeldLock) {
        self.lock = Mutex(lock)
    }

    func release() throws {
        if let lock = lock.withLock({ $0.take() }) { try lock.release() }
    }
}

/// The same for a mutex.
final class KeptMutex: Sendable {
    private let lock: Mutex<HeldMutex?>

    init(_ lock: consuming sending HeldMutex) {
        self.lock = Mutex(lock)
    }

    func release() throws {
        if let lock = lock.withLock({ $0.take() }) { try lock.release() }
    }
}

/// What several tasks write down, in the order in which they come.
final class Journal<Entry: Sendable>: Sendable {
    private let written = Mutex<[Entry]>([])

    func write(_ entry: Entry) {
        written.withLock { $0.append(entry) }
    }

    var entries: [Entry] { written.withLock { $0 } }
}

/// Whether something has happened.
final class Flag: Sendable {
    private let value = Atomic(false)

    var isSet: Bool { value.load(ordering: .relaxed) }

    /// False if it was set already.
    func set() -> Bool { !value.exchange(true, ordering: .relaxed) }
}

/// The mutex, if an attempt got it.
func acquired(_ attempt: consuming HeldMutex.Attempt) -> HeldMutex? {
    switch consume attempt {
    case .acquired(let lock): lock
    case .busy: nil
    }
}

/// An instant by its number, each a second after the one before.
func instant(_ number: Int) -> ContinuousClock.Instant { firstInstant + .seconds(number) }

private let firstInstant = ContinuousClock.now
