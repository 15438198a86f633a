// SPDX-License-Identifier: Apache-2.0
//
// What the processes that use one two-slot file share beside it: the writers' lock and the published word, in
// `.NAME.arena`.

internal import Synchronization

/// The companion of a two-slot file.
final class TwoSlotSidecar: Sendable {
    private let lockFile: LockFile
    private let word: SharedWord

    /// Opens it, or makes it.
    init(_ names: CompanionNames, in directory: Directory) throws(LockError) {
        lockFile = try LockFile(sidecar: names.arena, in: directory)
        do throws(SystemError) {
            let file = try directory.open(names.arena, .readWriteOrCreate(permissions: 0o600))
            word = try Self.word(of: file, in: directory)
        } catch {
            throw LockError(error, path: lockFile.path, while: "open it")
        }
    }

    private static func word(of file: borrowing Descriptor, in directory: Directory) throws(SystemError) -> SharedWord {
        if let word = directory.fileSystem.sharedWord(of: file.rawValue) { return word }
        let identity = try file.status().identity
        return words.withLock { words in
            if let word = words[identity] { return word }
            let word = SharedWord()
            words[identity] = word
            return word
        }
    }

    private static let words = Mutex<[FileIdentity: SharedWord]>([:])

    /// What counts now; 0 if that is not known.
    var published: UInt64 { word.current }

    /// Waits for the lock that makes this the only writer.
    func lock(deadline: ContinuousClock.Instant?) throws(LockError) -> Lock {
        Lock(lock: try lockFile.lock(.exclusive, deadline: deadline), word: word)
    }

    /// The held writers' lock.
    struct Lock: ~Copyable {
        private let lock: FileLock
        private let word: SharedWord

        fileprivate init(lock: consuming FileLock, word: SharedWord) {
            self.lock = lock
            self.word = word
        }

        /// Whether the last holder died, perhaps between writing and publishing.
        var isAbandoned: Bool { lock.abandoned != nil }

        var published: UInt64 { word.current }

        /// Tells every process what counts from now on.
        func publish(_ value: UInt64) {
            word.store(value)
        }

        consuming func release() {
            // What was done under it is done; that it could not be released well changes nothing about that.
            try? lock.release()
        }
    }
}
