// SPDX-License-Identifier: Apache-2.0
//
// fork(2) without exec, in a process whose other threads are inside the library at that moment. The child opens everything
// again. A child that waits for a lock that only its parent has is ended by its alarm.
//
// The Swift runtime looks up the metadata of types under locks of its own, which a child finds locked forever if another
// thread had one at that moment, and spins for (FUTEX_LOCK_PI says EPERM, as its owner is a thread of the parent). Nothing
// that the library does helps there, and such a child proves nothing: it is ended by its limit of processor time.

import Foundation
import Holdfast
import Testing
import _HoldfastTestShims

@Suite(.temporaryDirectory, .timeLimit(.minutes(60)))
struct ForkTests {
    @Test(
        "A child that is forked while threads open, lock and save opens an arena, a lock file and states, and uses them"
    )
    func forkedWhileThreadsWork() async {
        let path = TemporaryDirectory.current
        await #expect(processExitsWith: .success) { [path = path as String] in
            // What the Swift runtime makes at the first use of a type is made before: its own locks nothing can help.
            precondition(use(path + "/child") == 0)
            for number in 0..<4 {
                Thread { while true { _ = use("\(path)/thread\(number)") } }.start()
            }
            var completed = 0
            // Beside a sanitizer the runtime is so slow that it catches most of the children.
            for round in 0..<(hft_counts_allocations() ? 150 : 10) {
                let child = forked()
                if child == 0 {
                    limitThisChild()
                    _exit(use(path + "/child"))
                }
                var status: Int32 = 0
                while unsafe waitpid(child, &status, 0) == -1, errno == EINTR {}
                if [SIGKILL, SIGXCPU].contains(status & 0x7f) { continue }
                completed += 1
                precondition(status == 0, "the child of round \(round) ended with \(status & 0x7f), \(status >> 8)")
            }
            if hft_counts_allocations() { precondition(completed > 0, "no child could do anything") }
        }
    }
}

/// Ends this process if it blocks, by an alarm, and if it spins, by its limit of processor time.
private func limitThisChild() {
    var limit = rlimit(rlim_cur: 5, rlim_max: 5)
    _ = unsafe setrlimit(__rlimit_resource_t(RLIMIT_CPU.rawValue), &limit)
    // The threads of tasks block signals.
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, SIGALRM)
    unsafe pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    alarm(600)
}

/// Opens and uses one of each kind; 0, or the number of the step that failed.
private func use(_ path: String) -> Int32 {
    do {
        guard try MutexArena(path + ".arena", count: 2)[1].withLock({ $0.token.value }) > 0 else { return 1 }
        try LockFile(path + ".lock").lock().release()
        for strategy in [StateStrategy.twoSlot, .replace] {
            let options = StateOptions(strategy: strategy, durability: .processCrash)
            let state = try StateFile<[UInt8]>("\(path).\(strategy)", options: options)
            try state.save([1, 2, 3])
            if try state.load() != [1, 2, 3] { return 2 }
        }
        return 0
    } catch {
        print("\(path): \(error)")
        return 3
    }
}
