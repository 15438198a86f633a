// SPDX-License-Identifier: Apache-2.0
//
// A PID file that somebody left. It is cleaned up, and with `changing` then taken. Variant A: it is taken only.

internal import Holdfast
internal import HoldfastTesting

func fuzzPIDFile(_ bytes: [UInt8], _ choice: FuzzChoice) throws {
    let fileSystem = SimulatedFileSystem()
    try fileSystem.write("/a.pid", bytes)
    let file = try PIDFile(fileName("a.pid"), in: fileSystem.directory())
    if !choice.contains(.variantA) {
        let outcome = try file.removeIfStale()
        switch outcome {
        case .removed: check(fileSystem.contents(of: "/a.pid") == nil, "it is not removed")
        case .absent: fatalError("it is there")
        default: check(fileSystem.contents(of: "/a.pid") == bytes, "\(outcome) leaves it as it is")
        }
    }
    guard choice.contains(.changing) else { return }
    do throws(LockError) {
        let left = fileSystem.contents(of: "/a.pid")
        switch try file.tryLock() {
        case .acquired(let lock):
            try lock.release()
            check(fileSystem.contents(of: "/a.pid") == nil, "a release removes it")
        case .busy: check(fileSystem.contents(of: "/a.pid") == left, "who does not get it changes nothing")
        }
    } catch {
        check([.refused, .familyMismatch].contains(error.code), "\(error)")
    }
    check(fileSystem.heldLocks.isEmpty, "a lock is left")
}
