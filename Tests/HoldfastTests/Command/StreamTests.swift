// SPDX-License-Identifier: Apache-2.0
//
// Standard streams that are closed, full or gone.

import Foundation
import Testing

@Suite(.temporaryDirectory)
struct StreamTests {
    private let tool = CommandLineTool.holdfastctl
    private var path: String { "\(TemporaryDirectory.current)/settings" }

    @Test func savesNothingFromAClosedInput() async throws {
        let outcome = try await tool.run("state", "save", path, input: .closed)
        #expect(outcome.status == 66)
        #expect(outcome.isOneSentence)
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func savesNothingFromAnInputThatCannotBeRead() async throws {
        let outcome = try await tool.run("state", "save", path, input: .path(TemporaryDirectory.current))
        #expect(outcome.status == 74)
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func saysThatTheOutputIsClosedOrFull() async throws {
        #expect(try await tool.run("state", "save", path, input: .text("payload")).status == 0)
        for stream in [CommandLineTool.Stream.closed, .path("/dev/full")] {
            for arguments in [["state", "load", path], ["state", "load", "--json", path], ["state", "verify", path]] {
                let outcome = try await tool.start(arguments, output: stream).outcome()
                #expect(outcome.status == 74)
                #expect(outcome.isOneSentence, "\(outcome.error)")
            }
            #expect(try await tool.run("--help", output: stream).status == 74)
        }
        #expect(try await tool.run("state", "load", path).output == "payload")
    }

    @Test(arguments: [[], ["--json"]])
    func saysThatItHasSavedThoughItCannotPrintTheResult(options: [String]) async throws {
        for (generation, stream) in [(1, CommandLineTool.Stream.closed), (2, .path("/dev/full"))] {
            let arguments = ["state", "save"] + options + [path]
            let outcome = try await tool.start(arguments, input: .text("\(generation)"), output: stream).outcome()
            #expect(outcome.status == 74)
            #expect(outcome.isOneSentence)
            let message =
                "holdfastctl: '\(path)' is saved, as generation \(generation); but cannot write to standard output"
            #expect(outcome.error.hasPrefix(message), "\(outcome.error)")
            #expect(try await tool.run("state", "load", path).output == "\(generation)")
        }
    }

    @Test func waitsForAnInputThatIsNotThereYet() async throws {
        let fifo = "\(TemporaryDirectory.current)/fifo"
        try #require(unsafe mkfifo(fifo, 0o600) == 0)
        // Open for reading too, so that the tool's own open finds a writer and this one does not wait; not inherited, so
        // that the tool sees the end.
        let descriptor = unsafe open(fifo, O_RDWR | O_CLOEXEC)
        try #require(descriptor >= 0)
        let writer = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        try writer.write(contentsOf: Data("first, ".utf8))
        let run = try tool.start(["state", "save", path], input: .nonBlocking(fifo))
        try await eventually("the first piece is read") {
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            return unsafe poll(&entry, 1, 0) == 0
        }
        // Now the tool reads from an empty pipe. Should it be later still, this test shows nothing.
        try await Task.sleep(for: .milliseconds(50))
        try writer.write(contentsOf: Data("second".utf8))
        try writer.close()
        let outcome = try await run.outcome()
        #expect(outcome.status == 0, "\(outcome.error)")
        #expect(try await tool.run("state", "load", path).output == "first, second")
    }

    @Test func saysThatNobodyReadsItsOutput() async throws {
        let payload = [UInt8](repeating: 7, count: 1 << 20)
        #expect(try await tool.run("state", "save", path, input: .bytes(payload)).status == 0)
        let status = "\(TemporaryDirectory.current)/status"
        let script = #"{ "$0" state load "$1"; echo $? > "$2"; } | head -c 1"#
        let outcome = try await CommandLineTool.named("sh").run("-c", script, tool.command[0], path, status)
        #expect(outcome.outputBytes == [7])
        #expect(outcome.isOneSentence, "\(outcome.error)")
        try await eventually("the status is written") {
            (try? String(contentsOfFile: status, encoding: .utf8)) == "74\n"
        }
    }

    @Test func givesItsStatusThoughNobodyHearsWhy() async throws {
        #expect(try await tool.run("state", "load", path, error: .closed).status == 66)
        #expect(try await tool.run("state", "load", path, input: .closed, output: .closed, error: .closed).status == 66)
    }

    @Test func writesNoStateIntoAStreamOfItsCaller() async throws {
        // Were the state's file to get number 1 or 2, what is printed would land in it.
        let saved = try await tool.run("state", "save", path, input: .text("payload"), output: .closed, error: .closed)
        #expect(saved.status == 74)
        #expect(try await tool.run("state", "load", path).output == "payload")
    }

    @Test func leavesBrokenPipesToTheCommandUnderALock() async throws {
        // `yes` must find SIGPIPE as it was, or it would complain of a write error.
        let script = #""$0" lock run "$1" -- yes | head -n 1"#
        let outcome = try await CommandLineTool.named("sh").run("-c", script, tool.command[0], "\(path).lock")
        #expect(outcome.output == "y\n")
        #expect(outcome.error.isEmpty, "\(outcome.error)")
    }

    @Test func leavesTheLimitOnFilesToTheCommandUnderALock() async throws {
        let script = #"ulimit -f 1; exec head -c 65536 /dev/zero > "$0""#
        let outcome = try await tool.run("lock", "run", "\(path).lock", "--", "sh", "-c", script, path)
        #expect(outcome.status == 128 + SIGXFSZ, "\(outcome.error)")
    }
}
