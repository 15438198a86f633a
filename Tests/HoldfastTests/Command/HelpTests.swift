// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@Suite(.temporaryDirectory)
struct HelpTests {
    private let tool = CommandLineTool.holdfastctl

    @Test(arguments: [
        [], ["lock"], ["lock", "run"], ["lock", "status"], ["lock", "clean"], ["state"], ["state", "save"],
        ["state", "load"], ["state", "verify"], ["bench"],
    ])
    func everyCommandShowsExamples(command: [String]) async throws {
        let outcome = try await tool.start(command + ["--help"]).outcome()
        #expect(outcome.status == 0)
        #expect(outcome.error.isEmpty)
        let examples = try #require(outcome.output.components(separatedBy: "Examples:\n").last)
        #expect(examples.contains("  holdfastctl ") || examples.contains("| holdfastctl "))
        #expect(examples.contains((["holdfastctl"] + command).joined(separator: " ")))
        #expect(!outcome.output.contains("bench-peer"))
    }

    @Test func tellsItsVersion() async throws {
        let outcome = try await tool.run("--version")
        #expect(outcome.status == 0)
        #expect(outcome.output.wholeMatch(of: /holdfastctl \d+\.\d+\.\d+\n/) != nil)
    }

    @Test(arguments: [[], ["lock"], ["state"], ["nonsense"], ["--nonsense"], ["lock", "nonsense"], ["state", "load"]])
    func refusesToGuess(arguments: [String]) async throws {
        let outcome = try await tool.start(arguments).outcome()
        #expect(outcome.status == 64)
        #expect(outcome.output.isEmpty)
        #expect(outcome.isOneSentence, "\(outcome.error)")
        #expect(outcome.error.contains("--help'"))
    }
}
