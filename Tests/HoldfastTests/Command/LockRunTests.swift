// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@Suite(.temporaryDirectory)
struct LockRunTests {
    private let tool = CommandLineTool.holdfastctl
    private var path: String { "\(TemporaryDirectory.current)/a.lock" }

    @Test func givesTheCommandsStatus() async throws {
        let outcome = try await tool.run("lock", "run", path, "--", "sh", "-c", "echo out; echo err >&2; exit 3")
        #expect(outcome.status == 3)
        #expect(outcome.output == "out\n")
        #expect(outcome.error == "err\n")
    }

    @Test func givesTheNumberOfTheSignalThatEndedTheCommand() async throws {
        #expect(try await tool.run("lock", "run", path, "--", "sh", "-c", "kill -KILL $$").status == 128 + SIGKILL)
        #expect(try await tool.run("lock", "run", path, "--", "sh", "-c", "kill -TERM $$").status == 128 + SIGTERM)
    }

    @Test func givesEachExclusiveHolderAGreaterToken() async throws {
        var last: UInt64 = 0
        for _ in 0..<3 {
            let outcome = try await tool.run("lock", "run", path, "--", "sh", "-c", "echo $HOLDFAST_TOKEN")
            let token = try #require(UInt64(outcome.output.trimmingCharacters(in: .newlines)))
            #expect(token > last)
            last = token
        }
    }

    @Test func givesNoTokenToASharedHolderNotEvenAnInheritedOne() async throws {
        let outcome = try await tool.run(
            "lock",
            "run",
            "--shared",
            path,
            "--",
            "sh",
            "-c",
            "echo ${HOLDFAST_TOKEN-none}",
            environment: ["HOLDFAST_TOKEN": "5"]
        )
        #expect(outcome.output == "none\n")
    }

    @Test func recordsItsPIDInLine1WhileItIsHeld() async throws {
        let holder = try await Holder(path)
        let line = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").first
        #expect(line.map(String.init) == "\(holder.process.pid)")
        withExtendedLifetime(holder) {}
    }

    @Test(arguments: [["--no-wait"], ["--timeout", "0"], ["--timeout", "0.1"]])
    func givesUpAndNamesTheHolder(options: [String]) async throws {
        let holder = try await Holder(path)
        let start = ContinuousClock.now
        let outcome = try await tool.start(["lock", "run"] + options + [path, "--", "touch", "\(path).ran"]).outcome()
        #expect(outcome.status == 75)
        #expect(outcome.isOneSentence)
        #expect(outcome.error.contains("process \(holder.process.pid) ("), "\(outcome.error)")
        #expect(!FileManager.default.fileExists(atPath: "\(path).ran"))
        if options.last == "0.1" { #expect(ContinuousClock.now - start >= .milliseconds(100)) }
    }

    @Test func waitsForItsTurn() async throws {
        let holder = try await Holder(path)
        let next = try tool.start(["lock", "run", "--timeout", "7200", path, "--", "true"])
        try await Task.sleep(for: .milliseconds(100))
        #expect(!next.hasEnded())
        holder.process.send(SIGTERM)
        #expect(try await next.outcome().status == 0)
        #expect(try await holder.process.outcome().status == 128 + SIGTERM)
    }

    @Test func letsSharedHoldersInTogetherAndNoExclusiveOne() async throws {
        let holder = try await Holder(path, "--shared")
        #expect(try await tool.run("lock", "run", "--no-wait", "--shared", path, "--", "true").status == 0)
        #expect(try await tool.run("lock", "run", "--no-wait", path, "--", "true").status == 75)
        withExtendedLifetime(holder) {}
    }

    @Test(arguments: [
        [], ["--"], ["true"], ["--timeout", "1", "--no-wait", "--", "true"], ["--timeout", "nan", "--", "true"],
        ["--timeout=-1", "--", "true"], ["--timeout", "-1", "--", "true"], ["--timeout", "inf", "--", "true"],
        ["--timeout", "soon", "--", "true"], ["--timeout"], ["--nonsense", "--", "true"],
    ])
    func refusesArgumentsThatMakeNoSense(arguments: [String]) async throws {
        let outcome = try await tool.start(["lock", "run", path] + arguments).outcome()
        #expect(outcome.status == 64)
        #expect(outcome.isOneSentence, "\(outcome.error)")
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test(arguments: ["", ".", "..", "/", "a/", "a/.."])
    func refusesAPathThatNamesNoFile(path: String) async throws {
        #expect(try await tool.run("lock", "run", path, "--", "true").status == 64)
    }

    @Test func takesATimeLimitBeyondAllTime() async throws {
        #expect(try await tool.run("lock", "run", "--timeout", "1e300", path, "--", "true").status == 0)
    }

    @Test func tellsACommandThatIsNotThereFromOneThatCannotBeRun() async throws {
        let missing = try await tool.run("lock", "run", path, "--", "no-such-command-anywhere")
        #expect(missing.status == 127)
        #expect(missing.isOneSentence)
        try "text".write(toFile: "\(path).text", atomically: false, encoding: .utf8)
        let forbidden = try await tool.run("lock", "run", path, "--", "\(path).text")
        #expect(forbidden.status == 126)
        // It was held for a moment, and released cleanly.
        #expect(try await tool.run("lock", "status", path).output == "\(path): free\n")
    }

    @Test func refusesWhatIsNoLockFile() async throws {
        let directory = TemporaryDirectory.current
        try FileManager.default.createDirectory(atPath: "\(directory)/directory", withIntermediateDirectories: false)
        try FileManager.default.createSymbolicLink(atPath: "\(directory)/link", withDestinationPath: path)
        for name in ["directory", "link"] {
            let outcome = try await tool.run("lock", "run", "\(directory)/\(name)", "--", "true")
            #expect(outcome.status == 77)
            #expect(outcome.isOneSentence)
        }
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func saysThatItCannotMakeTheFile() async throws {
        let outcome = try await tool.run("lock", "run", "\(TemporaryDirectory.current)/missing/a.lock", "--", "true")
        #expect(outcome.status == 73)
        #expect(outcome.isOneSentence)
    }

    @Test(.enabled(if: CommandLineTool.canRunAsNobody))
    func saysThatItMayNotMakeTheFile() async throws {
        try FileManager.default.setAttributes([.posixPermissions: 0o555], ofItemAtPath: TemporaryDirectory.current)
        let outcome = try await tool.asNobody().run("lock", "run", path, "--", "true")
        #expect(outcome.status == 73)
        #expect(outcome.isOneSentence, "\(outcome.error)")
    }

    @Test func worksWithAllStreamsClosed() async throws {
        let outcome = try await tool.run(
            "lock",
            "run",
            path,
            "--",
            "sh",
            "-c",
            "ls /proc/self/fd > \(path).open; exit 5",
            input: .closed,
            output: .closed,
            error: .closed
        )
        #expect(outcome.status == 5)
        // What we closed must not come back as the lock file, or as anything else.
        let held = try String(contentsOfFile: path, encoding: .utf8)
        #expect(held.utf8.count == 512)
    }

    @Test func passesTheCommandsBytesOnAsTheyAre() async throws {
        let script = #""$0" lock run "$1" -- printf %s "$(printf '\377')""#
        let outcome = try await CommandLineTool.named("sh").run("-c", script, tool.command[0], path)
        #expect(outcome.outputBytes == [0xff])
    }
}
