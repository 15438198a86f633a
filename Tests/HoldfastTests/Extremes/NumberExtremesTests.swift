// SPDX-License-Identifier: Apache-2.0
//
// Every number and text that a caller gives, at both ends of its type: it is taken for what it says, or an error. None
// traps. Deadlines have a file of their own.

import Foundation
import Holdfast
import Testing

@Suite(.temporaryDirectory)
struct NumberExtremesTests {
    private var path: String { TemporaryDirectory.current }
    private static let integers: [Int] = [.min, .min + 1, -1, 0, 1, 1 << 32, 1 << 40, 1 << 40 + 1, .max - 1, .max]
    private static let naturals: [UInt64] = [0, 1, 1 << 32, 1 << 48, 1 << 63, .max - 1, .max]
    private static let schemas: [UInt32] = [0, 1, 1 << 31, .max - 1, .max]

    // MARK: Mutexes

    @Test("A mutex whose number the arena does not have throws at every use", arguments: integers)
    func index(number: Int) async throws {
        let arena = try MutexArena(path + "/a", count: 2)
        let mutex = arena[number]
        #expect(mutex.index == number)
        if number == 0 || number == 1 { return try await mutex.withLock { _ in } }
        #expect(refuses { _ = try block { try mutex.withLock { _ in } } })
        #expect(refuses { try block { try mutex.withLock(deadline: .now) { _ in } } })
        #expect(refuses { try block { try mutex.lock().release() } })
        #expect(refuses { try block { _ = acquired(try mutex.tryLock()) == nil } })
        #expect(refuses { _ = try mutex.statistics })
        #expect(mutex.published == 0)
        let error = await #expect(throws: LockError.self) { try await mutex.withLock { _ in } }
        #expect(error?.code == .refused)
        #expect(try arena[0].statistics.acquisitions == 0)
    }

    @Test("An arena has as many mutexes as it can, or is refused", arguments: integers)
    func count(number: Int) {
        if number == 1 { return }
        #expect(refuses { _ = try MutexArena(path + "/a", count: number) })
    }

    @Test("Every text is a key", arguments: ["", "\0", String(repeating: "x", count: 100_000), "\u{10FFFF}"])
    func key(text: String) throws {
        try MutexArena(path + "/a", count: 3).mutex(for: text).withLock { _ in }
    }

    // MARK: Locks

    @Test("Every label is shown cut and without what moves a cursor")
    func labels() throws {
        for label in ["", "\0", "\n\u{1B}[2J", " ", String(repeating: "ä", count: 10_000), " label= pid=1"] {
            let file = try LockFile(path + "/l", label: label)
            let lock = try file.lock()
            _ = try file.status()
            let other = try LockFile(path + "/l").tryLock()
            if case .acquired = other { Issue.record("two locks") }
            try lock.release()
        }
    }

    @Test("Names of every length are taken or refused")
    func names() throws {
        for count in [0, 1, 226, 227, 233, 234, 248, 249, 255, 256, 100_000] {
            let name = String(repeating: "n", count: count)
            _ = try? LockFile("\(path)/\(name)").lock().release()
            _ = try? PIDFile("\(path)/\(name)").lock().release()
            _ = try? MutexArena("\(path)/\(name)", count: 1)
            _ = try? StateFile<[UInt8]>("\(path)/\(name)").save([1])
        }
        for path in ["", "/", ".", "..", "\0", "a\0b", path + "/"] {
            _ = try? LockFile(path).lock().release()
            _ = try? OpenDirectory(path)
            _ = try? StateFile<[UInt8]>(path).load()
        }
    }

    @Test("Permissions of a new directory", arguments: [0, 0o700, 0o7777, 0o10000, 1 << 31, .max] as [UInt32])
    func permissions(mode: UInt32) throws {
        _ = try? OpenDirectory(makingPath: "\(path)/a/b", permissions: mode)
    }

    // MARK: States

    @Test("Every capacity makes a file of it, or is refused, and the old state stands", arguments: integers)
    func capacity(number: Int) throws {
        // What a machine may have room for is not asked of it.
        if (1 << 32...1 << 40).contains(number) { return }
        for strategy in [StateStrategy.asFound, .replace, .twoSlot] {
            let directory = try OpenDirectory(makingPath: "\(path)/\(strategy)")
            try directory.state().save([1])
            let options = StateOptions(strategy: strategy, capacity: number, durability: .processCrash)
            let state = try directory.state(options: options)
            do throws(StateError) {
                try state.save([2])
                #expect(try state.load() == [2])
            } catch {
                #expect([.refused, .tooLarge, .notSaved].contains(error.code), "\(error)")
                #expect(try state.load() == [1])
            }
        }
    }

    @Test("Every limit of the length is kept", arguments: integers)
    func maximumLength(number: Int) throws {
        for strategy in [StateStrategy.replace, .twoSlot] {
            let directory = try OpenDirectory(makingPath: "\(path)/\(strategy)")
            let usual = StateOptions(strategy: strategy, durability: .processCrash)
            try directory.state(options: usual).save([1, 2])
            var options = usual
            options.maximumLength = number
            let state = try directory.state(options: options)
            if number >= 2 {
                #expect(try state.load() == [1, 2])
                try state.save([UInt8](repeating: 3, count: 5000))
                try state.update { $0 += [4] }
            } else {
                #expect(try stateError { _ = try state.load() }.code == .tooLarge)
                #expect(try stateError { try state.save([3, 4]) }.code == .tooLarge)
            }
        }
    }

    @Test("Every schema is kept, and newer ones are refused", arguments: schemas)
    func schema(number: UInt32) throws {
        let directory = try OpenDirectory(path)
        let name = try directory.name("state")
        let state = try StateFile(name, in: directory, codec: BytesCodec(), schema: number)
        try state.save([1])
        #expect(try state.load() == [1])
        #expect(try state.loadWithReport().report.schema == number)
        for other in Self.schemas {
            let reader = try StateFile(name, in: directory, codec: BytesCodec(), schema: other)
            let expected: StateError.Code? =
                other == number ? nil : other < number ? .newerSchema : .missingMigration
            do throws(StateError) {
                #expect(try reader.load() == [1] && expected == nil)
            } catch {
                #expect(error.code == expected)
            }
        }
    }

    @Test("A migration that leads nowhere is refused", arguments: schemas)
    func migration(number: UInt32) throws {
        let directory = try OpenDirectory(path)
        let name = try directory.name("state")
        for schema in Self.schemas {
            for steps in [[number], [number, number]] {
                let migrations = steps.map { StateMigration(from: $0) { $0 } }
                do throws(StateError) {
                    _ = try StateFile(
                        name,
                        in: directory,
                        codec: BytesCodec(),
                        schema: schema,
                        migrations: migrations
                    )
                    #expect(number < schema && steps.count == 1)
                } catch {
                    #expect(error.code == .refused)
                    #expect(number >= schema || steps.count == 2)
                }
            }
        }
    }

    @Test("Generations, tokens and stores of every number", arguments: naturals)
    func conditions(number: UInt64) throws {
        for strategy in [StateStrategy.replace, .twoSlot] {
            let directory = try OpenDirectory(makingPath: "\(path)/\(strategy)")
            let options = StateOptions(strategy: strategy, durability: .processCrash)
            let state = try directory.state(options: options)
            if number != 0 {
                #expect(try stateError { try state.save([1], ifGeneration: Generation(number)) }.code == .conflict)
            }
            try state.save([1], ifGeneration: 0, fence: Fence(FencingToken(number)))
            if number != 1 {
                #expect(try stateError { try state.save([2], ifGeneration: Generation(number)) }.code == .conflict)
            }
            for other in Self.naturals where other < number {
                #expect(try stateError { try state.save([2], fence: Fence(FencingToken(other))) }.code == .fenced)
            }
            try state.save([3], fence: Fence(FencingToken(.max)))
            var expecting = options
            expecting.expectedStore = StoreID(value: number)
            #expect(try stateError { _ = try directory.state(options: expecting).load() }.code == .wrongStore)
            try directory.state("other", options: expecting).save([4])
            #expect(try directory.state("other", options: expecting).load() == [4])
        }
        #expect(StoreID("\(StoreID(value: number))") == StoreID(value: number))
        #expect(!"\(FencingToken(number)) \(Generation(number))".isEmpty)
    }

    @Test("Errors of every number have a sentence", arguments: [.min, -1, 0, 1, 4096, .max] as [Int32])
    func errors(number: Int32) {
        #expect(!"\(SystemError(call: "open", code: number))".isEmpty)
        #expect(ProcessIdentity(pid: number).pid == number)
    }

    // MARK: The command line

    @Test(
        "Numbers of lock run",
        arguments: ["-1", "-1e308", "0", "1e-320", "3e10", "1e308", "1e400", "inf", "nan", "x"]
    )
    func timeout(text: String) async throws {
        let run = try await CommandLineTool.holdfastctl.run(
            "lock",
            "run",
            "--timeout=\(text)",
            path + "/l",
            "--",
            "true"
        )
        let isTime = (Double(text) ?? -1) >= 0 && Double(text)?.isFinite == true
        #expect(run.status == (isTime ? 0 : 64), "\(run)")
    }

    @Test("Numbers of state save")
    func saveOptions() async throws {
        let cases: [(arguments: [String], status: Int32)] = [
            (["--schema=0"], 77), (["--schema=4294967295"], 0), (["--schema=4294967296"], 64), (["--schema=-1"], 64),
            (["--if-generation=18446744073709551615"], 77), (["--if-generation=18446744073709551616"], 64),
            (["--if-generation=0"], 77), (["--token=18446744073709551615"], 0), (["--token=18446744073709551616"], 64),
            (["--strategy=two-slot", "--capacity=9223372036854775807"], 64),
            (["--strategy=two-slot", "--capacity=9223372036854775808"], 64),
        ]
        for (index, (arguments, status)) in cases.enumerated() {
            let file = "\(path)/state\(index)"
            for (arguments, status) in [([], 0), (arguments, status)] {
                let tool = CommandLineTool(
                    command: CommandLineTool.holdfastctl.command + ["state", "save"] + arguments
                )
                let run = try await tool.run(file, input: .text("value"))
                #expect(run.status == status, "\(arguments): \(run)")
            }
        }
    }
}

/// Whether the call throws that it is refused.
private func refuses(_ call: () throws -> Void) -> Bool {
    do {
        try call()
        return false
    } catch {
        return (error as? LockError)?.code == .refused
    }
}
