// SPDX-License-Identifier: Apache-2.0
//
// What a test stands on: the real file system or the simulated one. A test with `arguments: Ground.allCases` runs on both,
// and so holds the simulation to what the kernel does.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

/// The file system that a test runs on.
enum Ground: CaseIterable, Sendable, CustomTestStringConvertible {
    case kernel, simulation

    var testDescription: String {
        switch self {
        case .kernel: "kernel"
        case .simulation: "simulation"
        }
    }

    /// An empty directory there; the name tells several in one test case apart.
    func makeDirectory(named name: String = "test") throws -> OpenDirectory {
        switch self {
        case .kernel: try OpenDirectory(makingPath: "\(TemporaryDirectory.current)/\(name)")
        case .simulation: try SimulatedFileSystem().directory(makingPath: "/\(name)")
        }
    }
}

/// What the seam does not offer, because Holdfast never does it.
extension OpenDirectory {
    func makeSymbolicLink(_ name: String, to target: String) throws {
        if let simulation = fileSystem as? SimulatedFileSystem {
            try simulation.makeSymbolicLink("\(path)/\(name)", to: target)
        } else {
            try FileManager.default.createSymbolicLink(atPath: "\(path)/\(name)", withDestinationPath: target)
        }
    }

    func makeFIFO(_ name: String) throws {
        if let simulation = fileSystem as? SimulatedFileSystem {
            try simulation.makeFIFO("\(path)/\(name)")
        } else {
            let made = unsafe mkfifo("\(path)/\(name)", 0o600)
            try #require(made == 0)
        }
    }
}

/// The pieces of tests that every call needs.
extension OpenDirectory {
    /// A name, which the test says is one.
    func name(_ name: String) throws -> FileName {
        try #require(FileName(name))
    }

    /// Makes a file with these bytes and closes it.
    func write(_ name: String, _ text: String) throws {
        let file = try open(self.name(name), .readWriteOrCreate(permissions: 0o600))
        try file.truncate(to: 0)
        try file.write(text)
    }

    /// The text of a file.
    func read(_ name: String) throws -> String {
        try open(self.name(name), .read).read()
    }

    /// Whether there is such a name.
    func has(_ name: String) throws -> Bool {
        try status(of: self.name(name)) != nil
    }
}

extension Descriptor {
    /// Writes a text whole.
    func write(_ text: String, at offset: Int64 = 0) throws {
        let bytes = Array(text.utf8)
        try unsafe bytes.withUnsafeBytes { try unsafe writeAll($0, at: offset) }
    }

    /// Reads the file as text, to its end.
    func read(at offset: Int64 = 0, atMost count: Int = 1 << 16) throws -> String {
        var bytes = [UInt8](repeating: 0, count: count)
        let read = try unsafe bytes.withUnsafeMutableBytes { try unsafe readAll(into: $0, at: offset) }
        return String(decoding: bytes.prefix(read), as: UTF8.self)
    }
}

/// The errno that a call left; nil if it succeeded.
func errnoLeft(_ call: () throws -> Void) throws -> Int32? {
    do {
        try call()
        return nil
    } catch let error as SystemError {
        return error.code
    }
}

extension OpenDirectory {
    /// Whether files here can have extended attributes of users; on tmpfs only since Linux 6.6.
    var hasAttributes: Bool {
        do {
            let file = try openUnnamed()
            try fileSystem.setAttribute("user.probe", of: file.rawValue, to: [1])
            return true
        } catch {
            print("no extended attributes on \(path): \(error)")
            return false
        }
    }
}
