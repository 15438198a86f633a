// SPDX-License-Identifier: Apache-2.0
//
// A process that holds a mutex, for tests: it is killed, stopped, or started in another namespace.

internal import ArgumentParser
internal import Holdfast
internal import _HoldfastStressShims

/// `holdfast-stress hold`.
struct HoldCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hold",
        abstract: "Takes the first mutex of an arena, says so with its token, and keeps it until it is killed.",
        shouldDisplay: false
    )

    @Argument(help: "The arena, which has one mutex.")
    var path: String

    func run() throws {
        let lock = try MutexArena(path, count: 1)[0].lock()
        print("held \(lock.token)")
        fflush(nil)
        pause()
        try lock.release()
    }
}
