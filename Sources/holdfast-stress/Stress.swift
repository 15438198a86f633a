// SPDX-License-Identifier: Apache-2.0
//
// Real processes, real kernel files, real SIGKILL: exclusion under contention and death, with known-bad protocols beside
// ours to show that the harness would see a fault. Run it with `scripts/stress`.

internal import ArgumentParser

@main
struct Stress: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "holdfast-stress",
        abstract: "Stresses Holdfast: with processes that die while they hold, and with crashes of every kind.",
        subcommands: [
            LocksCommand.self, MutexCommand.self, StateCommand.self, CrashCommand.self, SchedulesCommand.self,
            HoldCommand.self,
        ]
    )

    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        // A worker is started thousands of times in a run: it does without the argument parser.
        if arguments.first == WorkerOrders.verb { WorkerOrders.carryOut(arguments) }
        main(arguments)
    }
}
