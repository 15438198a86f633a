// SPDX-License-Identifier: Apache-2.0
//
// The page that the supervisor and its workers share: what they count, and who is inside. It has nothing to do with the
// lock under test, and no file lock guards it.
//
// Invariant: each word has a cache line of its own; a worker writes only the global counters and its own slot; the
// supervisor writes to a slot only when its worker has been reaped.

internal import Holdfast
internal import _HoldfastCShims
internal import _HoldfastStressShims

/// The counters of a run.
enum Counter: Int, CaseIterable {
    /// Not 0: workers finish what they are doing and end.
    case stop
    /// Sections entered.
    case acquisitions
    /// Sections entered while a live holder was inside.
    case overlaps
    /// Increments of `guarded` that another process's increment came between.
    case lostUpdates
    /// Sections whose holder could not be told live from dead in ten seconds. Never expected.
    case undecided
    /// Readers that were inside together with another live reader.
    case sharedTogether
    /// What the lock guards: read and written in two steps.
    case guarded
    /// The PID of the exclusive holder, written under the lock; left behind by one that dies.
    case holder
    /// The greatest token given out, written under the lock.
    case lastToken
    /// Tokens not greater than an earlier one, or missing.
    case tokenRegressions
    /// Dead holders that the next one was told of.
    case abandoned
    /// Dead holders that the next one was not told of.
    case missedAbandoned
    /// Reports of a dead holder where there was none, or of another one.
    case falseAbandoned
    /// Live holders that found at release that somebody had taken their lock file away.
    case displaced
    /// Stale locks removed.
    case cleaned
    /// Calls that found that the file was gone (ENOENT).
    case missing
    /// Other errors.
    case errors
    /// Attempts that found the lock taken.
    case busy
}

/// The mapped page: the counters, and lines that mean what each kind of run makes of them.
@safe
struct SharedPage: Sendable {
    private static let lineLength = 64

    nonisolated(unsafe) private let base: UnsafeMutableRawPointer

    /// Makes the page of a run, with so many lines besides the counters.
    init(making path: String, lines: Int) throws {
        try self.init(path, size: (Counter.allCases.count + lines) * Self.lineLength)
    }

    /// Opens the page that the supervisor made, or another file of such words.
    init(opening path: String) throws {
        try self.init(path, size: 0)
    }

    private init(_ path: String, size: Int) throws {
        guard let base = unsafe hfs_map_file(path, size) else {
            throw SystemError(call: "mmap \(path)", code: hf_errno())
        }
        unsafe self.base = unsafe base
    }

    subscript(_ counter: Counter) -> SharedWord {
        word(at: counter.rawValue * Self.lineLength)
    }

    /// The word of a line, counted from 0 after the counters.
    func word(_ line: Int) -> SharedWord {
        word(at: (Counter.allCases.count + line) * Self.lineLength)
    }

    /// The word at an offset from the start.
    func word(at offset: Int) -> SharedWord {
        unsafe SharedWord(at: base + offset)
    }
}

/// The page of a run of `locks`.
struct LocksPage {
    private static let linesPerSlot = 2

    static func lines(slots: Int) -> Int { slots * linesPerSlot }

    let page: SharedPage
    let slots: Int

    /// Who is inside: an ``OccupancyWord`` of each slot.
    var occupancy: [SharedWord] { (0..<slots).map { page.word($0 * Self.linesPerSlot) } }

    /// How often the workers of one slot have incremented `guarded`.
    func increments(of slot: Int) -> SharedWord {
        page.word(slot * Self.linesPerSlot + 1)
    }
}
