// SPDX-License-Identifier: Apache-2.0
//
// What a protocol under test has to do: take the lock, let the worker into the section, give the lock back.

internal import ArgumentParser
internal import Holdfast
internal import _HoldfastStressShims

/// What an acquisition came with.
struct Grant {
    var isShared = false
    var token: UInt64?
    /// The PID of the holder that died, if the lock says that one did.
    var abandoned: Int32?
}

/// One process's side of a protocol.
protocol Contender {
    /// Tries to take the lock and runs the section while it is held. False if the lock is taken.
    ///
    /// The section may not return: it kills the process in some cases.
    func attempt(_ section: (Grant) -> Void) throws -> Bool
    /// Removes the lock of a holder that died, after the last worker has ended.
    ///
    /// Returns what is in the way of that, or nil.
    func tidy() throws -> String?
}

extension Contender {
    func tidy() -> String? { nil }
}

/// The protocols that can be stressed.
enum ProtocolName: String, CaseIterable, ExpressibleByArgument {
    case seed
    case seedVerified = "seed-verified"
    case flock

    /// The lock file's name in its directory.
    static let lockName = "stress.lock"

    /// Whether it is a known-bad control, which has to be caught.
    var isUnsound: Bool { self == .seed || self == .seedVerified }

    /// Whether the next holder has to be told of each dead one.
    var reportsAbandoned: Bool { false }

    /// Whether acquisitions come with tokens.
    var givesTokens: Bool { false }

    /// What may be in the directory when the run is over and the lock is free.
    var expectedFiles: Set<String> {
        switch self {
        case .seed, .seedVerified: []
        case .flock: [Self.lockName]
        }
    }

    func contender(in path: String, chance: Chance, page: SharedPage, deaths: UInt64) throws -> any Contender {
        let directory = try Directory(path, on: StressedFileSystem(chance: chance, deaths: deaths))
        guard let name = FileName(Self.lockName) else { preconditionFailure("a constant") }
        return switch self {
        case .seed: SeedProtocol(directory: directory, name: name, verifies: false)
        case .seedVerified: SeedProtocol(directory: directory, name: name, verifies: true)
        case .flock: KernelLock(directory: directory, name: name)
        }
    }
}
