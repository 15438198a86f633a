// SPDX-License-Identifier: Apache-2.0
//
// The directory that a benchmark works in: made for it, and removed again however it ends, short of SIGKILL.

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif
public import Holdfast
internal import Synchronization
internal import ToolProcesses
internal import _HoldfastCShims

/// A directory to measure in.
public final class BenchGround: Sendable {
    /// The directory, open.
    public let directory: OpenDirectory
    /// Its path.
    public var path: String { directory.path }
    /// The signals that were blocked before, for processes that are started here.
    let signals: SignalSet
    /// Whether a signal ends this process: whatever fails from now on fails because of that.
    private let isEnding = Atomic(false)
    private let peers = Mutex<Set<Int32>>([])
    private let warn: @Sendable (String) -> Void

    /// Makes a new directory in one that exists, and watches for signals that end the process.
    ///
    /// - Parameters:
    ///   - parent: The directory in which it is made.
    ///   - warn: Says, in a sentence, that it could not be removed.
    /// - Throws: ``SystemError`` of what could not be made.
    public init(in parent: String, warn: @escaping @Sendable (String) -> Void) throws(SystemError) {
        let path = "\(parent)/holdfast-bench-\(hexadecimal(.random(in: .min ... .max)))"
        if unsafe mkdir(path, 0o700) != 0 { throw SystemError(call: "mkdir", code: errno) }
        directory = try OpenDirectory(path)
        self.warn = warn
        // Threads inherit this, so that the signals stay pending for the one that waits for them.
        signals = SignalSet.termination.block()
        do throws(SystemError) {
            try startThread { self.endAtSignal() }
        } catch {
            remove()
            throw error
        }
    }

    private func endAtSignal() {
        let signal = SignalSet.termination.wait().number
        isEnding.store(true, ordering: .sequentiallyConsistent)
        // They would end by themselves, but not without wondering aloud where their files have gone.
        peers.withLock { peers in for pid in peers { kill(pid, SIGKILL) } }
        remove()
        // As if nobody had waited for it, so that whoever started us sees what ended us.
        SignalSet([]).restore()
        kill(getpid(), signal)
    }

    /// Remembers a process that ends with this one.
    func adopt(_ peer: ChildProcess) { peers.withLock { _ = $0.insert(peer.pid) } }

    /// Forgets it, before its PID may become another process's.
    func letGo(_ peer: ChildProcess) { peers.withLock { _ = $0.remove(peer.pid) } }

    /// Never returns if a signal is ending the process.
    ///
    /// To be called before a failure is reported.
    public func pauseIfEnding() {
        while isEnding.load(ordering: .sequentiallyConsistent) { Clock.sleep(milliseconds: 100) }
    }

    /// Removes the directory and what is in it.
    public func remove() {
        // Another thread may still be making files; once the directory is gone, it cannot.
        for _ in 0..<1000 {
            Self.empty(directory)
            if unsafe rmdir(path) == 0 || errno == ENOENT { return }
            Clock.sleep(milliseconds: 1)
        }
        warn("'\(path)' could not be removed")
    }

    private static func empty(_ directory: OpenDirectory) {
        for name in (try? directory.names()) ?? [] {
            guard let file = FileName(name) else { continue }
            do throws(SystemError) {
                try directory.unlink(file)
            } catch {
                let path = "\(directory.path)/\(name)"
                guard error.code == EISDIR || error.code == EPERM, let inner = try? OpenDirectory(path) else {
                    continue
                }
                empty(inner)
                unsafe rmdir(path)
            }
        }
    }
}

/// Throws what a function of the floors left in errno.
func checkFloor(_ call: String, _ result: Int32) throws(SystemError) {
    if result < 0 { throw SystemError(call: call, code: errno) }
}
