// SPDX-License-Identifier: Apache-2.0
//
// A second, independent writer of format 1: what it writes has to load, and what StateFile writes has to equal it. It
// shares no code with the library, neither for the columns nor for the checksum.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

/// A frame of format 1, made from text, with a checksum computed bit by bit.
struct SampleFrame {
    var magic = "holdfast/1"
    var store = "00c0ffee00c0ffee"
    var generation = "00000000000000000007"
    var schema = "0000000001"
    var token = "00000000000000000000"
    var length: String?
    /// Between the columns after the first.
    var separator = " "
    /// The right one if nil.
    var checksum: String?
    var reserved = "         "
    var end = "\n"
    var payload: [UInt8] = Array("payload".utf8)

    var bytes: [UInt8] {
        let length = length ?? padded(payload.count)
        let columns = [store, generation, schema, token, length, ""].joined(separator: separator)
        let before = Array("\(magic) \(columns)".utf8)
        let after = Array((reserved + end).utf8)
        let computed = hexadecimal(bitwiseChecksum(before + after + payload))
        return before + Array((checksum ?? computed).utf8) + after + payload
    }
}

/// 20 decimal digits.
func padded(_ number: some BinaryInteger) -> String {
    let digits = String(number)
    return String(repeating: "0", count: 20 - digits.count) + digits
}

/// CRC-64/NVME as its specification has it, one bit at a time.
func bitwiseChecksum(_ bytes: [UInt8]) -> UInt64 {
    var register = UInt64.max
    for byte in bytes {
        register ^= UInt64(byte)
        for _ in 0..<8 { register = register & 1 == 1 ? register >> 1 ^ 0x9A6C_9329_AC4B_C9B5 : register >> 1 }
    }
    return ~register
}

extension OpenDirectory {
    /// Writes a file in place, as a stranger would.
    func put(_ name: String, _ bytes: [UInt8]) throws {
        let file = try open(self.name(name), .readWriteOrCreate(permissions: 0o600))
        try file.truncate(to: 0)
        try unsafe bytes.withUnsafeBytes { try unsafe file.writeAll($0) }
    }

    /// The bytes of a file.
    func bytes(of name: String) throws -> [UInt8] {
        let file = try open(self.name(name), .read)
        var bytes = [UInt8](repeating: 0, count: Int(try file.status().size))
        let count = try unsafe bytes.withUnsafeMutableBytes { try unsafe file.readAll(into: $0) }
        return Array(bytes.prefix(count))
    }

    /// What the file system knows of a name, which has to be there.
    func status(_ name: String) throws -> FileStatus {
        try #require(try status(of: self.name(name)))
    }

    /// A state file of bytes here.
    func state(_ name: String = "state", options: StateOptions = StateOptions()) throws -> StateFile<[UInt8]> {
        try StateFile(self.name(name), in: self, options: options)
    }

    /// The names here that a save may have left behind.
    func temporaries() throws -> [String] {
        try names().filter { $0.hasSuffix(".tmp") }
    }
}

/// A number as decimal text: a codec that needs no package trait.
struct DecimalCodec: StateCodec {
    func encode(_ value: Int) -> [UInt8] { bytes("\(value)") }

    func decode(_ bytes: [UInt8]) throws -> Int {
        try #require(Int(String(decoding: bytes, as: UTF8.self)))
    }
}

/// Text as the payload of a state.
func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// The error that a call throws.
func stateError(
    _ comment: Comment? = nil,
    sourceLocation: SourceLocation = #_sourceLocation,
    _ call: () throws -> Void
) throws -> StateError {
    try #require(throws: StateError.self, comment, sourceLocation: sourceLocation) { try call() }
}
