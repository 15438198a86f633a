// SPDX-License-Identifier: Apache-2.0
//
// What `state save` refuses and keeps, and `state restore`.

import Foundation
import Testing

@Suite(.temporaryDirectory)
struct StateOptionTests {
    private let tool = CommandLineTool.holdfastctl
    private var path: String { "\(TemporaryDirectory.current)/settings" }

    private func save(_ text: String, _ options: String...) async throws -> CommandLineTool.Outcome {
        try await tool.start(["state", "save"] + options + [path], input: .text(text)).outcome()
    }

    /// A producer that failed leaves an empty pipe.
    @Test func refusesAnEmptyInput() async throws {
        #expect(try await save("good").status == 0)
        let script = #"false | "$0" state save "$1""#
        let outcome = try await CommandLineTool.named("sh").run("-c", script, tool.command[0], path)
        #expect(outcome.status == 65)
        #expect(outcome.isOneSentence)
        #expect(outcome.error.contains("standard input is empty"), "\(outcome.error)")
        #expect(try await tool.run("state", "load", path).output == "good")
        #expect(try await save("", "--allow-empty").status == 0)
        #expect(try await tool.run("state", "load", path).output == "")
    }

    @Test(arguments: ["replace", "two-slot"])
    func bringsBackThePreviousState(strategy: String) async throws {
        #expect(try await save("1", "--strategy", strategy, "--schema", "7").status == 0)
        let none = try await tool.run("state", "restore", path)
        #expect(none.status == 66)
        #expect(none.isOneSentence)
        #expect(try await save("2", "--keep-previous", "--token", "5").status == 0)
        #expect(try await save("3", "--keep-previous", "--token", "5").status == 0)
        #expect(try await tool.run("state", "restore", "--token", "4", path).status == 77)
        let restored = try await tool.run("state", "restore", "--json", path)
        #expect(restored.status == 0)
        let object = try restored.object()
        #expect(object["generation"] as? Int == 4)
        #expect(object["schema"] as? Int == 7)
        #expect(object["strategy"] as? String == strategy)
        #expect(object["token"] as? UInt64 == 5)
        #expect(object["durability"] as? String == "power-loss")
        #expect(try await tool.run("state", "load", path).output == "2")
    }

    @Test func restoresOverADamagedState() async throws {
        #expect(try await save("1").status == 0)
        #expect(try await save("2", "--keep-previous").status == 0)
        try Data("damage".utf8).write(to: URL(filePath: path))
        #expect(try await save("3").status == 65)
        #expect(try await tool.run("state", "restore", path).status == 0)
        #expect(try await tool.run("state", "load", path).output == "1")
    }

    @Test(arguments: ["0", "0.05"])
    func givesUpWaitingForAnotherWriter(timeout: String) async throws {
        #expect(try await save("1").status == 0)
        #expect(try await save("2", "--keep-previous").status == 0)
        let writer = try await Holder("\(TemporaryDirectory.current)/.settings.lock")
        let outcome = try await save("3", "--timeout", timeout)
        #expect(outcome.status == 75)
        #expect(outcome.isOneSentence)
        #expect(try await tool.run("state", "restore", "--timeout", timeout, path).status == 75)
        #expect(try await tool.run("state", "load", path).output == "2")
        withExtendedLifetime(writer) {}
    }

    @Test(arguments: [["--timeout", "-1"], ["--timeout", "soon"], ["--timeout", "nan"], ["--token", "0"]])
    func refusesNumbersThatMakeNoSense(options: [String]) async throws {
        #expect(try await tool.start(["state", "save"] + options + [path], input: .text("1")).outcome().status == 64)
        #expect(try await tool.start(["state", "restore"] + options + [path]).outcome().status == 64)
    }
}
