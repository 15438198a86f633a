// SPDX-License-Identifier: Apache-2.0
//
// Two cleaners, a creator and a releaser of a PID file whose owner has died: ours, and the protocol that is known to be bad.

internal import Holdfast
package import HoldfastTesting
internal import _HoldfastCShims

/// A protocol of PID files, and those who use it at once.
package enum PIDFileSchedules: String, CaseIterable, Sendable {
    /// `PIDFile`, over a bare PID that somebody else's protocol left.
    case holdfast
    /// `PIDFile`, over the record of one of its own that died.
    case holdfastOverRecord = "holdfast-over-record"
    /// `PIDFile`, where there is no file before.
    case holdfastOverNothing = "holdfast-over-nothing"
    /// Read the PID, rename the file to `.removing`, unlink it.
    case removing
    /// The same, but look once more after the rename, and link the file back if its process lives.
    case removingVerified = "removing-verified"

    /// Whether two are never inside at once.
    package var isSound: Bool { self != .removing && self != .removingVerified }

    private static let name = FileName.known("service.pid")

    /// Explores every schedule, up to so many states.
    ///
    /// The creator is inside until the end; the releaser is inside, and leaves.
    package func explore(limit: Int = .max, onProgress: @escaping (Int) -> Void = { _ in }) throws -> ScheduleReport {
        let processes = [
            ScheduledProcess("cleaner 1") { try clean($0.directory) },
            ScheduledProcess("cleaner 2") { try clean($0.directory) },
            ScheduledProcess("releaser") { try hold($0, releases: true) },
            ScheduledProcess("creator") { try hold($0, releases: false) },
        ]
        return try ScheduleExplorer.explore(processes, limit: limit) { fileSystem in
            try fileSystem.write("/service.pid", Array("2000000000".utf8))
            // It is there from the first cleanup on.
            if isSound { try fileSystem.write("/.service.pid.guard", []) }
            switch self {
            case .holdfastOverNothing: fileSystem.remove("/service.pid")
            case .holdfastOverRecord:
                fileSystem.remove("/service.pid")
                let lock = try PIDFile(Self.name, in: fileSystem.directory()).lock(deadline: .now)
                let record = fileSystem.contents(of: "/service.pid") ?? []
                try lock.release()
                try fileSystem.write("/service.pid", record)
            default: break
            }
        } judgingEnd: { names in
            let left = names.filter { ![".service.pid.guard", "service.pid"].contains($0) }
            return left.isEmpty ? nil : "\(left) is left behind"
        } onProgress: {
            onProgress($0)
        }
    }

    private func clean(_ directory: Directory) throws {
        if isSound {
            _ = try PIDFile(Self.name, in: directory).removeIfStale()
        } else {
            let file = RemovingProtocol(directory: directory, name: Self.name, verifies: self == .removingVerified)
            // Another one was faster.
            try? file.removeIfStale()
        }
    }

    private func hold(_ life: ScheduledLife, releases: Bool) throws {
        if isSound {
            let file = try PIDFile(Self.name, in: life.directory)
            for _ in 1...2 {
                guard case .acquired(let lock) = try file.tryLock() else { continue }
                life.beInside()
                if releases { return try lock.release() }
                return life.stayInside()
            }
        } else {
            let file = RemovingProtocol(directory: life.directory, name: Self.name, verifies: self == .removingVerified)
            for _ in 1...2 where try file.create() {
                if !releases { return life.stayInside() }
                life.beInside()
                // A cleaner may have taken it away.
                try? life.directory.unlink(Self.name)
                return
            }
        }
    }
}
