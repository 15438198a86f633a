// SPDX-License-Identifier: Apache-2.0
//
// Signals to `lock run`: it stands in the place of its command, so what it is sent is the command's, and what ends the
// command ends it.

import Foundation
import Testing

@Suite(.temporaryDirectory)
struct SignalTests {
    private let tool = CommandLineTool.holdfastctl
    private var path: String { "\(TemporaryDirectory.current)/a.lock" }
    private var caught: String { "\(TemporaryDirectory.current)/caught" }

    /// Every signal that can be caught, but for those that stop and those that are about children.
    private static let forwarded: [Int32] = {
        let all = Array(1...31) + Array(34...64) as [Int32]
        return all.filter { ![SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGCHLD].contains($0) }
    }()

    /// The signals that a command of ``catching`` has caught.
    private func caughtSignals() -> [Int32] {
        let text = (try? String(contentsOfFile: caught, encoding: .utf8)) ?? ""
        return text.split(separator: "\n").compactMap { Int32($0) }
    }

    /// Shell text that sets a trap for each of these signals.
    private func traps(_ signals: [Int32]) -> String {
        signals.map { "trap 'echo \($0) >> \(caught)' \($0)" }.joined(separator: "; ")
    }

    /// A `lock run` whose command has set its traps.
    private func catching(_ signals: [Int32]) async throws -> RunningTool {
        let ready = "\(TemporaryDirectory.current)/ready"
        let script = "\(traps(signals)); echo > \(ready); while :; do sleep 0.02; done"
        let run = try tool.start(["lock", "run", path, "--", "sh", "-c", script])
        try await eventually("the traps are set") { FileManager.default.fileExists(atPath: ready) }
        return run
    }

    @Test func passesEverySignalOn() async throws {
        let run = try await catching(Self.forwarded)
        for signal in Self.forwarded {
            run.send(signal)
            try await eventually("signal \(signal) is passed on") { caughtSignals().contains(signal) }
        }
        #expect(caughtSignals() == Self.forwarded)
        #expect(!run.hasEnded())
    }

    @Test(arguments: [SIGTSTP, SIGTTIN, SIGTTOU])
    func stopsAndContinuesWithItsCommand(signal: Int32) async throws {
        let holder = try await Holder(path)
        let both = [holder.process.pid, holder.command]
        holder.process.send(signal)
        try await eventually("both are stopped") { try both.allSatisfy { try state(of: $0) == "T" } }
        holder.process.send(SIGCONT)
        try await eventually("both go on") { try both.allSatisfy { try state(of: $0) != "T" } }
        holder.process.send(SIGTERM)
        #expect(try await holder.process.outcome().endingSignal == SIGTERM)
    }

    @Test func keepsForTheCommandWhatComesBeforeIt() async throws {
        let holder = try await Holder(path)
        let waiting = try await waiter(["sleep", "7200"])
        waiting.send(SIGUSR1)
        try await eventually("it is kept") {
            try #require(!waiting.hasEnded())
            let status = try String(contentsOfFile: "/proc/\(waiting.pid)/status", encoding: .utf8)
            let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("ShdPnd:") })
            let pending = try #require(UInt64(line.dropFirst("ShdPnd:\t".count), radix: 16))
            return pending & 1 << (SIGUSR1 - 1) != 0
        }
        holder.process.send(SIGTERM)
        _ = try await holder.process.outcome()
        #expect(try await waiting.outcome().endingSignal == SIGUSR1)
        // It had the second token.
        let next = try await tool.run("lock", "run", path, "--", "sh", "-c", "echo $HOLDFAST_TOKEN")
        #expect(next.output == "3\n")
    }

    @Test(arguments: [SIGTERM, SIGALRM, SIGABRT])
    func leavesNothingBehindWhenASignalEndsItsWait(signal: Int32) async throws {
        let holder = try await Holder(path)
        let waiting = try await waiter(["touch", "\(path).ran"])
        waiting.send(signal)
        let outcome = try await waiting.outcome()
        #expect(outcome.endingSignal == signal)
        #expect(!outcome.hasDumpedCore)
        holder.process.send(SIGTERM)
        _ = try await holder.process.outcome()
        #expect(!FileManager.default.fileExists(atPath: "\(path).ran"))
        #expect(try await tool.run("lock", "status", path).output == "\(path): free\n")
    }

    @Test func stopsWhileItWaits() async throws {
        let holder = try await Holder(path)
        let waiting = try await waiter(["true"])
        waiting.send(SIGTSTP)
        try await eventually("it is stopped") { try state(of: waiting.pid) == "T" }
        waiting.send(SIGCONT)
        holder.process.send(SIGTERM)
        #expect(try await waiting.outcome().status == 0)
    }

    @Test(arguments: [SIGTERM, SIGINT, SIGKILL, SIGUSR2])
    func diesOfTheSignalThatEndedItsCommand(signal: Int32) async throws {
        let outcome = try await tool.run("lock", "run", path, "--", "sh", "-c", "kill -\(signal) $$")
        #expect(outcome.endingSignal == signal)
        #expect(outcome.error.isEmpty, "\(outcome.error)")
        #expect(try await tool.run("lock", "status", path).output == "\(path): free\n")
    }

    @Test(arguments: [SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS])
    func saysThatItsCommandCrashed(signal: Int32) async throws {
        // With room for a core file, of which the tool must leave none of its own.
        let script = #"cd "$(dirname "$1")"; ulimit -c unlimited; exec "$0" lock run "$1" -- sh -c "kill -$2 \$\$""#
        let outcome = try await CommandLineTool.named("sh").run("-c", script, tool.command[0], path, "\(signal)")
        #expect(outcome.endingSignal == signal)
        #expect(!outcome.hasDumpedCore)
        #expect(outcome.isOneSentence, "\(outcome.error)")
        #expect(outcome.error.contains("'sh', process "), "\(outcome.error)")
        #expect(outcome.error.contains("crashed: signal \(signal) ("), "\(outcome.error)")
    }

    /// The terminal sends Ctrl-C to the whole foreground group, the command included.
    @Test func givesASignalFromTheKeyboardOnce() async throws {
        let fifo = "\(TemporaryDirectory.current)/keys"
        try #require(unsafe mkfifo(fifo, 0o600) == 0)
        let keys = FileHandle(fileDescriptor: unsafe open(fifo, O_RDWR | O_CLOEXEC), closeOnDealloc: true)
        let pid = "\(TemporaryDirectory.current)/pid"
        let script = "trap 'exit 7' USR1; \(traps([SIGINT])); echo $PPID > \(pid).new; mv \(pid).new \(pid)"
        let program = "\(TemporaryDirectory.current)/command"
        try "\(script); while :; do sleep 0.02; done\n".write(toFile: program, atomically: false, encoding: .utf8)
        // The shell stays between script(1), which would follow when its child stops, and the tool.
        let run = try CommandLineTool.named("script").start(
            ["-qec", "trap : INT; \(tool.command[0]) lock run \(path) -- sh \(program); exit $?", "/dev/null"],
            input: .path(fifo),
            environment: ["SHELL": "/bin/sh"]
        )
        try await eventually("the trap is set") {
            if run.hasEnded() { throw Failed("script(1) has ended") }
            return FileManager.default.fileExists(atPath: pid)
        }
        let wrapper = try #require(
            pid_t(String(contentsOfFile: pid, encoding: .utf8).trimmingCharacters(in: .newlines))
        )
        // Two signals that come at once may be one: the tool has to look later than the command.
        kill(wrapper, SIGSTOP)
        try await eventually("the tool is stopped") { try state(of: wrapper) == "T" }
        try keys.write(contentsOf: Data([3]))
        try await eventually("the command is interrupted") { !caughtSignals().isEmpty }
        kill(wrapper, SIGCONT)
        // Passed on after what came before it.
        kill(wrapper, SIGUSR1)
        #expect(try await run.outcome().status == 7)
        #expect(caughtSignals() == [SIGINT])
    }

    // MARK: PID 1

    @Test func asPID1EndsWhileItWaits() async throws {
        guard let sh = CommandLineTool.named("sh").unshared("--pid", "--fork", "--kill-child", "--mount-proc") else {
            return
        }
        let holder = try await Holder(path)
        let isWaiting = #"ls -l /proc/1/fd | grep -q "$1""#
        let script = #"(until \#(isWaiting); do sleep 0.02; done; kill -TERM 1) & exec "$0" lock run "$1" -- true"#
        let outcome = try await sh.run("-c", script, tool.command[0], path)
        #expect(outcome.status == 128 + SIGTERM)
        withExtendedLifetime(holder) {}
    }

    @Test(arguments: [["state", "save"], ["state", "restore"]])
    func asPID1EndsWhileItWaitsForAnotherWriter(command: [String]) async throws {
        guard let sh = CommandLineTool.named("sh").unshared("--pid", "--fork", "--kill-child", "--mount-proc") else {
            return
        }
        let state = "\(TemporaryDirectory.current)/state"
        #expect(try await tool.run("state", "save", state, input: .text("a")).status == 0)
        let writer = try await Holder("\(TemporaryDirectory.current)/.state.lock")
        let isWaiting = #"ls -l /proc/1/fd | grep -q "\.state\.lock""#
        let script = "(until \(isWaiting); do sleep 0.02; done; kill -TERM 1) & exec \"$0\" \"$@\" < \(path).in"
        try "b".write(toFile: "\(path).in", atomically: false, encoding: .utf8)
        let arguments = ["-c", script, tool.command[0]] + command + [state]
        #expect(try await sh.start(arguments).outcome().status == 128 + SIGTERM)
        withExtendedLifetime(writer) {}
    }

    @Test func asPID1ReapsOrphans() async throws {
        guard let tool = tool.unshared("--pid", "--fork", "--kill-child", "--mount-proc") else { return }
        // kill(2) finds a process also when it has ended, until it is reaped.
        let orphan = #"sh -c 'sh -c "echo \$\$ > pid.new; mv pid.new pid" &'"#
        let isThere = "kill -0 $(cat pid) 2> /dev/null"
        let script = "\(orphan); until [ -e pid ]; do sleep 0.02; done; while \(isThere); do sleep 0.02; done"
        let outcome = try await tool.run(
            "lock",
            "run",
            path,
            "--",
            "sh",
            "-c",
            "cd \(TemporaryDirectory.current); \(script)"
        )
        #expect(outcome.status == 0)
    }

    @Test func asPID1ExitsWithTheNumberOfTheSignal() async throws {
        guard let tool = tool.unshared("--pid", "--fork", "--kill-child", "--mount-proc") else { return }
        for signal in [SIGTERM, SIGKILL, SIGSEGV] {
            let outcome = try await tool.run("lock", "run", path, "--", "sh", "-c", "kill -\(signal) $$")
            #expect(outcome.status == 128 + signal)
            #expect(outcome.endingSignal == nil)
        }
    }

    // MARK: support

    /// A `lock run` that waits for the lock: it has set up its signals once the file that it waits for is open.
    private func waiter(_ command: [String]) async throws -> RunningTool {
        let waiting = try tool.start(["lock", "run", path, "--"] + command)
        try await eventually("it waits") {
            let directory = "/proc/\(waiting.pid)/fd"
            let descriptors = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
            return descriptors.contains { name in
                (try? FileManager.default.destinationOfSymbolicLink(atPath: "\(directory)/\(name)")) == path
            }
        }
        return waiting
    }

    private func state(of pid: pid_t) throws -> String? {
        let text = try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
        return text.split(separator: ")").last?.split(separator: " ").first.map(String.init)
    }
}
