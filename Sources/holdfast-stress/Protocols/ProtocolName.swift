// SPDX-License-Identifier: Apache-2.0
//
// Which protocols there are, and what each of them promises.

internal import ArgumentParser
internal import Holdfast

/// The protocols that can be stressed.
enum ProtocolName: String, CaseIterable, Codable, ExpressibleByArgument {
    /// Known bad: stale locks are renamed away by whoever read a dead PID.
    case seed
    /// Known bad: the same, with a second look after the rename.
    case seedVerified = "seed-verified"
    /// Known good, without any lock code of ours: flock(2) on a file that stays.
    case flock
    /// ``PIDFile``; everybody takes it and cleans it up.
    case pidFile = "pidfile"
    /// Owners of bare PID files; everybody cleans with ``PIDFile/removeIfStale()``.
    case clean
    /// The same, with owners that flock their file.
    case cleanFlock = "clean-flock"
    /// Bare PID owners and ``PIDFile`` on one name: the latter take over what dead ones of the former left.
    case takeover
    /// ``LockFile``, exclusive: each dead holder is reported once, tokens grow.
    case lockFile = "lockfile"
    /// The same with open-file-description locks.
    case lockFileOFD = "lockfile-ofd"
    /// ``LockFile`` with cleaners that remove it when its holder died: tokens still grow.
    case lockFileClean = "lockfile-clean"
    /// ``LockFile``, shared and exclusive.
    case mixed
}

extension ProtocolName {
    /// The lock file's name in its directory.
    static let lockName = "stress.lock"

    /// Whether it is a known-bad control, which has to be caught.
    var isUnsound: Bool { self == .seed || self == .seedVerified }

    /// Whether the next holder has to be told of each dead one.
    var reportsAbandoned: Bool { [.lockFile, .lockFileOFD, .mixed].contains(self) }

    /// Whether exclusive acquisitions come with tokens.
    var givesTokens: Bool { [.lockFile, .lockFileOFD, .lockFileClean, .mixed].contains(self) }

    /// What may be in the directory when the run is over and the lock is free.
    var expectedFiles: Set<String> {
        let companion = ".\(Self.lockName).guard"
        return switch self {
        case .seed, .seedVerified: []
        case .flock: [Self.lockName]
        case .pidFile, .clean, .cleanFlock, .takeover: [companion]
        case .lockFile, .lockFileOFD, .lockFileClean, .mixed: [Self.lockName, companion]
        }
    }

    /// One worker's side of it.
    ///
    /// `chance` is where its pauses come from; `plan` says how hard it is stressed.
    func contender(
        _ plan: WorkerPlan<RunSettings>,
        chance: Chance,
        page: SharedPage
    ) throws -> any Contender {
        // Known-bad and foreign protocols do not survive a death in each of their calls, and do not promise to.
        var fileSystem = StressedFileSystem(chance: chance, hasUnnamedFiles: plan.settings.hasUnnamedFiles)
        let safe = try OpenDirectory(plan.directory.locks, on: fileSystem)
        fileSystem.deaths = plan.settings.deathsInCalls
        let deadly = try OpenDirectory(plan.directory.locks, on: fileSystem)
        fileSystem.isSlow = true
        let slow = try OpenDirectory(plan.directory.locks, on: fileSystem)
        guard let name = FileName(Self.lockName) else { preconditionFailure("a constant") }
        let cleaner = Cleaner(directory: slow, name: name, page: page)
        func legacyOwner(locksFile: Bool) -> LegacyOwner {
            LegacyOwner(directory: safe, name: name, locksFile: locksFile, chance: chance, page: page, cleaner: cleaner)
        }
        func pidFile() throws -> PIDFileContender {
            PIDFileContender(file: try PIDFile(name, in: deadly), chance: chance, page: page, cleaner: cleaner)
        }
        func lockFile(_ family: LockFamily = .flock) throws -> LockFileContender {
            LockFileContender(file: try LockFile(name, in: deadly, family: family), chance: chance, page: page)
        }
        switch self {
        case .seed: return SeedProtocol(directory: safe, name: name, verifies: false)
        case .seedVerified: return SeedProtocol(directory: safe, name: name, verifies: true)
        case .flock: return KernelLock(directory: safe, name: name)
        case .clean: return legacyOwner(locksFile: false)
        case .cleanFlock: return legacyOwner(locksFile: true)
        case .takeover: return plan.worker.slot % 2 == 1 ? legacyOwner(locksFile: false) : try pidFile()
        case .pidFile: return try pidFile()
        case .lockFile: return try lockFile()
        case .lockFileOFD: return try lockFile(.openFileDescription)
        case .lockFileClean:
            var contender = try lockFile()
            contender.cleaner = cleaner
            contender.waits = 50
            return contender
        case .mixed:
            var contender = try lockFile()
            contender.readers = 700
            return contender
        }
    }
}
