// SPDX-License-Identifier: Apache-2.0
//
// The `lock` commands: `run`, `status` and `clean` have a file each.

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

extension LockRecord {
    /// For example `process 1234 (backup.sh), since 2026-02-03T04:05:06Z`.
    var summary: String {
        "\(process.words) (\(label)), since \(utcTime(acquiredMilliseconds))"
    }
}
