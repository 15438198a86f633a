// SPDX-License-Identifier: Apache-2.0
//
// Temporary files of writers that died: removed by the next writer, and nothing else is.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory)
struct OrphanSweepTests {
    @Test("a temporary file of a writer that died is removed, and no look-alike is", arguments: Ground.allCases)
    func sweep(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let orphans = [".state.0123456789abcdef.tmp", ".state.ffffffffffffffff.tmp"]
        let others = [
            ".other.0123456789abcdef.tmp", ".state.x.0123456789abcdef.tmp", ".state.0123456789abcde.tmp",
            ".state.0123456789abcdefa.tmp", ".state.0123456789ABCDEF.tmp", "state.0123456789abcdef.tmp",
            ".state.0123456789abcdef.tmp2", ".state..tmp", ".state.tmp", ".state.previous",
        ]
        for name in orphans + others { try directory.put(name, [1]) }
        let state = try directory.state()
        _ = try stateError { _ = try state.load() }
        #expect(try directory.has(orphans[0]), "a reader removes nothing")
        try state.save([1])
        #expect(try Set(directory.names()) == Set(others + ["state", ".state.lock"]))
    }

    @Test("only the first save looks for them, unless the lock says that a writer died")
    func onlyOnce() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        let state = try directory.state()
        try state.save([1])
        fileSystem.resetCalls()
        try state.save([2])
        #expect(!fileSystem.calls.contains { $0.function == "readdir" })
    }

    @Test("a writer that dies with the lock leaves its temporary file to the next save of another")
    func writerDies() async throws {
        let directory = try OpenDirectory(TemporaryDirectory.current)
        let state = try directory.state()
        try await state.save([1])
        let orphan = ".state.0123456789abcdef.tmp"
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = directory.path as String] in
            let directory = try OpenDirectory(path)
            let lock = try await LockFile(sidecar: directory.name(".state.lock"), in: directory).lock()
            try directory.put(".state.0123456789abcdef.tmp", [1, 2, 3])
            kill(getpid(), SIGKILL)
            try lock.release()
        }
        #expect(try directory.has(orphan))
        try await state.save([2])
        #expect(try !directory.has(orphan))
    }
}
