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

    /// Opens, or makes, and locks the guard.
    ///
    /// Whoever holds it needs it for microseconds, or for the length of a flush.
    ///
    /// - Throws: ``LockError`` `.timedOut` after ten seconds, `.refused`, `.unsupported`, `.systemFailure`.
    package static func acquire(for name: FileName, in directory: Directory) throws(LockError) -> LockGuard {
        guard let companion = name.companion("guard") else {
            throw LockError(
                .refused,
                path: directory.path(of: name),
                reason: "the name is longer than 248 bytes, which leaves none for its companion"
            )
        }
        let path = directory.path(of: companion)
        return LockGuard(try open(companion, in: directory, path: path), path: path)
    }

    private static func open(
        _ name: FileName,
        in directory: Directory,
        path: String
    ) throws(LockError) -> OpenLockFile {
        let deadline = ContinuousClock.now + .seconds(10)
        while true {
            let file: OpenLockFile
            do throws(SystemError) {
                file = try OpenLockFile(try directory.open(name, .readWriteOrCreate(permissions: 0o600)))
            } catch {
                throw LockError(error, path: path, while: "open it")
            }
            do throws(SystemError) {
                if try file.descriptor.tryLock(.flock, exclusive: true), try file.isNamed(name, in: directory) {
                    return file
                }
            } catch {
                throw LockError.cannotLock(error, path: path)
            }
            if ContinuousClock.now > deadline {
                throw LockError(.timedOut, path: path, reason: "somebody holds it for more than ten seconds")
            }
            hf_wait_readable(-1, -1, 200_000)
        }
    }
}
