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

    @Test func saysThatNobodyReadsItsOutput() async throws {
        let payload = [UInt8](repeating: 7, count: 1 << 20)
        #expect(try await tool.run("state", "save", path, input: .bytes(payload)).status == 0)
        let status = "\(TemporaryDirectory.current)/status"
        let script = #"{ "$0" state load "$1"; echo $? > "$2"; } | head -c 1"#
        let outcome = try await CommandLineTool.named("sh").run("-c", script, tool.command[0], path, status)
        #expect(outcome.outputBytes == [7])
        #expect(outcome.isOneSentence, "\(outcome.error)")
        try await eventually("the status is written") { (try? String(contentsOfFile: status, encoding: .utf8)) != "" }
        #expect(try String(contentsOfFile: status, encoding: .utf8) == "74\n")
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
}
