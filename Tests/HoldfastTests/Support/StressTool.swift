// SPDX-License-Identifier: Apache-2.0
//
// Runs the stress tool that the build put beside the test executable.

import Foundation

/// One run of `holdfast-stress locks`, and what it saw.
struct StressRun: Decodable {
    let acquisitions: UInt64
    let overlaps: UInt64
    let lostUpdates: UInt64
    let killed: UInt64
    let abandoned: UInt64
    let missedAbandoned: UInt64
    let falseAbandoned: UInt64
    let tokenRegressions: UInt64
    let sharedTogether: UInt64
    let leftovers: [String]
    let problems: [String]
    let good: Bool

    /// Runs the tool in a temporary directory, off the caller's executor, and reads its report.
    ///
    /// It ends by itself: with this process, by its own limits, or twenty seconds after the last acquisition.
    @concurrent
    static func locks(_ options: String...) async throws -> StressRun {
        let process = Process()
        let output = Pipe()
        process.executableURL = try tool()
        process.arguments = ["locks", "--json", "--directory", FileManager.default.temporaryDirectory.path] + options
        process.standardOutput = output
        try process.run()
        let text = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return try JSONDecoder().decode(StressRun.self, from: text)
    }

    private static func tool() throws -> URL {
        let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        return URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent("holdfast-stress")
    }
}
