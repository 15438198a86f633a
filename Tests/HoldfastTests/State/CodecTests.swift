// SPDX-License-Identifier: Apache-2.0
//
// Codecs: what they are given, and what becomes of what they throw.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite
struct CodecTests {
    let directory: OpenDirectory

    init() throws {
        directory = try SimulatedFileSystem().directory()
    }

    struct Unwilling: Error {}

    /// Encodes even numbers only, and decodes only those.
    struct EvenCodec: StateCodec {
        func encode(_ value: UInt8) throws -> [UInt8] {
            if value % 2 == 1 { throw Unwilling() }
            return [value]
        }

        func decode(_ bytes: [UInt8]) throws -> UInt8 {
            guard bytes.count == 1, bytes[0] % 2 == 0 else { throw Unwilling() }
            return bytes[0]
        }
    }

    @Test("what a codec throws is passed on, and nothing is changed")
    func throwing() throws {
        let state = try StateFile(directory.name("state"), in: directory, codec: EvenCodec())
        for call in [{ try state.save(1) }, { try state.update(initial: 2) { $0 = 3 } }] as [() throws -> StateCommit] {
            let error = try stateError { _ = try call() }
            #expect(error.code == .encodingFailed)
            #expect(error.underlying is Unwilling)
            #expect(try !directory.has("state"))
        }
        try directory.state().save([1])
        let error = try stateError { _ = try state.load(orPrevious: true) }
        #expect(error.code == .decodingFailed, "it is what was saved, so it is no damage")
        #expect(error.underlying is Unwilling)
        #expect(throws: StateError.self) { try state.update { $0 = 4 } }
        #expect(try directory.state().load() == [1])
    }

    #if JSON
    struct Record: Codable, Equatable {
        var zebra = 1
        var apple = ["a/b": 2, "Z": 3]
    }

    @Test("equal values are equal bytes of JSON")
    func json() throws {
        let state = try StateFile<Record>(directory.name("state"), in: directory)
        try state.save(Record())
        #expect(try directory.state().load() == bytes(#"{"apple":{"Z":3,"a/b":2},"zebra":1}"#))
        #expect(try state.load() == Record())
        try directory.state().save(bytes(#"{"zebra":"#))
        #expect(try stateError { _ = try state.load() }.code == .decodingFailed)
    }

    @Test("bytes are bytes, and no list of numbers")
    func bytesAreNotJSON() throws {
        try StateFile<[UInt8]>(directory.name("state"), in: directory).save([1, 2])
        #expect(try directory.bytes(of: "state").suffix(2) == [1, 2])
    }
    #endif
}
