// SPDX-License-Identifier: Apache-2.0
//
// A lock file that somebody left. Sealed: if there is a second line, its checksum is right. Changing: it is taken, over
// flock(2), or with variant A by an open-file-description lock. Variant B: cut off or filled up to the length of a record.

internal import Holdfast
internal import HoldfastTesting

func fuzzLockRecord(_ input: [UInt8], _ choice: FuzzChoice) throws {
    var bytes = choice.contains(.variantB) ? input.resized(to: 512) : input
    if choice.contains(.sealed), let end = bytes.prefix(12).firstIndex(of: 0x0A), bytes.count >= max(512, end + 33) {
        let sum = CRC64.of(bytes[(end + 33)..<512])
        bytes.replaceSubrange((end + 17)..<(end + 33), with: column(sum, 16, radix: 16))
    }
    let fileSystem = SimulatedFileSystem()
    try fileSystem.write("/a.lock", bytes)
    let family: LockFamily = choice.contains(.variantA) ? .openFileDescription : .flock
    let file = try LockFile(fileName("a.lock"), in: fileSystem.directory(), family: family)
    let status = Result { () throws(LockError) in try file.status() }
    if case .failure(let error) = status { _ = error.description }
    check(fileSystem.contents(of: "/a.lock") == bytes, "a look changes nothing")
    guard choice.contains(.changing) else { return }
    do throws(LockError) {
        switch try file.tryLock() {
        case .acquired(let lock):
            try lock.release()
            guard case .free = try file.status() else { fatalError("released and not free") }
        case .busy: check(fileSystem.contents(of: "/a.lock") == bytes, "who does not get it changes nothing")
        }
    } catch {
        check(error.code != .systemFailure, "\(error)")
        check(fileSystem.contents(of: "/a.lock") == bytes, "what is refused is left alone")
    }
    check(fileSystem.heldLocks.isEmpty, "a lock is left")
}
