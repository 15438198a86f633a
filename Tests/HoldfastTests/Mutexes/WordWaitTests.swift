// SPDX-License-Identifier: Apache-2.0
//
// Sleeping at a word, by itself.

import Foundation
import Synchronization
import Testing
import _HoldfastCShims

struct WordWaitTests {
    /// Else signals that come more often than the time-out would put off for ever the look whether the holder lives.
    @Test func aSignalEndsASleepAsATimeOutDoes() throws {
        signal(SIGURG) { _ in }
        let sleeper = Sleeper()
        let thread = Thread {
            // The threads that run tests block signals, and those that they start inherit that.
            var signals = sigset_t()
            unsafe sigemptyset(&signals)
            unsafe sigaddset(&signals, SIGURG)
            unsafe pthread_sigmask(SIG_UNBLOCK, &signals, nil)
            sleeper.thread.store(UInt(hf_thread()), ordering: .releasing)
            let wasWoken = unsafe hf_word_wait(sleeper.word, 0, 60_000_000_000)
            sleeper.outcome.store(wasWoken ? 1 : 2, ordering: .releasing)
            // A thread that has ended must not be sent a signal.
            while !sleeper.mayEnd.load(ordering: .acquiring) { usleep(1000) }
        }
        thread.start()
        let deadline = ContinuousClock.now + .seconds(600)
        while sleeper.outcome.load(ordering: .acquiring) == 0, ContinuousClock.now < deadline {
            let target = sleeper.thread.load(ordering: .acquiring)
            if target != 0 { _ = pthread_kill(pthread_t(target), SIGURG) }
            usleep(1000)
        }
        sleeper.mayEnd.store(true, ordering: .releasing)
        let outcome = sleeper.outcome.load(ordering: .acquiring)
        #expect(outcome == 2)
    }
}

/// A thread that sleeps; it keeps this object, because it outlives a test that fails.
@safe
private final class Sleeper: Sendable {
    nonisolated(unsafe) let word: UnsafeMutablePointer<UInt32>
    let thread = Atomic<UInt>(0)
    /// 1 if it was woken, 2 if it was not.
    let outcome = Atomic(0)
    let mayEnd = Atomic(false)

    init() {
        unsafe word = .allocate(capacity: 1)
        unsafe word.initialize(to: 0)
    }

    deinit { unsafe word.deallocate() }
}
