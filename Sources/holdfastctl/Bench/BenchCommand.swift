// SPDX-License-Identifier: Apache-2.0
//
// `bench`: which rows there are, and where they go.

internal import ArgumentParser
internal import Holdfast

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure locks, saves and loads on this disk, beside their raw floors.",
        discussion: """
            Works in a new directory within DIRECTORY, which it removes at the end, for about half a minute. Each \
            operation is measured in turns with its floor, which does in C what the operation cannot do without. Times \
            are medians; the spread is half the distance between the tenth and the ninetieth percentile. Flushes are \
            those that the disk completed for one save, by the kernel's count, and include what others do to the disk \
            at the same time. Judge by a release build on an otherwise idle machine.

            JSON keys: work, nanoseconds, floor, floorNanoseconds, ratio, spread, met (whether the goal is; null if \
            there is none), and for durable saves flushes and floorFlushes per save (null if they cannot be counted). \
            lock.idleWait is in nanoseconds of processor time per second of waiting, mutex.leastServed in nanoseconds per \
            second of which the thread that was served most has all.

            Examples:
              holdfastctl bench
              holdfastctl bench --json /var/lib > before.jsonl
            """
    )

    @Argument(help: "Where to measure; by default the working directory.")
    var directory: String = "."

    @Flag(help: ArgumentHelp("Only see whether everything works.", visibility: .hidden))
    var trial = false

    @OptionGroup var json: JSONOption

    func run() throws {
        let ground: BenchGround
        do throws(SystemError) {
            ground = try BenchGround(in: directory)
        } catch {
            throw CommandFailure(ExitStatus(error, .writing), "cannot make a directory in '\(directory)': \(error)")
        }
        defer { ground.remove() }
        do {
            try measure(ground)
        } catch {
            ground.pauseIfEnding()
            throw CommandFailure(error, .writing)
        }
    }

    private func measure(_ ground: BenchGround) throws {
        let effort: Effort = trial ? .trial : .full
        let mount = Mount(of: ground.path)
        let flushes = FlushCounter(of: ground.directory, on: mount)
        let work: [(name: String, measure: () throws -> [BenchRow])] = [
            ("lock.exclusive", { [try LockRows.uncontended(.exclusive, ground, effort)] }),
            ("lock.shared", { [try LockRows.uncontended(.shared, ground, effort)] }),
            ("lock.handover", { [try HandoverRows.ofLocks(ground, effort)] }),
            ("lock.recovery", { [try HandoverRows.ofDeadLocks(ground, effort)] }),
            ("lock.idleWait", { [try HandoverRows.idleWait(ground, effort)] }),
            ("mutex.uncontended", { [try MutexRows.besideExchange(ground, effort)] }),
            ("mutex.uncontended.pthread", { [try MutexRows.besidePthread(ground, effort)] }),
            ("mutex.uncontended.flock", { [try MutexRows.besideFlock(ground, effort)] }),
            ("mutex.contended", { [try ContentionRows.throughput(ground, effort)] }),
            ("mutex.leastServed", { try ContentionRows.fairness(ground, effort) }),
            ("mutex.handover", { [try HandoverRows.ofMutexes(ground, effort)] }),
            ("mutex.recovery", { [try HandoverRows.ofDeadMutexes(ground, effort)] }),
            ("state.save.replace.4KiB", { [try StateRows.save(.powerLoss, ground, flushes, effort)] }),
            ("state.save.replace.4KiB.processCrash", { [try StateRows.save(.processCrash, ground, nil, effort)] }),
            (
                "state.save.two-slot.4KiB",
                { [try StateRows.saveInPlace("4KiB", length: 4 << 10, ground, flushes, effort)] }
            ),
            (
                "state.save.two-slot.64KiB",
                { [try StateRows.saveInPlace("64KiB", length: 64 << 10, ground, flushes, effort)] }
            ),
            (
                "state.save.two-slot.1MiB",
                { [try StateRows.saveInPlace("1MiB", length: 1 << 20, ground, flushes, effort)] }
            ),
            ("state.read.unchanged", { [try StateRows.readUnchanged(ground, effort)] }),
            ("state.load.4KiB", { [try StateRows.load(ground, effort)] }),
            ("checksum.4KiB", { [try StateRows.checksum("4KiB", length: 4 << 10, effort)] }),
            ("checksum.1MiB", { [try StateRows.checksum("1MiB", length: 1 << 20, effort)] }),
        ]
        var rows: [BenchRow] = []
        for (index, (name, measure)) in work.enumerated() {
            progress("\(index + 1)/\(work.count) \(name)")
            let measured = try measure()
            rows += measured
            if json.isOn {
                progress(nil)
                for row in measured { try Output.line(row.json) }
            }
        }
        progress(nil)
        if json.isOn { return }
        for line in Machine.heading(directory, mount, flushes) { try Output.line(line) }
        try Output.line("")
        for line in BenchTable.lines(rows) { try Output.line(line) }
    }

    /// What is being measured, on a line of the terminal that is overwritten; nil clears it.
    private func progress(_ text: String?) {
        guard StandardStreams.errorIsTerminal else { return }
        StandardStreams.writeError("\r\u{1b}[K\(text ?? "")")
    }
}
