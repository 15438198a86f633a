// SPDX-License-Identifier: Apache-2.0
//
// renameat(2) and renameat2(2): what takes whose place.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory)
struct RenameTests {
    private func rename(_ old: String, _ new: String, in directory: OpenDirectory, replacing: Bool = true) throws
        -> Int32?
    {
        let (old, new) = (try directory.name(old), try directory.name(new))
        return try errnoLeft { try directory.rename(old, to: new, replacing: replacing) }
    }

    @Test(arguments: Ground.allCases)
    func replacesAFile(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.write("old", "1")
        try directory.write("new", "2")
        let reader = try directory.open(directory.name("old"), .read)
        let identity = try directory.status(of: directory.name("new"))?.identity
        #expect(try rename("new", "old", in: directory) == nil)
        #expect(try directory.names() == ["old"])
        #expect(try directory.read("old") == "2")
        #expect(try directory.identity(of: directory.name("old")) == identity)
        #expect(try reader.read() == "1", "who had the old one open reads it to its end")
        #expect(try reader.status().links == 0)
    }

    @Test(arguments: Ground.allCases)
    func replacesOnlyWhereAsked(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.write("a", "1")
        try directory.write("b", "2")
        #expect(try rename("a", "b", in: directory, replacing: false) == EEXIST)
        #expect(try rename("a", "a", in: directory, replacing: false) == EEXIST)
        #expect(try directory.read("a") == "1" && directory.read("b") == "2")
        #expect(try rename("a", "c", in: directory, replacing: false) == nil)
        #expect(try Set(directory.names()) == ["b", "c"])
    }

    @Test(arguments: Ground.allCases)
    func twoNamesOfOneFileStay(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.write("a", "1")
        try directory.link(directory.name("a"), to: directory.name("b"))
        #expect(try rename("a", "b", in: directory) == nil)
        #expect(try Set(directory.names()) == ["a", "b"])
    }

    @Test(arguments: Ground.allCases)
    func refusesWhatDoesNotFit(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.write("file", "1")
        let below = try OpenDirectory(makingPath: "\(directory.path)/below", on: directory.fileSystem)
        _ = try OpenDirectory(makingPath: "\(directory.path)/other", on: directory.fileSystem)
        #expect(try rename("none", "file", in: directory) == ENOENT)
        #expect(try rename("none", "file", in: directory, replacing: false) == ENOENT)
        #expect(try rename("file", "below", in: directory) == EISDIR)
        #expect(try rename("below", "file", in: directory) == ENOTDIR)
        try below.write("content", "")
        #expect(try rename("other", "below", in: directory) == ENOTEMPTY)
        #expect(try rename("below", "other", in: directory) == nil)
        #expect(try Set(directory.names()) == ["file", "other"])
        #expect(try below.names() == ["content"])
    }

    /// The new name is the link's, not that of what it leads to.
    @Test(arguments: Ground.allCases)
    func aSymbolicLinkIsReplacedItself(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.write("target", "1")
        try directory.write("new", "2")
        try directory.makeSymbolicLink("link", to: "target")
        #expect(try rename("new", "link", in: directory) == nil)
        #expect(try directory.read("target") == "1")
        #expect(try directory.read("link") == "2")
    }
}
