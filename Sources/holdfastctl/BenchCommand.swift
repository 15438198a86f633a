// SPDX-License-Identifier: Apache-2.0
//
// `bench`: which rows there are, and where they go.

internal import ArgumentParser
internal import Holdfast
internal import HoldfastBench

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure locks, saves and loads on this disk, beside their raw floors.",
        discussion: """
            Works in a new directory within DIRECTORY, which it removes at the end, for about half a minute. Each \
            operation is measured in turns with its floor: the least work in C that does the same. Times are medians; \
            the spread is half the distance between the tenth and the ninetieth percentile. Flushes are those that the \
            disk completed for one save, by the kernel's count, and include those of other processes at the same time. \
            Judge by a release build on an otherwise idle machine.

            JSON keys: work, nanoseconds, floor, floorNanoseconds, ratio, spread, met (whether the goal is met; null \
            if there is none), and for durable saves flushes and floorFlushes per save (null if they cannot be \
            counted). lock.idleWait is in nanoseconds of processor time per second of waiting. mutex.leastServed is \
            the share of the thread that was served least, in nanoseconds per second of the thread that was served \
            most.

            Examples:
              holdfastctl bench
              holdfastctl bench --json /var/lib > before.jsonl
            """
    )

    @Argument(help: "Where to measure; by default the working directory.")
    var directory: String = "."

    @Flag(help: ArgumentHelp("Only check that everything works.", visibility: .hidden))
    var trial = false

    @OptionGroup var json: JSONOption

    func validate() throws {
        // Its floors in C are given paths as Swift has them.
        if directory.hasRawBytes { throw ValidationError("bench takes a path that is UTF-8") }
    }

    func run() throws {
        #if os(Linux)
        guard (try? OpenDirectory("/proc/self")) != nil else {
            throw CommandFailure(.unavailable, "bench needs /proc, where it finds this program and the kernel's counts")
        }
        #endif
        let ground: BenchGround
        do throws(SystemError) {
            ground = try BenchGround(in: directory) { diagnose("warning: \($0)") }
        } catch {
            throw CommandFailure(
                ExitStatus(error, .writing),
                "cannot make a directory in \(quoted(directory)): \(error)"
            )
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
        let mount = Mount(of: ground.path)
        let disk = DiskCounter(of: ground.directory, on: mount)
        let bench = Bench(ground, trial ? .trial : .full, disk: disk)
        let all = Bench.work
        var rows: [BenchRow] = []
        for (index, work) in all.enumerated() {
            progress("\(index + 1)/\(all.count) \(work.name)")
            let measured = try work.rows(bench)
            rows += measured
            if json.isOn {
                progress(nil)
                for row in measured { try Output.json(row) }
            }
        }
        progress(nil)
        if json.isOn { return }
        for line in Machine.heading("holdfastctl \(Holdfastctl.version)", directory, mount, disk) {
            try Output.line(line)
        }
        try Output.line("")
        for line in BenchTable.lines(rows) { try Output.line(line) }
    }

    /// What is being measured, on a line of the terminal that is overwritten; nil clears it.
    private func progress(_ text: String?) {
        guard StandardStreams.errorIsTerminal else { return }
        StandardStreams.writeError("\r\u{1b}[K\(text ?? "")")
    }
}
