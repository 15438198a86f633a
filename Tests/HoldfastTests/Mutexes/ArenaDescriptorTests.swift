// SPDX-License-Identifier: Apache-2.0
//
// Other code of the process closes the arena's descriptor, as closefrom(3) does, and the number is given to another file.
// What the kernel says of that file is no evidence about who lives, and what is done to it is done to a stranger.

import Foundation
import Holdfast
import Testing

@Suite(.temporaryDirectory, .timeLimit(.minutes(60)))
struct ArenaDescriptorTests {
    /// What the number leads to afterwards.
    enum Successor: String, CaseIterable, Codable {
        case none, device, otherFile, sameFile, holdersArena
    }

    @Test("A living holder is not robbed, and the waiter is told what happened", arguments: Successor.allCases)
    func holderIsNotRobbed(successor: Successor) async {
        let path = TemporaryDirectory.current + "/a.arena"
        await #expect(processExitsWith: .success) { [path = path as String, successor = successor as Successor] in
            let arena = try MutexArena(path, count: 2)
            let number = Processes.descriptors(of: path)[0]
            let holders = try MutexArena(path, count: 2)
            let held = try await holders[0].lock()
            let before = try await arena[1].lock()
            try replace(number, by: successor, path)
            do throws(LockError) {
                let lock = try await arena[0].lock(deadline: .now + .seconds(600))
                preconditionFailure("robbed: \(lock.token)")
            } catch {
                precondition(error.code == .compromised && error.reason.contains("descriptor"), "\(error)")
            }
            do throws(LockError) {
                _ = acquired(try await arena[1].tryLock()) == nil
                preconditionFailure("acquires although it sees no deaths")
            } catch {
                precondition(error.code == .compromised && error.reason.contains("descriptor"), "\(error)")
            }
            // What it has it can release, and its slot is its own to the end.
            try before.release()
            try held.release()
            try await MutexArena(path, count: 2)[0].withLock { _ in }
        }
    }

    @Test(
        "The end of the arena leaves the number's new file open and locked",
        arguments: [Successor.otherFile, .sameFile]
    )
    func strangersFileStays(successor: Successor) async {
        let path = TemporaryDirectory.current + "/a.arena"
        await #expect(processExitsWith: .success) { [path = path as String, successor = successor as Successor] in
            let number: Int32
            do {
                let arena = try MutexArena(path, count: 1)
                number = Processes.descriptors(of: path)[0]
                try replace(number, by: successor, path)
                let child = forked()
                if child == 0 {
                    // Its copy of the stranger's file is the stranger's too. A second open of the arena cannot be told.
                    _exit(successor == .sameFile || fcntl(number, F_GETFD) >= 0 ? 0 : 1)
                }
                var status: Int32 = 0
                while unsafe waitpid(child, &status, 0) == -1, errno == EINTR {}
                precondition(status == 0, "the child closed a stranger's file")
                precondition(arena.count == 1)
            }
            precondition(fcntl(number, F_GETFD) >= 0, "a stranger's file was closed")
            // The slot went with the mapping.
            try await MutexArena(path, count: 1)[0].withLock { #expect($0.abandoned == nil) }
        }
    }

    @Test("A new epoch is not begun when another file would be flushed in place of the arena")
    func epochNeedsTheFile() async {
        let path = TemporaryDirectory.current + "/a.arena"
        await #expect(processExitsWith: .success) { [path = path as String] in
            let arena = try MutexArena(path, count: 1)
            let number = Processes.descriptors(of: path)[0]
            let word = MutexWord(futex: 0, count: MutexWord.lastCount)
            let file = try FileHandle(forUpdating: URL(filePath: path))
            try file.seek(toOffset: 12288)
            try file.write(contentsOf: unsafe withUnsafeBytes(of: word.raw) { unsafe Data($0) })
            try replace(number, by: .otherFile, path)
            do throws(LockError) {
                _ = try await arena[0].lock().token
                preconditionFailure("tokens that nothing keeps")
            } catch {
                precondition(error.code == .compromised, "\(error)")
            }
        }
    }
}

/// Gives a number to another file, or to none, as code does that closes what it does not know.
private func replace(_ number: Int32, by successor: ArenaDescriptorTests.Successor, _ path: String) throws {
    let other: Int32? =
        switch successor {
        case .none: nil
        case .device: unsafe open("/dev/null", O_RDWR)
        case .otherFile: unsafe open(path + ".other", O_RDWR | O_CREAT, 0o600)
        case .sameFile: unsafe open(path, O_RDWR)
        case .holdersArena: Processes.descriptors(of: path).first { $0 != number }
        }
    if let other {
        precondition(dup2(other, number) == number)
    } else {
        precondition(close(number) == 0)
    }
}
