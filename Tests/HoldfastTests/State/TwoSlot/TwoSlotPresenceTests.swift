// SPDX-License-Identifier: Apache-2.0
//
// Which users of a two-slot file meet: one file by two names, arenas that were deleted or damaged, readers that wait for
// nobody, and writers that can have no arena.

import Foundation
import Holdfast
import HoldfastTesting
import Synchronization
import Testing

@Suite(.temporaryDirectory)
struct TwoSlotPresenceTests {
    let path = TemporaryDirectory.current
    let directory: OpenDirectory
    let other: OpenDirectory

    init() throws {
        directory = try OpenDirectory(makingPath: "\(TemporaryDirectory.current)/one")
        other = try OpenDirectory(makingPath: "\(TemporaryDirectory.current)/two")
    }

    /// Gives the state a second name, in the other directory.
    private func linkState() throws {
        try FileManager.default.linkItem(atPath: "\(path)/one/state", toPath: "\(path)/two/state")
    }

    @Test("while one file is used by two names, loads and saves of the later user are refused and say what to do")
    func twoNames() throws {
        let first = try directory.slots()
        try first.save([1])
        try linkState()
        let second = try other.slots()
        for error in [try stateError { try second.save([2]) }, try stateError { _ = try second.load() }] {
            #expect(error.code == .compromised)
            #expect(error.description.contains("mount the directory"))
        }
        try first.save([3])
        #expect(try first.load() == [3])
    }

    @Test("of two that come at once by two names, no save is lost in silence")
    func twoNamesAtOnce() throws {
        try directory.slots().save([0])
        try linkState()
        let saved = Mutex<[UInt64]>([])
        let places = [directory, other]
        DispatchQueue.concurrentPerform(iterations: 2) { index in
            guard let state = try? places[index].slots() else { return }
            for _ in 0..<200 {
                guard let commit = try? state.save([UInt8(index)]) else { return }
                saved.withLock { $0.append(commit.generation.value) }
            }
        }
        let generations = saved.withLock { $0 }
        #expect(Set(generations).count == generations.count, "no generation is given out twice")
        let newest = try directory.slots().loadWithReport().report.generation.value
        #expect(generations.max() ?? 1 == newest)
    }

    @Test("a copied arena is another arena, though its random number is the same")
    func copiedArena() throws {
        let first = try directory.slots()
        try first.save([1])
        try linkState()
        try FileManager.default.copyItem(atPath: "\(path)/one/.state.arena", toPath: "\(path)/two/.state.arena")
        #expect(try stateError { try other.slots().save([2]) }.code == .compromised)
        try first.save([3])
        #expect(try first.load() == [3])
    }

    @Test("a file with a second name is not replaced by a larger one: the other name would keep the old state")
    func growthByTwoNames() throws {
        let state = try directory.slots()
        try state.save([1])
        try linkState()
        #expect(try stateError { try state.save([UInt8](repeating: 2, count: 20_000)) }.code == .refused)
        #expect(try stateError { try state.convert(to: .replace) }.code == .refused)
        try FileManager.default.removeItem(atPath: "\(path)/two/state")
        try state.save([UInt8](repeating: 2, count: 20_000))
    }

    @Test("the mark of a save that failed by way of another arena is kept")
    func failedByAnotherArena() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        try directory.slots().save([1])
        try directory.slots().save([2])
        // Another arena stands here for a while, as beside another name of the file.
        try directory.rename(directory.name(".state.arena"), to: directory.name("kept"), replacing: true)
        let flushes = Mutex(0)
        fileSystem.faults = .failEvery(with: EIO) { call in
            // The first is that of what was found.
            call.function == "fdatasync" && call.path == "/state"
                && flushes.withLock {
                    $0 += 1; return $0 == 2
                }
        }
        let error = try stateError { try directory.slots().save([3]) }
        #expect(error.code == .outcomeUnknown && error.found == 3, "\(error)")
        fileSystem.faults = .none
        try directory.rename(directory.name("kept"), to: directory.name(".state.arena"), replacing: true)
        #expect(try directory.slots().save([4]).generation > 3)
    }

    @Test("a reader follows the saves of its own state file into a new arena")
    func readerOfTheSameFile() throws {
        let state = try directory.slots()
        try state.save([1])
        var reader = state.reader()
        #expect(try reader.read() == [1])
        try directory.unlink(directory.name(".state.arena"))
        // The arena is looked for at most every five milliseconds.
        usleep(10_000)
        try state.save([2])
        #expect(try reader.read() == [2])
        try state.save([3])
        #expect(try reader.read() == [3])
    }

    @Test("threads that use one state file for the first time are given no save in progress")
    func firstUseByTwoThreads() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        try directory.slots().save([1])
        let state = try directory.slots()
        let seen = Journal<[UInt8]>()
        let began = Flag()
        fileSystem.onCall = { _, call in
            guard call.function == "fdatasync", call.path == "/state", began.set() else { return }
            let done = DispatchSemaphore(value: 0)
            Thread {
                if let value = try? state.load() { seen.write(value) }
                done.signal()
            }.start()
            done.wait()
        }
        try state.save([2])
        fileSystem.onCall = nil
        #expect(seen.entries == [[1]])
    }

    @Test("one file by two names, one user after the other: each sees what the other has saved")
    func oneAfterTheOther() throws {
        try directory.slots().save([1])
        try linkState()
        for round: UInt8 in 2..<10 {
            let (saver, reader) = round % 2 == 0 ? (other, directory) : (directory, other)
            #expect(try saver.slots().save([round]).generation == Generation(UInt64(round)))
            #expect(try reader.slots().load() == [round])
        }
    }

    @Test("a state whose arena was deleted goes on, also beside a user that does nothing")
    func deletedArena() throws {
        let idle = try directory.slots()
        try idle.save([1])
        var reader = idle.reader()
        #expect(try reader.read() == [1])
        try directory.unlink(directory.name(".state.arena"))
        let next = try directory.slots()
        #expect(try next.load() == [1])
        #expect(try next.save([2]).generation == 2)
        // It looks at memory alone until it is told; without that it would never end.
        while try reader.read() != [2] { usleep(1000) }
        #expect(try idle.save([3]).generation == 3)
        #expect(try next.load() == [3])
    }

    @Test("`values` goes on in a new arena after its own was deleted")
    func valuesAfterDeletion() async throws {
        let state = try directory.slots()
        try await state.save([1])
        var values = state.values.makeAsyncIterator()
        #expect(try await values.next()?.value == [1])
        try directory.unlink(directory.name(".state.arena"))
        let tool = CommandLineTool.holdfastctl
        let saved = try await tool.run("state", "save", "\(path)/one/state", input: .text("two"))
        #expect(saved.status == 0)
        #expect(try await values.next()?.value == Array("two".utf8))
    }

    @Test(
        "a state that was moved, copied or restored alone goes on, beside its old user too",
        arguments: ["move", "copy", "restore"]
    )
    func moved(_ way: String) throws {
        let state = try directory.slots()
        try state.save([1])
        try state.save([2])
        switch way {
        case "move": try FileManager.default.moveItem(atPath: "\(path)/one/state", toPath: "\(path)/two/state")
        case "copy": try FileManager.default.copyItem(atPath: "\(path)/one/state", toPath: "\(path)/two/state")
        default:
            let backup = try directory.bytes(of: "state")
            try state.save([3])
            try other.put("state", backup)
        }
        let moved = try other.slots()
        #expect(try moved.load() == [2])
        #expect(try moved.save([4]).generation == 3)
        #expect(try other.slots().load() == [4])
        if way != "move" { #expect(try state.save([5]).generation == (way == "copy" ? 3 : 4)) }
    }

    @Test(
        "what is no arena keeps no sound state from being loaded; a save names it and says what to do",
        arguments: [
            [], [UInt8](repeating: 7, count: 100_000), Array("holdfast-arena 1\n".utf8),
        ]
    )
    func damagedArena(_ bytes: [UInt8]) throws {
        try directory.slots().save([1])
        try directory.unlink(directory.name(".state.arena"))
        try directory.put(".state.arena", bytes)
        let state = try directory.slots()
        #expect(try state.load() == [1])
        let error = try stateError { try state.save([2]) }
        #expect(error.code == .notLocked)
        #expect(error.description.contains(".state.arena"))
        #expect(try directory.bytes(of: ".state.arena") == bytes)
        try directory.unlink(directory.name(".state.arena"))
        #expect(try state.save([2]).generation == 2)
    }

    @Test("a load waits neither for a process that is opening the arena nor for one of its slots")
    func loadsTakeNothing() throws {
        try directory.slots().save([1])
        // Another open file of this process stands for another process, which was stopped.
        let arena = try directory.open(directory.name(".state.arena"), .readWrite)
        let locked = try arena.fileSystem.tryLock(arena.rawValue, 0..<12288, exclusive: true)
        #expect(locked)
        // It would wait for ten seconds, and then fail.
        #expect(try directory.slots().load() == [1])
        var reader = try directory.slots().reader()
        #expect(try reader.read() == [1])
        try arena.close()
    }

    @Test(
        "a descriptor that other code has closed, and whose number is another file's, is neither read nor written nor closed"
    )
    func reusedDescriptor() throws {
        let state = try directory.slots()
        try state.save([1])
        try other.put("foreign", [UInt8](repeating: 7, count: 20_000))
        let foreign = try other.open(other.name("foreign"), .readWrite)
        let numbers = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").compactMap { Int32($0) }
        let reused = numbers.filter {
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)"))
                == "\(directory.path)/state"
        }
        #expect(!reused.isEmpty)
        for number in reused {
            #expect(dup2(foreign.rawValue, number) == number)
            _ = fcntl(number, F_SETFD, FD_CLOEXEC)
        }
        #expect(try state.load() == [1])
        #expect(try state.save([2]).generation == 2)
        #expect(try directory.slots().load() == [2])
        #expect(try other.bytes(of: "foreign") == [UInt8](repeating: 7, count: 20_000))
        for number in reused { #expect(fcntl(number, F_GETFD) >= 0, "it is not closed") }
        for number in reused { close(number) }
    }

    @Test("the first user after a failed flush stays with the old state")
    func failedFlushStays() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        try directory.slots().save([1])
        try directory.slots().save([2])
        fileSystem.faults = .failEvery(with: EIO) { $0.function == "fdatasync" }
        let state = try directory.slots()
        #expect(try stateError { try state.save([3]) }.code == .outcomeUnknown)
        fileSystem.faults = .none
        #expect(try directory.slots().load() == [2])
        #expect(try directory.slots().save([4]).generation == 5, "the failed save's generation is not given away")
    }

    @Test("a flush that is impossible is no flush that failed", arguments: [EROFS, EINVAL])
    func impossibleFlush(_ code: Int32) throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        try directory.slots().save([1])
        fileSystem.forgetSharedMemory()
        fileSystem.faults = .failEvery(with: code) {
            $0.function == "fdatasync" || $0.function == "fsync"
        }
        #expect(try directory.slots().load() == [1])
    }

    @Test("writers that can have no arena meet on the state's own inode, and readers read both slots")
    func withoutArena() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        try directory.slots().save([0])
        fileSystem.remove(".state.arena")
        fileSystem.remove(".state.lock")
        fileSystem.faults = .failEvery(with: EROFS) {
            $0.flags.contains("O_CREAT") || $0.flags.contains("O_TMPFILE") || $0.function == "linkat"
        }
        let count = Atomic(0)
        DispatchQueue.concurrentPerform(iterations: 4) { _ in
            guard let state = try? directory.state() else { return }
            for _ in 0..<25 {
                if (try? state.update({ $0[0] += 1 })) != nil { count.add(1, ordering: .relaxed) }
            }
        }
        #expect(count.load(ordering: .relaxed) == 100)
        let (value, report) = try directory.state().loadWithReport()
        #expect(value == [100])
        #expect(report.generation == 101)
        #expect(fileSystem.names(in: "/") == ["state"])
        let state = try directory.state()
        let before = fileSystem.calls("fdatasync").count
        try state.save([7])
        try state.save([8])
        #expect(
            fileSystem.calls("fdatasync").count - before == 3,
            "the first save flushes what it found; each flushes itself"
        )
    }

    @Test("a save within an update of a state without an arena is refused, not waited for")
    func reentrantWithoutArena() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        try directory.slots().save([0])
        fileSystem.remove(".state.arena")
        fileSystem.faults = .failEvery(with: EROFS) { $0.flags.contains("O_CREAT") || $0.flags.contains("O_TMPFILE") }
        let state = try directory.state()
        try state.update { value in
            let error = try stateError { try state.save([9]) }
            #expect(error.code == .notLocked)
            value = [1]
        }
        #expect(try state.load() == [1])
    }
}
