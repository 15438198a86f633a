// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import CrashWorkloads
internal import HoldfastTesting
internal import _HoldfastStressShims

/// `holdfast-stress crash`.
struct CrashCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "crash",
        abstract: "Crashes saves, tokens and PID files in every way, in simulation, and lets them recover.",
        discussion: """
            Every workload under every profile, again with payloads of another length until there are so many states. \
            Without --workload it begins with all of them. Exit status 0: all survived; 1: not.
            """
    )

    @Option(help: "Ends when so many distinct states were recovered from.")
    var states = 1_000_000
    @Option(help: "Only workloads whose names contain this.")
    var workload: String?
    @Option(help: "Up to how many crashes at one moment are tried exhaustively; of more, so many are chosen.")
    var limit = 2000
    @Option(help: "From how many states the recovery is crashed in turn.")
    var recoveryLimit = 64
    @Option(help: "The random seed of the first round; the next ones follow it.")
    var seed: UInt64 = 1

    func validate() throws {
        guard states >= 1 else { throw ValidationError("--states is at least 1.") }
        guard limit >= 1 else { throw ValidationError("--limit is at least 1.") }
        if selected(length: 1).isEmpty { throw ValidationError("no workload has '\(workload ?? "")' in its name.") }
    }

    private func selected(length: Int) -> [CrashWorkload] {
        CrashWorkload.all(length: length).filter { workload.map($0.name.contains) ?? true }
    }

    func run() throws {
        var (total, crashes, areSound) = (0, 0, true)
        var round = 0
        repeat {
            // No two rounds have payloads of one length, so that no two have a state in common.
            let length = 300 + 411 * round % 7001
            for workload in selected(length: length) where round == 0 || (total < states && workload.hasPayload) {
                var explorer = CrashExplorer()
                explorer.profiles = CrashProfile.allCases
                explorer.limit = limit
                explorer.recoveryLimit = recoveryLimit
                explorer.sectorSize = round % 4 == 3 ? 4096 : 512
                explorer.seed = seed &+ UInt64(round)
                let report = try workload.explore(explorer)
                total += report.states
                crashes += report.crashes
                print("\(total) after \(workload.name) of \(length) bytes, seed \(explorer.seed): \(report)")
                fflush(nil)
                areSound = areSound && report.isSound
            }
            round += 1
        } while total < states && selected(length: 1).contains(where: \.hasPayload)
        print("\(total) distinct states from \(crashes) crashes: \(areSound ? "all survived" : "not all survived")")
        if !areSound { throw ExitCode(1) }
    }
}
