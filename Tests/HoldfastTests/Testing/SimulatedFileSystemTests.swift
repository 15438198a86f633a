// SPDX-License-Identifier: Apache-2.0
//
// What the simulation offers beyond the calls: files made and looked at directly, and what is open or locked.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite
struct SimulatedFileSystemTests {
    let fileSystem = SimulatedFileSystem()

    @Test
    func filesAreMadeAndSeenDirectly() throws {
        try fileSystem.makeDirectory("/a")
        try fileSystem.write("/a/file", [1, 2, 3], permissions: 0o640)
        try fileSystem.makeSymbolicLink("/link", to: "a")
        try fileSystem.makeFIFO("fifo")
        #expect(fileSystem.names(in: "/") == ["a", "fifo", "link"])
        #expect(fileSystem.names(in: "/link") == ["file"])
        #expect(fileSystem.names(in: "/a/file") == nil)
        #expect(fileSystem.contents(of: "link/file") == [1, 2, 3])
        #expect(fileSystem.contents(of: "/a") == nil)
        #expect(fileSystem.contents(of: "/none") == nil)
        #expect(fileSystem.calls.isEmpty && fileSystem.openDescriptorCount == 0)
        let file = try fileSystem.directory("/a").open(FileName("file"), .read)
        #expect(try file.status().permissions == 0o640)
        #expect(try errnoLeft { try fileSystem.write("/none/file", []) } == ENOENT)
        #expect(try errnoLeft { try fileSystem.write("/a", []) } == EISDIR)
        #expect(try errnoLeft { try fileSystem.write("/link", []) } == ELOOP)
        #expect(try errnoLeft { try fileSystem.makeDirectory("/a") } == EEXIST)
        #expect(try errnoLeft { try fileSystem.write("/", []) } == EINVAL)
        #expect(fileSystem.remove("/a") && !fileSystem.remove("/a"))
        #expect(fileSystem.names(in: "/") == ["fifo", "link"])
    }

    /// Writing in place and replacing are two things, and a lock or a reader tells them apart.
    @Test
    func aFileIsWrittenInPlaceOrReplaced() throws {
        let directory = try fileSystem.directory()
        let name = try directory.name("file")
        try fileSystem.write("/file", [1])
        let first = try directory.open(name, .read)
        try fileSystem.write("/file", [2])
        #expect(try directory.identity(of: name) == first.status().identity)
        try fileSystem.write("/new", [3])
        try fileSystem.move("/new", to: "file")
        #expect(try directory.identity(of: name) != first.status().identity)
        #expect(try first.read() == "\u{2}")
    }

    /// As on ext4: a number alone proves nothing once the file is closed.
    @Test
    func numbersOfRemovedFilesAreUsedAgain() throws {
        let directory = try fileSystem.directory()
        let name = try directory.name("file")
        try fileSystem.write("/file", [1])
        let first = try directory.open(name, .read)
        let identity = try first.status().identity
        fileSystem.remove("/file")
        try fileSystem.write("/file", [2])
        #expect(try directory.identity(of: name) != identity, "it is open")
        fileSystem.remove("/file")
        try first.close()
        try fileSystem.write("/file", [3])
        #expect(try directory.identity(of: name) == identity)
    }

    @Test
    func everyChangeMovesTheClock() throws {
        let directory = try fileSystem.directory()
        let file = try directory.open(directory.name("file"), .createNew(permissions: 0o600))
        let descriptor = file.rawValue
        let content: [() throws -> Void] = [
            { try fileSystem.write("/file", [1]) },
            { try fileSystem.truncate(descriptor, to: 0) },
            { try fileSystem.truncate(descriptor, to: 0) },
        ]
        let metadata: [() throws -> Void] = [
            { try fileSystem.setPermissions(descriptor, 0o600) },
            { try fileSystem.setOwner(descriptor, owner: 1, group: 1) },
            { try fileSystem.setAttribute("user.a", of: descriptor, to: []) },
            { try directory.link(directory.name("file"), to: directory.name("other")) },
            { try directory.rename(directory.name("file"), to: directory.name("third"), replacing: true) },
            { try directory.unlink(directory.name("other")) },
        ]
        for (index, change) in (content + metadata).enumerated() {
            let before = try file.status()
            try change()
            let after = try file.status()
            #expect(after.changed != before.changed, "change \(index)")
            #expect((after.modified != before.modified) == (index < content.count), "change \(index)")
        }
        let before = try file.status()
        _ = try file.read()
        _ = try file.tryLock(.flock, exclusive: true)
        try file.sync(.full)
        #expect(try file.status() == before)
    }

    @Test
    func locksAreShown() throws {
        let directory = try fileSystem.directory()
        let file = try directory.open(directory.name("a.lock"), .createNew(permissions: 0o600))
        #expect(fileSystem.heldLocks == [])
        _ = try file.tryLock(.flock, exclusive: true)
        _ = try file.tryLock(.openFileDescription, exclusive: false)
        #expect(
            fileSystem.heldLocks.map(\.description) == [
                "exclusive flock on /a.lock (1001)", "shared open-file-description lock on /a.lock (1001)",
            ]
        )
        try file.close()
        #expect(fileSystem.heldLocks == [])
        #expect(fileSystem.openDescriptorCount == 1)
    }

    @Test
    func newFilesHaveTheModeLessTheMask() throws {
        fileSystem.umask = 0o027
        let directory = try fileSystem.directory(makingPath: "/a", permissions: 0o777)
        let file = try directory.open(directory.name("file"), .createNew(permissions: 0o666))
        #expect(try directory.descriptor.status().permissions == 0o750)
        #expect(try file.status().permissions == 0o640)
    }

    @Test
    func whetherItIsSharedCanBeSet() throws {
        let directory = try fileSystem.directory()
        #expect(!directory.isShared)
        fileSystem.isShared = true
        #expect(directory.isShared)
        fileSystem.isShared = false
        fileSystem.faults = .fail(call: 1, with: EIO)
        #expect(directory.isShared, "unknown counts as shared")
    }

    /// A descriptor that is used after it was closed may be another file's by then.
    @Test
    func aDescriptorThatIsNotOpenEndsTheProcess() async {
        await #expect(processExitsWith: .failure) {
            let fileSystem = SimulatedFileSystem()
            let descriptor = try fileSystem.openDirectory(path: "/")
            try fileSystem.close(descriptor)
            try? fileSystem.sync(descriptor, .full)
            exit(EXIT_SUCCESS)
        }
        await #expect(processExitsWith: .failure) {
            let fileSystem = SimulatedFileSystem()
            let descriptor = try fileSystem.openDirectory(path: "/")
            try fileSystem.close(descriptor)
            try? fileSystem.close(descriptor)
            exit(EXIT_SUCCESS)
        }
    }
}
