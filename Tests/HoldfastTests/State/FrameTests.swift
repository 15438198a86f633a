// SPDX-License-Identifier: Apache-2.0
//
// The format on disk: exact bytes, files of format 1 that are read for ever, and a parser that takes nothing else.

import Foundation
import Holdfast
import Testing

@Suite(.temporaryDirectory)
struct FrameTests {
    let directory: OpenDirectory

    init() throws {
        directory = try OpenDirectory(TemporaryDirectory.current)
    }

    /// Files that were written once and are never written again.
    static let golden = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Golden/format-1")

    @Test("a save writes exactly the bytes of the format")
    func exactBytes() throws {
        let options = StateOptions(expectedStore: StoreID("00c0ffee00c0ffee"))
        let state = try directory.state(options: options)
        try state.save(bytes("payload"), fence: Fence(FencingToken(42)))
        let text = """
            holdfast/1 00c0ffee00c0ffee 00000000000000000001 0000000001 00000000000000000042 00000000000000000007 \
            9334bd4874213e14         \npayload
            """
        #expect(try directory.bytes(of: "state") == bytes(text))
        var frame = SampleFrame(generation: padded(1), token: padded(42))
        #expect(try directory.bytes(of: "state") == frame.bytes)
        frame.payload = Array(0...255)
        frame.generation = padded(2)
        try state.save(frame.payload)
        #expect(try directory.bytes(of: "state") == frame.bytes, "the token stays without a new one")
    }

    @Test(
        "golden files of format 1 load, and a save of the same writes them again",
        arguments: ["empty", "text", "binary", "largest"]
    )
    func goldenFiles(_ name: String) throws {
        let file = [UInt8](try Data(contentsOf: Self.golden.appending(path: "\(name).state")))
        let payload = [UInt8](try Data(contentsOf: Self.golden.appending(path: "\(name).payload")))
        try directory.put("state", file)
        let schema = try directory.state().verify().schema
        let (value, report) = try StateFile<[UInt8]>(directory.name("state"), in: directory, schema: schema)
            .loadWithReport()
        #expect(value == payload)
        #expect(report.store == StoreID("0123456789abcdef"))
        #expect(report.generation == (name == "largest" ? Generation(.max) : 3))
        #expect(report.schema == (name == "largest" ? .max : 2))
        #expect(report.token == (name == "largest" ? FencingToken(.max) : nil))
        if name == "largest" { return }
        // Written again from the generation before.
        let before = SampleFrame(store: "0123456789abcdef", generation: padded(2), schema: "0000000002", payload: [])
        try directory.put("again", before.bytes)
        try StateFile<[UInt8]>(directory.name("again"), in: directory, schema: 2).save(payload)
        #expect(try directory.bytes(of: "again") == file)
    }

    @Test("the largest generation has no successor")
    func lastGeneration() throws {
        try directory.put("state", SampleFrame(generation: padded(UInt64.max)).bytes)
        let state = try directory.state()
        #expect(try stateError { try state.save([]) }.code == .refused)
        #expect(try state.load() == bytes("payload"))
    }

    static let malformed: [(String, SampleFrame)] = [
        ("upper-case magic", SampleFrame(magic: "Holdfast/1")),
        ("format 0", SampleFrame(magic: "holdfast/0")),
        ("format without a number", SampleFrame(magic: "holdfast/ ")),
        ("format with a zero in front", SampleFrame(magic: "holdfast/01", generation: String(padded(7).dropLast()))),
        ("upper-case store", SampleFrame(store: "00C0FFEE00C0FFEE")),
        ("letter beyond f", SampleFrame(store: "00c0ffee00c0ffeg")),
        ("generation with a sign", SampleFrame(generation: "+0000000000000000007")),
        ("generation with spaces", SampleFrame(generation: "                   7")),
        ("generation 0", SampleFrame(generation: padded(0))),
        ("generation 2^64", SampleFrame(generation: "18446744073709551616")),
        ("generation of nines", SampleFrame(generation: "99999999999999999999")),
        ("schema 2^32", SampleFrame(schema: "4294967296")),
        ("token with a letter", SampleFrame(token: "0000000000000000000a")),
        ("length beyond the file", SampleFrame(length: padded(8))),
        ("length short of the file", SampleFrame(length: padded(6))),
        ("length 2^64 - 1", SampleFrame(length: padded(UInt64.max))),
        ("wrong checksum", SampleFrame(checksum: "0000000000000000")),
        ("checksum in upper case", SampleFrame(checksum: "00000000ABCDEF00")),
        ("something reserved", SampleFrame(reserved: "        1")),
        ("no newline", SampleFrame(end: " ")),
        ("a carriage return", SampleFrame(end: "\r")),
        ("tabs between the columns", SampleFrame(separator: "\t")),
        ("a tab after the format", SampleFrame(magic: "holdfast/1\t", generation: String(padded(7).dropLast()))),
    ]

    @Test("what no save writes is corrupt, though its checksum is right", arguments: malformed.indices)
    func malformedFrames(_ index: Int) throws {
        let (what, frame) = Self.malformed[index]
        try directory.put("state", frame.bytes)
        let error = try stateError("\(what)") { _ = try directory.state().load() }
        #expect(error.code == .corrupt, "\(what)")
        #expect(error.corruption != nil, "\(what)")
    }

    @Test("a later format is not taken for damage", arguments: ["3", "10", "18446744073709551615"])
    func newerFormat(_ version: String) throws {
        try directory.put("state", bytes("holdfast/\(version) ") + [UInt8](repeating: 0xEE, count: 200))
        let state = try directory.state()
        for call in [{ _ = try state.load() }, { try state.save([]) }] as [() throws -> Void] {
            let error = try stateError(nil, call)
            #expect(error.code == .newerFormat)
            #expect(error.found == UInt64(version))
        }
    }

    @Test("tail -n +2 prints the payload")
    func tail() throws {
        let payload = bytes("first line\nsecond line\n\n")
        try directory.state().save(payload)
        let child = try Child("/usr/bin/tail", ["-n", "+2", "\(directory.path)/state"])
        #expect(child.wait() == 0)
        #expect(bytes(child.printed) == payload)
    }
}
