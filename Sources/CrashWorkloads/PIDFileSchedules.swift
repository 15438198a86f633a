// SPDX-License-Identifier: Apache-2.0
//
// Two cleaners, a creator and a releaser of a PID file whose owner has died: ours, and the protocol that is known to be bad.

internal import Holdfast
package import HoldfastTesting
internal import _HoldfastCShims

/// A protocol of PID files, and those who use it at once.
package enum PIDFileSchedules: String, CaseIterable, Sendable {
    /// `PIDFile`, over a bare PID that another process's protocol left.
    case holdfast
    /// `PIDFile`, over the record of one of its own that died.
    case holdfastOverRecord = "holdfast-over-record"
    /// `PIDFile`, where there is no file before.
    case holdfastOverNothing = "holdfast-over-nothing"
    /// `PIDFile`, over the record of one of its own that died, where each name has locks of its own.
    case holdfastByPath = "holdfast-by-path"
    /// Read the PID, rename the file to `.removing`, unlink it.
    case removing
    /// The same, but look once more after the rename, and link the file back if its process lives.
    case removingVerified = "removing-verified"

    /// No process has this PID: Linux gives out none above 4194304.
    private static let deadPID: Int32 = 2_000_000_000

    private static var recordOfTheDead: [UInt8] {
        var process = ProcessIdentity.current
        process.pid = deadPID
        let template = LockRecordTemplate(process: process, family: .flock, label: "service")
        return unsafe [UInt8](unsafeUninitializedCapacity: LockRecordLayout.size) { buffer, count in
            unsafe template.fill(UnsafeMutableRawBufferPointer(buffer), token: 0, limit: 0, acquiredMilliseconds: 1)
            count = LockRecordLayout.size
        }
    }

    /// Whether two are never inside at once.
    package var isSound: Bool { self != .removing && self != .removingVerified }

    private static let name = FileName.known("service.pid")

    /// Explores every schedule, up to so many states.
    ///
    /// The creator is inside until the end; the releaser is inside, and leaves.
    package func explore(
        cleaners: Int = 2,
        limit: Int = .max,
        onProgress: @escaping (Int) -> Void = { _ in }
    ) throws -> ScheduleReport {
        var processes = [
            ScheduledProcess("releaser") { try hold($0, releases: true) },
            ScheduledProcess("creator") { try hold($0, releases: false) },
        ]
        for number in 1...cleaners {
            processes.append(ScheduledProcess("cleaner \(number)") { try clean($0.directory) })
        }
        return try ScheduleExplorer.explore(processes, limit: limit) { fileSystem in
            fileSystem.knowsFilesByPath = self == .holdfastByPath
            try fileSystem.write("/service.pid", Array("\(Self.deadPID)".utf8))
            // It is there from the first cleanup on.
            if isSound { try fileSystem.write("/.service.pid.guard", []) }
            switch self {
            case .holdfastOverNothing: fileSystem.remove("/service.pid")
            case .holdfastOverRecord, .holdfastByPath:
                try fileSystem.write("/service.pid", Self.recordOfTheDead)
            default: break
            }
        } judgingEnd: { names in
            let left = names.filter { ![".service.pid.guard", "service.pid"].contains($0) }
            return left.isEmpty ? nil : "\(left) is left behind"
        } onProgress: {
            onProgress($0)
        }
    }

    private func clean(_ directory: OpenDirectory) throws {
        if isSound {
            _ = try PIDFile(Self.name, in: directory).removeIfStale()
        } else {
            let file = RemovingProtocol(directory: directory, name: Self.name, verifies: self == .removingVerified)
            // Another one was faster.
            try? file.removeIfStale()
        }
    }

    /// Tries once: to have tried before is as to come later.
    private func hold(_ life: ScheduledLife, releases: Bool) throws {
        if isSound {
            let file = try PIDFile(Self.name, in: life.directory)
            guard case .acquired(let lock) = try file.tryLock() else { return }
            if !releases { return life.stayInside() }
            life.beInside()
            try lock.release()
        } else {
            let file = RemovingProtocol(directory: life.directory, name: Self.name, verifies: self == .removingVerified)
            guard try file.create() else { return }
            if !releases { return life.stayInside() }
            life.beInside()
            // A cleaner may have taken it away.
            try? life.directory.unlink(Self.name)
        }
    }
}
