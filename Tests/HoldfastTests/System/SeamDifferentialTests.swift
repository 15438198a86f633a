// SPDX-License-Identifier: Apache-2.0
//
// The simulation is of use only as far as it does what the kernel does: the same random calls are made to both, and each
// must give the same, errno included.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory, .timeLimit(.minutes(60)))
struct SeamDifferentialTests {
    @Test
    func theSimulationDoesWhatTheKernelDoes() async {
        // In a process of its own: one that another test spawns has copies of our descriptors until its exec, and with
        // them the locks of those that were closed here.
        await #expect(processExitsWith: .success) { [path = TemporaryDirectory.current as String] in
            try TemporaryDirectory.$current.withValue(path) {
                var outcomes: Set<String> = []
                for seed in 1...6 as ClosedRange<UInt64> {
                    try Self.compare(seed: seed, steps: 2000, &outcomes)
                }
                // The choice of calls is worth something only if they meet one another in every way.
                let missed = Self.remarkable.subtracting(outcomes)
                try #require(missed.isEmpty)
            }
        }
    }

    private static func compare(seed: UInt64, steps: Int, _ outcomes: inout Set<String>) throws {
        let directories = try Ground.allCases.map { try $0.makeDirectory(named: "\(seed)") }
        for directory in directories {
            try directory.makeSymbolicLink("link", to: "sub")
            try directory.makeSymbolicLink("gone", to: "nowhere")
            try directory.makeFIFO("fifo")
        }
        var (kernel, simulation) = (try SeamMachine(directories[0]), try SeamMachine(directories[1]))
        var chooser = SeamStepChooser(
            random: SplitMix(seed: seed),
            isPrivileged: geteuid() == 0,
            hasAttributes: directories[0].hasAttributes
        )
        var clocks = Clocks(areExact: try directories[0].tellsChangesApart)
        var history: [String] = []
        for _ in 0..<steps {
            let step = chooser.step(on: kernel)
            let (expected, seen) = (kernel.run(step), simulation.run(step))
            history.append("\("\(step)".prefix(100)): \(expected.prefix(100))")
            outcomes.insert(expected)
            let context = "seed \(seed), after\n\(history.suffix(12).joined(separator: "\n"))"
            try #require(seen == expected, "\(context)")
            if step.changesTimesSometimes { clocks.forget() }
            if case .status(let slot) = step {
                let (expected, seen) = try clocks.compare(slot, kernel, simulation)
                try #require(seen == expected, "modified and changed, \(context)")
            }
        }
        try kernel.closeAll()
        try simulation.closeAll()
    }

    private static let remarkable: Set<String> = [
        "opened", "done", "locked", "busy", "free", "[]", "openat \(EEXIST)", "openat \(ENOENT)", "openat \(ENOTDIR)",
        "openat \(EISDIR)", "openat \(ELOOP)", "fstatat \(ENOENT)", "statx \(ENOENT)",
        "ftruncate \(EINVAL)", "linkat \(EPERM)", "linkat \(EEXIST)", "linkat \(ENOENT)", "preadv \(EISDIR)",
        "renameat \(ENOENT)", "renameat \(EISDIR)", "renameat2 \(EEXIST)", "unlinkat \(ENOENT)",
        "unlinkat \(EISDIR)", "mmap \(EINVAL)", "mmap \(EACCES)", "mmap \(ENODEV)", "nothing there", "0",
    ]

    /// Two clocks, of which only this can be compared: whether they moved between two looks at an open file.
    ///
    /// A kernel whose clock is coarse may hide a change, but may never show one where the simulation has none.
    private struct Clocks {
        let areExact: Bool
        private var last: [Int32: (kernel: FileStatus, simulation: FileStatus)] = [:]

        init(areExact: Bool) {
            self.areExact = areExact
        }

        mutating func forget() {
            last = [:]
        }

        mutating func compare(
            _ slot: Int,
            _ kernel: SeamMachine,
            _ simulation: SeamMachine
        ) throws -> ([Bool], [Bool]) {
            // The simulation does not give the number of a closed descriptor out again.
            guard let descriptor = simulation.descriptors[slot] else { return ([], []) }
            let now = (kernel: try kernel.status(slot), simulation: try simulation.status(slot))
            defer { last[descriptor] = now }
            guard let last = last[descriptor] else { return ([], []) }
            let moved = Self.moved(last.kernel, now.kernel)
            let simulated = Self.moved(last.simulation, now.simulation)
            return (moved, areExact ? simulated : zip(simulated, moved).map { $0 && $1 })
        }

        private static func moved(_ before: FileStatus, _ after: FileStatus) -> [Bool] {
            [before.modified != after.modified, before.changed != after.changed]
        }
    }
}

extension OpenDirectory {
    /// Whether a change after a look at the times is always seen in them, as on Linux from 6.13 but on tmpfs.
    fileprivate var tellsChangesApart: Bool {
        get throws {
            let file = try openUnnamed()
            let (name, newName) = (try name("probe"), try self.name("probe.new"))
            try write("probe", "")
            defer { [name, newName].forEach { try? unlink($0) } }
            for size in 1...50 as ClosedRange<Int64> {
                let changes: [() throws -> Void] = [
                    { try file.truncate(to: size) }, { try self.link(name, to: newName) }, { try self.unlink(name) },
                    { try self.rename(newName, to: name, replacing: true) },
                ]
                for (index, change) in changes.enumerated() {
                    let changed = { index == 0 ? try file.status().changed : try self.descriptor.status().changed }
                    let before = try changed()
                    try change()
                    if try changed() == before { return false }
                }
            }
            return true
        }
    }
}
