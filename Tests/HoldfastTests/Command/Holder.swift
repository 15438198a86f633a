// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// A running `holdfastctl lock run`, whose command sleeps.
struct Holder {
    let process: RunningTool
    /// The command's PID.
    let command: pid_t

    /// Waits until it holds the lock.
    init(_ path: String, _ options: String..., script: String = "exec sleep 7200") async throws {
        let ready = "\(TemporaryDirectory.current)/.ready-\(UUID().uuidString)"
        let publish = "echo $$ > '\(ready).new'; mv '\(ready).new' '\(ready)'"
        process = try CommandLineTool.holdfastctl.start(
            ["lock", "run"] + options + [path, "--", "sh", "-c", "\(publish); \(script)"]
        )
        let process = process
        try await eventually("the lock is held") {
            try #require(!process.hasEnded())
            return FileManager.default.fileExists(atPath: ready)
        }
        let text = try String(contentsOfFile: ready, encoding: .utf8)
        command = try #require(pid_t(text.trimmingCharacters(in: .newlines)))
    }
}
