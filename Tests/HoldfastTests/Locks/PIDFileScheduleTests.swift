// SPDX-License-Identifier: Apache-2.0
//
// Every order of the calls of two cleaners, a creator and a releaser of a PID file; `scripts/stress schedules` at length.

import CrashWorkloads
import HoldfastTesting
import Testing

@Suite
struct PIDFileScheduleTests {
    @Test("two are never inside at once, and nobody fails", arguments: PIDFileSchedules.allCases.filter(\.isSound))
    func sound(schedules: PIDFileSchedules) throws {
        let report = try schedules.explore(limit: 8_000)
        print("\(schedules.rawValue): \(report)")
        #expect(report.violation == nil, "\(report)")
        #expect(report.states >= 8_000 || report.isExhaustive, "\(report)")
        #expect(report.ends > 0, "\(report)")
    }

    /// To rename first and look afterwards is too late: the live lock has left its name.
    @Test(
        "the protocol that renames to .removing is caught",
        arguments: [.removing, .removingVerified] as [PIDFileSchedules]
    )
    func removing(schedules: PIDFileSchedules) throws {
        let report = try schedules.explore()
        print("\(schedules.rawValue): \(report)")
        #expect(report.violation == "releaser and creator are inside at once", "\(report)")
        let renames = report.schedule.filter { $0.contains("rename(\"service.pid\", \"service.pid.removing\") = 0") }
        #expect(renames.count == 2, "the second one takes away the live lock: \(report)")
        #expect(
            report.schedule.last?.contains("releaser: ") == true || report.schedule.last?.contains("creator: ") == true
        )
    }
}
