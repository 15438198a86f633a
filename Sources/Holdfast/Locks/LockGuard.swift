// SPDX-License-Identifier: Apache-2.0
//
// The permanent companion `.NAME.guard` of a lock file, locked. Whoever takes a lock file away, or moves its token mark,
// holds it; it is never deleted, so there is no race about which file it is.

internal import _HoldfastCShims

/// The held guard of one lock file; closing it is the unlock.
package struct LockGuard: ~Copyable {
    let file: OpenLockFile
    let path: String

    private init(_ file: consuming OpenLockFile, path: String) {
        self.file = file
        self.path = path
    }

    deinit {
        file.descriptor.unlock(.flock)
    }

    /// What became of an attempt.
    package enum Attempt: ~Copyable {
        case acquired(LockGuard)
        /// Somebody holds it: who, as far as that can be seen.
        case busy(LockHolder)
    }

    /// Opens, or makes, and locks the guard, if nobody holds it.
    ///
    /// Whoever follows the rules needs it for microseconds, or for the length of a flush; a stranger may hold it for ever.
    ///
    /// - Throws: ``LockError`` `.refused`, `.unsupported`, `.compromised`, `.systemFailure`.
    package static func tryAcquire(for name: FileName, in directory: Directory) throws(LockError) -> Attempt {
        guard let companion = name.companion("guard") else {
            throw LockError(
                .refused,
                path: directory.path(of: name),
                reason: "the name is longer than 248 bytes, which leaves none for its companion"
            )
        }
        let path = directory.path(of: companion)
        // Each turn after the first needs somebody to have replaced what is never deleted, within microseconds.
        for _ in 0..<1000 {
            let file: OpenLockFile
            do throws(SystemError) {
                file = try OpenLockFile(try directory.openOrMake(companion, FileCreation(beside: name)))
            } catch  where error.isAny(of: EACCES, EPERM) {
                let reason = "could not open it; who may lock '\(directory.path(of: name))' has to be given it too"
                throw LockError(.systemFailure, path: path, reason: reason, cause: error)
            } catch {
                throw LockError(error, path: path, while: "open it")
            }
            do throws(SystemError) {
                let isLocked = try file.descriptor.tryLock(.flock, exclusive: true)
                guard try file.isNamed(companion, in: directory) else { continue }
                if isLocked { return .acquired(LockGuard(file, path: path)) }
            } catch {
                throw LockError.cannotLock(error, path: path)
            }
            var holder = LockHolder.find(file.descriptor)
            holder.note = "the holder of its guard '\(path)'"
            return .busy(holder)
        }
        throw LockError(.compromised, path: path, reason: "somebody keeps replacing it")
    }

    /// The same, but waits while somebody holds it.
    ///
    /// For a thread that may sleep.
    ///
    /// - Throws: ``LockError`` `.timedOut` after ten seconds, or as ``tryAcquire(for:in:)``.
    package static func acquire(for name: FileName, in directory: Directory) throws(LockError) -> LockGuard {
        let deadline = ContinuousClock.now + .seconds(10)
        while true {
            switch try tryAcquire(for: name, in: directory) {
            case .acquired(let held): return held
            case .busy(let holder):
                if ContinuousClock.now > deadline {
                    throw LockError(
                        .timedOut,
                        path: directory.path(of: name),
                        reason: "its guard was busy for ten seconds",
                        holder: holder
                    )
                }
            }
            hf_wait_readable(-1, -1, 200_000)
        }
    }
}
