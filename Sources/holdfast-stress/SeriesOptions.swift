// SPDX-License-Identifier: Apache-2.0
//
// A series of runs: the options that all have, what it prints, and with what it ends.

internal import ArgumentParser
internal import _HoldfastStressShims

/// The options of every command that runs processes.
struct SeriesOptions: ParsableArguments {
    @Option(help: "Where the run makes, and removes, a directory of its own.")
    var directory = "."
    @Option(help: "The random seed; the schedule of the kernel's is not repeatable.")
    var seed: UInt64?
    @Option(
        help: """
            The path of this tool as another version has it: every second worker is a process of that one. With the name of \
            a sound kind.
            """
    )
    var peer: String?
    @Flag(help: "One JSON object per run.")
    var json = false

    /// Makes one run after another, each with a seed, and prints what came of it.
    ///
    /// - Throws: `ExitCode` 1 if not all were good, 128 + n if signal n ended one.
    func run<Kind: RawRepresentable<String>, Settings: StressSettings>(
        _ kinds: [Kind],
        _ settings: (Kind, UInt64) -> Settings
    ) throws {
        var areGood = true
        if !json { print(Settings.Report.heading) }
        for kind in kinds {
            let settings = settings(kind, seed ?? .random(in: .min ... .max))
            let report = try RunDirectory.with(in: directory, settings.run)
            print(json ? report.json : report.lines)
            fflush(nil)
            if !json { report.problems.forEach { complain("\(kind.rawValue): \($0)") } }
            if report.outcome.stopSignal != 0 { throw ExitCode(128 + report.outcome.stopSignal) }
            areGood = areGood && report.isGood
        }
        if !areGood { throw ExitCode(1) }
    }
}
