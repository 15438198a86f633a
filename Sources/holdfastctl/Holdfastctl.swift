// SPDX-License-Identifier: Apache-2.0
//
// The command line of Holdfast: its root, and the one place where a process ends and says why.

internal import ArgumentParser
internal import Holdfast
internal import HoldfastBench
internal import ToolProcesses
#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

struct Holdfastctl: ParsableCommand {
    static let version = "0.1.0"

    static let configuration = CommandConfiguration(
        commandName: "holdfastctl",
        abstract: "Crash-safe locks and durable, verified state, from the command line.",
        discussion: """
            Examples:
              holdfastctl lock run /run/lock/backup.lock -- backup.sh --full
              holdfastctl lock status /run/lock/backup.lock
              echo '{"port": 8080}' | holdfastctl state save settings
              holdfastctl state load settings
              holdfastctl bench /var/lib

            Exit status: 0 done, 64 usage, 65 corrupt data, 66 no such input, 69 cannot lock or sync here, 71 no \
            room for another process in an arena, 73 cannot create, 74 I/O error, 75 busy or timed out, 77 refused for \
            safety. With several paths it is the gravest, in this order: 65, 74, 73, 69, 77, 71, 75, 66. A command that \
            ran under a lock gives its own status, or 128 + n if signal n ended it.

            Errors are one line on standard error. --json prints one object per line on standard output; unknown \
            fields are null.
            """,
        version: "holdfastctl \(version)",
        subcommands: [LockCommand.self, StateCommand.self, BenchCommand.self]
    )

    func run() throws {
        throw missingCommand("holdfastctl")
    }
}

/// The failure of a group of commands that was called without one of them.
func missingCommand(_ group: String) -> CommandFailure {
    CommandFailure(.usage, "a command is missing after '\(group)'; see '\(group) --help'")
}

@main enum Main {
    static func main() {
        SignalSet.restoreTermination()
        StandardStreams.prepare()
        exit(run())
    }

    private static func run() -> Int32 {
        let arguments = ProcessArguments.all
        if arguments.first == BenchPeer.command {
            do {
                try BenchPeer.run(Array(arguments.dropFirst()))
                return 0
            } catch {
                return report(CommandFailure(error, .writing))
            }
        }
        // Signals that come while the arguments are read are, it may turn out, for a command under a lock.
        let before = SignalSet.all.block()
        var command: any ParsableCommand
        do {
            try Arguments.check(arguments)
            command = try Holdfastctl.parseAsRoot(arguments)
        } catch {
            before.restore()
            return report(error)
        }
        do {
            if let lockRun = command as? LockRun {
                try lockRun.run(before)
            } else {
                before.restore()
                try command.run()
            }
            return 0
        } catch {
            return report(error)
        }
    }

    private static func report(_ error: any Error) -> Int32 {
        switch error {
        case let status as ExitCode: status.rawValue
        case let failure as CommandFailure: report(failure)
        case is LockError, is StateError, is SystemError: report(CommandFailure(error, .writing))
        default: reportUsage(error)
        }
    }

    private static func report(_ failure: CommandFailure) -> Int32 {
        diagnose(failure.message)
        return failure.status.rawValue
    }

    /// What the arguments led to instead of a command: help that was asked for, or a mistake.
    private static func reportUsage(_ error: any Error) -> Int32 {
        let message = Holdfastctl.fullMessage(for: error)
        if Holdfastctl.exitCode(for: error).isSuccess {
            do throws(CommandFailure) {
                try Output.help(message)
                return 0
            } catch {
                return report(error)
            }
        }
        var sentence = Holdfastctl.message(for: error)
        if sentence.last == "." { sentence.removeLast() }
        let hint = message.split(separator: "See '").last.flatMap { $0.split(separator: "'").first }
        return report(
            CommandFailure(.usage, "\(sentence.lowercasedFirst); see '\(hint ?? "holdfastctl --help")'")
        )
    }
}

extension String {
    fileprivate var lowercasedFirst: String { prefix(1).lowercased() + dropFirst() }
}
