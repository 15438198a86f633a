// SPDX-License-Identifier: Apache-2.0
//
// Several processes open one arena, in every order of their calls.

import CrashWorkloads
import HoldfastTesting
import Testing

@Suite
struct ArenaScheduleTests {
    @Test(
        "Two processes that open one arena have slots, tokens and mutexes of their own",
        arguments: ArenaSchedules.allCases
    )
    func two(schedules: ArenaSchedules) throws {
        let report = try schedules.explore(limit: 3_000)
        print("\(schedules.rawValue): \(report)")
        if schedules.isSound {
            #expect(report.violation == nil, "\(report)")
            #expect(report.states >= 3_000 || report.isExhaustive, "\(report)")
            #expect(report.ends > 0, "\(report)")
        } else {
            #expect(report.violation != nil, "the control was not caught: \(report)")
        }
    }

    @Test("So have three", arguments: ArenaSchedules.allCases.filter(\.isSound))
    func three(schedules: ArenaSchedules) throws {
        let report = try schedules.explore(processes: 3, limit: 1_500)
        print("\(schedules.rawValue), 3: \(report)")
        #expect(report.violation == nil, "\(report)")
    }
}
