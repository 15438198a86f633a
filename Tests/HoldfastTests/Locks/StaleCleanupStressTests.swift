// SPDX-License-Identifier: Apache-2.0
//
// Acquirers and cleaners at once, in real processes that die by SIGKILL while they hold. The known-bad protocol runs in
// the same harness and has to be caught: a harness that finds nothing there proves nothing here. The long run of it is
// `scripts/stress locks`.

import Testing

@Suite(.serialized, .timeLimit(.minutes(2)))
struct StaleCleanupStressTests {
    @Test("the published stale cleanup lets two live holders in")
    func theSeedIsCaught() async throws {
        let run = try await StressRun.locks(
            "--protocol",
            "seed",
            "--expect-overlaps",
            "--until-overlap",
            "--seconds",
            "30"
        )
        #expect(run.overlaps > 0)
        #expect(run.problems == [])
    }

    @Test("no two live holders, nothing lost, nothing left behind", arguments: ["flock"])
    func oursNeverOverlaps(_ name: String) async throws {
        let run = try await StressRun.locks("--protocol", name, "--acquisitions", "2000", "--seconds", "60")
        #expect(run.overlaps == 0)
        #expect(run.lostUpdates == 0)
        #expect(run.leftovers == [])
        #expect(run.problems == [])
        #expect(run.acquisitions >= 2000)
        #expect(run.killed > 0)
    }
}
