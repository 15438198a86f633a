// SPDX-License-Identifier: Apache-2.0
//
// Open file descriptions and the locks on them. No call of the seam duplicates a descriptor, so each descriptor has a
// description of its own, and a lock ends when that descriptor is closed.

internal import Holdfast
internal import _HoldfastCShims

enum LockMode: Sendable {
    case shared, exclusive
}

/// What one descriptor is open on.
struct OpenFile: Sendable {
    let inode: UInt64
    /// The path at which it was opened, for messages; the file may have moved since.
    let path: String
    let isWritable: Bool
    /// The two families of lock, which do not see each other (fcntl_locking(2), flock(2)).
    var locks: [LockKind: LockMode] = [:]
}

extension [Int32: OpenFile] {
    /// Whether another description of the same file holds a lock that is in the way of this one.
    func isBusy(_ descriptor: Int32, _ kind: LockKind, _ mode: LockMode) -> Bool {
        guard let inode = self[descriptor]?.inode else { return false }
        return contains { other, file in
            guard other != descriptor, file.inode == inode, let held = file.locks[kind] else { return false }
            return held == .exclusive || mode == .exclusive
        }
    }

    /// Takes or converts a lock without waiting.
    ///
    /// Converting is atomic for open-file-description locks. flock(2) gives the old lock up first, and does not give it back
    /// if the new one is busy.
    mutating func lock(_ descriptor: Int32, _ kind: LockKind, _ mode: LockMode) throws(Failure) {
        if self[descriptor]?.locks[kind] == mode { return }
        let isBusy = isBusy(descriptor, kind, mode)
        if kind == .flock { self[descriptor]?.locks[kind] = nil }
        if isBusy { throw Failure(EWOULDBLOCK) }
        self[descriptor]?.locks[kind] = mode
    }
}
