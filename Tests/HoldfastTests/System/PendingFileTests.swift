// SPDX-License-Identifier: Apache-2.0
//
// A new file before it has its name: it gets the name whole, or nothing is left of it.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory)
struct PendingFileTests {
    private func make(_ text: String, in directory: OpenDirectory) throws -> PendingFile {
        var pending = try PendingFile(directory.name("temporary"), in: directory)
        try pending.file.write(text)
        #expect(try directory.names().contains("temporary"))
        try pending.close()
        return pending
    }

    @Test("it takes the place of the file that has the name", arguments: Ground.allCases)
    func installs(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.write("file", "old")
        try make("new", in: directory).install(as: directory.name("file"))
        #expect(try directory.names() == ["file"])
        #expect(try directory.read("file") == "new")
    }

    @Test("it is gone without a name, and after a name that it could not get", arguments: Ground.allCases)
    func leavesNothing(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        _ = try make("new", in: directory)
        #expect(try directory.names() == [])
        _ = try OpenDirectory(makingPath: "\(directory.path)/below", on: directory.fileSystem)
        #expect(throws: SystemError(call: "renameat", code: EISDIR)) {
            try make("new", in: directory).install(as: directory.name("below"))
        }
        #expect(try directory.names() == ["below"])
    }

    @Test("a link replaces nothing, and takes the temporary name away", arguments: Ground.allCases)
    func links(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        for isNamed in [true, false] {
            for isFree in [true, false] {
                let pending =
                    if isNamed { try PendingFile(directory.name("temporary"), in: directory) } else {
                        try PendingFile(unnamedIn: directory, permissions: 0o600)
                    }
                try pending.file.write("\(isNamed)")
                let published = try pending.link(to: directory.name("\(isNamed)"))
                #expect((published != nil) == isFree)
                #expect(try !directory.names().contains("temporary"))
                #expect(try directory.read("\(isNamed)") == "\(isNamed)")
            }
        }
    }
}
