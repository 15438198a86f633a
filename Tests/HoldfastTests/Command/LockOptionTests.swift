// SPDX-License-Identifier: Apache-2.0
//
// What `lock run`, `lock status` and `lock clean` do on request.

import Foundation
import Testing

@Suite(.temporaryDirectory)
struct LockOptionTests {
    private let tool = CommandLineTool.holdfastctl
    private var directory: String { TemporaryDirectory.current }
    private var path: String { "\(directory)/a.lock" }

    private func write(_ name: String, _ text: String) throws {
        try text.write(toFile: "\(directory)/\(name)", atomically: false, encoding: .utf8)
    }

    /// Has another process write it: a child that a test starts meanwhile would have a copy of this one's descriptor, and
    /// what is open for writing cannot be run (ETXTBSY).
    private func writeProgram(_ name: String, _ lines: String...) async throws {
        let script = #"cd "$0" && printf '%s\n' "$@" > "$NAME" && chmod 755 "$NAME""#
        let write = try CommandLineTool.named("sh").start(
            ["-c", script, directory] + lines,
            environment: ["NAME": name]
        )
        try #require(try await write.outcome().status == 0)
    }

    // MARK: run

    @Test func doesNotGiveTheLockToADaemonOfTheCommand() async throws {
        // Kept until the end of the test, because its end is also that of the daemon.
        let script = "sleep 7200 > /dev/null 2>&1 &"
        let run = try tool.start(["lock", "run", "--close", path, "--", "sh", "-c", script])
        #expect(try await run.outcome().status == 0)
        #expect(try await tool.run("lock", "run", "--no-wait", path, "--", "true").status == 0)
        withExtendedLifetime(run) {}
    }

    @Test func holdsTheLockItselfWhileTheCommandRuns() async throws {
        let holder = try await Holder(path, "--close")
        #expect(try await tool.run("lock", "run", "--no-wait", path, "--", "true").status == 75)
        holder.process.send(SIGTERM)
        _ = try await holder.process.outcome()
    }

    @Test(arguments: [
        ["--no-wait", "-E", "0"], ["--timeout", "0", "--conflict-exit-code", "9"],
        ["--timeout", "0.05", "-E", "255"],
    ])
    func exitsAsItIsToldWhenTheLockIsBusy(options: [String]) async throws {
        let status = try #require(options.last.flatMap { Int32($0) })
        let holder = try await Holder(path)
        let busy = try await tool.start(["lock", "run"] + options + [path, "--", "true"]).outcome()
        #expect(busy.status == status)
        #expect(busy.isOneSentence)
        // Of the command, and of anything else that goes wrong, the status stays what it is.
        let other = ["lock", "run"] + options
        #expect(try await tool.start(other + ["\(path).2", "--", "sh", "-c", "exit 3"]).outcome().status == 3)
        #expect(try await tool.start(other + ["\(directory)/missing/a", "--", "true"]).outcome().status == 73)
        withExtendedLifetime(holder) {}
    }

    @Test(arguments: ["256", "-1", "x"])
    func refusesAStatusThatNoProcessHas(status: String) async throws {
        #expect(try await tool.run("lock", "run", "-E", status, path, "--", "true").status == 64)
    }

    @Test func saysWhomItWaitsFor() async throws {
        let holder = try await Holder(path)
        let errors = "\(directory)/errors"
        try write("errors", "")
        let waiting = try tool.start(["lock", "run", "--verbose", path, "--", "true"], error: .path(errors))
        func lines() throws -> [Substring] {
            try String(contentsOfFile: errors, encoding: .utf8).split(separator: "\n")
        }
        try await eventually("it says so") { try !lines().isEmpty }
        holder.process.send(SIGTERM)
        #expect(try await waiting.outcome().status == 0)
        let said = try lines()
        try #require(said.count == 2, "\(said)")
        let start = "holdfastctl: waiting for lock file '\(path)', held by process \(holder.process.pid) ("
        #expect(said[0].hasPrefix(start), "\(said[0])")
        #expect(said[1].contains("is locked after") && said[1].contains("token "), "\(said[1])")
    }

    @Test func runsAScriptWithoutAnInterpreterLine() async throws {
        try await writeProgram("script", #"echo "ran $1""#, "exit 4")
        let byPath = try await tool.run("lock", "run", path, "--", "\(directory)/script", "a b")
        #expect(byPath.output == "ran a b\n")
        #expect(byPath.status == 4)
        let environment = ["PATH": "\(directory)/none:\(directory):/usr/bin:/bin"]
        let byName = try await tool.run("lock", "run", path, "--", "script", "c", environment: environment)
        #expect(byName.output == "ran c\n")
        #expect(byName.status == 4)
    }

    @Test func looksForTheCommandAlongTheWholePath() async throws {
        try await writeProgram("there", "#!/bin/sh", "exit 5")
        try FileManager.default.createDirectory(atPath: "\(directory)/first", withIntermediateDirectories: false)
        try write("first/there", "not executable\n")
        try write("first/forbidden", "not executable\n")
        let environment = ["PATH": "\(directory)/none:\(path)/x:\(directory)/first:\(directory)"]
        func status(_ command: String) async throws -> Int32 {
            try await tool.run("lock", "run", path, "--", command, environment: environment).status
        }
        #expect(try await status("there") == 5)
        #expect(try await status("forbidden") == 126)
        #expect(try await status("nowhere") == 127)
        #expect(try await status("") == 127)
    }

    // MARK: status

    @Test func looksAtManyFilesAndDirectories() async throws {
        let holder = try await Holder("\(directory)/held.lock")
        try write("free.pid", "")
        try write("notes.text", "1\n")
        let outcome = try await tool.run("lock", "status", "--json", directory, "\(directory)/held.lock", "\(path).no")
        #expect(outcome.status == 66)
        #expect(outcome.isOneSentence)
        let found = try outcome.objects()
        let names = found.map { ($0["path"] as? String)?.dropFirst(directory.count + 1) }
        #expect(names == ["free.pid", "held.lock", "held.lock"])
        for object in found.dropFirst() {
            #expect(object["state"] as? String == "held")
            #expect(object["pid"] as? Int32 == holder.process.pid)
            #expect(object["label"] as? String == "holdfastctl lock run sh")
            #expect(object["token"] as? UInt64 == 1)
            let since = try #require(object["since"] as? String)
            #expect(since.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/) != nil)
        }
    }

    @Test func tellsTheStateByItsExitStatus() async throws {
        let names = ["free", "held", "abandoned", "unknown"].map { "\(directory)/\($0).lock" }
        #expect(try await tool.run("lock", "run", names[0], "--", "true").status == 0)
        let holder = try await Holder(names[1])
        let dying = try tool.start(["lock", "run", names[2], "--", "sh", "-c", "kill -KILL $PPID"])
        _ = try await dying.outcome()
        try write("unknown.lock", "no lock file\n")
        for (name, status) in zip(names, [0, 75, 1, 2] as [Int32]) {
            try await statusBecomes(status, of: [name])
            #expect(try await tool.run("lock", "status", name).status == 0)
        }
        // Of several: unknown, held, abandoned, free.
        for (given, status) in [(names, 2), (Array(names[..<3]), 75), ([names[0], names[2]], 1)] as [([String], Int32)]
        {
            try await statusBecomes(status, of: given)
        }
        #expect(try await tool.run("lock", "status", "--exit-code", names[1], "\(path).no").status == 66)
        withExtendedLifetime(holder) {}
    }

    /// The command of a killed holder may hold its lock a moment longer.
    private func statusBecomes(_ status: Int32, of names: [String]) async throws {
        let deadline = ContinuousClock.now + .seconds(600)
        var found: Int32?
        while found != status, ContinuousClock.now < deadline {
            found = try await tool.start(["lock", "status", "--exit-code"] + names).outcome().status
        }
        #expect(found == status, "\(names)")
    }

    // MARK: clean

    @Test func saysWhatItWouldRemoveAndRemovesNothing() async throws {
        try write("dead.lock", "\(Processes.deadPID)\n")
        try write("dead.pid", "\(Processes.deadPID)\n")
        try write("alive.pid", "\(getpid())\n")
        let before = try FileManager.default.contentsOfDirectory(atPath: directory).filter { !$0.hasPrefix(".run-") }
        let dry = try await tool.run("lock", "clean", "--dry-run", directory)
        #expect(dry.status == 0)
        #expect(dry.output.hasSuffix("\n3 files: 1 alive, 2 stale\n"), "\(dry.output)")
        #expect(dry.output.contains("\(directory)/dead.pid: stale (process \(Processes.deadPID) is dead)\n"))
        let after = try FileManager.default.contentsOfDirectory(atPath: directory).filter { !$0.hasPrefix(".run-") }
        #expect(Set(before) == Set(after))

        let wet = try await tool.run("lock", "clean", directory)
        #expect(wet.output.hasSuffix("\n3 files: 1 alive, 2 removed\n"), "\(wet.output)")
        #expect(!FileManager.default.fileExists(atPath: "\(directory)/dead.pid"))
        // A single file needs no count.
        #expect(try await tool.run("lock", "clean", "\(directory)/alive.pid").output.split(separator: "\n").count == 1)
    }
}
