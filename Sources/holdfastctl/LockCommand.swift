// SPDX-License-Identifier: Apache-2.0
//
// The `lock` commands: `status` and `clean` here, `run` in LockRun.swift.

internal import ArgumentParser
internal import Holdfast

struct LockCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lock",
        abstract: "Hold, look at and clean up lock files.",
        discussion: """
            Examples:
              holdfastctl lock run /run/lock/backup.lock -- backup.sh
              holdfastctl lock status /run/lock/backup.lock
              holdfastctl lock clean /run/lock
            """,
        subcommands: [LockRun.self, LockStatusCommand.self, LockClean.self]
    )

    func run() throws {
        throw missingCommand("holdfastctl lock")
    }
}

struct LockStatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Say whether a lock is held, and by whom.",
        discussion: """
            One of: free; held; abandoned, when its last holder ended without releasing it; unknown, when it cannot be \
            told. All four exit with 0, and 66 says that there is no such file. The answer may be out of date when it is \
            read: to act on it, take the lock. Changes nothing.

            JSON keys: path, state, pid, reason.

            Examples:
              holdfastctl lock status /run/lock/backup.lock
              holdfastctl lock status --json /run/lock/backup.lock
            """
    )

    @Argument(help: "The lock file.")
    var path: String

    @OptionGroup var json: JSONOption

    func validate() throws {
        try Arguments.checkNamesFile(path)
    }

    func run() throws {
        let status = try attempting(.reading) { try LockFile(path).status() }
        let (state, pid, reason): (String, Int32?, String?) =
            switch status {
            case .absent: throw CommandFailure(.noInput, "there is no lock file '\(path)'")
            case .free: ("free", nil, nil)
            case .held(let holder): ("held", holder.pid, "by \(holder)")
            case .abandoned(let record):
                ("abandoned", record.process.pid, "by \(record.summary), which ended without releasing it")
            case .unknown(let reason): ("unknown", nil, reason)
            }
        if json.isOn {
            try Output.line([
                "path": .text(path), "state": .text(state), "pid": .pid(pid), "reason": .text(reason),
            ])
        } else {
            try Output.line("\(path): \(state)\(reason.map { state == "unknown" ? ", \($0)" : " \($0)" } ?? "")")
        }
    }
}

struct LockClean: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clean",
        abstract: "Remove the lock files of processes that died.",
        discussion: """
            Each PATH is a lock file or PID file, or a directory, of which the files *.lock are meant, but not those whose \
            names begin with a dot. A file is removed only if no process holds it in the kernel, and it is the record of a \
            holder that did not release it or the bare PID of a process that is proven dead. Symbolic links are never \
            followed. May run at any time, also many times at once.

            One line for each: removed; alive; free, released cleanly and kept; absent; refused, not a lock file; \
            unknown, when nothing proves the process dead or alive. Only the first changes anything.

            The exit status is 0 whatever was found, but 77 if a path was refused, and 69, 73 or 74 if one could not be \
            cleaned or looked at; that one's outcome is unknown.

            JSON keys: path, outcome, pid, reason.

            Examples:
              holdfastctl lock clean /run/service.pid
              holdfastctl lock clean --json /run/lock /tmp/jobs
            """
    )

    @Argument(help: ArgumentHelp("Lock files, and directories of them.", valueName: "path"))
    var paths: [String]

    @OptionGroup var json: JSONOption

    func run() throws {
        var gravest = ExitStatus.done
        for path in paths {
            do throws(CommandFailure) {
                guard let files = try LockFiles.at(path) else {
                    try print(path, "absent", nil, nil)
                    continue
                }
                for file in files { gravest = max(gravest, try clean(file)) }
            } catch {
                gravest = max(gravest, try report(error, of: path))
            }
        }
        if gravest != .done { throw ExitCode(gravest.rawValue) }
    }

    private func clean(_ file: LockFiles.Entry) throws(CommandFailure) -> ExitStatus {
        let outcome: StaleCleanup
        do throws(LockError) {
            outcome = try PIDFile(file.name, in: file.directory).removeIfStale()
        } catch {
            return try report(CommandFailure(error, .writing), of: file.path)
        }
        let (word, pid, reason): (String, Int32?, String?) =
            switch outcome {
            case .removed(let process):
                (
                    "removed", process.pid,
                    "\(process.words) \(Liveness.of(process).isDead ? "is dead" : "has let go of it")"
                )
            case .alive(let holder): ("alive", holder.pid, "\(holder)")
            case .free: ("free", nil, nil)
            case .absent: ("absent", nil, nil)
            case .refused(let reason): ("refused", nil, reason)
            case .unknown(let reason): ("unknown", nil, reason)
            }
        try print(file.path, word, pid, reason)
        if case .refused = outcome { return .refused }
        return .done
    }

    /// A path that could not be looked at: a line of its own, too.
    private func report(_ failure: CommandFailure, of path: String) throws(CommandFailure) -> ExitStatus {
        diagnose(failure.message)
        try print(path, failure.status == .refused ? "refused" : "unknown", nil, failure.message)
        return failure.status
    }

    private func print(_ path: String, _ outcome: String, _ pid: Int32?, _ reason: String?) throws(CommandFailure) {
        if json.isOn {
            try Output.line([
                "path": .text(path), "outcome": .text(outcome), "pid": .pid(pid), "reason": .text(reason),
            ])
        } else {
            try Output.line("\(path): \(outcome)\(reason.map { " (\($0))" } ?? "")")
        }
    }
}

extension LockRecord {
    /// For example `process 1234 (backup.sh), since 2026-02-03T04:05:06Z`.
    var summary: String {
        "\(process.words) (\(label)), since \(utcTime(acquiredMilliseconds))"
    }
}
