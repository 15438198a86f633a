// SPDX-License-Identifier: Apache-2.0
//
// Other code of the process closes a lock file's descriptor, and the number is given to another file. What is written,
// locked, unlocked or closed by that number is then a stranger's.

import Foundation
import Holdfast
import Testing
import _HoldfastCShims

@Suite(.temporaryDirectory, .timeLimit(.minutes(60)))
struct LockDescriptorTests {
    @Test("The release of a lock whose descriptor is a stranger's file says so, and leaves that file alone")
    func heldLock() async {
        let path = TemporaryDirectory.current
        await #expect(processExitsWith: .success) { [path = path as String] in
            for pidFile in [false, true] {
                let file = "\(path)/\(pidFile)"
                // That of a dead process is taken over in place, so that the descriptor is known by the name.
                if pidFile { try "\(Processes.deadPID)\n".write(toFile: file, atomically: false, encoding: .utf8) }
                let lock = pidFile ? try await PIDFile(file).lock() : try await LockFile(file).lock()
                let number = Processes.descriptors(of: file)[0]
                try giveAway(number, to: path + "/data")
                do throws(LockError) {
                    try lock.release()
                    preconditionFailure("the loss was not noticed")
                } catch {
                    precondition(error.code == .compromised && error.reason.contains("descriptor"), "\(error)")
                }
                try checkUntouched(number, path + "/data")
            }
        }
    }

    @Test("A descriptor that was kept for the next lock is not used when it is a stranger's file")
    func idleDescriptor() async {
        let path = TemporaryDirectory.current
        await #expect(processExitsWith: .success) { [path = path as String] in
            let file = try LockFile(path + "/l")
            try await file.lock().release()
            let number = Processes.descriptors(of: path + "/l")[0]
            try giveAway(number, to: path + "/data")
            let lock = try await file.lock()
            let isBusy = if case .busy = try await LockFile(path + "/l").tryLock() { true } else { false }
            precondition(isBusy)
            try checkUntouched(number, path + "/data")
            try lock.release()
        }
    }

    @Test("A wake-up of the reactor writes nothing to a stranger's file, and takes nothing from it")
    func wakeUp() throws {
        let path = TemporaryDirectory.current + "/data"
        try strangersData.write(toFile: path, atomically: false, encoding: .utf8)
        let file = unsafe open(path, O_RDWR)
        defer { close(file) }
        hf_event_signal(file)
        hf_event_clear(file)
        #expect(lseek(file, 0, SEEK_CUR) == 0)
        #expect(try String(contentsOfFile: path, encoding: .utf8) == strangersData)
    }

    @Test("A lock that got the number of one that was closed by a stranger is neither released nor shared by that one")
    func anotherLock() async {
        let path = TemporaryDirectory.current + "/l"
        await #expect(processExitsWith: .success) { [path = path as String] in
            let first = try LockFile(path)
            for isIdle in [true, false] {
                let lost = try await first.lock()
                let number = Processes.descriptors(of: path)[0]
                if isIdle {
                    try lost.release()
                    let second = try takeLock(path, number)
                    let isBusy = if case .busy = try await first.tryLock() { true } else { false }
                    precondition(isBusy, "two have one lock")
                    try second.release()
                } else {
                    let second = try takeLock(path, number)
                    let isLost: Bool
                    do throws(LockError) {
                        try lost.release()
                        isLost = false
                    } catch {
                        isLost = error.code == .compromised
                    }
                    precondition(isLost, "it released another lock")
                    let isBusy = if case .busy = try await LockFile(path).tryLock() { true } else { false }
                    precondition(isBusy, "the other lock is not held any more")
                    try second.release()
                }
            }
        }
    }
}

/// Closes a number as a stranger does, and takes a lock of another object, whose descriptor gets it.
private func takeLock(_ path: String, _ number: Int32) throws -> HeldLock {
    let file = try LockFile(path)
    // The lowest number is given out first: those below it are kept busy.
    var below: [Int32] = []
    close(number)
    while true {
        let next = unsafe open("/dev/null", O_RDONLY)
        if next == number { break }
        precondition(next < number)
        below.append(next)
    }
    close(number)
    let lock = try file.lock()
    precondition(Processes.descriptors(of: path).contains(number))
    for descriptor in below { close(descriptor) }
    return lock
}

private let strangersData = "a stranger's bytes\n"

/// Gives a number to another file, as code does that closes what it does not know.
private func giveAway(_ number: Int32, to path: String) throws {
    try strangersData.write(toFile: path, atomically: false, encoding: .utf8)
    let other = unsafe open(path, O_RDWR)
    precondition(dup2(other, number) == number)
    close(other)
}

private func checkUntouched(_ number: Int32, _ path: String) throws {
    let text = try String(contentsOfFile: path, encoding: .utf8)
    precondition(text == strangersData, "a stranger's file was written to")
    precondition(fcntl(number, F_GETFD) >= 0, "a stranger's file was closed")
    let other = try OpenDirectory.resolve(path)
    let isFree = try other.0.open(other.1, .readWrite).tryLock(.flock, exclusive: true)
    precondition(isFree, "a stranger's file was locked")
}
