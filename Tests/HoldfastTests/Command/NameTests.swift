// SPDX-License-Identifier: Apache-2.0
//
// Names of any bytes, and a system without /proc.

import Foundation
import Testing
import _HoldfastTestShims

@Suite(.temporaryDirectory)
struct NameTests {
    private let tool = CommandLineTool.holdfastctl
    private var directory: String { TemporaryDirectory.current }
    /// Shell text for a name with a byte that is not UTF-8, an escape sequence and a newline.
    private static let name = #"name=$(printf 'caf\351\033[2J\nx')"#
    private static let shown = #"caf\xe9\x1b[2J\nx"#
    private static let bytes = "636166e91b5b324a0a78"

    /// Runs the tool from a shell in the test's directory; `$ctl` is the tool, `$name` the name.
    private func run(_ script: String) async throws -> CommandLineTool.Outcome {
        let script = "cd \(directory) && \(Self.name); ctl=$0; \(script)"
        return try await CommandLineTool.named("sh").run("-c", script, tool.command[0])
    }

    @Test func locksAFileOfAnyName() async throws {
        let outcome = try await run(
            """
            "$ctl" lock run "$name" -- sh -c '"$0" lock status "$1"; flock -n "$1" true || "$0" lock run --no-wait "$1" -- true' \
                "$ctl" "$name"; echo $?; "$ctl" lock status --json "$name"; [ -f "$name" ] && ls -A | grep -c '^caf'
            """
        )
        let lines = outcome.output.split(separator: "\n")
        try #require(lines.count == 4, "\(outcome)")
        #expect(lines[0].hasPrefix("$'\(Self.shown)': held by process "), "\(lines[0])")
        #expect(lines[1] == "75")
        #expect(outcome.isOneSentence)
        #expect(outcome.error.contains("lock file $'\(Self.shown)': is busy"), "\(outcome.error)")
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(lines[2].utf8)) as? [String: Any]
        )
        #expect(object["path"] as? String == "caf\u{fffd}\u{1b}[2J\nx")
        #expect(object["pathBytes"] as? String == Self.bytes)
    }

    @Test func cleansFilesOfAnyName() async throws {
        let dead = "echo \(Processes.deadPID)"
        let outcome = try await run(
            """
            mkdir "$name"; \(dead) > "$name/$name.lock"; \(dead) > "$name/$name.pid"; \(dead) > "$name/.$name.lock"
            "$ctl" lock status "$name"; "$ctl" lock clean "$name"; echo $?; ls -A "$name" | grep -vc guard
            """
        )
        let lines = outcome.output.split(separator: "\n")
        try #require(lines.count == 7, "\(outcome)")
        for (line, suffix) in zip(lines, ["lock", "pid"]) {
            #expect(line.hasPrefix("$'\(Self.shown)/\(Self.shown).\(suffix)': "), "\(line)")
        }
        for (line, suffix) in zip(lines.dropFirst(2), ["lock", "pid"]) {
            #expect(line.hasPrefix("$'\(Self.shown)/\(Self.shown).\(suffix)': removed ("), "\(line)")
        }
        #expect(lines[4...5] == ["2 files: 2 removed", "0"])
        #expect(outcome.error.isEmpty, "\(outcome.error)")
    }

    @Test(arguments: ["replace", "two-slot"])
    func keepsAStateOfAnyName(strategy: String) async throws {
        let outcome = try await run(
            """
            for n in 1 2; do echo $n | "$ctl" state save --keep-previous --strategy \(strategy) "$name" || echo failed; done
            "$ctl" state load "$name"; "$ctl" state verify "$name"; "$ctl" state restore --json "$name"
            "$ctl" state load "$name"; "$ctl" state load "$name.none"
            """
        )
        let lines = outcome.output.split(separator: "\n")
        try #require(lines.count == 6, "\(outcome)")
        let head = "$'\(Self.shown)': generation"
        #expect(lines[0].hasPrefix("\(head) 1, "))
        #expect(lines[1].hasPrefix("\(head) 2, "))
        #expect(lines[2] == "2")
        #expect(lines[3].hasPrefix("\(head) 2, "))
        #expect(lines[4].contains(#""pathBytes":"\#(Self.bytes)""#))
        #expect(lines[5] == "1")
        #expect(outcome.error == "holdfastctl: Loading $'\(Self.shown).none' failed: there is no such file.\n")
    }

    @Test func showsNothingToATerminalAsItCame() async throws {
        let outcome = try await run(
            """
            "$ctl" lock run --no-wait "a$(printf '\\302\\233')" -- "$name"; "$ctl" "$name"; "$ctl" lock run "--$name" x -- true
            "$ctl" lock status "$name"; "$ctl" lock status --json a*; "$ctl" state save "$name" < /dev/null
            """
        )
        let text = outcome.output + outcome.error
        #expect(text.split(separator: "\n").count == 6, "\(text)")
        #expect(text.unicodeScalars.allSatisfy { $0 == "\n" || (0x20..<0x7f).contains($0.value) || $0.value > 0xa0 })
        #expect(!text.contains("\u{fffd}"))
    }

    @Test func saysThatTheValueOfAnOptionIsEmpty() async throws {
        for arguments in [
            ["lock", "run", "--timeout=", "\(directory)/a", "--", "true"], ["state", "save", "--schema=", "a"],
        ] {
            let outcome = try await tool.start(arguments, input: .text("1")).outcome()
            #expect(outcome.status == 64)
            #expect(outcome.error == "holdfastctl: the value of \(arguments[2].dropLast()) is empty\n")
        }
        // What is behind `--` is the command's.
        #expect(try await tool.run("lock", "run", "\(directory)/a", "--", "true", "--timeout=").status == 0)
    }

    @Test func worksWithoutProc() async throws {
        guard hft_counts_allocations() else {
            print("NOT RUN: \(#function): a sanitizer ends the tool with a status of its own where it finds no /proc")
            return
        }
        guard let sh = CommandLineTool.named("sh").unshared("--mount") else { return }
        let script = """
            mount -t tmpfs none /proc && cd "$1" || exit 1
            "$0" lock run a.lock -- sh -c '"$0" lock status a.lock; "$0" lock run --no-wait a.lock -- true 2> /dev/null; echo $?' "$0"
            flock w.lock sh -c 'echo > held; sleep 0.3' & until [ -e held ]; do sleep 0.02; done
            "$0" lock run --timeout 60 w.lock -- echo waited
            echo \(Processes.deadPID) > dead.pid; "$0" lock clean dead.pid
            echo saved | "$0" state save s > /dev/null; "$0" state load s
            """
        let outcome = try await sh.run("-c", script, tool.command[0], directory)
        let lines = outcome.output.split(separator: "\n")
        try #require(lines.count == 5, "\(outcome)")
        #expect(lines[0].hasPrefix("a.lock: held by process "))
        #expect(lines[1] == "75")
        #expect(lines[2] == "waited")
        #expect(lines[3].hasPrefix("dead.pid: removed"))
        #expect(lines[4] == "saved")
    }
}
