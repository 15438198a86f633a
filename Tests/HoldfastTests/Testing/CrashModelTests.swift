// SPDX-License-Identifier: Apache-2.0
//
// The log of changes says the same as the files: whatever calls are made, what a process crash leaves is what was visible,
// and what was flushed is there after a power cut, under every profile. The files themselves are held to the kernel's
// by SeamDifferentialTests, with the same random calls.

import Holdfast
import HoldfastTesting
import Testing

@Suite
struct CrashModelTests {
    private enum Note: Hashable {
        case calling
        /// After a call; the number of what is visible.
        case visible(Int)
        /// The same, and all of it is flushed.
        case flushed(Int)
    }

    @Test("a crash leaves what it must, after any calls", arguments: [1, 2] as [UInt64])
    func randomCalls(seed: UInt64) throws {
        var trees: [[String]] = []
        var explorer = CrashExplorer()
        explorer.profiles = CrashProfile.allCases
        explorer.limit = 2
        explorer.recoveryLimit = 0
        explorer.seed = seed
        let report = try explorer.explore { (run: CrashRun<Note>) in
            try prepare(run.fileSystem)
        } workload: { run in
            var machine = try SeamMachine(run.fileSystem.directory("/test"))
            var chooser = SeamStepChooser(random: SplitMix(seed: seed), isPrivileged: true, hasAttributes: true)
            for _ in 1...3 {
                for _ in 1...16 {
                    run.note(.calling)
                    _ = machine.run(chooser.step(on: machine))
                    trees.append(try tree(run.fileSystem))
                    run.note(.visible(trees.count - 1))
                }
                run.note(.calling)
                try flush("/", run.fileSystem)
                trees.append(try tree(run.fileSystem))
                run.note(.flushed(trees.count - 1))
            }
            try machine.closeAll()
        } recovery: { run in
            switch run.notes.last {
            case .visible(let index) where run.crashes == [.process]: try compare(run.fileSystem, trees[index])
            case .flushed(let index): try compare(run.fileSystem, trees[index])
            default: break
            }
        }
        #expect(report.isSound, "\(report)")
        #expect(report.states > 40)
    }

    private func compare(_ fileSystem: SimulatedFileSystem, _ expected: [String]) throws {
        let found = try tree(fileSystem)
        if found != expected {
            let (more, less) = (Set(found).subtracting(expected), Set(expected).subtracting(found))
            throw CrashViolation(.lost, "there is \(more.sorted()) in place of \(less.sorted())")
        }
    }

    private func prepare(_ fileSystem: SimulatedFileSystem) throws {
        let directory = try fileSystem.directory(makingPath: "/test")
        try directory.makeSymbolicLink("link", to: "sub")
        try directory.makeSymbolicLink("gone", to: "nowhere")
        try directory.makeFIFO("fifo")
    }

    /// Every name, and what it leads to.
    private func tree(_ fileSystem: SimulatedFileSystem, _ path: String = "/test") throws -> [String] {
        try fileSystem.asSomebodyElse {
            let directory = try fileSystem.directory(path)
            return try directory.names().flatMap { name -> [String] in
                let status = try directory.status(name)
                let mode = String(status.permissions, radix: 8)
                let content = fileSystem.contents(of: "\(path)/\(name)") ?? []
                let links = status.kind == .directory ? 0 : status.links
                let line = "\(path)/\(name) \(status.kind) \(mode) \(status.owner):\(status.group) \(links) \(content)"
                return try [line] + (status.kind == .directory ? tree(fileSystem, "\(path)/\(name)") : [])
            }
        }
    }

    private func flush(_ path: String, _ fileSystem: SimulatedFileSystem) throws {
        let descriptor = try fileSystem.posix.open(path)
        try fileSystem.posix.fsync(descriptor)
        try fileSystem.posix.close(descriptor)
        guard let names = fileSystem.names(in: path) else { return }
        let directory = try fileSystem.asSomebodyElse { try fileSystem.directory(path) }
        for name in names {
            let kind = try fileSystem.asSomebodyElse { try directory.status(name).kind }
            if kind == .directory || kind == .regular { try flush("\(path)/\(name)", fileSystem) }
        }
    }
}
