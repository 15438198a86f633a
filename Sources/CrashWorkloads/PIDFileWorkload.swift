// SPDX-License-Identifier: Apache-2.0
//
// A PID file that is made, taken over, cleaned away and released, and must keep nobody out whose owner is gone.

internal import Holdfast
internal import HoldfastTesting

/// What stands in the PID file's place before.
enum PIDFileWorkload: Sendable {
    /// Nothing: it is made and released.
    case publication
    /// The same on a file system without unnamed files.
    case namedPublication
    /// The record of a process that died, which is taken over and released.
    case adoption
    /// A bare PID of a process that died.
    case adoptionOfBarePID
    /// A bare PID of a process that died, which a cleaner removes.
    case cleanup

    private static let name = FileName.known("service.pid")
    /// No process has it: Linux gives out none above 4194304.
    private static let deadPID = "2000000000"

    /// The only note: a record is being written in place, over another or over a bare PID.
    private enum Note { case overwriting }

    func explore(_ explorer: CrashExplorer) throws -> CrashReport {
        try explorer.explore(
            preparing: { run in try prepare(run.fileSystem) },
            workload: { (run: CrashRun<Note>) in
                if self == .cleanup {
                    guard case .removed = try pidFile(run).removeIfStale() else { throw Refused() }
                }
                try lock(run).release()
            },
            recovery: { run in try judge(run, mayBeTorn: explorer.profiles.contains { $0.tearsSectors }) }
        )
    }

    private struct Refused: Error {}

    private func prepare(_ fileSystem: SimulatedFileSystem) throws {
        if self == .namedPublication {
            fileSystem.faults = .failEvery(with: 95) { $0.flags.contains("O_TMPFILE") }
        }
        switch self {
        case .publication, .namedPublication: break
        case .adoption:
            // The lock of a process that is not there any more: its record, and nobody who holds it.
            let lock = try PIDFile(Self.name, in: fileSystem.directory()).lock(deadline: .now)
            let record = fileSystem.contents(of: "/service.pid") ?? []
            try lock.release()
            try fileSystem.write("/service.pid", record)
        case .adoptionOfBarePID, .cleanup: try fileSystem.write("/service.pid", Array("\(Self.deadPID)\n".utf8))
        }
    }

    private func pidFile(_ run: CrashRun<Note>) throws -> PIDFile {
        try PIDFile(Self.name, in: run.fileSystem.directory())
    }

    private func lock(_ run: CrashRun<Note>) throws -> HeldLock {
        if run.fileSystem.contents(of: "/service.pid") != nil { run.note(.overwriting) }
        return try pidFile(run).lock(deadline: .now)
    }

    /// The next one gets the file.
    private func judge(_ run: CrashRun<Note>, mayBeTorn: Bool) throws {
        if run.fileSystem.contents(of: "/service.pid")?.isEmpty == true {
            throw CrashViolation(.unreadable, "the PID file is empty")
        }
        // The sector that was being overwritten when the power failed: it is said, and an operator decides.
        let isTorn = mayBeTorn && run.crashes.contains(.power) && run.notes.contains(.overwriting)
        do {
            try lock(run).release()
        } catch  where isTorn {
            return
        } catch {
            throw CrashViolation(.unreadable, "nobody holds it, and it is not to be had: \(error)")
        }
        try judgeLeftovers(run)
    }

    /// What a dead cleaner or publisher left goes with the next cleanup that removes something.
    private func judgeLeftovers(_ run: CrashRun<Note>) throws {
        // Its bare PID is written by nobody's protocol, so what a crash would leave of it means nothing.
        if run.crashes.count < 2 { return }
        let allowed = [".service.pid.guard"]
        guard let left = run.fileSystem.names(in: "/")?.first(where: { !allowed.contains($0) }) else { return }
        try run.fileSystem.write("/service.pid", Array("\(Self.deadPID)\n".utf8))
        _ = try pidFile(run).removeIfStale()
        if run.fileSystem.names(in: "/")?.contains(left) == true {
            throw CrashViolation(.leftBehind, "\(left) is there after the next cleanup")
        }
    }
}
