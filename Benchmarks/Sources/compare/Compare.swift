// SPDX-License-Identifier: Apache-2.0
//
// The command: which rows there are, and where they go.

internal import ArgumentParser
internal import Foundation
internal import HoldfastBench

struct Compare: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Measure Holdfast beside its floors and its peers, in turns, on this disk.",
        discussion: """
            Takes some minutes. Peers that are not installed are named; Benchmarks/install-peers gets them. Whether the \
            goals are met is printed, and does not change the exit status.
            """
    )

    @Option(help: ArgumentHelp("Where to measure; by default the working directory.", valueName: "path"))
    var directory = "."
    @Option(help: ArgumentHelp("Only work with this in its name; may be given several times.", valueName: "text"))
    var filter: [String] = []
    @Option(help: ArgumentHelp("At most so many rounds of each row.", valueName: "count"))
    var rounds: Int?
    @Flag(help: "Only see whether everything works.")
    var brief = false
    @Flag(help: "Print the names of the work, and measure nothing.")
    var list = false
    @Option(help: ArgumentHelp("Write everything as JSON.", valueName: "file"))
    var json: String?
    @Option(help: ArgumentHelp("Write the chart of all rows as SVG.", valueName: "file"))
    var svg: String?
    @Option(help: ArgumentHelp("Write a page with tables and curves.", valueName: "file"))
    var html: String?
    @Option(help: ArgumentHelp("Write a table of all rows and the goals as Markdown.", valueName: "file"))
    var markdown: String?

    func validate() throws {
        if let rounds, rounds < 1 { throw ValidationError("--rounds takes a number, 1 or more") }
    }

    private func isWanted(_ name: String) -> Bool {
        filter.isEmpty || filter.contains { name.contains($0) }
    }

    func run() throws {
        let works = Self.works.filter { isWanted($0.name) }
        let growths = GrowthWork.all.filter { isWanted($0.name) }
        if works.isEmpty && growths.isEmpty {
            throw ValidationError("no work has '\(filter.joined(separator: "' or '"))' in its name; see --list")
        }
        if list {
            for name in works.map(\.name) + growths.map(\.name) { print(name) }
            return
        }
        let ground = try BenchGround(in: directory) { Self.say("compare: warning: \($0)\n") }
        defer { ground.remove() }
        do {
            try write(try measure(works, growths, ground))
        } catch {
            ground.pauseIfEnding()
            throw error
        }
    }

    private func measure(_ works: [Work], _ growths: [GrowthWork], _ ground: BenchGround) throws -> Report {
        var effort: Effort = brief ? .trial : .full
        effort.rounds = rounds
        let mount = Mount(of: ground.path)
        let disk = DiskCounter(of: ground.directory, on: mount)
        let peers = Peers(ground)
        let bench = Bench(ground, effort, disk: disk, peers: peers.contestants)

        let versions = Program.allCases.compactMap { peers.versions[$0] }
        let load = readText("/proc/loadavg").map { $0.split(separator: " ").prefix(3).joined(separator: " ") }
        let heading =
            Machine.heading("Holdfast", directory, mount, disk) + [
                "peers: \(versions.isEmpty ? "none" : versions.joined(separator: "; "))",
                "load average before: \(load ?? "unknown"); \(Date.now.formatted(.iso8601))",
            ]
        let missing = Program.allCases.filter { peers.versions[$0] == nil }.map {
            "\($0.rawValue) is not installed, so it is not beside us; \(Peers.remedy) gets it"
        }
        var report = Report(heading: heading, missing: missing, rows: [], growth: [])
        let progress = Progress(works.count + growths.count)
        for work in works {
            progress.begin(work.name)
            report.rows += try work.rows(bench).map { ReportRow(row: $0, missing: peers.missing[$0.work] ?? []) }
        }
        for growth in growths {
            progress.begin(growth.name)
            report.growth.append(try growth.measure(bench, effort, peers))
        }
        progress.end()
        return report
    }

    private func write(_ report: Report) throws {
        print(report.lines().joined(separator: "\n"))
        if let json { try report.json().write(to: URL(filePath: json)) }
        if let svg { try Data("\(DotPlot(report.rows.map(\.row)).svg)\n".utf8).write(to: URL(filePath: svg)) }
        if let html { try Data(report.page().utf8).write(to: URL(filePath: html)) }
        if let markdown {
            // With what changes the figures, and without where they were measured and written.
            let chosen =
                filter.map { " --filter \($0)" } + (rounds.map { [" --rounds \($0)"] } ?? [])
                + (brief ? [" --brief"] : [])
            let command = "swift run --package-path Benchmarks -c release compare\(chosen.joined())"
            try Data(report.markdown(command: command).utf8).write(to: URL(filePath: markdown))
        }
    }

    static func say(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }

    /// What is compared, in this order.
    private static let works: [Work] =
        Bench.work.filter { ["mutex.uncontended", "lock.exclusive"].contains($0.name) } + [
            Work("lock.pid-file") { try LockRows.pidFile($0) },
            Contention.work("mutex.contended.2", .mutex, beside: .pthread, "robust pthread mutex"),
            Contention.work("lock.contended.2", .lockFile, beside: .flock, "open, flock, close"),
            Contention.work("lock.pid-file.contended.2", .pidFile, beside: .flock, "open, flock, close"),
        ] + Bench.work.filter { ["mutex.recovery", "lock.recovery"].contains($0.name) }
        + Peers.sizes.map { name, length in
            Work("state.save.two-slot.\(name)") { try StateRows.saveInPlace(name, length: length, seconds: 2, $0) }
        }
        + Peers.sizes.map { name, length in
            Work("state.save.replace.\(name)") { try StateRows.save(name, length: length, seconds: 2, $0) }
        }
        + [1, 8, 64].map { tasks in Work("state.savers.\(tasks)") { try SaverRows.besideFloor(tasks: tasks, $0) } }
        + Bench.work.filter { ["state.load.4KiB", "state.read.unchanged"].contains($0.name) } + [
            Work("state.read.changed") { try StateRows.readChanged($0) }
        ]
}

/// A bar on a terminal with the time left.
private final class Progress {
    private let count: Int
    private var done = 0
    private let start = ContinuousClock.now
    private let isShown = isatty(2) == 1

    init(_ count: Int) { self.count = count }

    func begin(_ name: String) {
        defer { done += 1 }
        guard isShown else { return }
        let width = 30
        let filled = width * done / count
        let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: width - filled)
        var left = ""
        if done > 0 {
            let passed = start.duration(to: .now).components.seconds
            left = ", about \(passed * Int64(count - done) / Int64(done)) s left"
        }
        Compare.say("\r\u{1b}[K\(bar) \(done)/\(count)\(left): \(name)")
    }

    func end() {
        if isShown { Compare.say("\r\u{1b}[K") }
    }
}

@main enum Main {
    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        do {
            switch arguments.first {
            case BenchPeer.command: try BenchPeer.run(Array(arguments.dropFirst()))
            case Worker.command: try Worker.run(Array(arguments.dropFirst()))
            default: Compare.main()
            }
        } catch {
            Compare.say("compare: \(error)\n")
            exit(1)
        }
    }
}
