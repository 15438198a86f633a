// SPDX-License-Identifier: Apache-2.0
//
// Waiting for a lock with all signals blocked: a thread waits for the lock, this one for signals. A signal that ends the
// wait has that thread give up first, so that no lock is left behind as abandoned by a command that never ran.

internal import Holdfast
internal import Synchronization
internal import ToolProcesses
#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

/// A lock that is being waited for.
struct LockWait {
    private let file: LockFile
    private let wait: ThreadWait
    private let outcome = Outcome()

    private final class Outcome: Sendable {
        let value = Mutex<Result<HeldLock, LockError>?>(nil)
    }

    /// Begins to wait.
    init(_ file: LockFile, _ mode: HeldLock.Mode, _ deadline: ContinuousClock.Instant?) throws(SystemError) {
        self.file = file
        wait = ThreadWait(file, mode, deadline: deadline)
        try startThread { [wait, outcome] in
            var result: Result<HeldLock, LockError>?
            do throws(LockError) {
                result = .success(try wait.lock())
            } catch {
                result = .failure(error)
            }
            outcome.value.withLock { $0 = result.take() }
            // The thread that waits for signals wakes up.
            kill(getpid(), SIGCHLD)
        }
    }

    /// Waits for the lock, or for a signal that ends this process.
    ///
    /// - Parameters:
    ///   - endings: The signals that do. Others stay pending.
    ///   - saysSo: Whether a line names the holder after a second even if standard error is no terminal.
    /// - Returns: The held lock.
    /// - Throws: ``LockError`` as `LockFile.lock`.
    func finish(endings: SignalSet, saysSo: Bool) throws(LockError) -> HeldLock {
        let awaited = endings.union([SIGCHLD, SIGTSTP, SIGTTIN, SIGTTOU])
        var mustTell = saysSo || StandardStreams.errorIsTerminal
        let start = ContinuousClock.now
        while true {
            if let result = takeResult() { return try result.get() }
            let signal = awaited.wait(forSeconds: mustTell ? 1 : nil)
            ChildProcess.reapAll()
            if let signal, signal.stops {
                signal.stopThisProcess()
            } else if let signal, signal.number != SIGCHLD {
                end(by: signal)
            } else if mustTell, ContinuousClock.now - start >= .seconds(1), let holder {
                diagnose("waiting for lock file \(quoted(file.path)), held by \(holder)")
                mustTell = false
            }
        }
    }

    private func takeResult() -> Result<HeldLock, LockError>? {
        outcome.value.withLock { $0.take() }
    }

    private var holder: LockHolder? {
        guard case .held(let holder)? = try? file.status() else { return nil }
        return holder
    }

    private func end(by signal: Signal) -> Never {
        wait.cancel()
        while true {
            if let result = takeResult() {
                if case .success(let lock) = consume result { try? lock.release() }
                break
            }
            _ = SignalSet([SIGCHLD]).wait()
        }
        Signal.endThisProcess(by: signal.number)
        exit(128 + signal.number)
    }
}
