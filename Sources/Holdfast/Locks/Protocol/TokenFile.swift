// SPDX-License-Identifier: Apache-2.0
//
// The companion `.NAME.guard` of a lock file, locked. A process that takes the lock file away, or moves its token mark,
// holds it.
//
// Invariant: a guard that holds a token mark is never deleted, because tokens must keep growing. One without a mark is deleted
// by the cleaner that holds it, when it is done. So a process that has opened and locked a guard looks whether that still has
// its name, and begins again if not.

internal import _HoldfastCShims

/// The held guard of one lock file; closing it is the unlock.
package struct TokenFile: ~Copyable {
    let file: OpenLockFile
    let path: String
    private let name: FileName
    private let directory: OpenDirectory

    /// Its name; nil if the lock file's is too long.
    static func name(for lock: FileName) -> FileName? { lock.companion("guard") }

    private init(_ file: consuming OpenLockFile, _ name: FileName, _ directory: OpenDirectory, path: String) {
        self.file = file
        self.name = name
        self.directory = directory
        self.path = path
    }

    deinit {
        file.descriptor.unlock(.flock)
    }

    /// Removes the guard if it holds nothing: no mark, and no other program's data.
    ///
    /// What cannot be looked at, or not removed, stays.
    borrowing func removeUnlessMarked() {
        guard (try? TokenReservation.isUnused(file.descriptor)) == true,
            (try? file.isNamed(name, in: directory)) == true
        else { return }
        try? directory.unlink(name)
    }

    /// What became of an attempt.
    package enum Attempt: ~Copyable {
        case acquired(TokenFile)
        /// Somebody holds it: who, as far as that can be seen.
        case busy(LockHolder)
    }

    /// Opens, or makes, and locks the guard, if nobody holds it.
    ///
    /// A process that follows the rules needs it for microseconds, or for the length of a flush; a stranger may hold it
    /// forever.
    ///
    /// - Throws: ``LockError`` `.refused`, `.unsupported`, `.compromised`, `.systemFailure`.
    package static func tryAcquire(for name: FileName, in directory: OpenDirectory) throws(LockError) -> Attempt {
        guard let companion = Self.name(for: name) else {
            throw LockError(
                .refused,
                path: directory.path(of: name),
                reason: "the name is longer than 248 bytes, which leaves none for its companion"
            )
        }
        let path = directory.path(of: companion)
        // Each turn after the first needs a cleaner to have deleted it, or a stranger to have replaced it, within microseconds.
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
                if isLocked { return .acquired(TokenFile(file, companion, directory, path: path)) }
            } catch {
                throw LockError.cannotLock(error, path: path)
            }
            var holder = LockHolder.find(file.descriptor)
            holder.note = "the holder of its guard \(quoted(path))"
            return .busy(holder)
        }
        throw LockError(.compromised, path: path, reason: "somebody keeps replacing it")
    }

    /// The same, but waits while somebody holds it.
    ///
    /// For a thread that may sleep.
    ///
    /// - Throws: ``LockError`` `.timedOut` after ten seconds, or as ``tryAcquire(for:in:)``.
    package static func acquire(for name: FileName, in directory: OpenDirectory) throws(LockError) -> TokenFile {
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
