// SPDX-License-Identifier: Apache-2.0
//
// `lock status`: what operators and scripts ask of locks that they do not take.

internal import ArgumentParser
internal import Holdfast

struct LockStatusCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Say whether locks are held, and by which process.",
        discussion: """
            Each PATH is a lock file or PID file, or a directory. A directory stands for its files *.lock and *.pid \
            whose names do not begin with a dot. Prints a line for each file: free; held; abandoned, when its last \
            holder ended without releasing it; unknown, when the evidence does not decide. The answer may be out of \
            date when it is read: to act on it, take the lock. Changes nothing.

            The exit status is 0 for all four, and 66 if there is no such file. With --exit-code: 0 free, 75 held, 1 \
            abandoned, 2 unknown; with several files it is the first of these in this order: errors, 2, 75, 1, 0.

            JSON keys: path, pathBytes (the bytes in hexadecimal of a path that is not UTF-8, else null), state, pid, \
            label, since, token, reason.

            Examples:
              holdfastctl lock status /run/lock/backup.lock
              holdfastctl lock status --json /run/lock /run/service.pid
              holdfastctl lock status --exit-code nightly.lock && start-nightly
            """
    )

    @Argument(help: ArgumentHelp("Lock files, and directories of them.", valueName: "path"))
    var paths: [String]

    @Flag(name: .customLong("exit-code"), help: "Exit with 75 if it is held, 1 if abandoned, 2 if unknown.")
    var givesExitCode = false

    @OptionGroup var json: JSONOption

    func validate() throws {
        try LockFiles.validate(paths)
    }

    func run() throws {
        var gravest = ExitStatus.done
        var states: Set<LockState> = []
        for path in paths {
            do throws(CommandFailure) {
                guard let files = try LockFiles.at(path) else {
                    throw CommandFailure(.noInput, "there is no lock file \(quoted(path))")
                }
                for file in files {
                    do throws(CommandFailure) {
                        if let state = try look(at: file) { states.insert(state) }
                    } catch {
                        diagnose(error.message)
                        gravest = max(gravest, error.status)
                    }
                }
            } catch {
                diagnose(error.message)
                gravest = max(gravest, error.status)
            }
        }
        if gravest != .done { throw ExitCode(gravest.rawValue) }
        if givesExitCode, let state = states.max() { throw ExitCode(state.exitCode) }
    }

    /// Prints one file's line; nil for a file of a directory that was removed meanwhile.
    private func look(at file: LockFiles.Entry) throws(CommandFailure) -> LockState? {
        let status = try attempting(.reading) { try LockFile(file.name, in: file.directory).status() }
        var record: LockRecord?
        var holder: LockHolder?
        let state: LockState
        var reason: String?
        switch status {
        case .absent where file.isListed: return nil
        case .absent: throw CommandFailure(.noInput, "there is no lock file \(quoted(file.path))")
        case .free: state = .free
        case .held(let found):
            (state, reason, holder, record) = (.held, "by \(found)", found, found.record)
        case .abandoned(let found):
            (state, reason, record) = (.abandoned, "by \(found.summary), which ended without releasing it", found)
        case .unknown(let why): (state, reason) = (.unknown, why)
        }
        if json.isOn {
            try Output.line([
                "path": .path(file.path), "pathBytes": .bytes(of: file.path), "state": .text(state.rawValue),
                "pid": .pid(holder?.pid ?? record?.process.pid),
                "label": .text(holder?.name ?? record?.label),
                "since": .text(record.map { utcTime($0.acquiredMilliseconds) }),
                "token": .count(record?.token?.value),
                "reason": .text(reason),
            ])
        } else {
            let more = reason.map { state == .unknown ? ", \($0)" : " \($0)" } ?? ""
            try Output.line("\(shown(file.path)): \(state.rawValue)\(more)")
        }
        return state
    }
}

/// ``LockStatus`` as it is printed, from the one that matters least to a caller that asks of several.
private enum LockState: String, CaseIterable, Comparable {
    case free, abandoned, held, unknown

    var exitCode: Int32 {
        switch self {
        case .free: 0
        case .abandoned: 1
        case .held: ExitStatus.busy.rawValue
        case .unknown: 2
        }
    }

    static func < (first: LockState, second: LockState) -> Bool {
        (allCases.firstIndex(of: first) ?? 0) < (allCases.firstIndex(of: second) ?? 0)
    }
}
