// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@Suite(.temporaryDirectory)
struct HelpTests {
    private let tool = CommandLineTool.holdfastctl

    private static let commands = [
        [], ["lock"], ["lock", "run"], ["lock", "status"], ["lock", "clean"], ["state"], ["state", "save"],
        ["state", "load"], ["state", "verify"], ["state", "convert"], ["state", "restore"], ["bench"],
    ]

    @Test(arguments: commands)
    func everyCommandShowsExamples(command: [String]) async throws {
        let outcome = try await tool.start(command + ["--help"]).outcome()
        #expect(outcome.status == 0)
        #expect(outcome.error.isEmpty)
        let examples = try #require(outcome.output.components(separatedBy: "Examples:\n").last)
        #expect(examples.contains("  holdfastctl ") || examples.contains("| holdfastctl "))
        #expect(examples.contains((["holdfastctl"] + command).joined(separator: " ")))
        #expect(!outcome.output.contains("bench-peer"))
        for line in outcome.output.split(separator: "\n") { #expect(line.count <= 80, "\(line)") }

        // What is copied from there must be whole: not wrapped.
        let wide = try await tool.start(command + ["--help"], environment: ["COLUMNS": "500"]).outcome()
        #expect(
            wide.output.components(separatedBy: "Examples:\n").last?.components(separatedBy: "\n\n").first
                == examples.components(separatedBy: "\n\n").first
        )
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
