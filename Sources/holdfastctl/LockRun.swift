// SPDX-License-Identifier: Apache-2.0
//
// `lock run`: a command under a lock. The command shares the lock's open file description, so the lock is held as long as
// either of the two processes lives: neither can be lost without the kernel knowing.

internal import ArgumentParser
internal import Holdfast
#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif
internal import ToolProcesses

struct LockRun: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run a command while holding a lock.",
        discussion: """
            Takes the lock, making the file if there is none, runs COMMAND and waits for it. It inherits the lock's \
            descriptor as with flock(1), so the lock is held as long as either process lives; flock(1) and the file locks \
            of Go, Rust and Python exclude it and are excluded by it. The lock file stays.

            COMMAND finds HOLDFAST_TOKEN in its environment, a number that is larger for every later holder; not with \
            --shared, nor where the lock file may only be read. SIGTERM, SIGINT, SIGHUP and SIGQUIT that are sent to \
            holdfastctl are passed on to it. If the previous holder died without releasing the lock, a warning says so.

            The exit status is that of COMMAND, 128 + n if signal n ended it, 126 if it cannot be run, 127 if it is not \
            found; and 75 if the lock is busy or the time is over, naming the holder. COMMAND is not run then.

            Examples:
              holdfastctl lock run /run/lock/backup.lock -- backup.sh --full
              holdfastctl lock run --no-wait nightly.lock -- make nightly
              holdfastctl lock run --permissions 660 --group backup nightly.lock -- make nightly
              holdfastctl lock run --timeout 2.5 state.lock -- \\
                  sh -c 'holdfastctl state save --token "$HOLDFAST_TOKEN" state < new'
            """
    )

    @Argument(help: "The lock file.")
    var path: String

    @Flag(name: .customLong("shared"), help: "Allow other shared holders at the same time.")
    var isShared = false

    @Option(help: ArgumentHelp("Give up after so many seconds; 0 tries once.", valueName: "seconds"))
    var timeout: Double?

    @Flag(name: .customLong("no-wait"), help: "Give up at once if somebody else holds the lock.")
    var doesNotWait = false

    @OptionGroup var access: AccessOptions

    @Argument(parsing: .postTerminator, help: ArgumentHelp("The command, after --.", valueName: "command"))
    var command: [String] = []

    func validate() throws {
        try Arguments.checkNamesFile(path)
        if command.isEmpty { throw ValidationError("Give a command after '--'") }
        if doesNotWait && timeout != nil { throw ValidationError("Give either --timeout or --no-wait") }
        if let timeout, !(timeout >= 0 && timeout.isFinite) {
            throw ValidationError("--timeout takes a number of seconds, 0 or more")
        }
    }

    func run() throws {
        var lock = try attempting(.writing) { try acquire() }
        if let record = lock.abandoned {
            diagnose(
                """
                warning: the previous holder of '\(path)', \(record.summary), ended without releasing it; what the lock \
                protects may be half changed
                """
            )
        }
        setTokenVariable(lock.token)

        // From here on a signal that should end us is the command's.
        let before = SignalSet.termination.union([SIGCHLD]).block()
        // Inherited as ignored, it would have the kernel throw the command's status away.
        signal(SIGCHLD, SIG_DFL)
        let child: ChildProcess
        do throws(SystemError) {
            child = try unsafe ChildProcess.start(
                Arguments.last(command.count),
                mask: before,
                inherited: lock.inheritableDescriptor()
            )
        } catch {
            diagnose("cannot run '\(command[0])': \(error)")
            throw ExitCode(error.code == ENOENT ? 127 : 126)
        }
        let end = child.wait(passingOn: .termination)
        do throws(LockError) {
            try lock.release()
        } catch {
            diagnose("warning: \(error)")
        }
        throw ExitCode(end.status)
    }

    private func acquire() throws(LockError) -> FileLock {
        let file = try LockFile(path, label: label, permissions: access.permissions, group: access.group)
        let mode: FileLock.Mode = isShared ? .shared : .exclusive
        if doesNotWait {
            switch try file.tryLock(mode) {
            case .acquired(let lock): return lock
            case .busy(let holder):
                throw LockError(.busy, path: file.path, reason: "is busy", holder: holder)
            }
        }
        return try file.lock(mode, deadline: deadline)
    }

    /// What other processes call the holder: a name that tells an operator more than ours.
    private var label: String {
        let program = command[0].split(separator: "/").last ?? "?"
        return "holdfastctl lock run \(program)"
    }

    private var deadline: ContinuousClock.Instant? {
        // A thousand years and more is for ever, and more than a Duration can hold must not be made into one.
        guard let timeout, timeout < 3e10 else { return nil }
        return .now + .seconds(timeout)
    }

    /// Another lock's token, inherited from a command that we run under, must not pass for this one's.
    private func setTokenVariable(_ token: FencingToken?) {
        if let token {
            unsafe setenv("HOLDFAST_TOKEN", "\(token)", 1)
        } else {
            unsafe unsetenv("HOLDFAST_TOKEN")
        }
    }
}
