// SPDX-License-Identifier: Apache-2.0
//
// A daemon of which one instance works and the others stand by: daemon DIRECTORY. Start it twice, kill the first with
// SIGKILL, and the second goes on counting.

import Holdfast
import Logging
import ServiceLifecycle

/// Counts, in one process at a time.
struct Ticker: Service {
    let lock: any FencedLock
    let ticks: any StateStore<Int>
    let logger: Logger

    func run() async throws {
        do {
            try await cancelWhenGracefulShutdown {
                // Everything that must not run twice is in this body.
                try await lock.withLock { grant in
                    if let dead = grant.abandoned { logger.warning("took over from \(dead)") }
                    while true {
                        try await ticks.update(initial: 0, fence: grant.fence) { $0 += 1 }
                        logger.info("ticked", metadata: ["token": "\(grant.token)"])
                        try await Task.sleep(for: .milliseconds(200))
                    }
                }
            }
        } catch {
            // The shutdown cancelled the wait, the sleep or the save.
            guard Task.isShuttingDownGracefully else { throw error }
        }
    }
}

@main struct Daemon {
    static func main() async throws {
        let directory = CommandLine.arguments.dropFirst().first ?? "."
        let logger = Logger(label: "daemon")
        let ticker = Ticker(
            lock: try LockFile("\(directory)/daemon.lock"),
            ticks: try StateFile<Int>("\(directory)/ticks"),
            logger: logger
        )
        let group = ServiceGroup(services: [ticker], gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        try await group.run()
    }
}
