// SPDX-License-Identifier: Apache-2.0
//
// What a simulated file system records of the calls that were made.

import Foundation
import Holdfast
import HoldfastTesting
import Testing
import _HoldfastCShims

@Suite
struct CallRecordTests {
    let fileSystem = SimulatedFileSystem()

    /// The shape of a durable save: the flush of the directory is of the very descriptor that was opened for it.
    @Test
    func aSaveCanBeFollowed() throws {
        let directory = try fileSystem.directory()
        fileSystem.resetCalls()
        let file = try directory.open(directory.name("a.tmp"), .createNew(permissions: 0o600))
        try file.write("state")
        try file.sync(.full)
        try file.close()
        try directory.rename(directory.name("a.tmp"), to: directory.name("a"), replacing: true)
        let itself = try directory.openItself()
        try itself.sync(.full)
        try itself.close()

        let calls = fileSystem.calls
        let renamed = try #require(calls.firstIndex { $0.function == "renameat" && $0.newName == "a" })
        let opened = try #require(calls.lastIndex { $0.function == "openat" && $0.name == "." })
        let descriptor = try #require(calls[opened].opened)
        #expect(calls[opened].flags.contains("O_DIRECTORY") == (HF_HAS_O_DIRECTORY == 1))
        #expect(calls[opened].verifiesDirectory == (HF_HAS_O_DIRECTORY == 0))
        let flushed = try #require(calls.firstIndex { $0.function == "fsync" && $0.descriptor == descriptor })
        let closed = try #require(calls.firstIndex { $0.function == "close" && $0.descriptor == descriptor })
        #expect(renamed < flushed && opened < flushed && flushed < closed)
        #expect(calls[flushed].isOnDirectory)
        #expect(calls[flushed].path == "/")
    }
}
