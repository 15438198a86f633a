// SPDX-License-Identifier: Apache-2.0
//
// Opening directories, and making the levels of a path so that a power cut does not take them back.

import Foundation
import Holdfast
import HoldfastTesting
import Testing
import _HoldfastCShims

@Suite(.temporaryDirectory)
struct DirectoryTests {
    @Test(arguments: Ground.allCases)
    func opensOnlyDirectories(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.write("file", "")
        try directory.makeFIFO("fifo")
        try directory.makeSymbolicLink("gone", to: "nowhere")
        try directory.makeSymbolicLink("loop", to: "loop")
        let expected = ["file": ENOTDIR, "fifo": ENOTDIR, "gone": ENOENT, "loop": ELOOP, "none": ENOENT]
        for (name, code) in expected {
            let path = "\(directory.path)/\(name)"
            #expect(try errnoLeft { _ = try OpenDirectory(path, on: directory.fileSystem) } == code, "\(name)")
        }
        #expect(try errnoLeft { _ = try OpenDirectory("", on: directory.fileSystem) } == ENOENT)
        #expect(try errnoLeft { _ = try OpenDirectory("/a\0b", on: directory.fileSystem) } == EINVAL)
    }

    @Test(arguments: Ground.allCases)
    func followsLinksOnlyWhereAsked(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let fileSystem = directory.fileSystem
        let below = try OpenDirectory(makingPath: "\(directory.path)/below", on: fileSystem)
        try directory.makeSymbolicLink("link", to: "below")
        let followed = try fileSystem.openDirectory("link", in: directory.descriptor.rawValue, followingLink: true)
        #expect(try fileSystem.status(followed).identity == below.descriptor.status().identity)
        try fileSystem.close(followed)
        let code = try errnoLeft {
            _ = try fileSystem.openDirectory("link", in: directory.descriptor.rawValue, followingLink: false)
        }
        #expect(code == (HF_HAS_O_DIRECTORY == 1 ? ENOTDIR : ELOOP))
    }

    /// A directory handle stays what it is while its path comes to mean another.
    @Test(arguments: Ground.allCases)
    func staysItselfWhenItIsRenamed(_ ground: Ground) throws {
        let parent = try ground.makeDirectory()
        let path = "\(parent.path)/a"
        let directory = try OpenDirectory(makingPath: path, on: parent.fileSystem)
        try parent.rename(parent.name("a"), to: parent.name("b"), replacing: false)
        _ = try OpenDirectory(makingPath: path, on: parent.fileSystem)
        try directory.write("file", "here")
        #expect(try OpenDirectory("\(parent.path)/b", on: parent.fileSystem).read("file") == "here")
        #expect(try OpenDirectory(path, on: parent.fileSystem).names() == [])
        #expect(try directory.openItself().status().identity == directory.descriptor.status().identity)
    }

    @Test(arguments: Ground.allCases)
    func listsItsNames(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        // Equal strings, different bytes, two files.
        let names = ["a", "\u{E9}", "e\u{301}", ".hidden", "with space"]
        for name in names { try directory.write(name, name) }
        let listed = try directory.names().map { Array($0.utf8) }
        #expect(Set(listed) == Set(names.map { Array($0.utf8) }))
        #expect(try directory.names().count == names.count, "a second reading starts anew")
        #expect(Array(try directory.read("\u{E9}").utf8) == Array("\u{E9}".utf8))
    }

    /// Linux takes any bytes; a file whose name is not UTF-8 is listed by a name that leads to it.
    @Test(arguments: Ground.allCases)
    func listsNamesOfAnyBytes(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        var names: [[UInt8]] = [[0x61, 0xff], [0xc3, 0x28], Array("\u{10FFFF}".utf8)]
        names.append([UInt8](repeating: 0xff, count: 255))
        for bytes in names { try directory.write(try #require(FileName(bytes: bytes)).description, "\(bytes)") }
        #expect(Set(try directory.names().compactMap { FileName($0)?.bytes }) == Set(names))
        for name in try directory.names() {
            #expect(try directory.read(name) == "\(try #require(FileName(name)).bytes)")
            try directory.unlink(try #require(FileName(name)))
        }
        #expect(try directory.names() == [])
    }

    /// To Swift's strings a slash before a combining mark is another character.
    @Test(arguments: Ground.allCases)
    func splitsPathsAtBytes(_ ground: Ground) throws {
        let parent = try ground.makeDirectory()
        _ = try OpenDirectory(makingPath: "\(parent.path)/a/\u{301}b", on: parent.fileSystem)
        #expect(try parent.names() == ["a"])
        #expect(try OpenDirectory("\(parent.path)/a", on: parent.fileSystem).names() == ["\u{301}b"])
        if ground == .kernel {
            #expect(try OpenDirectory.resolve("\(parent.path)/a/\u{301}b").1 == FileName("\u{301}b"))
        }
    }

    @Test(arguments: Ground.allCases)
    func makesTheLevelsThatAreMissing(_ ground: Ground) throws {
        let parent = try ground.makeDirectory()
        let path = "\(parent.path)/a/./b//c/"
        let made = try OpenDirectory(makingPath: path, permissions: 0o750, on: parent.fileSystem)
        let again = try OpenDirectory(makingPath: "\(parent.path)/a/b/c", on: parent.fileSystem)
        #expect(try made.descriptor.status().identity == again.descriptor.status().identity)
        #expect(try made.descriptor.status().permissions & ~0o750 == 0)
        let sibling = try OpenDirectory(makingPath: "\(parent.path)/a/b/../d", on: parent.fileSystem)
        #expect(try OpenDirectory("\(parent.path)/a", on: parent.fileSystem).names().sorted() == ["b", "d"])
        #expect(try sibling.names() == [])
    }

    @Test(arguments: Ground.allCases)
    func aFileInThePathIsAnError(_ ground: Ground) throws {
        let parent = try ground.makeDirectory()
        try parent.write("file", "text")
        try parent.makeSymbolicLink("gone", to: "nowhere")
        func made(_ name: String) throws -> Int32? {
            try errnoLeft { _ = try OpenDirectory(makingPath: "\(parent.path)/\(name)", on: parent.fileSystem) }
        }
        #expect(try made("file") == ENOTDIR)
        #expect(try made("file/below") == ENOTDIR)
        #expect(try made("gone") == ENOENT)
        #expect(try made(String(repeating: "a", count: 256)) == ENAMETOOLONG)
        #expect(try parent.read("file") == "text")
        #expect(try Set(parent.names()) == ["file", "gone"])
    }
}

/// What is flushed when levels are made, seen on the simulation.
@Suite
struct DirectoryDurabilityTests {
    let fileSystem = SimulatedFileSystem()

    @Test
    func theParentOfEachNewLevelIsFlushed() throws {
        try fileSystem.makeDirectory("/there")
        _ = try fileSystem.directory(makingPath: "/there/a/b/c")
        let calls = fileSystem.calls
        let made = calls.filter { $0.function == "mkdirat" }
        #expect(made.map(\.path) == ["/there/a", "/there/a/b", "/there/a/b/c"])
        let flushed = calls.filter { $0.function == "fsync" }
        #expect(flushed.map(\.descriptor) == made.map(\.descriptor))
        #expect(flushed.map(\.path) == ["/there", "/there/a", "/there/a/b"])
        for call in made {
            let made = try #require(calls.firstIndex(of: call))
            let flushed = calls.lastIndex { $0.function == "fsync" && $0.descriptor == call.descriptor }
            #expect(try #require(flushed) > made)
        }
    }

    @Test
    func whatExistsIsNotTouched() throws {
        _ = try fileSystem.directory(makingPath: "/a/b")
        fileSystem.resetCalls()
        _ = try fileSystem.directory(makingPath: "/a/b")
        #expect(!fileSystem.calls.contains { ["mkdirat", "fsync"].contains($0.function) })
        #expect(fileSystem.openDescriptorCount == 0)
    }

    /// Another process made the level between the look and the call: its entry may not be flushed yet.
    @Test
    func aLevelMadeByAnotherIsFlushedToo() throws {
        fileSystem.onCall = { [fileSystem] _, call in
            if call.function == "mkdirat", call.path == "/a" { try? fileSystem.makeDirectory("/a") }
        }
        _ = try fileSystem.directory(makingPath: "/a/b")
        let calls = fileSystem.calls
        #expect(calls.first { $0.function == "mkdirat" }?.failure == EEXIST)
        #expect(calls.filter { $0.function == "fsync" }.map(\.path) == ["/", "/a"])
    }

    @Test
    func afterAFailureNothingIsLeftOpen() throws {
        for trial in FaultTrials([.failure(EIO), .failure(ENOSPC), .lastingFailure(EROFS)]) {
            try trial.fileSystem.makeDirectory("/a")
            let made = trial.run { () throws(SystemError) in
                _ = try trial.fileSystem.directory(makingPath: "/a/b/c")
            }
            #expect(trial.fileSystem.openDescriptorCount == 0, "\(trial)")
            // A close that fails after everything was read or flushed takes nothing back.
            let failure: Int32? = if case .failure(let error) = made { error.code } else { nil }
            let isHarmless = trial.faultedCall == nil || trial.faultedCall?.function == "close"
            #expect((failure == nil) == isHarmless || trial.fault.isLasting, "\(trial)")
            // What failed can be done again.
            _ = try trial.fileSystem.directory(makingPath: "/a/b/c")
        }
    }

    @Test
    func interruptedCallsAreRepeated() throws {
        for trial in FaultTrials(.failure(EINTR)) {
            let made = trial.run { () throws(SystemError) in
                _ = try trial.fileSystem.directory(makingPath: "/a/b")
            }
            #expect(throws: Never.self, "\(trial)") { try made.get() }
            #expect(trial.fileSystem.openDescriptorCount == 0, "\(trial)")
        }
    }
}
