// SPDX-License-Identifier: Apache-2.0
//
// That the benchmark measures, and cleans up. What it measures is no test's business.

import Foundation
import Testing

@Suite(.temporaryDirectory)
struct BenchTests {
    private let tool = CommandLineTool.holdfastctl
    private var directory: String { TemporaryDirectory.current }

    private func leftovers() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory).filter { !$0.hasPrefix(".run-") }
    }

    @Test func measuresEveryRow() async throws {
        let outcome = try await tool.run("bench", "--trial", "--json", directory)
        #expect(outcome.status == 0)
        #expect(outcome.error.isEmpty)
        let rows = try outcome.objects()
        #expect(
            rows.map { $0["work"] as? String } == [
                "lock.exclusive", "lock.shared", "lock.handover", "lock.recovery", "lock.idleWait", "lock.waiters",
                "mutex.uncontended", "mutex.uncontended.pthread", "mutex.uncontended.flock",
                "mutex.contended", "mutex.longestWait", "mutex.leastServed", "mutex.handover", "mutex.recovery",
                "mutex.waiters",
                "state.save.replace.4KiB", "state.save.replace.4KiB.processCrash",
                "state.save.two-slot.4KiB", "state.save.two-slot.64KiB", "state.save.two-slot.1MiB",
                "state.savers.64", "state.read.unchanged", "state.load.4KiB", "state.waiters", "state.readers",
                "checksum.4KiB", "checksum.1MiB",
            ]
        )
        for row in rows {
            // A thread may get nothing in the short time of a trial.
            let least = row["work"] as? String == "mutex.leastServed" ? -1.0 : 0
            #expect(try #require(row["nanoseconds"] as? Double) > least)
            #expect(try #require(row["floorNanoseconds"] as? Double) > least)
            #expect(try least < 0 || #require(row["ratio"] as? Double) > 0)
            #expect(row["floor"] is String)
            let work = try #require(row["work"] as? String)
            let isDurableSave =
                work.hasPrefix("state.save.two-slot.") || ["state.save.replace.4KiB", "state.savers.64"].contains(work)
            #expect(row.keys.contains("flushes") == isDurableSave)
            if isDurableSave { #expect(row["flushes"] is Double || row["flushes"] is NSNull) }
        }
        #expect(try leftovers().isEmpty)
    }

    @Test func printsATableAndTheGoals() async throws {
        let outcome = try await tool.run("bench", "--trial", directory)
        #expect(outcome.status == 0)
        for text in ["holdfastctl ", "ratio", "state.load.4KiB", "at most"] {
            #expect(outcome.output.contains(text), "\(text)")
        }
    }

    @Test(arguments: [SIGINT, SIGTERM])
    func cleansUpWhenASignalEndsIt(signal: Int32) async throws {
        let run = try tool.start(["bench", directory])
        // Nothing is awaited before the signal is sent: other tests can keep this one waiting for longer than it measures.
        let deadline = ContinuousClock.now + .seconds(600)
        while try leftovers().isEmpty && ContinuousClock.now < deadline { usleep(1000) }
        usleep(200_000)
        run.send(signal)
        let outcome = try await run.outcome()
        #expect(outcome.status == 128 + signal, "\(outcome.output)\(outcome.error)")
        #expect(try leftovers().isEmpty)
    }

    @Test func saysThatItCannotWorkThere() async throws {
        let outcome = try await tool.run("bench", "\(directory)/missing")
        #expect(outcome.status == 73)
        #expect(outcome.isOneSentence)
    }
}
