// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import _HoldfastStressShims

/// `holdfast-stress mutex`.
struct MutexCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mutex",
        abstract: "Contends for the mutexes of an arena with processes that die by SIGKILL wherever they are.",
        discussion: """
            Without --mutex it runs the known-bad one, which must be caught, and then those of MutexArena, which must not \
            overlap, lose nothing, and report each dead holder once. Exit status 0: everything as it must be; 1: not. \
            Times in the report are in milliseconds.
            """
    )

    @Option(name: .customLong("mutex"), help: "Only this one.")
    var kind: MutexKind?
    @Option(help: "Ends the run after so many seconds.")
    var seconds: Double = 10
    @Option(help: "How many processes contend.")
    var processes = 4
    @Option(help: "How many threads each process has.")
    var threads = 2
    @Option(help: "How many tasks each process has.")
    var tasks = 2
    @Option(help: "How many mutexes they contend for.")
    var mutexes = 2
    @Option(help: "The longest random pause, in microseconds.")
    var pause: UInt64 = 100
    @Option(help: "The average time between two kills, in microseconds, besides the deaths that processes choose.")
    var killInterval: UInt64 = 50_000
    @Option(
        help: """
            Half of those are stopped instead (SIGSTOP), for up to so many milliseconds; and threads stand still for as long \
            at any instruction of an acquisition or a release.
            """
    )
    var stops: UInt64 = 0
    @OptionGroup
    var series: SeriesOptions

    func validate() throws {
        guard (1...100).contains(processes) else { throw ValidationError("--processes is 1 to 100.") }
        guard (1...100).contains(threads) else { throw ValidationError("--threads is 1 to 100.") }
        guard (0...100).contains(tasks) else { throw ValidationError("--tasks is 0 to 100.") }
        guard (1...100).contains(mutexes) else { throw ValidationError("--mutexes is 1 to 100.") }
        guard pause <= 1_000_000 else { throw ValidationError("--pause is at most 1000000.") }
        guard (1...1_000_000_000).contains(killInterval) else { throw ValidationError("--kill-interval is above 0.") }
        guard stops <= 5000 else { throw ValidationError("--stops is at most 5000.") }
        guard seconds > 0, seconds <= 1e6 else { throw ValidationError("--seconds is above 0.") }
    }

    func run() throws {
        try series.run(kind.map { [$0] } ?? MutexKind.allCases, settings)
    }

    private func settings(for kind: MutexKind, seed: UInt64) -> MutexSettings {
        MutexSettings(
            kind: kind,
            limits: RunLimits(
                workers: processes,
                length: .seconds(seconds),
                untilOverlap: kind.isUnsound,
                expectsOverlaps: kind.isUnsound,
                peer: series.peer
            ),
            crowd: MutexCrowd(processes: processes, threads: threads, tasks: tasks, mutexes: mutexes),
            pause: pause,
            killInterval: killInterval,
            longestStop: stops * 1000,
            seed: seed
        )
    }
}
