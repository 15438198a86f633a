// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Holdfast
internal import _HoldfastStressShims

/// `holdfast-stress locks`.
struct LocksCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "locks",
        abstract: "Contends for a lock with processes of which one holder in five dies by SIGKILL.",
        discussion: """
            Without --protocol it runs all of them: the known-bad ones, which must be caught, and then the sound ones, \
            which must not overlap. Exit status 0: everything as it must be; 1: not.
            """
    )

    @Option(name: .customLong("protocol"), help: "Only this one.")
    var protocolName: ProtocolName?
    @Option(help: "Ends each run after so many acquisitions; without this and --seconds after 20000.")
    var acquisitions: UInt64?
    @Option(help: "Ends each run after so many seconds.")
    var seconds: Double?
    @Option(help: "How many processes contend.")
    var workers = 8
    @Option(help: "The longest random pause, in microseconds; a cleaner's may be 20 times as long.")
    var pause: UInt64 = 200
    @Option(help: "How many holders of 1000 die.")
    var deaths: UInt64 = 200
    @Option(help: "Before how many system calls of 1000 a contender dies, wherever it is in the protocol.")
    var deathsInCalls: UInt64 = 0
    @Flag(help: "As on a file system without O_TMPFILE.")
    var withoutUnnamedFiles = false
    @Flag(help: "Good is a run that finds overlaps.")
    var expectOverlaps = false
    @Flag(help: "Ends a run at the first overlap.")
    var untilOverlap = false
    @OptionGroup
    var series: SeriesOptions

    func validate() throws {
        guard (1...1000).contains(workers) else { throw ValidationError("--workers is 1 to 1000.") }
        guard pause <= 1_000_000 else { throw ValidationError("--pause is at most 1000000.") }
        guard seconds.map({ $0 > 0 && $0 <= 1e6 }) ?? true else { throw ValidationError("--seconds is above 0.") }
    }

    func run() throws {
        try series.run(protocolName.map { [$0] } ?? ProtocolName.allCases, settings)
    }

    private func settings(for name: ProtocolName, seed: UInt64) -> RunSettings {
        // In the series a known-bad protocol has to be caught, which takes it a few acquisitions.
        let isControl = protocolName == nil && name.isUnsound
        return RunSettings(
            protocolName: name,
            limits: RunLimits(
                workers: workers,
                acquisitions: acquisitions ?? (seconds == nil ? (isControl ? 5000 : 20_000) : nil),
                length: seconds.map { .seconds($0) },
                untilOverlap: untilOverlap,
                expectsOverlaps: isControl || expectOverlaps,
                peer: series.peer
            ),
            pause: pause,
            deaths: deaths,
            deathsInCalls: deathsInCalls,
            hasUnnamedFiles: !withoutUnnamedFiles,
            seed: seed
        )
    }
}
