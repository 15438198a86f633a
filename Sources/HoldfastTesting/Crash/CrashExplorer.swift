// SPDX-License-Identifier: Apache-2.0
//
// Crashes a program at every moment and in every way, and lets it recover. The program runs once; the log of its changes
// tells what every crash would have left. Only the recovery runs for each state that is left.
//
// - A process crash leaves what was written so far: one state after each change.
// - A power cut leaves any set of changes that contains what was flushed and with each change those that it requires. A
//   cut at one moment is also one at a later moment that lost all since, until a flush returns or something is noted: so
//   only the moments before those, and the end, are looked at.
// - A recovery is crashed in turn: after a process crash every one that changes, flushes or notes something, so that what
//   it relied on must survive the power cut that follows; after a power cut as many as the limit says.

internal import Holdfast

/// Tries what a program's files look like after every crash, and whether the program can live with it.
///
/// ```swift
/// let report = try CrashExplorer().explore(saving: [1, 2, 3]) { fileSystem, value in
///     try save(value, on: fileSystem)
/// } load: { fileSystem in
///     try load(from: fileSystem)
/// }
/// #expect(report.isSound, "\(report)")
/// ```
///
/// It assumes that a call is one change for other programs, that sectors reach the device whole, zeroed or as garbage, and
/// that a flush which returned has made its file durable. What a process stores in a mapped file is known at its next call:
/// each aligned word of eight bytes is after a power cut as the last flush left it, or as it was at any call since. It knows no bit rot and no device that lies about flushes.
public struct CrashExplorer: Sendable {
    /// What the file system keeps in order without a flush; one after another, and a state that several of them allow once.
    public var profiles: [CrashProfile] = [.posix]
    /// How many bytes reach the device together: 512 or 4096.
    public var sectorSize = 512
    /// Up to how many ways to crash at one moment are tried exhaustively; if there are more, so many are chosen.
    public var limit = 4096
    /// Up to how many ways to lose words of mapped files at one moment are tried with every way to lose the rest; if there are
    /// more, all, none, and so many mixtures.
    public var wordLimit = 8
    /// From how many states, left by a power cut, the recovery is crashed in turn.
    public var recoveryLimit = 32
    /// What chooses where not everything is tried, and what garbage is.
    public var seed: UInt64 = 1
    /// Called now and then with the number of states so far, and at the end.
    public var onProgress: (@Sendable (Int) -> Void)?

    /// Makes an explorer of these profiles, with sectors of 512 bytes, and up to 4096 crashes a moment.
    public init(_ profiles: CrashProfile...) {
        self.profiles = profiles.isEmpty ? [.posix] : profiles
    }

    /// Crashes a workload everywhere, and lets a recovery judge what is left.
    ///
    /// The recovery runs thousands of times, each time on files of its own. It must do the same for the same files and notes.
    ///
    /// - Parameters:
    ///   - prepare: What the device holds before, and what is promised of it; all of it is durable.
    ///   - workload: Runs once. It notes what it promises, when it promises it.
    ///   - recovery: Looks at the files after a crash and throws a ``CrashViolation``, or another error, if they are not what
    ///     the notes promise. It may repair, save and note.
    /// - Returns: What was tried and what was wrong.
    /// - Throws: What the preparation or the workload throws.
    public func explore<Note>(
        preparing prepare: (CrashRun<Note>) throws -> Void = { _ in },
        workload: (CrashRun<Note>) throws -> Void,
        recovery: (CrashRun<Note>) throws -> Void
    ) throws -> CrashReport {
        precondition([512, 4096].contains(sectorSize), "a sector has 512 or 4096 bytes")
        precondition(limit >= 1 && recoveryLimit >= 0 && !profiles.isEmpty)
        let fileSystem = SimulatedFileSystem()
        let run = CrashRun<Note>(fileSystem)
        try prepare(run)
        fileSystem.resetCalls()
        fileSystem.withState { $0.beginLog(sectorSize: sectorSize) }
        try workload(run)
        return withoutActuallyEscaping(recovery) { recovery in
            var exploration = Exploration(settings: self, recovery: recovery)
            let scene = CrashScene(fileSystem.takenLog(), profiles[0], run.notes)
            for profile in profiles { exploration.explore(scene, under: profile) }
            return exploration.finish()
        }
    }
}

extension SimulatedFileSystem {
    /// What was recorded since the log began.
    func takenLog() -> ChangeLog {
        withState { state in
            state.takeStores()
            guard let log = state.log else { preconditionFailure("nobody began a log") }
            return log
        }
    }
}

/// One life whose crashes are explored.
final class CrashScene<Note: Hashable & Sendable> {
    let graph: CrashGraph
    /// All notes that it ended with; how many there were at a moment the log tells.
    let notes: [Note]
    let crashes: [CrashKind]
    /// The crash that it recovers from.
    let origin: Crash<Note>?
    /// The first position that is its own: what comes before is the time before a process crash.
    let start: Int

    init(
        _ log: ChangeLog,
        _ profile: CrashProfile,
        _ notes: [Note],
        _ crashes: [CrashKind] = [],
        origin: Crash<Note>? = nil,
        start: Int = 0
    ) {
        graph = CrashGraph(log, profile)
        self.notes = notes
        self.crashes = crashes
        self.origin = origin
        self.start = start
    }

    /// The same life on another file system.
    func under(_ profile: CrashProfile) -> CrashScene {
        CrashScene(graph.log, profile, notes, crashes, origin: origin, start: start)
    }

    /// What had been noted before an event.
    ///
    /// The log of a life after a power cut begins with the notes of those before already made.
    func notes(before position: Int) -> [Note] {
        for event in graph.log.events[position...] {
            if case .note(let number) = event { return Array(notes[..<number]) }
        }
        return notes
    }
}

/// One crash of one life.
struct Crash<Note: Hashable & Sendable> {
    let scene: CrashScene<Note>
    let kind: CrashKind
    let position: Int
    var outcomes: [Outcome]
}
