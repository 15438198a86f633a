// SPDX-License-Identifier: Apache-2.0
//
// `lock run`: a command under a lock. Unless it is told otherwise the command shares the lock's open file description, so
// the lock is held as long as either of the two processes lives: neither can be lost without the kernel knowing.
//
// All signals are blocked from the beginning, and each is taken where it is known what it means: while the lock is waited
// for it ends the wait or is kept; from the grant on it is the command's.

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
        usage: """
            holdfastctl lock run [--shared] [--timeout SECONDS | --no-wait]
                [--conflict-exit-code N] [--close] [--verbose]
                [--permissions MODE] [--group NAME] PATH -- COMMAND [ARG…]
            """,
        discussion: """
            Takes the lock, making the file if it is missing, runs COMMAND and waits for it. COMMAND inherits the \
            lock's descriptor as with flock(1), so the lock is held as long as either process lives, or a daemon that \
            COMMAND started; with --close, until COMMAND ends. The lock and flock(1), and the file locks of Go, Rust \
            and Python, exclude each other. The lock file stays.

            COMMAND is searched for along PATH; /bin/sh runs a script without #!. Its environment has HOLDFAST_TOKEN, \
            a number that is larger for every later holder; not with --shared, nor where the lock file may only be \
            read. If the previous holder died without releasing the lock, a warning says so.

            Signals: holdfastctl passes every signal that it receives on to COMMAND; SIGKILL and SIGSTOP cannot be \
            passed on. A signal of the terminal reaches COMMAND once. A signal that a process sends to the whole group \
            (kill -- -PGID) cannot be told apart and reaches COMMAND twice; under systemd set KillMode=mixed. SIGTSTP stops \
            both, SIGCONT continues both. While holdfastctl waits for the lock, SIGTERM, SIGINT, SIGHUP, SIGQUIT, \
            SIGALRM and the like end it; SIGUSR1, SIGUSR2 and real-time signals are kept for COMMAND. If a signal ends \
            COMMAND, holdfastctl dies of the same signal, without a core file, and a line says so if it was a crash. As \
            PID 1 of a container it exits with 128 + n instead, and reaps orphans while COMMAND runs.

            The exit status is that of COMMAND: 128 + n (as a shell shows it) if signal n ended it, 126 if it cannot \
            be run, 127 if it is not found. If the lock is busy or the time is over, COMMAND is not run, the message \
            names the holder, and the exit status is 75, or that of --conflict-exit-code.

            Examples:
              holdfastctl lock run /run/lock/backup.lock -- backup.sh --full
              holdfastctl lock run --no-wait nightly.lock -- make nightly
              holdfastctl lock run --no-wait -E 0 poll.lock -- poll.sh
              holdfastctl lock run --permissions 660 --group adm n.lock -- make
              holdfastctl lock run --close start.lock -- start-daemon
              holdfastctl lock run --timeout 2.5 state.lock -- sh -c \\
                  'holdfastctl state save --token "$HOLDFAST_TOKEN" state < new'
            """
    )

    @Argument(help: "The lock file.")
    var path: String

    @Flag(name: .customLong("shared"), help: "Allow other shared holders at the same time.")
    var isShared = false

    @Option(help: ArgumentHelp("Give up after this time; 0 tries once.", valueName: "seconds"))
    var timeout: Double?

    @Flag(name: .customLong("no-wait"), help: "Give up at once if the lock is busy.")
    var doesNotWait = false

    @Option(
        name: [.customShort("E"), .long],
        help: ArgumentHelp("Exit with this status if the lock is busy or the time is over.", valueName: "n")
    )
    var conflictExitCode: UInt8?

    @Flag(name: .customLong("close"), help: "Do not let the command inherit the lock's descriptor.")
    var closes = false

    @Flag(
        name: .customLong("verbose"),
        help: "Name the holder after a second, as on a terminal, and report when the lock is taken."
    )
    var isVerbose = false

    @OptionGroup var access: AccessOptions

    @Argument(parsing: .postTerminator, help: ArgumentHelp("The command, after --.", valueName: "command"))
    var command: [String] = []

    func validate() throws {
        try Arguments.checkNamesFile(path)
        if command.isEmpty { throw ValidationError("Give a command after '--'") }
        if doesNotWait && timeout != nil { throw ValidationError("Give either --timeout or --no-wait") }
        try Arguments.checkTimeout(timeout)
    }

    /// Runs the command and exits as it did.
    ///
    /// - Parameter mask: The signals that were blocked at the start of this process, as they will be for the command; by
    ///   now all are.
    /// - Throws: `ExitCode` with the status to exit with, or why the lock was not taken.
    func run(_ mask: SignalSet) throws {
        let start = ContinuousClock.now
        var lock = try acquire(mask)
        if let record = lock.abandoned?.record {
            diagnose(
                """
                warning: the previous holder of \(quoted(path)), \(record.summary), ended without releasing it; what the \
                lock protects may be half changed
                """
            )
        }
        if isVerbose {
            let token = lock.token.map { ", token \($0)" } ?? ""
            diagnose("\(shown(path)) is locked after \(start.secondsToNow)\(token); running \(quoted(command[0]))")
        }
        setTokenVariable(lock.token)

        // Inherited as ignored, it would have the kernel throw the command's status away.
        signal(SIGCHLD, SIG_DFL)
        // The last moment at which a signal is known to be older than the command.
        var early: [Signal] = []
        while let signal = SignalSet.all.wait(forSeconds: 0) { early.append(signal) }
        let child: ChildProcess
        do throws(SystemError) {
            child = try unsafe ChildProcess.start(
                ProcessArguments.last(command.count),
                mask: mask,
                inherited: closes ? nil : lock.inheritableDescriptor()
            )
        } catch {
            diagnose("cannot run \(quoted(command[0])): \(error)")
            throw ExitCode(error.code == ENOENT ? 127 : 126)
        }
        child.receive(early)
        let end = child.waitPassingSignalsOn()
        do throws(LockError) {
            try lock.release()
        } catch {
            diagnose("warning: \(error)")
        }
        if case .signalled(let number, let dumpedCore) = end {
            if Signal.isCrash(number) {
                let core = dumpedCore ? "; it dumped core" : ""
                diagnose("\(quoted(command[0])), process \(child.pid), crashed: \(Signal.description(number))\(core)")
            }
            Signal.endThisProcess(by: number)
        }
        throw ExitCode(end.status)
    }

    private func acquire(_ mask: SignalSet) throws -> HeldLock {
        do {
            return try lock(mask)
        } catch {
            let failure = CommandFailure(error, .writing)
            guard failure.status == .busy, let conflictExitCode else { throw error }
            diagnose(failure.message)
            throw ExitCode(Int32(conflictExitCode))
        }
    }

    private func lock(_ mask: SignalSet) throws -> HeldLock {
        let deadline = Arguments.deadline(timeout)
        let file = try LockFile(path, label: label, permissions: access.permissions, group: access.group)
        let mode: HeldLock.Mode = isShared ? .shared : .exclusive
        if let deadline, deadline <= .now { return try file.lock(mode, deadline: deadline) }
        switch try file.tryLock(mode) {
        case .acquired(let lock): return lock
        case .busy(let holder):
            if doesNotWait { throw LockError(.busy, path: file.path, reason: "is busy", holder: holder) }
        }
        return try LockWait(file, mode, deadline).finish(endings: .endingsOfAWait(mask), saysSo: isVerbose)
    }

    /// What other processes call the holder: a name that tells an operator more than ours.
    private var label: String {
        let program = command[0].utf8.split(separator: UInt8(ascii: "/")).last.map { String(Substring($0)) }
        return "holdfastctl lock run \(legible(program ?? "?"))"
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

extension ContinuousClock.Instant {
    /// The time since then, for example `2.3 s`.
    fileprivate var secondsToNow: String {
        let tenths = (ContinuousClock.now - self) / Duration.milliseconds(100)
        return "\(Int(tenths) / 10).\(Int(tenths) % 10) s"
    }
}
