// SPDX-License-Identifier: Apache-2.0
//
// Runs the stress tool that the build put beside the test executable.

import Foundation

/// One run of a command of `holdfast-stress`, and what it saw.
protocol StressRun: Decodable, Sendable {
    static var command: String { get }
}

struct LockStressRun: StressRun {
    static let command = "locks"

    let acquisitions: UInt64
    let overlaps: UInt64
    let lostUpdates: UInt64
    let displaced: UInt64
    let killed: UInt64
    let cleaned: UInt64
    let abandoned: UInt64
    let sharedTogether: UInt64
    let leftovers: [String]
    let problems: [String]
}

struct MutexStressRun: StressRun {
    static let command = "mutex"

    let acquisitions: UInt64
    let overlaps: UInt64
    let lostUpdates: UInt64
    let killed: UInt64
    let abandoned: UInt64
    let missedAbandoned: UInt64
    let falseAbandoned: UInt64
    let tokenRegressions: UInt64
    let stopsInside: UInt64
    let problems: [String]
}

struct StateStressRun: StressRun {
    static let command = "state"

    let updates: UInt64
    let lostUpdates: UInt64
    let surplus: UInt64
    let reads: UInt64
    let older: UInt64
    let conversions: UInt64
    let killed: UInt64
    let problems: [String]
}

extension StressRun {
    /// Runs the tool in the test case's directory, with options that spaces separate, and reads its report.
    ///
    /// It ends by itself: at its limits, twenty seconds after the last acquisition, or with this process.
    init(_ options: String) async throws {
        let arguments =
            [Self.command, "--json", "--directory", TemporaryDirectory.current]
            + options.split(separator: " ").map(String.init)
        // A thread of its own: a test that blocks one of the pool's would hold up the others.
        self = try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread {
                continuation.resume(
                    with: Result {
                        let child = try Child(CommandLineTool.sibling("holdfast-stress"), arguments)
                        child.wait()
                        return try JSONDecoder().decode(Self.self, from: Data(child.printed.utf8))
                    }
                )
            }
        }
    }
}
