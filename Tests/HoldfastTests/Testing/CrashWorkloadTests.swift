// SPDX-License-Identifier: Apache-2.0
//
// Holdfast survives every crash, under every profile: a short form of `scripts/stress crash`.

import CrashWorkloads
import HoldfastTesting
import Testing

@Suite
struct CrashWorkloadTests {
    private static let workloads = CrashWorkload.all(length: 600)

    @Test("every workload survives every crash", arguments: workloads.indices)
    func survives(index: Int) throws {
        let workload = Self.workloads[index]
        var explorer = CrashExplorer()
        explorer.profiles = CrashProfile.allCases
        // With an arena each moment leaves far more states, of the words in memory.
        explorer.limit = workload.name.hasPrefix("two-slot/") || workload.name.hasPrefix("arena/") ? 6 : 30
        explorer.recoveryLimit = 2
        let report = try workload.explore(explorer)
        print("\(workload.name): \(report)")
        #expect(report.isSound, "\(workload.name): \(report)")
        // How many differ depends on the times in the records, which may be the same millisecond.
        #expect(report.states >= 4, "\(workload.name): it cannot be that little")
    }

    /// The oracle is of use only if it sees what it is for: a load that is not made durable is taken back.
    @Test("what a plain load returned may be taken back, and a durable one's not")
    func reliance() throws {
        var workload = StateWorkload(before: [.save(20)], steps: [.save(600)])
        #expect(try workload.explore(CrashExplorer()).isSound)
        workload.loadsAreDurable = false
        #expect(try workload.explore(CrashExplorer()).kinds == [.takenBack])
    }

    /// docs/crash-contract.md says so: the error was told to the save, and nobody tells the load.
    @Test("a durable load cannot see that the flush of a save has failed")
    func consumedError() throws {
        var workload = StateWorkload(
            before: [.save(20)],
            steps: [.save(600)],
            faults: .failEvery(with: 5, times: 1) { $0.function == "fsync" && $0.isOnDirectory }
        )
        #expect(try workload.explore(CrashExplorer()).kinds == [.takenBack])
        workload.reliesOnLoads = false
        #expect(try workload.explore(CrashExplorer()).isSound)
    }

    /// docs/limits.md says so: the second flush of a directory tells nothing of what the first one could not write.
    @Test("tokens repeat after a power cut if the flush of the directory had failed when the guard was new")
    func failedFlushOfDirectory() throws {
        let workload = TokenWorkload(before: 0, blocks: 3, failingFlush: 2)
        #expect(try workload.explore(CrashExplorer()).kinds == [.repeated])
        let untold = TokenWorkload(before: 2, blocks: 3, failingFlush: 2)
        #expect(try untold.explore(CrashExplorer()).kinds.contains(.repeated))
    }
}
