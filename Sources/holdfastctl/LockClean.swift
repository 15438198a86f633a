// SPDX-License-Identifier: Apache-2.0
//
// `lock clean`: the lock files of dead processes go, and no other.

internal import ArgumentParser
internal import Holdfast

struct LockClean: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "clean",
        abstract: "Remove the lock files of processes that died.",
        discussion: """
            Each PATH is a lock file or PID file, or a directory. A directory stands for its files *.lock and *.pid \
            whose names do not begin with a dot. A file is removed only if no process holds it in the kernel, and it \
            is the record of a holder that did not release it or the bare PID of a process that is proven dead. \
            Symbolic links are never followed. May run at any time, and several times at the same time.

            Prints a line for each file: removed (with --dry-run: stale); alive; free, released cleanly and kept; \
            absent; refused, not a lock file; unknown, when nothing proves the process dead or alive. Only removed \
            files change. If there are several files, a last line counts them.

            The exit status is 0 for every outcome but these: 77 if a path was refused, and 66, 69, 73 or 74 if a file \
            could not be cleaned or examined; its outcome is unknown.

            JSON keys: path, pathBytes (the bytes in hexadecimal of a path that is not UTF-8, else null), outcome, pid, \
            reason.

            Examples:
              holdfastctl lock clean /run/service.pid
              holdfastctl lock clean --dry-run /run/lock
              holdfastctl lock clean --json /run/lock /tmp/jobs
            """
    )

    @Argument(help: ArgumentHelp("Lock files, and directories of them.", valueName: "path"))
    var paths: [String]

    @Flag(name: .customLong("dry-run"), help: "Name the files that would be removed, and remove none.")
    var isDryRun = false

    @OptionGroup var json: JSONOption

    func validate() throws {
        try LockFiles.validate(paths)
    }

    func run() throws {
        var tally = Tally()
        for path in paths {
            do throws(CommandFailure) {
                guard let files = try LockFiles.at(path) else {
                    try print(Finding(path: path, outcome: "absent"), &tally)
                    continue
                }
                for file in files { try print(clean(file), &tally) }
            } catch {
                try print(Finding(path, error), &tally)
            }
        }
        if !json.isOn, tally.count > 1 { try Output.line(tally.summary) }
        if tally.gravest != .done { throw ExitCode(tally.gravest.rawValue) }
    }

    /// What became of one path.
    private struct Finding {
        let path: String
        var outcome: String
        var pid: Int32?
        var reason: String?
        var status = ExitStatus.done

        init(path: String, outcome: String, pid: Int32? = nil, reason: String? = nil) {
            self.path = path
            self.outcome = outcome
            self.pid = pid
            self.reason = reason
            if outcome == "refused" { status = .refused }
        }

        /// A path that could not be looked at.
        init(_ path: String, _ failure: CommandFailure) {
            diagnose(failure.message)
            self.init(
                path: path,
                outcome: failure.status == .refused ? "refused" : "unknown",
                reason: failure.message
            )
            status = failure.status
        }
    }

    /// What became of all.
    private struct Tally {
        var gravest = ExitStatus.done
        private(set) var count = 0
        private var outcomes: [(outcome: String, count: Int)] = []

        mutating func add(_ finding: Finding) {
            gravest = max(gravest, finding.status)
            count += 1
            if let index = outcomes.firstIndex(where: { $0.outcome == finding.outcome }) {
                outcomes[index].count += 1
            } else {
                outcomes.append((finding.outcome, 1))
            }
        }

        /// For example `3 files: 2 removed, 1 alive`.
        var summary: String {
            "\(count) files: " + outcomes.map { "\($0.count) \($0.outcome)" }.joined(separator: ", ")
        }
    }

    private func clean(_ file: LockFiles.Entry) -> Finding {
        let outcome: StaleCleanup
        do throws(LockError) {
            outcome = try PIDFile(file.name, in: file.directory).removeIfStale(dryRun: isDryRun)
        } catch {
            return Finding(file.path, CommandFailure(error, .writing))
        }
        return switch outcome {
        case .removed(let process):
            Finding(
                path: file.path,
                outcome: isDryRun ? "stale" : "removed",
                pid: process.pid,
                reason: "\(process.words) \(Liveness.of(process).isDead ? "is dead" : "has let go of it")"
            )
        case .alive(let holder): Finding(path: file.path, outcome: "alive", pid: holder.pid, reason: "\(holder)")
        case .free: Finding(path: file.path, outcome: "free")
        case .absent: Finding(path: file.path, outcome: "absent")
        case .refused(let reason): Finding(path: file.path, outcome: "refused", reason: reason)
        case .unknown(let reason): Finding(path: file.path, outcome: "unknown", reason: reason)
        }
    }

    private func print(_ finding: Finding, _ tally: inout Tally) throws(CommandFailure) {
        tally.add(finding)
        if json.isOn {
            try Output.line([
                "path": .path(finding.path), "pathBytes": .bytes(of: finding.path),
                "outcome": .text(finding.outcome), "pid": .pid(finding.pid), "reason": .text(finding.reason),
            ])
        } else {
            try Output.line("\(shown(finding.path)): \(finding.outcome)\(finding.reason.map { " (\($0))" } ?? "")")
        }
    }
}
