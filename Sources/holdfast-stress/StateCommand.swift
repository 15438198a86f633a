// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Holdfast

/// `holdfast-stress state`.
struct StateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "state",
        abstract: "Updates a state in processes that die by SIGKILL wherever they are, while others read it.",
        discussion: """
            Without --kind it runs the known-bad one, which must be caught, and then each strategy, and one in which \
            writers convert the file now and then. No update that a writer was told of may be lost, none may be there that \
            nobody made, and no reader may see a state that is torn or older than one that it has seen. Exit status 0: \
            everything as it must be; 1: not.
            """
    )

    @Option(help: "Only this one.")
    var kind: StateKind?
    @Option(help: "Ends the run after so many seconds.")
    var seconds: Double = 10
    @Option(help: "How many processes write.")
    var writers = 4
    @Option(help: "How many processes read.")
    var readers = 2
    @Option(help: "The average time between two kills, in microseconds.")
    var killInterval: UInt64 = 20_000
    @OptionGroup
    var series: SeriesOptions

    func validate() throws {
        if !(1...64).contains(writers) || !(0...64).contains(readers) {
            throw ValidationError("--writers takes 1 to 64, and --readers 0 to 64")
        }
        if !(seconds > 0 && seconds < 1e6) { throw ValidationError("--seconds takes a positive number") }
    }

    func run() throws {
        try series.run(kind.map { [$0] } ?? StateKind.allCases) { kind, seed in
            StateSettings(
                kind: kind,
                limits: RunLimits(
                    workers: writers + readers,
                    length: .seconds(seconds),
                    untilOverlap: kind.isUnsound,
                    expectsOverlaps: kind.isUnsound,
                    peer: series.peer
                ),
                writers: writers,
                killInterval: killInterval,
                seed: seed
            )
        }
    }
}
