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
        // On a slow machine a run may be over before each thing has happened once.
        var hasHappened = false
        for _ in 0..<20 where !hasHappened {
            let run = try await StateStressRun("--kind \(kind) --seconds 4")
            #expect(run.lostUpdates == 0)
            #expect(run.surplus == 0)
            #expect(run.older == 0)
            #expect(run.problems == [])
            hasHappened =
                run.updates > 0 && run.reads > 0 && run.killed > 0 && (kind != "converted" || run.conversions > 0)
        }
        #expect(hasHappened)
    }
}
