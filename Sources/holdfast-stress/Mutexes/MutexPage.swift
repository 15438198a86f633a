// SPDX-License-Identifier: Apache-2.0
//
// The page of a run of `mutex`: lines of each mutex, each process, each contender, and a ring of measurements.

/// What a contender is doing.
enum Phase: UInt64, CaseIterable {
    /// Not yet, or nothing with a mutex.
    case idle
    /// The process is claiming its slot.
    case opening
    case acquiring
    /// Acquiring a mutex whose tokens are used up.
    case renewing
    /// Holding it; what shows that stands not yet in the page.
    case entering
    case inside
    case releasing
}

/// What a holder has written about itself, under the lock.
struct Handover {
    var worker: WorkerID
    /// Whether it was about to release.
    var isLeaving: Bool

    var raw: UInt64 { worker.incarnation << 17 | UInt64(worker.slot) << 1 | (isLeaving ? 1 : 0) }
}

extension Handover {
    init(_ raw: UInt64) {
        worker = WorkerID(slot: Int(raw >> 1 & 0xFFFF), incarnation: raw >> 17)
        isLeaving = raw & 1 == 1
    }
}

/// What is counted besides the counters of every run.
enum MutexCounter: Int, CaseIterable {
    /// Dead holders that had not come to writing down that they held, so that only their token is known.
    case unknownDead
    /// Mutexes whose count was brought to where an acquisition has to renew its tokens.
    case renewals
    /// The longest wait that ended with a grant, in nanoseconds.
    case longestWait
    /// Times from a death to the grant of one who was waiting then that were measured.
    case measurements
}

/// The page of a run of `mutex`.
struct MutexPage {
    private static let linesPerMutex = 3
    /// Deaths are found there by who comes next, while some incarnations follow.
    private static let momentsPerProcess = 4
    private static let linesPerProcess = 2 + momentsPerProcess
    static let capacity = 1 << 14

    let page: SharedPage
    let crowd: MutexCrowd

    static func lines(_ crowd: MutexCrowd) -> Int {
        MutexCounter.allCases.count + crowd.mutexes * linesPerMutex + crowd.processes * linesPerProcess
            + crowd.contenders * (2 + crowd.mutexes) + capacity
    }

    subscript(_ counter: Counter) -> SharedWord { page[counter] }
    subscript(_ counter: MutexCounter) -> SharedWord { page.word(counter.rawValue) }

    private func word(of mutex: Int, _ line: Int) -> SharedWord {
        page.word(MutexCounter.allCases.count + mutex * Self.linesPerMutex + line)
    }

    /// The token of the last holder that has written it down.
    func lastToken(of mutex: Int) -> SharedWord { word(of: mutex, 0) }
    /// The ``Handover`` of the last holder, written before its token.
    func handover(of mutex: Int) -> SharedWord { word(of: mutex, 1) }
    /// What the mutex guards.
    func guarded(by mutex: Int) -> SharedWord { word(of: mutex, 2) }

    private func word(of process: Int, line: Int) -> SharedWord {
        let start = MutexCounter.allCases.count + crowd.mutexes * Self.linesPerMutex
        return page.word(start + process * Self.linesPerProcess + line)
    }

    /// The last incarnation of a process that has been reaped.
    func buried(_ process: Int) -> SharedWord { word(of: process, line: 0) }
    /// The ``Phase`` in which a process has chosen to die, while it is about to.
    func chosen(_ process: Int) -> SharedWord { word(of: process, line: 1) }
    /// When a process was killed, in nanoseconds; 0 if it was not.
    func moment(of worker: WorkerID) -> SharedWord {
        word(of: worker.slot, line: 2 + Int(worker.incarnation) % Self.momentsPerProcess)
    }

    private func word(of contender: Int, inPart line: Int) -> SharedWord {
        let start =
            MutexCounter.allCases.count + crowd.mutexes * Self.linesPerMutex + crowd.processes * Self.linesPerProcess
        return page.word(start + contender * (2 + crowd.mutexes) + line)
    }

    /// The ``Phase`` of a contender.
    func phase(of contender: Int) -> SharedWord { word(of: contender, inPart: 0) }
    /// How often a contender has incremented what the mutexes guard.
    func increments(of contender: Int) -> SharedWord { word(of: contender, inPart: 1) }
    /// Who is inside: an ``OccupancyWord`` of each contender.
    func occupancy(of mutex: Int) -> [SharedWord] {
        (0..<crowd.contenders).map { word(of: $0, inPart: 2 + mutex) }
    }

    /// One of the last of those times, in nanoseconds.
    func measurement(_ index: Int) -> SharedWord {
        page.word(Self.lines(crowd) - Self.capacity + index % Self.capacity)
    }

    /// The contenders of a process.
    func contenders(of process: Int) -> Range<Int> {
        process * crowd.contendersPerProcess..<(process + 1) * crowd.contendersPerProcess
    }
}
