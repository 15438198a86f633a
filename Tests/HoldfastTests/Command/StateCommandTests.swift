// SPDX-License-Identifier: Apache-2.0
//
// `state save` and `state load`.

import Foundation
import Testing

@Suite(.temporaryDirectory)
struct StateCommandTests {
    private let tool = CommandLineTool.holdfastctl
    private var path: String { "\(TemporaryDirectory.current)/settings" }

    private static let keys: Set = [
        "path", "pathBytes", "generation", "schema", "length", "strategy", "token", "durability",
        "directorySyncError", "reason",
    ]

    private func save(_ options: String..., payload: CommandLineTool.Stream = .text("new")) async throws
        -> CommandLineTool.Outcome
    {
        try await tool.start(["state", "save", "--json"] + options + [path], input: payload).outcome()
    }

    @Test(arguments: [[], [0], Array(0...255), Array("text without an end of line".utf8)] as [[UInt8]])
    func givesBackEveryByte(payload: [UInt8]) async throws {
        let saved = try await tool.run("state", "save", "--allow-empty", path, input: .bytes(payload))
        #expect(saved.status == 0)
        #expect(saved.error.isEmpty)
        let loaded = try await tool.run("state", "load", path)
        #expect(loaded.status == 0)
        #expect(loaded.outputBytes == payload)
        // As docs/file-format.md promises to those who have no Holdfast at hand.
        #expect(try await CommandLineTool.named("tail").run("-n", "+2", path).outputBytes == payload)
    }

    @Test func givesBackAPayloadLargerThanAPipe() async throws {
        let payload = (0..<1_000_003).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        #expect(try await tool.run("state", "save", path, input: .bytes(payload)).status == 0)
        #expect(try await tool.run("state", "load", path).outputBytes == payload)
    }

    @Test func reportsWhatItSaved() async throws {
        let object = try await save("--token", "18446744073709551615", "--schema", "4294967295").object()
        #expect(Set(object.keys) == Self.keys)
        #expect(object["path"] as? String == path)
        #expect(object["generation"] as? UInt64 == 1)
        #expect(object["schema"] as? UInt64 == 4_294_967_295)
        #expect(object["length"] as? Int == 3)
        #expect(object["strategy"] as? String == "replace")
        #expect(object["token"] as? UInt64 == .max)
        #expect(object["durability"] as? String == "power-loss")
        #expect(object["directorySyncError"] is NSNull)
        #expect(try await save("--durability", "process-crash").object()["durability"] as? String == "process-crash")

        let loaded = try await tool.run("state", "load", "--json", path)
        // Numbers are exact, not rounded to what a double holds.
        #expect(loaded.output.contains(#""token":18446744073709551615}"#))
        #expect(Set(try loaded.object().keys) == Self.keys)
        #expect(try loaded.object()["generation"] as? Int == 2)
    }

    @Test func keepsTheSchemaThatIsThereUnlessToldOtherwise() async throws {
        #expect(try await save().object()["schema"] as? Int == 1)
        #expect(try await save("--schema", "7").object()["schema"] as? Int == 7)
        #expect(try await save().object()["schema"] as? Int == 7)
        #expect(try await save("--schema", "6").status == 77)
        #expect(try await tool.run("state", "load", path).output == "new")
    }

    @Test func savesOnlyAfterTheGenerationThatIsExpected() async throws {
        #expect(try await save("--if-generation", "1").status == 77)
        #expect(!FileManager.default.fileExists(atPath: path))
        #expect(try await save("--if-generation", "0", payload: .text("first")).status == 0)
        let conflict = try await save("--if-generation", "0")
        #expect(conflict.status == 77)
        #expect(conflict.output.isEmpty)
        #expect(conflict.isOneSentence)
        #expect(try await tool.run("state", "load", path).output == "first")
        #expect(try await save("--if-generation", "1").status == 0)
    }

    @Test func refusesAnOlderToken() async throws {
        #expect(try await save("--token", "9", payload: .text("first")).status == 0)
        #expect(try await save("--token", "8").status == 77)
        #expect(try await tool.run("state", "load", path).output == "first")
        #expect(try await save("--token", "9").status == 0)
    }

    @Test func savesUnderALockWithItsToken() async throws {
        let script = #"printf mine | "$0" state save --token "$HOLDFAST_TOKEN" --json "$1""#
        let outcome = try await tool.run(
            "lock",
            "run",
            "\(path).lock",
            "--",
            "sh",
            "-c",
            script,
            tool.command[0],
            path
        )
        #expect(outcome.status == 0)
        #expect(try outcome.object()["token"] is Int)
    }

    @Test func refusesArgumentsThatMakeNoSense() async throws {
        for options in [
            ["--capacity", "4096"], ["--strategy", "best"], ["--durability", "forever"], ["--token", "0"],
            ["--token", "-1"], ["--schema", "4294967296"], ["--if-generation", "x"], ["extra"],
        ] {
            let outcome = try await tool.start(["state", "save"] + options + [path]).outcome()
            #expect(outcome.status == 64, "\(options)")
            #expect(outcome.isOneSentence, "\(outcome.error)")
        }
        #expect(try await tool.run("state", "save", "").status == 64)
        #expect(try await tool.run("state", "load", "directory/").status == 64)
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func keepsAStateInTwoSlots() async throws {
        #expect(try await save("--token", "7", "--schema", "3", payload: .text("first")).status == 0)
        let converted = try await save("--strategy", "two-slot", "--capacity", "5000").object()
        #expect(converted["strategy"] as? String == "two-slot")
        #expect(converted["generation"] as? Int == 2)
        #expect(converted["schema"] as? Int == 3)
        #expect(converted["token"] as? Int == 7)
        #expect(try Data(contentsOf: URL(filePath: path)).count == 5 * 4096)
        #expect(try await save(payload: .text("third")).object()["strategy"] as? String == "two-slot")
        #expect(try await tool.run("state", "load", path).output == "third")
        let verified = try await tool.run("state", "verify", path)
        #expect(verified.output == "\(path): generation 3, schema 3, 5 bytes, two-slot, token 7\n")
        let back = try await save("--strategy", "replace").object()
        #expect(back["strategy"] as? String == "replace")
        #expect(back["generation"] as? Int == 4)
        #expect(back["schema"] as? Int == 3)
        #expect(back["token"] as? Int == 7)
        #expect(try await tool.run("state", "load", path).output == "new")
    }

    @Test func convertsAStateAsItIs() async throws {
        #expect(try await save("--token", "7", "--schema", "3", payload: .text("first")).status == 0)
        for strategy in ["two-slot", "replace"] {
            let converted = try await tool.run("state", "convert", "--json", path, "--strategy", strategy).object()
            #expect(converted["strategy"] as? String == strategy)
            #expect(converted["generation"] as? Int == 1)
            #expect(converted["schema"] as? Int == 3)
            #expect(converted["token"] as? Int == 7)
            #expect(converted["durability"] as? String == "power-loss")
            let again = try await tool.run("state", "convert", path, "--strategy", strategy)
            #expect(again.status == 0)
            #expect(again.output == "\(path): generation 1, schema 3, 5 bytes, \(strategy), token 7\n")
            #expect(try await tool.run("state", "load", path).output == "first")
        }
        #expect(try await tool.run("state", "convert", "\(path).none", "--strategy", "replace").status == 66)
        #expect(try await tool.run("state", "convert", path).status == 64)
    }

    @Test func fallsBackToTheOlderSlotAndSaysSo() async throws {
        #expect(try await save("--strategy", "two-slot", payload: .text("older")).status == 0)
        #expect(try await save(payload: .text("newer")).status == 0)
        var bytes = try Data(contentsOf: URL(filePath: path))
        bytes[4096 + 130] ^= 1
        try FileHandle(forUpdating: URL(filePath: path)).write(contentsOf: bytes)
        let loaded = try await tool.run("state", "load", path)
        #expect(loaded.status == 0)
        #expect(loaded.output == "older")
        #expect(loaded.error.contains("warning") && loaded.error.contains("checksum"))
        let report = try await tool.run("state", "load", "--json", path).object()
        #expect(report["generation"] as? Int == 1)
        #expect((report["reason"] as? String)?.contains("checksum") == true)
        let verified = try await tool.run("state", "verify", "--json", path)
        #expect(verified.status == 65)
        #expect(try verified.object()["generation"] as? Int == 1)
        #expect(try verified.object()["reason"] is String)
        bytes[8192 + 130] ^= 1
        try FileHandle(forUpdating: URL(filePath: path)).write(contentsOf: bytes)
        #expect(try await tool.run("state", "load", path).status == 65)
        #expect(try await save().status == 65)
    }

    @Test func neverReplacesOrPrintsACorruptState() async throws {
        #expect(try await save().status == 0)
        var bytes = try Data(contentsOf: URL(filePath: path))
        bytes[bytes.count - 1] ^= 1
        try bytes.write(to: URL(filePath: path))
        for outcome in [
            try await save(), try await tool.run("state", "load", path),
            try await tool.run("state", "load", "--json", path),
        ] {
            #expect(outcome.status == 65)
            #expect(outcome.output.isEmpty)
            #expect(outcome.isOneSentence)
        }
        #expect(try await save().error.hasPrefix("holdfastctl: Saving \(path) failed: "))
        #expect(try Data(contentsOf: URL(filePath: path)) == bytes)
    }

    @Test func speaksOfNoOptionThatItLacksWhenAStateIsTooLarge() async throws {
        _ = try largeFile("settings", size: 300 << 20)
        for outcome in [try await save(), try await tool.run("state", "load", path)] {
            #expect(outcome.status == 77)
            #expect(outcome.isOneSentence)
            #expect(outcome.error.contains("the limit is 268435456. "))
            #expect(outcome.error.contains("only a program that sets a larger one"))
        }
    }

    @Test func savesNothingBeyondTheLimitOnFiles() async throws {
        #expect(try await save(payload: .text("first")).status == 0)
        // A shell counts in blocks of 512 bytes or of 1024; ThreadSanitizer needs to write half a megabyte itself.
        let script = #"ulimit -f 8192; exec "$0" state save "$1""#
        let payload = try largeFile("payload", size: 16 << 20)
        let outcome = try await CommandLineTool.named("sh").run(
            "-c",
            script,
            tool.command[0],
            path,
            input: .path(payload)
        )
        #expect(outcome.status == 73)
        #expect(outcome.isOneSentence, "\(outcome.error)")
        #expect(outcome.error.contains("File too large"), "\(outcome.error)")
        #expect(try await tool.run("state", "load", path).output == "first")
        let names = try FileManager.default.contentsOfDirectory(atPath: TemporaryDirectory.current)
        #expect(Set(names.filter { !$0.hasPrefix(".run-") }) == ["payload", "settings", ".settings.lock"])
    }

    /// A file of zeros that takes no room.
    private func largeFile(_ name: String, size: UInt64) throws -> String {
        let path = "\(TemporaryDirectory.current)/\(name)"
        try #require(FileManager.default.createFile(atPath: path, contents: nil))
        let file = try FileHandle(forWritingTo: URL(filePath: path))
        try file.truncate(atOffset: size)
        try file.close()
        return path
    }

    @Test func tellsMissingFromForbiddenFromUnsafe() async throws {
        let directory = TemporaryDirectory.current
        #expect(try await tool.run("state", "load", path).status == 66)
        #expect(try await tool.run("state", "load", "\(directory)/missing/settings").status == 66)
        let missing = try await tool.run("state", "save", "\(directory)/missing/settings", input: .text("new"))
        #expect(missing.status == 73)
        try FileManager.default.createDirectory(atPath: "\(directory)/directory", withIntermediateDirectories: false)
        #expect(try await save().status == 0)
        try FileManager.default.createSymbolicLink(atPath: "\(directory)/link", withDestinationPath: path)
        for name in ["directory", "link"] {
            #expect(try await tool.run("state", "load", "\(directory)/\(name)").status == 77)
            let saved = try await tool.run("state", "save", "\(directory)/\(name)", input: .text("new"))
            #expect(saved.status == 77)
        }
    }

    @Test(.enabled(if: CommandLineTool.canRunAsNobody))
    func saysThatItMayNot() async throws {
        #expect(try await save().status == 0)
        try FileManager.default.setAttributes([.posixPermissions: 0o555], ofItemAtPath: TemporaryDirectory.current)
        let nobody = tool.asNobody()
        #expect(try await nobody.run("state", "load", path).status == 66)
        let another = "\(TemporaryDirectory.current)/another"
        let outcome = try await nobody.run("state", "save", another, input: .text("new"))
        #expect(outcome.status == 73)
        #expect(outcome.isOneSentence, "\(outcome.error)")
    }
}
