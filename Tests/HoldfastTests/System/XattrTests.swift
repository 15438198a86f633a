// SPDX-License-Identifier: Apache-2.0
//
// Extended attributes, xattr(7): kept by a save because somebody else's access may hang on them.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory)
struct XattrTests {
    @Test(arguments: Ground.allCases)
    func attributesAreKeptAsTheyAre(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        guard directory.hasAttributes else { return }
        let file = try directory.open(directory.name("file"), .createNew(permissions: 0o600))
        let fileSystem = directory.fileSystem
        func names() throws -> Set<String> {
            Set(try fileSystem.attributeNames(file.rawValue).filter { $0.hasPrefix("user.") })
        }
        #expect(try names() == [])
        let values: [String: [UInt8]] = ["user.a": [], "user.b": [0, 255, 10], "user.\u{E9}": Array("text".utf8)]
        for (name, value) in values {
            try fileSystem.setAttribute(name, of: file.rawValue, to: value)
        }
        #expect(try names() == Set(values.keys))
        for (name, value) in values {
            #expect(try fileSystem.attribute(name, of: file.rawValue) == value)
        }
        try fileSystem.setAttribute("user.b", of: file.rawValue, to: [1])
        #expect(try fileSystem.attribute("user.b", of: file.rawValue) == [1])
    }

    @Test(arguments: Ground.allCases)
    func whatIsMissingOrNotAllowedIsAnError(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        guard directory.hasAttributes else { return }
        try directory.makeFIFO("fifo")
        let fileSystem = directory.fileSystem
        let file = try directory.openUnnamed()
        let fifo = try directory.open(directory.name("fifo"), .read)
        func set(_ name: String, on file: borrowing Descriptor) throws -> Int32? {
            let descriptor = file.rawValue
            return try errnoLeft { try fileSystem.setAttribute(name, of: descriptor, to: [1]) }
        }
        #expect(try errnoLeft { _ = try fileSystem.attribute("user.none", of: file.rawValue) } == ENODATA)
        #expect(try set("nonsense.a", on: file) == EOPNOTSUPP)
        #expect(try set("user." + String(repeating: "a", count: 251), on: file) == ERANGE)
        #expect(try set("user.a", on: fifo) == EPERM)
        #expect(try fileSystem.attributeNames(file.rawValue).filter { $0.hasPrefix("user.") } == [])
    }
}
