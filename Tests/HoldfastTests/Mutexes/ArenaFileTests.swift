// SPDX-License-Identifier: Apache-2.0
//
// The file of an arena: what is refused, what a reboot and a full count do, and what happens to who runs while the file
// is taken away. Bytes are changed through the file, which the kernel keeps the same as the mapping.

import Foundation
import Holdfast
import HoldfastTesting
import Testing
import _HoldfastCShims

@Suite(.temporaryDirectory)
struct ArenaFileTests {
    private var path: String { TemporaryDirectory.current + "/a.arena" }

    private func open(count: Int = 1) throws -> MutexArena { try MutexArena(path, count: count) }

    private func error(count: Int = 1) -> LockError? {
        do throws(LockError) {
            _ = try MutexArena(path, count: count)
            return nil
        } catch {
            return error
        }
    }

    /// Overwrites bytes of the file.
    private func write<Number>(_ number: Number, at offset: Int) throws {
        let file = try FileHandle(forUpdating: URL(filePath: path))
        try file.seek(toOffset: UInt64(offset))
        try file.write(contentsOf: unsafe withUnsafeBytes(of: number) { unsafe Data($0) })
        try file.close()
    }

    private func read<Number>(_: Number.Type, at offset: Int) throws -> Number {
        let data = try Data(contentsOf: URL(filePath: path))
        return unsafe data.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: offset, as: Number.self) }
    }

    // MARK: What is refused

    @Test("Every file that is no arena of this shape is refused with a sentence, and left as it is")
    func badFiles() throws {
        _ = try open(count: 4)
        let whole = try Data(contentsOf: URL(filePath: path))
        func changed(at offset: Int, _ byte: UInt8) -> Data {
            var data = whole
            data[offset] ^= byte
            return data
        }
        let bad: [(what: String, data: Data, code: LockError.Code)] = [
            ("empty", Data(), .refused),
            ("a text", Data("hello\n".utf8), .refused),
            ("zeros", Data(count: whole.count), .refused),
            ("cut within its header", whole.prefix(40), .refused),
            ("cut within its slots", whole.prefix(5000), .refused),
            ("one byte short", whole.prefix(whole.count - 1), .refused),
            ("one byte long", whole + Data(count: 1), .refused),
            ("magic", changed(at: 3, 1), .refused),
            ("version", changed(at: 15, 3), .unsupported),
            ("count", changed(at: 44, 1), .refused),
            ("checksum", changed(at: 60, 1), .refused),
        ]
        for (what, data, code) in bad {
            try data.write(to: URL(filePath: path))
            let error = error(count: 4)
            #expect(error?.code == code, "\(what): \(String(describing: error))")
            #expect(error.map { "\($0)".contains(path) } == true)
            #expect(try Data(contentsOf: URL(filePath: path)) == data, "\(what) was changed")
        }
        try whole.write(to: URL(filePath: path))
        #expect(error(count: 4) == nil)
        #expect(error(count: 5)?.code == .refused)
    }

    @Test("Any flipped bit of the part that never changes is found", arguments: 0..<64)
    func flippedHeader(offset: Int) throws {
        _ = try open()
        let before = try read(UInt8.self, at: offset)
        for bit in 0..<8 {
            try write(before ^ (1 << bit), at: offset)
            #expect(error() != nil, "byte \(offset), bit \(bit)")
        }
        try write(before, at: offset)
        #expect(error() == nil)
    }

    @Test("An arena with another layout, or of a machine of the other byte order, is refused")
    func otherLayouts() throws {
        _ = try open()
        for (offset, number) in [(32, UInt32(0x0403_0201)), (36, 128), (40, 512)] as [(Int, UInt32)] {
            let before = try read(UInt32.self, at: offset)
            try write(number, at: offset)
            try write(try checksumOfHeader(), at: 56)
            #expect(error()?.code == .unsupported)
            try write(before, at: offset)
        }
        try write(try checksumOfHeader(), at: 56)
        #expect(error() == nil)
    }

    private func checksumOfHeader() throws -> UInt64 {
        var sum = Checksum()
        unsafe try Data(contentsOf: URL(filePath: path)).prefix(56).withUnsafeBytes { unsafe sum.update($0) }
        return sum.value
    }

    @Test("Symbolic links, directories, pipes and devices are refused without waiting for anything")
    func notRegular() throws {
        _ = try MutexArena(path + ".real", count: 1)
        let makers: [() throws -> Void] = [
            { try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: path + ".real") },
            { _ = unsafe mkfifo(path, 0o600) },
            { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false) },
        ]
        for make in makers {
            try make()
            #expect(error()?.code == .refused)
            try FileManager.default.removeItem(atPath: path)
        }
    }

    @Test("An impossible count is refused", arguments: [0, -1, .min, .max, MutexArena.maximumCount + 1])
    func impossibleCount(count: Int) {
        #expect(error(count: count)?.code == .refused)
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test("An arena without its directory, or where nothing can be written, is a failure that says why")
    func noDirectory() {
        #expect(throws: LockError.self) { try MutexArena("\(path)/missing/a", count: 1) }
    }

    @Test("A network file system is refused, and so is one that cannot be asked")
    func networkFileSystem() throws {
        let simulated = SimulatedFileSystem()
        simulated.isShared = true
        let name = FileName("a.arena")
        let directory = try simulated.directory()
        let error = #expect(throws: LockError.self) { _ = try MutexArena(name, in: directory, count: 1) }
        #expect(error?.code == .unsupported)
    }

    // MARK: Slots

    @Test("When all slots are taken, the next process is told so; a slot is free again when its process closes")
    func slots() throws {
        _ = try open()
        let other = try FileHandle(forUpdating: URL(filePath: path))
        let descriptor = other.fileDescriptor
        #expect(hf_ofd_lock(descriptor, true, false, 4096, 1024 * 8) == 0)
        #expect(error()?.code == .exhausted)
        #expect(error()?.reason.contains("lsof \(path)") == true)
        #expect(hf_ofd_release_range(descriptor, 4096, 8) == 0)
        do {
            let arena = try open()
            #expect(error()?.code == .exhausted)
            try arena[0].withLock { _ in }
        }
        #expect(error() == nil)
    }

    @Test("The command line exits with a status of its own when all slots are taken")
    func exitStatusOfAFullArena() async throws {
        let state = TemporaryDirectory.current + "/state"
        let save = ["state", "save", "--strategy", "two-slot"]
        let tool = CommandLineTool(command: CommandLineTool.holdfastctl.command + save)
        #expect(try await tool.run(state, input: .text("1")).status == 0)
        let arena = TemporaryDirectory.current + "/.state.arena"
        let other = try FileHandle(forUpdating: URL(filePath: arena))
        #expect(hf_ofd_lock(other.fileDescriptor, true, false, 4096, 1024 * 8) == 0)
        let outcome = try await tool.run(state, input: .text("2"))
        #expect(outcome.status == 71)
        #expect(outcome.error.contains("slots of the arena are taken"))
    }

    @Test("Each process that has had a slot has had another generation of it")
    func generations() throws {
        var seen: Set<UInt32> = []
        for _ in 0..<50 {
            let arena = try open()
            seen.insert(try read(UInt32.self, at: 4096))
            try arena[0].withLock { _ in }
        }
        #expect(seen.count == 50)
    }

    @Test("A word of a generation that comes again is not taken for that of the one who has it now")
    func generationsBeginAnew() throws {
        _ = try open(count: 2)
        // The first slot's next generation is 0, and a holder of that generation died 2^19 claims ago.
        try write(MutexWord.generations - 1, at: 4096)
        let dead = MutexWord(futex: MutexWord.owner(slot: 0, generation: 0), count: 7)
        try write(dead.raw, at: 12288)
        let arena = try open(count: 2)
        #expect(try read(UInt32.self, at: 4096) == 0)
        try arena[0].withLock { acquisition in
            #expect(acquisition.abandoned == MutexToken(1 << 32 | 7))
            #expect(acquisition.token == MutexToken(1 << 32 | 8))
        }
        try arena[1].withLock { #expect($0.abandoned == nil) }
    }

    // MARK: Tokens

    @Test("After a reboot tokens go on growing, who held a mutex is dead, and nothing else is left of the old boot")
    func reboot() throws {
        let name = FileName("a.arena")
        let directory = try OpenDirectory(TemporaryDirectory.current)
        func boot(_ id: Character) throws -> MutexArena {
            try MutexArena(name, in: directory, count: 2, bootID: String(repeating: id, count: 36))
        }
        var tokens: [MutexToken] = []
        do {
            let arena = try boot("a")
            for _ in 0..<10 { tokens.append(try arena[0].withLock { $0.token }) }
            let lock = try arena[0].lock()
            lock.publish(77)
            tokens.append(lock.token)
            #expect(arena[0].published == 77)
            // As a power cut leaves it: held.
            try FileManager.default.copyItem(atPath: path, toPath: path + ".held")
            try lock.release()
        }
        try FileManager.default.removeItem(atPath: path)
        try FileManager.default.moveItem(atPath: path + ".held", toPath: path)
        let arena = try boot("b")
        #expect(arena[0].published == 0)
        #expect(try arena[0].statistics.acquisitions == 11)
        try arena[0].withLock { acquisition in
            #expect(acquisition.abandoned == tokens.last)
            tokens.append(acquisition.token)
        }
        try arena[0].withLock { acquisition in
            #expect(acquisition.abandoned == nil)
            tokens.append(acquisition.token)
        }
        try arena[1].withLock { #expect($0.abandoned == nil) }
        #expect(tokens == Array(Set(tokens)).sorted())
        let statistics = try arena[0].statistics
        #expect((statistics.acquisitions, statistics.contended, statistics.abandoned) == (13, 0, 1))
    }

    @Test("A process that sees another boot id than those who use the arena cannot take it over")
    func contradictoryBoot() throws {
        let arena = try open()
        let name = FileName("a.arena")
        let error = #expect(throws: LockError.self) {
            let directory = try OpenDirectory(TemporaryDirectory.current)
            _ = try MutexArena(name, in: directory, count: 1, bootID: String(repeating: "x", count: 36))
        }
        #expect(error?.code == .unsupported)
        try arena[0].withLock { _ in }
    }

    @Test("Without a boot id nothing is opened")
    func noBoot() throws {
        let name = FileName("a.arena")
        let directory = try OpenDirectory(TemporaryDirectory.current)
        for id in [nil, "", "short"] {
            let error = #expect(throws: LockError.self) {
                _ = try MutexArena(name, in: directory, count: 1, bootID: id)
            }
            #expect(error?.code == .unsupported)
        }
    }

    @Test("When the count of acquisitions is at its end, a new epoch begins and tokens go on growing")
    func epochs() throws {
        let arena = try open(count: 2)
        _ = try arena[1].withLock { $0.token }
        try write(MutexWord(futex: 0, count: .max - 1).raw, at: 12288)
        let mutex = arena[0]
        let tokens = try (0..<4).map { _ in try mutex.withLock { $0.token.value } }
        let expected: [UInt64] = [0x1_ffff_ffff, 0x2_0000_0001, 0x2_0000_0002, 0x2_0000_0003]
        #expect(tokens == expected)
        #expect(try mutex.statistics.acquisitions == 0x1_0000_0002)
        #expect(try read(UInt32.self, at: 64) == 2)
    }

    @Test("The same when the last holder of the epoch died: it is reported, once")
    func epochEndsWithADeath() throws {
        let arena = try open()
        // A slot that nobody has, of a generation that is over.
        let dead = MutexWord(futex: MutexWord.owner(slot: 9, generation: 3), count: .max)
        try write(dead.raw, at: 12288)
        try arena[0].withLock { acquisition in
            #expect(acquisition.abandoned == MutexToken(1 << 32 | 0xffff_ffff))
            #expect(acquisition.token == MutexToken(2 << 32 | 1))
        }
        try arena[0].withLock { #expect($0.abandoned == nil) }
    }

    @Test("A word that no process can have written does not hang or trap, and is taken over")
    func damagedWord() throws {
        let arena = try open()
        let words: [UInt32] = [.max, 0x7fff_ffff, 0x4000_0000, 0x8000_0000, 1, 2000 << 19, 2047 << 19 | 5]
        for futex in words {
            try write(MutexWord(futex: futex, count: 3).raw, at: 12288)
            try arena[0].withLock(deadline: .now + .seconds(600)) { _ in }
        }
    }

    @Test("A release finds out that somebody overwrote the word")
    func overwritten() throws {
        let arena = try open()
        let error = #expect(throws: LockError.self) {
            try arena[0].withLock { _ in try write(0 as UInt64, at: 12288) }
        }
        #expect(error?.code == .compromised)
    }

    // MARK: The path

    @Test("Who waits learns that the file was deleted or replaced; who holds can release", arguments: [false, true])
    func replaced(byAnother: Bool) throws {
        let arena = try open()
        let held = try arena[0].lock()
        try FileManager.default.removeItem(atPath: path)
        var other: MutexArena?
        if byAnother {
            other = try open()
            try other?[0].withLock { _ in }
        }
        let error = #expect(throws: LockError.self) { try arena[0].withLock(deadline: .now + .seconds(600)) { _ in } }
        #expect(error?.code == .compromised)
        #expect(throws: LockError.self) { try arena[0].withLock { _ in } }
        try held.release()
        #expect(throws: LockError.self) { try arena[0].withLock { _ in } }
    }

    @Test("Keys are spread over all mutexes, the same way for everybody")
    func keys() throws {
        let arena = try open(count: 16)
        let again = try open(count: 16)
        var used: Set<Int> = []
        for number in 0..<500 {
            let key = "key \(number)"
            #expect(arena.mutex(for: key).index == again.mutex(for: key).index)
            used.insert(arena.mutex(for: key).index)
        }
        #expect(used.count == 16)
        // CRC-64/NVME of the UTF-8 modulo 16: a later version must not put them elsewhere.
        #expect(["accounts", "orders", "Zähler"].map { arena.mutex(for: $0).index } == [0, 5, 9])
    }

    // MARK: Making it

    @Test("Whatever call of making the file fails, nothing is left and the next one makes it")
    func faultsInMaking() throws {
        let name = FileName("a.arena")
        for trial in FaultTrials(
            .failure(EIO),
            .failure(ENOSPC),
            .failure(EMFILE),
            .failure(EINTR),
            .shortWrite(bytes: 1)
        ) {
            let directory = try trial.fileSystem.directory()
            let layout = ArenaLayout(count: 3000)
            let outcome = trial.run { try ArenaFile.make(name, in: directory, layout) != nil }
            switch outcome {
            case .success: #expect(trial.fileSystem.names(in: "/") == ["a.arena"], "\(trial)")
            case .failure: #expect(trial.fileSystem.names(in: "/") == [], "\(trial)")
            }
        }
    }

    @Test("Without O_TMPFILE a private name serves and is not left behind")
    func withoutUnnamedFiles() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        fileSystem.faults = .failEvery(with: EOPNOTSUPP) { $0.flags.contains("O_TMPFILE") }
        let layout = ArenaLayout(count: 1)
        let isMade = try ArenaFile.make(directory.name("a.arena"), in: directory, layout) != nil
        #expect(isMade)
        #expect(fileSystem.names(in: "/") == ["a.arena"])
        let isMadeAgain = try ArenaFile.make(directory.name("a.arena"), in: directory, layout) != nil
        #expect(!isMadeAgain)
        #expect(fileSystem.names(in: "/") == ["a.arena"])
    }
}
