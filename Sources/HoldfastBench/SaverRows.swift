// SPDX-License-Identifier: Apache-2.0
//
// Many tasks that save one state: their saves are written together.

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif
public import Holdfast
internal import Synchronization

/// Saves of 4 KiB into one file in place by many tasks, each of which waits for its own before it makes the next.
public enum SaverRows {
    private static let length = 4 << 10
    /// How many saves a task makes in a turn.
    private static let savesOfTask = 20

    /// Beside one saver, who does the same one save after another.
    static func besideOne(tasks: Int, _ bench: Bench) throws -> BenchRow {
        let file = try makeFile("one-saver", bench)
        let payload = somePayload(length)
        let floor = Contestant("one task, one save after another", count: savesOfTask) { count in
            for _ in 0..<count { try file.save(payload) }
        }
        return try row(tasks: tasks, goal: .ratio(0.05), bench, floor: floor)
    }

    /// Beside the floor of one save.
    public static func besideFloor(tasks: Int, _ bench: Bench) throws -> BenchRow {
        let slots = try SlotFloor(bench, "savers.floor", length: length)
        let floor = Contestant("pwrite, fdatasync in C, one after another", count: savesOfTask, slots.save)
        return try row(tasks: tasks, goal: nil, bench, floor: floor)
    }

    private static func row(tasks: Int, goal: Goal?, _ bench: Bench, floor: Contestant) throws -> BenchRow {
        let file = try makeFile("savers", bench)
        let payload = somePayload(length)
        return try bench.row(
            "state.savers.\(tasks)",
            seconds: 4,
            count: tasks * savesOfTask,
            goal: goal,
            countsFlushes: true,
            subject: Contestant("Holdfast") { try save(payload, $0, in: file, tasks: tasks) },
            floor: floor
        )
    }

    /// Saves so many times, by so many tasks that begin together.
    public static func save(_ payload: [UInt8], _ count: Int, in file: StateFile<[UInt8]>, tasks: Int) throws {
        try waitFor {
            try await withThrowingTaskGroup { group in
                for _ in 0..<tasks {
                    group.addTask { for _ in 0..<count / tasks { try await file.save(payload) } }
                }
                try await group.waitForAll()
            }
        }
    }

    private static func makeFile(_ name: String, _ bench: Bench) throws -> StateFile<[UInt8]> {
        let path = "\(bench.ground.path)/\(name).state"
        let file = try StateFile<[UInt8]>(path, options: StateOptions(strategy: .twoSlot))
        try file.save(somePayload(length))
        return file
    }
}

/// Runs a task, and blocks this thread, which is not of the cooperative pool, until it has ended.
func waitFor(_ body: @escaping @Sendable () async throws -> Void) throws {
    let (input, output) = try makePipe()
    defer { close(input) }
    let failure = Failure()
    Task {
        do {
            try await body()
        } catch {
            failure.error.withLock { $0 = error }
        }
        // The end of the pipe says that the task has ended.
        close(output)
    }
    var byte: UInt8 = 0
    while unsafe read(input, &byte, 1) == -1 && errno == EINTR {}
    if let error = failure.error.withLock({ $0 }) { throw error }
}

private final class Failure: Sendable {
    let error = Mutex<(any Error)?>(nil)
}
