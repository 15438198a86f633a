// SPDX-License-Identifier: Apache-2.0
//
// Runs the stress tool that the build put beside the test executable.

import Foundation

/// One run of `holdfast-stress locks`, and what it saw.
struct StressRun: Decodable, Sendable {
    let acquisitions: UInt64
    let overlaps: UInt64
    let lostUpdates: UInt64
    let displaced: UInt64
    let killed: UInt64
    let cleaned: UInt64
    let abandoned: UInt64
    let missedAbandoned: UInt64
    let falseAbandoned: UInt64
    let tokenRegressions: UInt64
    let sharedTogether: UInt64
    let leftovers: [String]
    let problems: [String]

    static func locks(_ options: String...) async throws -> StressRun { try await locks(options) }

    static func locks(_ options: [String]) async throws -> StressRun { try await stress("locks", options) }
}

/// One run of `holdfast-stress mutex`, and what it saw.
struct MutexStressRun: Decodable, Sendable {
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

    static func mutex(_ options: String...) async throws -> MutexStressRun {
        try await stress("mutex", options)
    }
}

/// One run of `holdfast-stress state`, and what it saw.
struct StateStressRun: Decodable, Sendable {
    let updates: UInt64
    let lostUpdates: UInt64
    let surplus: UInt64
    let reads: UInt64
    let older: UInt64
    let conversions: UInt64
    let killed: UInt64
    let problems: [String]

    static func state(_ options: String...) async throws -> StateStressRun {
        try await stress("state", options)
    }
}

/// Runs the tool in the test case's directory and reads its report.
///
/// It ends by itself: at its limits, twenty seconds after the last acquisition, or with this process.
private func stress<Report: Decodable & Sendable>(_ command: String, _ options: [String]) async throws -> Report {
    let arguments = [command, "--json", "--directory", TemporaryDirectory.current] + options
    // A thread of its own: a test that blocks one of the pool's would hold up the others.
    return try await withCheckedThrowingContinuation { continuation in
        Thread.detachNewThread {
            continuation.resume(
                with: Result {
                    let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
                    let tool = URL(fileURLWithPath: tests).deletingLastPathComponent()
                        .appendingPathComponent("holdfast-stress")
                    let child = try Child(tool.path, arguments)
                    child.wait()
                    return try JSONDecoder().decode(Report.self, from: Data(child.printed.utf8))
                }
            )
        }
    }
}
