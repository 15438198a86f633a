// SPDX-License-Identifier: Apache-2.0
//
// One life of a machine under test: from its start to its crash, or to the end of what it was to do.

/// How a machine or a program ends without warning.
public enum CrashKind: String, Hashable, Sendable {
    /// The program dies, at any moment of any call; the kernel lives, and with it everything that was written.
    case process
    /// The power fails, or the kernel crashes: what was not flushed may be lost, in part and in any order.
    case power
}

/// What a workload or a recovery works on: the files, and what is known of the time before.
///
/// A note is a promise, or something that was relied on: `saved version 2`, `began version 3`, `found version 2`. All notes up
/// to the moment of the crash are handed to the recovery, which judges by them what it finds.
public final class CrashRun<Note: Hashable & Sendable> {
    /// The files as the last crash left them.
    public let fileSystem: SimulatedFileSystem
    /// What was noted before the last crash, and since, in order.
    public private(set) var notes: [Note]
    /// The crashes so far, the first one first; none while the workload runs.
    public let crashes: [CrashKind]

    init(_ fileSystem: SimulatedFileSystem, notes: [Note] = [], crashes: [CrashKind] = []) {
        self.fileSystem = fileSystem
        self.notes = notes
        self.crashes = crashes
    }

    /// Notes something, for recoveries from crashes after this moment.
    ///
    /// - Parameter note: What is true from now on.
    public func note(_ note: Note) {
        fileSystem.withState { $0.note(notes.count) }
        notes.append(note)
    }
}
