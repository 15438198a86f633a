// SPDX-License-Identifier: Apache-2.0
//
// Every order in which several processes can make their calls. A state is the files, what is open and locked, and what each
// process was answered so far, which says all about the process. From each state every process makes its next call; a state
// that was met before is not gone into again. A call that is nobody else's business is made at once, in one order only.

package import Holdfast
internal import _HoldfastCShims

/// One process of a schedule.
package struct ScheduledProcess: Sendable {
    let name: String
    let body: @Sendable (ScheduledLife) throws -> Void

    /// A process that does this.
    ///
    /// It is run again and again, on the same thread, up to each of its calls. It must do the same for the same answers, and
    /// hand on errors that it does not know.
    package init(_ name: String, _ body: @escaping @Sendable (ScheduledLife) throws -> Void) {
        self.name = name
        self.body = body
    }
}

/// What a process of a schedule sees.
package final class ScheduledLife {
    /// The directory that all processes share.
    package let directory: OpenDirectory
    fileprivate let fileSystem: ScheduledFileSystem
    fileprivate var isInside = false

    fileprivate init(_ fileSystem: ScheduledFileSystem) throws(SystemError) {
        self.fileSystem = fileSystem
        directory = try OpenDirectory("/", on: fileSystem)
    }

    /// Is where only one process may be, for as long as others like.
    package func beInside() {
        if fileSystem.pending != nil { return }
        isInside = true
        fileSystem.pause()
        if fileSystem.pending == nil { isInside = false }
    }

    /// Is there, and does nothing more.
    package func stayInside() {
        if fileSystem.pending != nil { return }
        isInside = true
        fileSystem.pause(forEver: true)
    }
}

/// What came of an exploration of schedules.
package struct ScheduleReport: Sendable, CustomStringConvertible {
    /// Different states that were met.
    package fileprivate(set) var states = 0
    /// Calls that were made from them.
    package fileprivate(set) var steps = 0
    /// States in which every process had come to its end.
    package fileprivate(set) var ends = 0
    /// Whether there was no state left to look at.
    package fileprivate(set) var isExhaustive = false
    /// What must not be, if it was met.
    package fileprivate(set) var violation: String?
    /// The calls that lead to it, in order.
    package fileprivate(set) var schedule: [String] = []

    /// One line, and the schedule if there is one.
    package var description: String {
        let line = "\(states) states, \(steps) steps, \(ends) ends\(isExhaustive ? ", all there are" : "")"
        return ([line] + (violation.map { [$0] } ?? []) + schedule.map { "    \($0)" }).joined(separator: "\n")
    }
}

/// Interleaves processes on one simulated file system.
package struct ScheduleExplorer {
    private let processes: [ScheduledProcess]
    private let limit: Int
    private let judgeEnd: ([String]) -> String?
    private let onProgress: (Int) -> Void

    private var isShared = false
    private var bootID: String?
    private var lives: [Life] = []
    private var known: [LifeKey: Int] = [:]
    private var seen: Set<Int> = []
    private var report = ScheduleReport()

    /// One process after some answers.
    private struct Life {
        let process: Int
        let parent: Int?
        let answer: ScheduledAnswer?
        /// What it stored in mapped files after the answer.
        var stores: [UInt64: [StoredWord]] = [:]
        var pending: PendingCall?
        var isInside = false
        var failure: String?
        var count = 0
    }

    private struct LifeKey: Hashable {
        let parent: Int
        let answer: String
        let memory: Int
    }

    private struct Moment {
        var files: SimulatedState
        /// One index for each process.
        var lives: [Int]
        /// The moment before, and whose call led here.
        var step: (parent: Int, process: Int)?
    }

    /// Explores every schedule of these processes.
    ///
    /// - Parameters:
    ///   - processes: At most 100.
    ///   - limit: After so many states it stops.
    ///   - walks: How many schedules are chosen at random, before all are gone through in order: where there are too many for
    ///     that, those in order are much alike.
    ///   - prepare: What is there before.
    ///   - judgeEnd: Given the names that are left when all have come to their ends; returns what is wrong with them.
    ///   - onProgress: Called now and then with the number of states so far.
    /// - Returns: What was looked at, and what was wrong.
    /// - Throws: What the preparation throws.
    package static func explore(
        _ processes: [ScheduledProcess],
        limit: Int = .max,
        walks: Int = 0,
        preparing prepare: (SimulatedFileSystem) throws -> Void,
        judgingEnd judgeEnd: @escaping ([String]) -> String? = { _ in nil },
        onProgress: @escaping (Int) -> Void = { _ in }
    ) throws -> ScheduleReport {
        var explorer = ScheduleExplorer(processes, limit, judgeEnd, onProgress)
        let fileSystem = SimulatedFileSystem()
        // One time for all: the order of calls must not show in anything but what it changes.
        fileSystem.changesPerTick = 1 << 40
        try prepare(fileSystem)
        explorer.bootID = fileSystem.simulatedBootID
        let start = explorer.first(from: fileSystem.withState { $0 })
        for seed in 0..<UInt64(walks) where explorer.report.violation == nil {
            explorer.wander(from: start, SplitMix(seed: seed))
        }
        if explorer.report.violation == nil { explorer.walk(from: start) }
        return explorer.report
    }

    private init(
        _ processes: [ScheduledProcess],
        _ limit: Int,
        _ judgeEnd: @escaping ([String]) -> String?,
        _ onProgress: @escaping (Int) -> Void
    ) {
        self.processes = processes
        self.limit = limit
        self.judgeEnd = judgeEnd
        self.onProgress = onProgress
    }

    private mutating func first(from start: SimulatedState) -> Moment {
        var files = start
        files.forgetCalls()
        isShared = files.isShared
        var first = Moment(files: files, lives: [])
        for process in processes.indices {
            first.files.openRoot(at: ScheduledFileSystem.root(of: process))
            first.lives.append(live(process, after: nil, answer: nil))
        }
        return first
    }

    /// One schedule to its end.
    private mutating func wander(from first: Moment, _ random: SplitMix) {
        var random = random
        var path = [first]
        while let moment = path.last {
            if let violation = violation(in: moment) {
                report.violation = violation
                report.schedule = schedule(path)
                return
            }
            let able = moment.lives.indices.filter { isAble($0, moment) }
            guard let process = able.randomElement(using: &random) else { return }
            report.steps += 1
            path.append(step(process, moment))
        }
    }

    private mutating func walk(from first: Moment) {
        // The moments on the way to the one that is looked at, for the schedule.
        var path: [Moment] = []
        var open: [(depth: Int, moment: Moment)] = [(0, first)]
        _ = isNew(first)
        while let (depth, moment) = open.popLast() {
            path.removeLast(path.count - depth)
            path.append(moment)
            if let violation = violation(in: moment) {
                report.violation = violation
                report.schedule = schedule(path)
                return
            }
            if report.states >= limit { return }
            for next in nextMoments(moment) where isNew(next) { open.append((depth + 1, next)) }
        }
        report.isExhaustive = true
    }

    private mutating func nextMoments(_ moment: Moment) -> [Moment] {
        let able = moment.lives.indices.filter { isAble($0, moment) }
        let chosen = able.first { lives[moment.lives[$0]].pending?.isPrivate == true }.map { [$0] } ?? able
        return chosen.map { process in
            report.steps += 1
            return step(process, moment)
        }
    }

    /// Whether a process has a call to make, and one that does not only wait.
    ///
    /// Who finds a guard locked does nothing but try again.
    private func isAble(_ process: Int, _ moment: Moment) -> Bool {
        guard let pending = lives[moment.lives[process]].pending, !pending.isLast else { return false }
        guard let awaited = pending.awaitedLock, let file = moment.files.open[awaited.descriptor] else { return true }
        if let range = awaited.range {
            return !file.path.hasSuffix(".arena") || !moment.files.open.isBusy(awaited.descriptor, range, .exclusive)
        }
        return !file.path.hasSuffix(".guard") || !moment.files.open.isBusy(awaited.descriptor, .exclusive)
    }

    private mutating func step(_ process: Int, _ moment: Moment) -> Moment {
        let life = moment.lives[process]
        guard let pending = lives[life].pending else { preconditionFailure("it has come to its end") }
        var files = moment.files
        // Numbers that tell only whose they are.
        files.nextDescriptor = ScheduledFileSystem.root(of: process) + 1 + Int32(lives[life].count)
        let fileSystem = SimulatedFileSystem(files)
        let answer: CallAnswer
        do {
            answer = .value(try pending.perform(fileSystem))
        } catch let error as SystemError {
            answer = .failure(error)
        } catch {
            preconditionFailure("\(error)")
        }
        var next = moment
        next.files = fileSystem.withState { $0 }
        next.files.forgetCalls()
        let memory = next.files.volume.mappedBytes
        let after = live(process, after: life, answer: ScheduledAnswer(answer: answer, memory: memory))
        for (number, stores) in lives[after].stores where !stores.isEmpty {
            next.files.volume.store(stores, in: number)
        }
        next.lives[process] = after
        return next
    }

    /// A process after one more answer: it is run up to its next call, unless that is known.
    private mutating func live(_ process: Int, after parent: Int?, answer: ScheduledAnswer?) -> Int {
        var memory = Hasher()
        answer?.memory.hash(into: &memory)
        let key = LifeKey(
            parent: parent ?? -1 - process,
            answer: answer.map { stateWords($0.answer) } ?? "",
            memory: memory.finalize()
        )
        if let known = known[key] { return known }
        var life = Life(process: process, parent: parent, answer: answer)
        life.count = parent.map { lives[$0].count + 1 } ?? 0
        var answers = answer.map { [$0] } ?? []
        var ancestor = parent
        while let index = ancestor {
            if let answer = lives[index].answer { answers.append(answer) }
            ancestor = lives[index].parent
        }
        run(&life, answers.reversed())
        lives.append(life)
        known[key] = lives.count - 1
        return lives.count - 1
    }

    private func run(_ life: inout Life, _ answers: [ScheduledAnswer]) {
        let fileSystem = ScheduledFileSystem(
            process: life.process,
            answers: answers,
            isShared: isShared,
            bootID: bootID
        )
        do {
            let seen = try ScheduledLife(fileSystem)
            defer { life.isInside = seen.isInside }
            try processes[life.process].body(seen)
        } catch {
            if fileSystem.pending == nil { life.failure = "\(error)" }
        }
        life.pending = fileSystem.pending
        life.stores = fileSystem.stores
    }

    private mutating func isNew(_ moment: Moment) -> Bool {
        var hasher = Hasher()
        hasher.combine(moment.lives)
        moment.files.hashVisible(into: &hasher)
        if !seen.insert(hasher.finalize()).inserted { return false }
        report.states += 1
        if report.states % 250_000 == 0 { onProgress(report.states) }
        if isEnd(moment) { report.ends += 1 }
        return true
    }
}

extension ScheduleExplorer {
    private func violation(in moment: Moment) -> String? {
        for life in moment.lives {
            if let failure = lives[life].failure { return "\(processes[lives[life].process].name) fails: \(failure)" }
        }
        let inside = moment.lives.filter { lives[$0].isInside }.map { processes[lives[$0].process].name }
        if inside.count > 1 { return "\(inside.joined(separator: " and ")) are inside at once" }
        if isEnd(moment) {
            return judgeEnd(moment.files.volume[Volume.root].entries.keys.sorted().map(\.description))
        }
        return moment.lives.indices.contains { isAble($0, moment) } ? nil : "they wait for each other"
    }

    private func isEnd(_ moment: Moment) -> Bool {
        moment.lives.allSatisfy { lives[$0].pending.map(\.isLast) ?? true }
    }

    private func schedule(_ path: [Moment]) -> [String] {
        zip(path, path.dropFirst()).compactMap { before, after in
            guard let process = before.lives.indices.first(where: { before.lives[$0] != after.lives[$0] }),
                let call = lives[before.lives[process]].pending, let answer = lives[after.lives[process]].answer
            else { return nil }
            return "\(processes[process].name): \(call.words) = \(answer.answer.words)"
        }
    }

    /// What a process can see of an answer itself, but the time in a record.
    private func stateWords(_ answer: CallAnswer) -> String {
        guard case .value(let value) = answer, let bytes = value as? [UInt8] else { return answer.words }
        return "\(bytes.count) \(String(decoding: bytes.prefix { $0 != 0x0A }, as: UTF8.self))"
    }
}

extension SimulatedState {
    mutating func openRoot(at descriptor: Int32) {
        open[descriptor] = OpenFile(inode: Volume.root, path: "/", isWritable: false)
    }

    /// All that a later call can depend on, but the times in records.
    func hashVisible(into hasher: inout Hasher) {
        for (name, number) in volume[Volume.root].entries.sorted(by: { $0.key < $1.key }) {
            hasher.combine(name)
            hasher.combine(number)
            hasher.combine(object(of: name, in: Volume.root))
        }
        for (number, inode) in volume.inodes.sorted(by: { $0.key < $1.key }) {
            hasher.combine(number)
            hasher.combine(inode.links)
            hasher.combine(inode.bytes.count)
            if inode.isMapped {
                inode.bytes.hashMemory(into: &hasher)
            } else {
                hasher.combine(inode.bytes.prefix { $0 != 0x0A })
            }
        }
        for (descriptor, file) in open.sorted(by: { $0.key < $1.key }) {
            hasher.combine(descriptor)
            hasher.combine(file.inode)
            hasher.combine(file.object)
            hasher.combine(file.flock)
            hasher.combine(file.ranges)
        }
    }
}

extension Volume {
    /// The files that a process has mapped.
    fileprivate var mappedBytes: [UInt64: [UInt8]] {
        inodes.filter { $0.value.isMapped }.mapValues(\.bytes)
    }
}

extension [UInt64: [UInt8]] {
    fileprivate func hash(into hasher: inout Hasher) {
        for (number, bytes) in sorted(by: { $0.key < $1.key }) {
            hasher.combine(number)
            bytes.hashMemory(into: &hasher)
        }
    }
}

extension [UInt8] {
    /// All but the head of an arena, which never changes, and has a random number.
    fileprivate func hashMemory(into hasher: inout Hasher) {
        unsafe withUnsafeBytes { bytes in
            unsafe hasher.combine(bytes: UnsafeRawBufferPointer(rebasing: bytes.dropFirst(64)))
        }
    }
}
