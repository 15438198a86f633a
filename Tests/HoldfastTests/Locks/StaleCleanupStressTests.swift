// SPDX-License-Identifier: Apache-2.0
//
// Acquirers and cleaners at once, in real processes that die by SIGKILL while they hold. The known-bad protocol runs in
// the same harness and has to be caught: a harness that finds nothing there proves nothing here. The long run of it is
// `scripts/stress locks`.

import Testing

@Suite(.serialized, .temporaryDirectory, .timeLimit(.minutes(60)))
struct StaleCleanupStressTests {
    @Test("the published stale cleanup lets two live holders in")
    func theSeedIsCaught() async throws {
        // A run ends also when its lock is wedged, which this protocol does too.
        for _ in 0..<20 {
            let run = try await LockStressRun("--protocol seed --expect-overlaps --until-overlap --seconds 60")
            if run.overlaps > 0 { return }
        }
        Issue.record("no overlap was found in a protocol that has them")
    }

    @Test("no two live holders, nothing lost, nothing left behind", arguments: ["pidfile", "clean", "lockfile"])
    func oursNeverOverlaps(_ name: String) async throws {
        let run = try await LockStressRun("--protocol \(name) --acquisitions 700 --seconds 240")
        #expect(run.acquisitions >= 700)
        #expect(run.killed > 0)
        #expect(run.overlaps == 0)
        #expect(run.lostUpdates == 0)
        #expect(run.displaced == 0)
        #expect(run.leftovers == [])
        #expect(run.problems == [])
        // The last holder may have died with nobody left to be told.
        if name == "lockfile" { #expect(run.killed - run.abandoned <= 1) }
        if name == "clean" { #expect(run.cleaned > 0) }
    }

    @Test("the same with deaths before any of Holdfast's system calls", arguments: ["pidfile", "clean", "lockfile"])
    func aDeathAnywhereHarmsNobody(_ name: String) async throws {
        let run = try await LockStressRun("--protocol \(name) --deaths-in-calls 10 --acquisitions 100 --seconds 240")
        #expect(run.acquisitions >= 100)
        #expect(run.killed > 0)
        #expect(run.problems == [])
    }

    @Test("readers are inside together, never with a writer")
    func readersShare() async throws {
        let run = try await LockStressRun("--protocol mixed --acquisitions 300 --seconds 240")
        #expect(run.acquisitions >= 300)
        #expect(run.sharedTogether > 0)
        #expect(run.problems == [])
    }
}
