// SPDX-License-Identifier: Apache-2.0
//
// Starts the workers, replaces those that die, and ends the run. No worker outlives it: each has the read end of a pipe
// of which the supervisor has the only write end, and ends when that is closed, however that comes about.

internal import Holdfast
internal import _HoldfastCShims
internal import _HoldfastStressShims

/// The parent process of a run.
struct Supervisor<Run: SupervisedRun> {
    /// How long the run may make no progress, and how long workers may take to end.
    private static var patience: Duration { .seconds(120) }
    /// How often it looks whether the run is over.
    private static var interval: Int64 { 10_000_000 }

    private(set) var run: Run
    private let limits: RunLimits
    private let page: SharedPage
    /// Whoever started the run; without it nobody would stop, or read, this one.
    private let parent = getppid()
    private let lifeline: (read: Int32, write: Int32)
    private var children: [Int32: WorkerID] = [:]
    private var length = Duration.zero
    private var kills: UInt64 = 0
    /// The PID of the worker that was reaped last.
    private(set) var lastDead: Int32 = 0
    private var failures: [String] = []
    /// Whether the run was ended because nobody got the lock any more.
    private(set) var stoodStill = false

    init(_ run: Run) throws(SystemError) {
        self.run = run
        limits = run.limits
        page = run.page
        var writeEnd: Int32 = -1
        let readEnd = unsafe hfs_lifeline(&writeEnd)
        if readEnd < 0 { throw SystemError(call: "pipe", code: hf_errno()) }
        lifeline = (readEnd, writeEnd)
        hfs_supervise()
    }

    /// Runs until the limits are met, then until every worker has ended.
    mutating func supervise() {
        let start = ContinuousClock.now
        for slot in 0..<limits.workers { launch(WorkerID(slot: slot, incarnation: 1)) }
        var progress = (count: 0 as UInt64, at: start)
        while failures.isEmpty, !stoodStill, !isOver(since: start) {
            hfs_wait_for_news(min(run.disturb(children), Self.interval))
            for worker in reap() {
                launch(WorkerID(slot: worker.slot, incarnation: worker.incarnation + 1))
            }
            let count = page[.acquisitions].load()
            if count != progress.count {
                progress = (count, .now)
            } else if .now - progress.at > (limits.expectsOverlaps ? .seconds(2) : Self.patience) {
                stoodStill = true
            }
        }
        length = ContinuousClock.now - start
        end()
    }

    /// What there is to say of the run, with what failed when it was tidied up.
    func outcome(_ others: [String]) -> RunOutcome {
        RunOutcome(
            limits: limits,
            length: length,
            kills: kills,
            stoodStill: stoodStill,
            failures: failures + others,
            stopSignal: hfs_stop_signal(),
            counts: Dictionary(uniqueKeysWithValues: Counter.allCases.map { ($0, page[$0].load()) })
        )
    }

    private func isOver(since start: ContinuousClock.Instant) -> Bool {
        if hfs_stop_signal() != 0 || getppid() != parent { return true }
        if limits.untilOverlap, page[.overlaps].load() + page[.lostUpdates].load() > 0 { return true }
        if let target = limits.acquisitions, page[.acquisitions].load() >= target { return true }
        if let limit = limits.length, ContinuousClock.now - start >= limit { return true }
        return false
    }

    private mutating func launch(_ worker: WorkerID) {
        do {
            let program = worker.slot % 2 == 1 ? limits.peer : nil
            let pid = try spawn(program, ["holdfast-stress"] + run.orders(for: worker).arguments())
            children[pid] = worker
        } catch {
            failures.append("cannot start a worker: \(error)")
        }
    }

    private func spawn(_ program: String?, _ arguments: [String]) throws(SystemError) -> Int32 {
        let pointers = unsafe arguments.map { argument in unsafe strdup(argument) } + [nil]
        defer { unsafe pointers.forEach { unsafe free($0) } }
        let pid = unsafe hfs_spawn(program, pointers, lifeline.read)
        if pid < 0 { throw SystemError(call: "posix_spawn", code: hf_errno()) }
        return pid
    }

    /// Collects the workers that have ended, and says so in the page before anything else.
    private mutating func reap() -> [WorkerID] {
        var ended: [WorkerID] = []
        while true {
            var (signal, status) = (0 as Int32, 0 as Int32)
            let pid = unsafe hfs_reap(&signal, &status)
            guard pid > 0 else { return ended }
            guard let child = children.removeValue(forKey: pid) else { continue }
            lastDead = pid
            run.bury(child)
            if signal == SIGKILL {
                kills += 1
            } else if (signal, status) != (0, 0), hfs_stop_signal() == 0 {
                failures.append("a worker ended by itself (signal \(signal), status \(status))")
            }
            ended.append(child)
        }
    }

    private mutating func end() {
        page[.stop].store(1)
        for pid in children.keys { kill(pid, SIGCONT) }
        let deadline = ContinuousClock.now + Self.patience
        while !children.isEmpty, ContinuousClock.now < deadline {
            hfs_wait_for_news(Self.interval)
            _ = reap()
        }
        if !children.isEmpty { failures.append("\(children.count) workers did not end") }
        for pid in children.keys { kill(pid, SIGKILL) }
        let collected = kills
        while !children.isEmpty {
            hfs_wait_for_news(Self.interval)
            _ = reap()
        }
        kills = collected
        close(lifeline.read)
        close(lifeline.write)
    }
}
