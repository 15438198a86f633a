// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@Suite(.temporaryDirectory)
struct StateVerifyTests {
    private let tool = CommandLineTool.holdfastctl
    private var directory: String { TemporaryDirectory.current }

    private func save(_ name: String, schema: String = "1") async throws {
        let outcome = try await tool.run(
            "state",
            "save",
            "--schema",
            schema,
            "\(directory)/\(name)",
            input: .text("payload")
        )
        try #require(outcome.status == 0)
    }

    @Test func saysWhatEachFileIs() async throws {
        try await save("one")
        try await save("two", schema: "9")
        let outcome = try await tool.run("state", "verify", "--json", "\(directory)/one", "\(directory)/two")
        #expect(outcome.status == 0)
        let objects = try outcome.objects()
        #expect(objects.map { $0["schema"] as? Int } == [1, 9])
        #expect(objects.allSatisfy { $0["length"] as? Int == 7 && $0["strategy"] as? String == "replace" })
        #expect(objects.allSatisfy { $0["reason"] is NSNull && $0["durability"] is NSNull })

        let text = try await tool.run("state", "verify", "\(directory)/two").output
        #expect(text == "\(directory)/two: generation 1, schema 9, 7 bytes, replace\n")
    }

    @Test func exitsWithTheGravestFindingAndStillReportsEach() async throws {
        try await save("sound")
        try "not a state\n".write(toFile: "\(directory)/corrupt", atomically: false, encoding: .utf8)
        try FileManager.default.createSymbolicLink(atPath: "\(directory)/link", withDestinationPath: "sound")
        func verify(_ names: String...) async throws -> (status: Int32, lines: Int) {
            let paths = names.map { "\(directory)/\($0)" }
            let outcome = try await tool.start(["state", "verify", "--json"] + paths).outcome()
            #expect(outcome.error.isEmpty)
            let objects = try outcome.objects()
            #expect(objects.map { $0["path"] as? String } == paths)
            #expect(objects.allSatisfy { ($0["generation"] is NSNull) == ($0["reason"] is String) })
            return (outcome.status, objects.count)
        }
        #expect(try await verify("sound") == (0, 1))
        #expect(try await verify("sound", "missing") == (66, 2))
        #expect(try await verify("missing", "link") == (77, 2))
        #expect(try await verify("corrupt", "link", "missing", "sound") == (65, 4))
    }

    @Test func changesNothing() async throws {
        try await save("state")
        let before = try FileManager.default.contentsOfDirectory(atPath: directory).filter { !$0.hasPrefix(".run-") }
        #expect(try await tool.run("state", "verify", "\(directory)/state", "\(directory)/missing").status == 66)
        let after = try FileManager.default.contentsOfDirectory(atPath: directory).filter { !$0.hasPrefix(".run-") }
        #expect(Set(before) == Set(after))
    }
}
