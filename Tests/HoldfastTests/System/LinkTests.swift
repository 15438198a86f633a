// SPDX-License-Identifier: Apache-2.0
//
// linkat(2), unlinkat(2), and files that are whole before they have a name (O_TMPFILE).

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory)
struct LinkTests {
    @Test(arguments: Ground.allCases)
    func anUnnamedFileIsPublishedWhole(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let file = try directory.openUnnamed()
        try file.write("whole")
        let before = try file.status()
        #expect(before.links == 0 && before.permissions == 0o600 && before.kind == .regular)
        #expect(try directory.names() == [])
        try directory.link(unnamed: file, to: directory.name("file"))
        #expect(try directory.read("file") == "whole")
        let after = try file.status()
        #expect(after.links == 1 && after.identity == before.identity)
        #expect(try directory.identity(of: directory.name("file")) == before.identity)
    }

    /// Unlike rename(2), link(2) never takes another file's place: that is what makes it a publication.
    @Test(arguments: Ground.allCases)
    func publishingReplacesNothing(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.write("file", "first")
        try directory.makeSymbolicLink("link", to: "nowhere")
        let file = try directory.openUnnamed()
        for name in ["file", "link"] {
            let name = try directory.name(name)
            #expect(throws: SystemError(call: "linkat", code: EEXIST)) { try directory.link(unnamed: file, to: name) }
            #expect(throws: SystemError(call: "linkat", code: EEXIST)) {
                try directory.link(directory.name("file"), to: name)
            }
        }
        #expect(try directory.read("file") == "first")
        #expect(try file.status().links == 0)
    }

    @Test(arguments: Ground.allCases)
    func anUnnamedFileLeavesNothing(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.openUnnamed().write("gone")
        #expect(try directory.names() == [])
    }

    @Test(arguments: Ground.allCases)
    func aFileLastsAsLongAsANameOrADescriptor(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let (first, second) = (try directory.name("a"), try directory.name("b"))
        let file = try directory.open(first, .createNew(permissions: 0o600))
        try file.write("text")
        try directory.link(first, to: second)
        #expect(try file.status().links == 2)
        try directory.unlink(first)
        #expect(try directory.read("b") == "text")
        try directory.unlink(second)
        #expect(try directory.names() == [])
        #expect(try file.status().links == 0)
        try file.write("more", at: 4)
        #expect(try file.read() == "textmore")
        // What had a name once gets none again; only what was opened without one gets its first.
        #expect(try errnoLeft { try directory.link(unnamed: file, to: first) } == ENOENT)
        let unnamed = try directory.openUnnamed()
        try directory.link(unnamed: unnamed, to: first)
        try directory.unlink(first)
        #expect(try errnoLeft { try directory.link(unnamed: unnamed, to: first) } == ENOENT)
    }

    @Test(arguments: Ground.allCases)
    func refusesWhatIsNoFile(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        _ = try OpenDirectory(makingPath: "\(directory.path)/below", on: directory.fileSystem)
        let (name, free) = (try directory.name("below"), try directory.name("free"))
        #expect(try errnoLeft { try directory.unlink(name) } == EISDIR)
        #expect(try errnoLeft { try directory.link(name, to: free) } == EPERM)
        #expect(try errnoLeft { try directory.unlink(free) } == ENOENT)
        #expect(try errnoLeft { try directory.link(free, to: name) } == ENOENT)
        #expect(try directory.names() == ["below"])
    }

    @Test(arguments: Ground.allCases)
    func aSymbolicLinkIsUnlinkedItself(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.write("target", "text")
        try directory.makeSymbolicLink("link", to: "target")
        try directory.unlink(directory.name("link"))
        #expect(try directory.names() == ["target"])
    }
}
