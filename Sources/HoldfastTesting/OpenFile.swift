// SPDX-License-Identifier: Apache-2.0
//
// Open file descriptions and the locks on them. No call of the seam duplicates a descriptor, so each descriptor has a
// description of its own, and a lock ends when that descriptor is closed.

internal import Holdfast
internal import _HoldfastCShims

enum LockMode: Sendable {
    case shared, exclusive
}

/// A lock on some bytes of a file.
struct RangeLock: Hashable, Sendable {
    var range: Range<Int64>
    var mode: LockMode
}

/// What one descriptor is open on.
struct OpenFile: Sendable {
    let inode: UInt64
    /// The path at which it was opened, for messages; the file may have moved since.
    let path: String
    let isWritable: Bool
    /// Which of the kernel's objects for the file it is open on.
    ///
    /// A name's own where the file system knows files by their paths, nil where a file has only one.
    var object: UInt64?
    /// The two families of lock, which do not see each other (fcntl_locking(2), flock(2)).
    var flock: LockMode?
    private(set) var ranges: [RangeLock] = []

    /// Takes, converts or gives up the lock on some bytes; what another lock of this file has beside them stays.
    mutating func setRange(_ range: Range<Int64>, _ mode: LockMode?) {
        ranges = ranges.flatMap { held in
            let before = held.range.clamped(to: Int64.min..<range.lowerBound)
            let after = held.range.clamped(to: range.upperBound..<Int64.max)
            return [before, after].filter { !$0.isEmpty }.map { RangeLock(range: $0, mode: held.mode) }
        }
        if let mode { ranges.append(RangeLock(range: range, mode: mode)) }
    }
}

extension [Int32: OpenFile] {
    /// Whether another description of the same file holds a lock on one of these bytes that is in the way of this one.
    func isBusy(_ descriptor: Int32, _ range: Range<Int64>, _ mode: LockMode) -> Bool {
        isBusy(descriptor, mode) { file in file.ranges.filter { $0.range.overlaps(range) }.map(\.mode) }
    }

    /// Whether another description of the same file holds a flock(2) that is in the way of this one.
    func isBusy(_ descriptor: Int32, _ mode: LockMode) -> Bool {
        isBusy(descriptor, mode) { $0.flock.map { [$0] } ?? [] }
    }

    private func isBusy(_ descriptor: Int32, _ mode: LockMode, _ held: (OpenFile) -> [LockMode]) -> Bool {
        guard let ours = self[descriptor] else { return false }
        return contains { other, file in
            guard other != descriptor, file.inode == ours.inode, file.object == ours.object else { return false }
            return held(file).contains { $0 == .exclusive || mode == .exclusive }
        }
    }

    /// Takes or converts a lock on some bytes without waiting, which is atomic.
    mutating func lock(_ descriptor: Int32, _ range: Range<Int64>, _ mode: LockMode) throws(Failure) {
        if isBusy(descriptor, range, mode) { throw Failure(EWOULDBLOCK) }
        self[descriptor]?.setRange(range, mode)
    }

    /// Takes or converts a flock(2) without waiting.
    ///
    /// It gives the old lock up first, and does not give it back if the new one is busy.
    mutating func lock(_ descriptor: Int32, _ mode: LockMode) throws(Failure) {
        if self[descriptor]?.flock == mode { return }
        let isBusy = isBusy(descriptor, mode)
        self[descriptor]?.flock = nil
        if isBusy { throw Failure(EWOULDBLOCK) }
        self[descriptor]?.flock = mode
    }
}
