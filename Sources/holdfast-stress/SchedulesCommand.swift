// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import CrashWorkloads
internal import HoldfastTesting
internal import _HoldfastStressShims

/// `holdfast-stress schedules`.
struct SchedulesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "schedules",
        abstract: "Interleaves two cleaners, a creator and a releaser of a PID file in every way, in simulation.",
        discussion: """
            Call by call; a state that was met before is not gone into again. The protocol that is known to be bad has to \
            be caught, and its schedule is shown. Exit status 0: that is so, and the others are sound; 1: not.
            """
    )

    @Option(help: "Only protocols whose names contain this.")
    var `protocol`: String?
    @Option(help: "Up to how many states of each are looked at.")
    var states = Int.max

    func validate() throws {
        guard states >= 1 else { throw ValidationError("--states is at least 1.") }
        if selected.isEmpty { throw ValidationError("no protocol has '\(`protocol` ?? "")' in its name.") }
    }

    private var selected: [PIDFileSchedules] {
        PIDFileSchedules.allCases.filter { `protocol`.map($0.rawValue.contains) ?? true }
    }

    func run() throws {
        var isAsExpected = true
        for schedules in selected {
            let report = try schedules.explore(limit: states) { states in
                print("\(schedules.rawValue): \(states) states so far")
                fflush(nil)
            }
            let verdict = (report.violation == nil) == schedules.isSound ? "as expected" : "NOT as expected"
            print("\(schedules.rawValue): \(verdict): \(report)")
            fflush(nil)
            isAsExpected = isAsExpected && (report.violation == nil) == schedules.isSound
        }
        if !isAsExpected { throw ExitCode(1) }
    }
}
