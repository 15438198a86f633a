// SPDX-License-Identifier: Apache-2.0
//
// `--permissions`, `--group` and `--adopt-empty`.

import Foundation
import Testing

@Suite(.temporaryDirectory)
struct AccessOptionsTests {
    private let tool = CommandLineTool.holdfastctl

    private func path(_ name: String) -> String { "\(TemporaryDirectory.current)/\(name)" }

    private func modes() throws -> [String: Int] {
        let directory = TemporaryDirectory.current
        let names = try FileManager.default.contentsOfDirectory(atPath: directory).filter { !$0.hasPrefix(".run-") }
        return try names.reduce(into: [:]) { modes, name in
            let attributes = try FileManager.default.attributesOfItem(atPath: "\(directory)/\(name)")
            modes[name] = try #require(attributes[.posixPermissions] as? Int)
        }
    }

    @Test(arguments: [
        ("4755", "set-user-ID"), ("2660", "set-user-ID"), ("01666", "sticky"), ("066", "the owner"),
        ("400", "the owner"),
        ("0x1b0", "octal"), ("+660", "octal"), ("-660", "octal"), ("0o660", "octal"), ("rw", "octal"),
        ("668", "octal"), ("77777", "octal"),
    ])
    func refusesAMode(mode: String, reason: String) async throws {
        let path = path("a")
        for command in [
            ["lock", "run", path], ["state", "save", path], ["state", "convert", path, "--strategy", "replace"],
        ] {
            let tail = command[0] == "lock" ? ["--", "true"] : []
            let outcome = try await tool.start(command + ["--permissions=\(mode)"] + tail).outcome()
            #expect(outcome.status == 64, "\(command) \(mode)")
            #expect(outcome.isOneSentence && outcome.error.contains(reason), "\(outcome.error)")
        }
        #expect(try modes().isEmpty)
    }

    @Test func refusesAGroupThatIsNotThere() async throws {
        for group in ["no such group", "4294967295", "-1"] {
            let outcome = try await tool.run("lock", "run", "--group=\(group)", path("a"), "--", "true")
            #expect(outcome.status == 64)
            #expect(outcome.isOneSentence && outcome.error.contains("there is no group"), "\(outcome.error)")
        }
    }

    @Test func givesTheModeToEverythingThatIsMade() async throws {
        let group = "\(getegid())"
        #expect(
            try await tool.run("lock", "run", "--permissions", "666", "--group", group, path("a"), "--", "true").status
                == 0
        )
        for arguments in [[path("s")], [path("t"), "--strategy", "two-slot"]] {
            let options = ["--permissions", "0666", "--group", group]
            #expect(
                try await tool.start(["state", "save"] + arguments + options, input: .text("1")).outcome().status == 0
            )
        }
        let made = try modes()
        #expect(Set(made.keys) == ["a", ".a.guard", "s", ".s.lock", "t", ".t.lock", ".t.arena"])
        #expect(made.values.allSatisfy { $0 == 0o666 }, "\(made)")
    }

    @Test func adoptsAnEmptyFile() async throws {
        let path = path("s")
        try #require(FileManager.default.createFile(atPath: path, contents: nil))
        let refused = try await tool.run("state", "save", path, input: .text("1"))
        #expect(refused.status == 65)
        #expect(refused.isOneSentence && refused.error.contains("--adopt-empty"), "\(refused.error)")
        let saved = try await tool.run("state", "save", "--json", "--adopt-empty", path, input: .text("1"))
        #expect(saved.status == 0)
        let object = try saved.object()
        #expect(object["generation"] as? Int == 1)
        #expect(object["schema"] as? Int == 1)
        #expect(try await tool.run("state", "load", path).output == "1")
    }
}
