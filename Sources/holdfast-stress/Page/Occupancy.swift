// SPDX-License-Identifier: Apache-2.0
//
// Finds out whether two live processes are in the guarded section at once, without trusting the lock, a PID or a clock.
//
// Each worker has a word that says whether it is inside, which incarnation of the slot it is, and a beat that it moves on
// while it is inside. An entrant first marks its own word, then reads the others'. One that says "inside" may belong to a
// holder that was killed, so it proves nothing yet. The entrant stays inside, beats, and waits until either
// - the word changes: its owner executed an instruction, inside or leaving, after the entrant had entered: an overlap; or
// - the supervisor, which has reaped that process, marks the word dead: it was killed while it held the lock.
//
// Sound: without a broken lock nobody who is alive writes to his word while another is inside, so nothing is counted
// that did not happen. How long a killed process takes to disappear, and in which order the kernel drops its locks
// and reports its end, plays no part. Complete: marks and reads are sequentially consistent, so of two holders who are
// both inside the later one sees the other; both beat while they wait, so they do not wait for each other forever.

internal import _HoldfastStressShims

/// What one worker's word says.
struct OccupancyWord: Hashable {
    enum State: UInt64 {
        case outside, exclusive, shared, dead
    }

    let state: State
    /// Which process of its slot.
    ///
    /// 1 for the first, one more for each replacement; less than 2^24.
    let incarnation: UInt64
    /// Moves on with every write of a live owner, so that a word is never the same again.
    ///
    /// Less than 2^38.
    let beat: UInt64

    init(_ state: State, incarnation: UInt64, beat: UInt64) {
        self.state = state
        self.incarnation = incarnation
        self.beat = beat
    }

    init(_ raw: UInt64) {
        self.init(
            State(rawValue: raw & 3) ?? .outside,
            incarnation: raw >> 2 & 0xFF_FFFF,
            beat: raw >> 26
        )
    }

    var raw: UInt64 { state.rawValue | incarnation << 2 | beat << 26 }

    var isInside: Bool { state == .exclusive || state == .shared }
}

/// One worker's view of who is inside.
struct Occupancy {
    private let page: SharedPage
    /// A word of each worker.
    private let words: [SharedWord]
    private let slot: Int
    private let incarnation: UInt64
    private var beats: UInt64 = 0
    private var state = OccupancyWord.State.outside
    /// Readers seen inside on entering, and their words then.
    private var company: [(slot: Int, seen: UInt64)] = []

    init(_ page: SharedPage, _ words: [SharedWord], slot: Int, incarnation: UInt64) {
        self.page = page
        self.words = words
        self.slot = slot
        self.incarnation = incarnation
        write()
    }

    /// Marks this worker as inside and counts an overlap if another live one is.
    mutating func enter(shared: Bool) {
        state = shared ? .shared : .exclusive
        write()
        company.removeAll(keepingCapacity: true)
        var overlaps = false
        for other in words.indices where other != slot {
            let raw = words[other].load()
            let seen = OccupancyWord(raw)
            guard seen.isInside else { continue }
            if shared, seen.state == .shared {
                company.append((other, raw))
            } else if isAlive(raw, in: other) {
                overlaps = true
            }
        }
        if overlaps { page[.overlaps].add() }
    }

    /// Shows that this worker is alive.
    ///
    /// Called often while it is inside.
    mutating func beat() {
        write()
    }

    /// Marks this worker as outside: the last thing before the lock is released.
    mutating func leave() {
        let together = company.contains { other, seen in
            let now = OccupancyWord(words[other].load())
            return now.raw != seen && now.incarnation == OccupancyWord(seen).incarnation && now.state != .dead
        }
        if together { page[.sharedTogether].add() }
        state = .outside
        write()
    }

    private mutating func write() {
        beats += 1
        words[slot].store(OccupancyWord(state, incarnation: incarnation, beat: beats).raw)
    }

    /// Whether the owner of a word that says "inside" does anything more.
    private mutating func isAlive(_ seen: UInt64, in other: Int) -> Bool {
        let deadline = ContinuousClock.now + .seconds(10)
        while ContinuousClock.now < deadline {
            let now = words[other].load()
            if now != seen {
                let word = OccupancyWord(now)
                // A replacement already: it left, or it was killed; which of them can no longer be told, so it is not counted.
                return word.state != .dead && word.incarnation == OccupancyWord(seen).incarnation
            }
            write()
            hfs_sleep(20_000)
        }
        page[.undecided].add()
        return false
    }
}

extension OccupancyWord {
    /// Says that a worker has been reaped.
    static func dead(incarnation: UInt64) -> UInt64 { OccupancyWord(.dead, incarnation: incarnation, beat: 0).raw }
}
