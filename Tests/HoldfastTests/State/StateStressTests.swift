// SPDX-License-Identifier: Apache-2.0
//
// Updates and reads of one state by processes that die by SIGKILL anywhere in them. Known-bad writers run in the same
// harness and have to be caught. The long run of it is `scripts/stress state`.

import Testing

@Suite(.serialized, .temporaryDirectory, .timeLimit(.minutes(60)))
struct StateStressTests {
    @Test("writers without a lock over load and save lose updates")
    func theUnlockedIsCaught() async throws {
        let run = try await StateStressRun("--kind unlocked --seconds 60")
        #expect(run.lostUpdates > 0)
        #expect(run.problems == [])
    }

    @Test(
        "whoever dies wherever: each update that was told of is there, none that nobody made; readers see whole states in order",
        arguments: ["replace", "two-slot", "converted"]
    )
    func aDeathAnywhereHarmsNobody(_ kind: String) async throws {
        let run = try await StateStressRun("--kind \(kind) --seconds 4")
        #expect(run.updates > 0)
        #expect(run.reads > 0)
        #expect(run.killed > 0)
        #expect(run.lostUpdates == 0)
        #expect(run.surplus == 0)
        #expect(run.older == 0)
        #expect(run.problems == [])
        if kind == "converted" { #expect(run.conversions > 0) }
    }
}
