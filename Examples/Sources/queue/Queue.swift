// SPDX-License-Identifier: Apache-2.0
//
// A list of jobs that survives its workers: queue add TEXT, queue work, queue list, in the working directory. Kill a worker
// with SIGKILL in the middle of a job, and another worker does that job again.

import Holdfast

struct Job: Codable, Sendable {
    var number: Int
    var text: String
    /// The process that does the job now.
    var worker: ProcessIdentity?
}

struct Jobs: Codable, Sendable {
    var last = 0
    var open: [Job] = []
}

struct Queue: Sendable {
    let jobs: StateFile<Jobs>

    func add(_ text: String) async throws {
        try await jobs.update(initial: Jobs()) { jobs in
            jobs.last += 1
            jobs.open.append(Job(number: jobs.last, text: text))
        }
    }

    /// Claims the first job that no living process does.
    func claim() async throws -> Job? {
        let me = ProcessIdentity.current
        try await jobs.update(initial: Jobs()) { jobs in
            // Only a proof of death takes a job from its worker: `.unknown` leaves it.
            let free = jobs.open.firstIndex { job in job.worker.map { Liveness.of($0).isDead } ?? true }
            if let free { jobs.open[free].worker = me }
        }
        return try await jobs.load().open.first { $0.worker == me }
    }

    func finish(_ job: Job) async throws {
        try await jobs.update { jobs in jobs.open.removeAll { $0.number == job.number } }
    }
}

@main struct Main {
    static func main() async throws {
        let queue = Queue(jobs: try StateFile<Jobs>("jobs"))
        let arguments = CommandLine.arguments.dropFirst()
        switch arguments.first {
        case "add": try await queue.add(arguments.dropFirst().joined(separator: " "))
        case "list": for job in try await queue.jobs.loadIfPresent()?.open ?? [] { print(job.number, job.text) }
        case "work": try await work(on: queue)
        default: print("usage: queue add TEXT | list | work")
        }
    }

    static func work(on queue: Queue) async throws {
        while let job = try await queue.claim() {
            print("job \(job.number) begins: \(job.text)")
            try await Task.sleep(for: .seconds(1))  // the work
            try await queue.finish(job)
            print("job \(job.number) is done")
        }
    }
}
