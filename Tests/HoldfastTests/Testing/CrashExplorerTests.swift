// SPDX-License-Identifier: Apache-2.0
//
// The explorer finds what is wrong with a saver, names it and tells how it comes about; with a sound one it finds nothing.

import Foundation
import HoldfastTesting
import Testing

@Suite
struct CrashExplorerTests {
    private func explore(_ saver: CrashedSaver, _ explorer: CrashExplorer = CrashExplorer()) throws -> CrashReport {
        let faults = saver.faults
        return try explorer.explore(saving: CrashedSaver.texts) { fileSystem, text in
            if text == CrashedSaver.texts[0] { fileSystem.faults = faults }
            try saver.save(text, on: fileSystem)
        } load: { fileSystem in
            try saver.load(from: fileSystem)
        }
    }

    /// The example of docs/crash-testing.md.
    @Test("a stranger's rename without a flush of the directory is caught")
    func aStrangersSaver() throws {
        let report = try CrashExplorer().explore(saving: ["one", "two"]) { fileSystem, text in
            let os = fileSystem.posix
            let file = try os.open("/state.tmp", [.create, .truncate])
            try os.pwrite(file, Array(text.utf8), at: 0)
            try os.fsync(file)
            try os.close(file)
            try os.rename("/state.tmp", "/state")
        } load: { fileSystem in
            fileSystem.contents(of: "/state").map { String(decoding: $0, as: UTF8.self) }
        }
        #expect(report.kinds == [.lost])
        let finding = try #require(report.findings.first)
        #expect(finding.violation.detail == #"nothing is there, and "one" was saved"#)
        #expect(
            finding.trace == [
                "noted: began(0)",
                #"open("/state.tmp", O_RDWR|O_CREAT|O_TRUNC) = 1000 – state.tmp: kept"#,
                "pwrite(1000, [3], 0) = 3 of /state.tmp – bytes 0..<3: kept – size 0 to 3: kept",
                "fsync(1000) = 0 of /state.tmp",
                #"rename("/state.tmp", "/state") = 0 – state, no state.tmp: LOST"#,
                "noted: saved(0)",
                "The power fails.",
                #"The recovery finds: nothing is there, and "one" was saved."#,
            ]
        )
    }

    @Test("each mistake is caught and named, under every profile", arguments: CrashedSaver.allCases)
    func mistakes(saver: CrashedSaver) throws {
        for profile in CrashProfile.allCases {
            let report = try explore(saver, CrashExplorer(profile))
            #expect(report.kinds == saver.violations, "\(profile): \(report)")
        }
    }

    @Test(
        "each mistake of a saver in two slots is caught and named, under every profile",
        arguments: CrashedSlots.allCases
    )
    func mistakesInSlots(saver: CrashedSlots) throws {
        for profile in CrashProfile.allCases {
            var explorer = CrashExplorer(profile)
            explorer.limit = 200
            let report = try saver.explore(explorer)
            #expect(report.kinds == saver.violations, "\(profile): \(report)")
        }
    }

    /// What these file systems do for careless programs, and only if there was a file before.
    @Test("ext4 and btrfs write a file before a rename over another, xfs and POSIX do not")
    func renameOverAnother() throws {
        for (profile, isSafe) in [(CrashProfile.posix, false), (.ext4, true), (.xfs, false), (.btrfs, true)] {
            let saver = CrashedSaver.noFileFlush
            let report = try CrashExplorer(profile).explore { (run: CrashRun<Int>) in
                try CrashedSaver.sound.save("old", on: run.fileSystem)
            } workload: { run in
                try saver.save("new", on: run.fileSystem)
                run.note(1)
            } recovery: { run in
                let text = try saver.load(from: run.fileSystem)
                if text != "new", run.notes == [1] || text != "old" {
                    throw CrashViolation(.neverSaved, text ?? "nothing")
                }
            }
            #expect(report.isSound == isSafe, "\(profile): \(report)")
        }
    }

    @Test("the same seed tries the same, and finds the same")
    func replay() throws {
        var explorer = CrashExplorer(.posix)
        explorer.limit = 3
        let (first, second) = (try explore(.noFileFlush, explorer), try explore(.noFileFlush, explorer))
        #expect(first.description == second.description)
        #expect(first.sampledMoments > 0)
    }

    @Test("a workload that always fails is no test", arguments: [1, 2])
    func failingWorkload(count: Int) {
        #expect(throws: CocoaError.self) {
            try CrashExplorer().explore(saving: Array(0..<count)) { _, _ in
                throw CocoaError(.fileNoSuchFile)
            } load: { _ in
                nil
            }
        }
    }

    @Test("progress is told, and the number of states at the end")
    func progress() throws {
        let told = Journal<Int>()
        var explorer = CrashExplorer()
        explorer.onProgress = { told.write($0) }
        let report = try explore(.sound, explorer)
        #expect(told.entries == [report.states])
    }
}
