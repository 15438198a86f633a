// SPDX-License-Identifier: Apache-2.0
//
// A state file that is saved, updated, restored, and crashed meanwhile.

package import Holdfast
package import HoldfastTesting

/// What the program did, or relied on.
///
/// Versions are stored by attempts, counted from 1; a version may be stored again, by putting the previous copy back.
enum StateNote: Hashable, Sendable {
    case began(attempt: Int, version: Int)
    case saved(attempt: Int, StateDurability)
    /// A durable load returned what this attempt stored, and its caller acts upon it.
    case reliedOn(attempt: Int)
}

/// One step of the program.
package enum StateStep: Hashable, Sendable {
    /// Saves a payload of so many bytes.
    case save(Int)
    /// Saves a payload of so many bytes without a flush.
    case saveUnflushed(Int)
    /// Saves on the condition that nobody else has, with a fencing token.
    case saveOnCondition(Int)
    /// Reads, changes and saves.
    case update(Int)
    /// Saves a payload of so many bytes to a file of this strategy, whatever it was.
    case convert(StateStrategy, Int)
    /// Puts the state before the last one back.
    case restorePrevious
}

/// A state file and what is done with it.
package struct StateWorkload: Sendable {
    package var options: StateOptions
    /// Done before, and durable.
    package var before: [StateStep] = []
    package var steps: [StateStep]
    /// Whether the current state is damaged between the two.
    package var isDamaged = false
    /// Whether the machine was started again between the two.
    package var isRebooted = false
    /// Whether somebody died over an earlier save, and left its temporary file.
    package var hasOrphan = false
    /// What goes wrong in the steps.
    package var faults = FaultPlan.none
    /// Whether the callers of durable loads act upon them.
    ///
    /// A load cannot see an error that the flush of a save has consumed, and so cannot promise anything after one.
    package var reliesOnLoads = true
    /// Whether loads are durable; the others may be taken back.
    package var loadsAreDurable = true

    package init(
        options: StateOptions = StateOptions(),
        before: [StateStep] = [],
        steps: [StateStep],
        isDamaged: Bool = false,
        isRebooted: Bool = false,
        hasOrphan: Bool = false,
        faults: FaultPlan = .none,
        reliesOnLoads: Bool = true
    ) {
        self.options = options
        self.before = before
        self.steps = steps
        self.isDamaged = isDamaged
        self.isRebooted = isRebooted
        self.hasOrphan = hasOrphan
        self.faults = faults
        self.reliesOnLoads = reliesOnLoads
    }

    /// Explores it.
    package func explore(_ explorer: CrashExplorer) throws -> CrashReport {
        try explorer.explore(
            preparing: prepare,
            workload: { (run: CrashRun<StateNote>) in
                run.fileSystem.faults = faults
                try work(run)
                run.fileSystem.faults = .none
            },
            recovery: { run in try StateOracle(run, self).judge() }
        )
    }

    private func prepare(_ run: CrashRun<StateNote>) throws {
        let program = try StateProgram(run.fileSystem, options)
        for step in before { try program.perform(step) { run.note($0) } }
        if isDamaged, let bytes = run.fileSystem.contents(of: "/state") {
            try run.fileSystem.write("/state", damaged(bytes))
        }
        if isRebooted { run.fileSystem.forgetSharedMemory() }
        if hasOrphan { try run.fileSystem.write("/.state.0123456789abcdef.tmp", Array("half a sta".utf8)) }
    }

    /// The file with its newest state damaged.
    private func damaged(_ bytes: [UInt8]) -> [UInt8] {
        if options.strategy != .twoSlot { return bytes.dropLast(3) }
        // Generations follow one another from 1, in the slots by turns.
        var bytes = bytes
        bytes[4096 + before.count % 2 * (bytes.count - 4096) / 2 + 130] ^= 1
        return bytes
    }

    private func work(_ run: CrashRun<StateNote>) throws {
        let program = try StateProgram(run.fileSystem, options, after: run.notes)
        for step in steps {
            do {
                try program.perform(step) { run.note($0) }
            } catch let error as StateError {
                // It was told. Whether it happened all the same is for the oracle.
                if !run.fileSystem.calls.contains(where: \.isFaulted) { throw error }
            }
        }
    }
}

/// A program that keeps numbered versions in a state file.
final class StateProgram {
    let directory: OpenDirectory
    let state: StateFile<[UInt8]>
    private let options: StateOptions
    private(set) var attempts: Int
    private var versions: Int
    /// The versions that were saved, one after another.
    private var history: [Int] = []

    init(_ fileSystem: SimulatedFileSystem, _ options: StateOptions, after notes: [StateNote] = []) throws {
        directory = try fileSystem.directory()
        state = try StateFile(FileName.known("state"), in: directory, options: options)
        self.options = options
        attempts = 0
        versions = 0
        var stored: [Int: Int] = [:]
        for note in notes {
            switch note {
            case .began(let attempt, let version):
                attempts = max(attempts, attempt)
                versions = max(versions, version)
                stored[attempt] = version
            case .saved(let attempt, _): history += stored[attempt].map { [$0] } ?? []
            case .reliedOn: break
            }
        }
    }

    func perform(_ step: StateStep, note: (StateNote) -> Void) throws {
        attempts += 1
        let version: Int
        if step == .restorePrevious {
            version = try previousVersion()
        } else {
            versions += 1
            version = versions
        }
        note(.began(attempt: attempts, version: version))
        note(.saved(attempt: attempts, try save(step).durability))
        history.append(version)
    }

    /// What a restore puts back.
    private func previousVersion() throws -> Int {
        if options.strategy == .twoSlot { return history.dropLast().last ?? 0 }
        let previous = try StateFile<[UInt8]>(FileName.known(".state.previous"), in: directory).load()
        return Self.version(of: previous) ?? 0
    }

    private func save(_ step: StateStep) throws -> StateCommit {
        switch step {
        case .restorePrevious: return try state.restorePrevious()
        case .save(let length): return try state.save(Self.payload(versions, length))
        case .saveUnflushed(let length):
            return try state.save(Self.payload(versions, length), durability: .processCrash)
        case .convert(let strategy, let length):
            var options = options
            options.strategy = strategy
            let state = try StateFile<[UInt8]>(FileName.known("state"), in: directory, options: options)
            return try state.save(Self.payload(versions, length))
        case .update(let length): return try state.update(initial: []) { $0 = Self.payload(versions, length) }
        case .saveOnCondition(let length):
            let generation = (try? state.verify().generation) ?? .absent
            return try state.save(
                Self.payload(versions, length),
                ifGeneration: generation,
                fence: Fence(FencingToken(UInt64(attempts)))
            )
        }
    }

    /// The payload of a version: its number and length, and bytes that no other version has.
    static func payload(_ version: Int, _ length: Int) -> [UInt8] {
        var random = SplitMix(seed: UInt64(version))
        let number = Array("\(version) \(length) ".utf8)
        return number + (0..<max(0, length - number.count)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    /// The version of a payload; nil if it is none.
    static func version(of payload: [UInt8]) -> Int? {
        let words = payload.prefix(40).split(separator: UInt8(ascii: " "), maxSplits: 2).prefix(2)
        let numbers = words.compactMap { Int(String(decoding: $0, as: UTF8.self)) }
        guard numbers.count == 2, numbers[1] <= payload.count + 40 else { return nil }
        return payload == Self.payload(numbers[0], numbers[1]) ? numbers[0] : nil
    }
}

extension FileName {
    /// A name that is written in the program.
    static func known(_ name: String) -> FileName {
        guard let name = FileName(name) else { preconditionFailure("\(name) is no name of a file") }
        return name
    }
}
