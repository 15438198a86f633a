// SPDX-License-Identifier: Apache-2.0
//
// What a crash leaves of a mapped file: the model, word by word, and counters that a program keeps in one, right and wrong.

import Holdfast
import HoldfastTesting
import Testing

@Suite
struct CrashedMemoryTests {
    /// Two words on two pages.
    private static let places = [0, 4096]
    private static let length = 8192

    /// A mapped file, and stores into it.
    @safe
    private struct Memory: ~Copyable {
        let file: Descriptor
        private let base: UnsafeMutableRawPointer

        init(_ fileSystem: SimulatedFileSystem) throws {
            let directory = try fileSystem.directory()
            let file = try directory.open(directory.name("memory"), .readWrite)
            let base = try unsafe file.map(length: CrashedMemoryTests.length, isWritable: true)
            self.file = file
            unsafe self.base = unsafe base
        }

        deinit { unsafe file.fileSystem.unmap(base, length: CrashedMemoryTests.length) }

        subscript(word: Int) -> UInt64 {
            get { unsafe base.load(fromByteOffset: CrashedMemoryTests.places[word], as: UInt64.self) }
            nonmutating set {
                unsafe base.storeBytes(of: newValue, toByteOffset: CrashedMemoryTests.places[word], as: UInt64.self)
            }
        }

        /// Any call: what was stored is seen at it.
        func call() throws { _ = try file.status() }
    }

    private static func words(_ fileSystem: SimulatedFileSystem) -> [UInt64] {
        let bytes = fileSystem.contents(of: "/memory") ?? []
        return places.map { place in bytes[place..<place + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) } }
    }

    @Test(
        "each word is that of the last flush or any later one, whatever the other is",
        arguments: CrashProfile.allCases
    )
    func model(profile: CrashProfile) throws {
        var left: [CrashKind: [Int: Set<[UInt64]>]] = [:]
        var explorer = CrashExplorer(profile)
        explorer.recoveryLimit = 0
        let report = try explorer.explore { (run: CrashRun<Int>) in
            try run.fileSystem.write("/memory", [UInt8](repeating: 0, count: Self.length))
        } workload: { run in
            let memory = try Memory(run.fileSystem)
            memory[0] = 1
            try memory.call()
            (memory[0], memory[1]) = (2, 1)
            try memory.call()
            run.note(1)
            try memory.file.sync(.data)
            run.note(2)
            memory[0] = 3
            try memory.call()
            memory[0] = 4
            run.note(3)
        } recovery: { run in
            guard let kind = run.crashes.first, run.crashes.count == 1 else { return }
            left[kind, default: [:]][run.notes.count, default: []].insert(Self.words(run.fileSystem))
        }
        #expect(report.isSound && report.sampledMoments == 0 && report.symmetricMoments == 0, "\(report)")
        let mixtures: Set<[UInt64]> = [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]
        #expect(left[.power]?[0] == mixtures)
        #expect(left[.power]?[1] == mixtures)
        #expect(left[.power]?[2] == [[2, 1], [3, 1], [4, 1]])
        #expect(left[.power]?[3] == [[2, 1], [3, 1], [4, 1]])
        // A process that dies has stored what it had, all that was found at one call together.
        #expect(left[.process]?[0] == [[0, 0], [1, 0], [2, 1]])
        #expect(left[.process]?[2] == [[2, 1], [3, 1], [4, 1]])
    }

    @Test("where the words have too many fates a few are tried: all, none, and mixtures")
    func manyWords() throws {
        var left: Set<[UInt64]> = []
        var explorer = CrashExplorer()
        (explorer.wordLimit, explorer.recoveryLimit) = (3, 0)
        let report = try explorer.explore { (run: CrashRun<Int>) in
            try run.fileSystem.write("/memory", [UInt8](repeating: 0, count: Self.length))
        } workload: { run in
            let memory = try Memory(run.fileSystem)
            for value: UInt64 in 1...10 {
                (memory[0], memory[1]) = (value, value)
                try memory.call()
            }
        } recovery: { run in
            if run.crashes == [.power] { left.insert(Self.words(run.fileSystem)) }
        }
        #expect(report.isSound && report.symmetricMoments == 1, "\(report)")
        #expect(left.contains([0, 0]) && left.contains([10, 10]) && left.count <= 5, "\(left)")
    }

    /// Gives out numbers from a mapped file, each once.
    enum Counter: CaseIterable, Sendable {
        /// Reserves a number by a flush before it is given out.
        case sound
        /// Flushes it afterwards.
        case flushedLate
        /// Does not flush it at all, and relies on the kernel's writeback.
        case unflushed
        /// Two words, of which the second says that the first is valid: they need not reach the device in this order.
        case flagAfterValue

        var violations: Set<CrashViolation.Kind> {
            switch self {
            case .sound: []
            case .flushedLate, .unflushed: [.repeated]
            case .flagAfterValue: [.neverSaved]
            }
        }
    }

    @Test(
        "a counter in a mapped file repeats a number after a power cut unless it was flushed before",
        arguments: Counter.allCases
    )
    func counter(_ counter: Counter) throws {
        let report = try CrashExplorer().explore { (run: CrashRun<UInt64>) in
            try run.fileSystem.write("/memory", [UInt8](repeating: 0, count: Self.length))
        } workload: { run in
            for _ in 0..<2 { try take(counter, run) }
        } recovery: { run in
            if counter == .flagAfterValue {
                let words = Self.words(run.fileSystem)
                if words[1] > words[0] { throw CrashViolation(.neverSaved, "\(words[0]) is said to be \(words[1])") }
                return
            }
            let last = run.notes.max() ?? 0
            let number = try take(counter, run)
            if number <= last { throw CrashViolation(.repeated, "\(number) after \(last)") }
        }
        #expect(report.kinds == counter.violations, "\(report)")
    }

    @discardableResult
    private func take(_ counter: Counter, _ run: CrashRun<UInt64>) throws -> UInt64 {
        let memory = try Memory(run.fileSystem)
        let number = memory[0] + 1
        memory[0] = number
        if counter == .flagAfterValue {
            try memory.call()
            memory[1] = number
        }
        if counter == .sound { try memory.file.sync(.data) }
        run.note(number)
        if counter == .flushedLate { try memory.file.sync(.data) }
        return number
    }
}
