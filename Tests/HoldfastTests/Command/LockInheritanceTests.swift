// SPDX-License-Identifier: Apache-2.0
//
// The lock and the two processes that share it: the tool and its command.

import Foundation
import Testing

@Suite(.temporaryDirectory)
struct LockInheritanceTests {
    private let tool = CommandLineTool.holdfastctl
    private var path: String { "\(TemporaryDirectory.current)/a.lock" }

    @Test func staysHeldWhileTheCommandLivesAndIsAbandonedWhenBothAreGone() async throws {
        let holder = try await Holder(path)
        holder.process.send(SIGKILL)
        #expect(try await holder.process.outcome().status == 128 + SIGKILL)

        // The command lives, and with it the lock.
        #expect(kill(holder.command, 0) == 0)
        #expect(try await tool.run("lock", "run", "--no-wait", path, "--", "true").status == 75)
        #expect(try await CommandLineTool.named("flock").run("-n", path, "true").status == 1)
        #expect(try await tool.run("lock", "status", "--json", path).object()["state"] as? String == "held")
        #expect(try await tool.run("lock", "clean", "--json", path).object()["outcome"] as? String == "alive")

        kill(holder.command, SIGKILL)
        try await eventually("the kernel lets go of the lock") {
            kill(holder.command, 0) != 0 || (try? isZombie(holder.command)) ?? true
        }
        let status = try await tool.run("lock", "status", "--json", path).object()
        #expect(status["state"] as? String == "abandoned")
        #expect(status["pid"] as? Int32 == holder.process.pid)

        let next = try await tool.run("lock", "run", "--no-wait", path, "--", "true")
        #expect(next.status == 0)
        #expect(next.isOneSentence)
        #expect(next.error.contains("process \(holder.process.pid) "), "\(next.error)")
        #expect(next.error.contains("without releasing"))
        // It is told once.
        #expect(try await tool.run("lock", "run", "--no-wait", path, "--", "true").error.isEmpty)
    }

    @Test func staysHeldByAChildThatTheCommandLeavesBehind() async throws {
        let pids = "\(TemporaryDirectory.current)/pid"
        let script = "sleep 7200 > /dev/null 2>&1 & echo $! > \(pids)"
        // Kept until the end of the test, because its end is also that of the child.
        let run = try tool.start(["lock", "run", path, "--", "sh", "-c", script])
        #expect(try await run.outcome().status == 0)
        let text = try String(contentsOfFile: pids, encoding: .utf8)
        let child = try #require(pid_t(text.trimmingCharacters(in: .newlines)))
        #expect(try await tool.run("lock", "run", "--no-wait", path, "--", "true").status == 75)
        kill(child, SIGKILL)
        #expect(try await tool.run("lock", "run", "--timeout", "7200", path, "--", "true").status == 0)
        withExtendedLifetime(run) {}
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/proc/self/fd")))
    func givesTheCommandTheLockAndNoOtherDescriptor() async throws {
        /// The files that are open, but for the streams and the listing's own. Pipes of other tests come and go.
        func descriptors(_ outcome: CommandLineTool.Outcome) -> Set<String> {
            let lines = outcome.output.split(separator: "\n").compactMap { $0.split(separator: ":").last }
            return Set(
                lines.map(String.init).filter { $0.hasPrefix("/") && !$0.contains("/.run-") && !$0.contains("/proc/") }
            )
        }
        let list = #"for d in /proc/self/fd/*; do echo "$d:$(readlink "$d")"; done"#
        let without = descriptors(try await CommandLineTool.named("sh").run("-c", list))
        let with = descriptors(try await tool.run("lock", "run", path, "--", "sh", "-c", list))
        // Foundation reads and copies the files of other tests by descriptors that a spawn may inherit.
        #expect(
            with.subtracting(without).filter {
                !$0.contains("/holdfast-") || $0.hasPrefix(TemporaryDirectory.current + "/")
            } == [path]
        )
    }

    @Test(arguments: [SIGTERM, SIGINT, SIGHUP, SIGQUIT])
    func passesSignalsOn(signal: Int32) async throws {
        let names = [SIGTERM: "TERM", SIGINT: "INT", SIGHUP: "HUP", SIGQUIT: "QUIT"]
        let name = try #require(names[signal])
        let script = "trap 'exit 42' \(name); while :; do sleep 0.02; done"
        let trapping = try await Holder(path, script: script)
        // The trap is set after the holder is known to be ready.
        try await Task.sleep(for: .milliseconds(50))
        trapping.process.send(signal)
        let status = try await trapping.process.outcome().status
        #expect(status == 42 || status == 128 + signal)
        #expect(try await tool.run("lock", "status", path).output == "\(path): free\n")
    }

    @Test(arguments: [SIGTERM, SIGINT, SIGHUP, SIGQUIT])
    func endsByASignalWhileItWaitsForTheLock(signal: Int32) async throws {
        let holder = try await Holder(path)
        let waiting = try tool.start(["lock", "run", path, "--", "true"])
        // It has set up its signals once the file that it waits for is open.
        try await eventually("it waits") {
            let directory = "/proc/\(waiting.pid)/fd"
            let descriptors = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
            return descriptors.contains { name in
                (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(directory)/\(name)")) == path
            }
        }
        waiting.send(signal)
        let outcome = try await waiting.outcome()
        #expect(outcome.status == 128 + signal)
        #expect(outcome.error.isEmpty, "\(outcome.error)")
        withExtendedLifetime(holder) {}
    }

    @Test func leavesIgnoredSignalsAlone() async throws {
        let ready = "\(TemporaryDirectory.current)/ready"
        let script = #"trap '' HUP; exec "$0" lock run "$1" -- sh -c "echo > '$2'; exec sleep 7200""#
        let process = try CommandLineTool.named("sh").start(["-c", script, tool.command[0], path, ready])
        try await eventually("the command runs") { FileManager.default.fileExists(atPath: ready) }
        process.send(SIGHUP)
        try await Task.sleep(for: .milliseconds(50))
        #expect(!process.hasEnded())
        process.send(SIGTERM)
        #expect(try await process.outcome().status == 128 + SIGTERM)
    }

    @Test func excludesFlockAndIsExcludedByIt() async throws {
        let flock = CommandLineTool.named("flock")
        let holder = try await Holder(path)
        #expect(try await flock.run("-n", path, "true").status == 1)
        holder.process.send(SIGTERM)
        _ = try await holder.process.outcome()
        #expect(try await flock.run("-n", path, "true").status == 0)

        let ready = "\(TemporaryDirectory.current)/ready"
        let other = try flock.start(["--no-fork", path, "sh", "-c", "echo > \(ready); exec sleep 7200"])
        try await eventually("flock holds it") { FileManager.default.fileExists(atPath: ready) }
        let busy = try await tool.run("lock", "run", "--no-wait", path, "--", "true")
        #expect(busy.status == 75)
        #expect(busy.error.contains("process \(other.pid) "), "\(busy.error)")
        let status = try await tool.run("lock", "status", "--json", path).object()
        #expect(status["state"] as? String == "held")
        #expect(status["pid"] as? Int32 == other.pid)
        other.send(SIGKILL)
        _ = try await other.outcome()
        #expect(try await tool.run("lock", "run", "--no-wait", path, "--", "true").status == 0)
    }

    private func isZombie(_ pid: pid_t) throws -> Bool {
        let text = try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
        return text.split(separator: ")").last?.hasPrefix(" Z") == true
    }
}
