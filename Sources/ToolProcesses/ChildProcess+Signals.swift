// SPDX-License-Identifier: Apache-2.0
//
// A child process that stands in the place of this one: what this one is sent is for the child.
//
// A signal that a process sends is passed on. One that a terminal sends goes to the whole foreground group, so the child
// has it already, if it was there and is still of that group. A signal that stops is followed too: who stops a job expects
// all of it to stop. What a process sends to the whole group reaches the child twice: it cannot be told apart.
// Every signal must be blocked from before the child is started until it has ended.

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

extension ChildProcess {
    /// Gives a child the signals that came before it was started.
    package func receive(_ early: [Signal]) {
        for signal in early { pass(signal, wasThere: false) }
    }

    /// Waits for the end of this process, and passes on what signals are sent to us meanwhile.
    ///
    /// - Returns: How it ended.
    package func waitPassingSignalsOn() -> End {
        while true {
            if let end = Self.reapAll(awaiting: self) { return end }
            pass(SignalSet.all.wait(), wasThere: true)
        }
    }

    private func pass(_ signal: Signal, wasThere: Bool) {
        if signal.isOwn || (signal.number == SIGCHLD && !signal.isFromProcess) { return }
        let hasItAlready = signal.isFromTerminal && wasThere && getpgid(pid) == getpgrp()
        if !hasItAlready { signal.send(to: pid) }
        if signal.stops { signal.stopThisProcess() }
    }
}
