// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import CrashWorkloads
internal import HoldfastTesting
internal import _HoldfastStressShims

/// `holdfast-stress schedules`.
struct SchedulesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schedules",
        abstract: "Interleaves the users of a PID file, and those who open an arena, in every way, in simulation.",
        discussion: """
            Call by call; a state that was met before is not gone into again. The protocols that are known to be bad have to \
            be caught, and their schedules are shown. Exit status 0: that is so, and the others are sound; 1: not.
            """
    )

    @Option(help: "Only protocols whose names contain this.")
    var `protocol`: String?
    @Option(help: "How many cleaners there are.")
    var cleaners = 2
    @Option(help: "How many processes open an arena.")
    var openers = 2
    @Option(help: "Up to how many states of each are looked at.")
    var states = Int.max

    func validate() throws {
        guard cleaners >= 1, openers >= 1, states >= 1 else {
            throw ValidationError("--cleaners, --openers and --states are at least 1.")
        }
        if selected.isEmpty { throw ValidationError("no protocol has '\(`protocol` ?? "")' in its name.") }
    }

    /// What is explored, and whether it is sound.
    private struct Schedules {
        let name: String
        let isSound: Bool
        let explore: (@escaping (Int) -> Void) throws -> ScheduleReport
    }

    private var selected: [Schedules] {
        let files = PIDFileSchedules.allCases.map { schedules in
            Schedules(name: schedules.rawValue, isSound: schedules.isSound) {
                try schedules.explore(cleaners: cleaners, limit: states, onProgress: $0)
            }
        }
        let arenas = ArenaSchedules.allCases.map { schedules in
            Schedules(name: schedules.rawValue, isSound: schedules.isSound) {
                try schedules.explore(processes: openers, limit: states, onProgress: $0)
            }
        }
        return (files + arenas).filter { `protocol`.map($0.name.contains) ?? true }
    }

    func run() throws {
        var isAsExpected = true
        for schedules in selected {
            let report = try schedules.explore { states in
                print("\(schedules.name): \(states) states so far")
                fflush(nil)
            }
            let verdict = (report.violation == nil) == schedules.isSound ? "as expected" : "NOT as expected"
            print("\(schedules.name): \(verdict): \(report)")
            fflush(nil)
            isAsExpected = isAsExpected && (report.violation == nil) == schedules.isSound
        }
        if !isAsExpected { throw ExitCode(1) }
    }
}
