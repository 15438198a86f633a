// SPDX-License-Identifier: Apache-2.0
//
// TC-80-3: a state comes back as it was saved, or not at all. Damage is tried exhaustively on a small file.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite("TC-80-3: a state comes back as it was saved, or not at all")
struct CorruptionTests {
    let fileSystem = SimulatedFileSystem()
    let directory: OpenDirectory
    let state: StateFile<[UInt8]>
    let sound: [UInt8]

    init() throws {
        directory = try fileSystem.directory()
        state = try directory.state()
        try state.save(bytes("a small payload"), fence: Fence(FencingToken(3)))
        sound = try directory.bytes(of: "state")
    }

    /// Loads a file with these bytes; it must be refused, and must stay as it is when a save is tried.
    private func expectDamage(_ damaged: [UInt8], _ what: Comment, orNewerFormat: Bool = false) throws {
        try fileSystem.write("state", damaged)
        let error = try stateError(what) { _ = try state.load() }
        #expect(error.code == .corrupt || (orNewerFormat && error.code == .newerFormat), what)
        #expect((error.corruption != nil) == (error.code == .corrupt), what)
        #expect(try stateError(what) { _ = try state.verify() }.code == error.code, what)
        #expect(try stateError(what) { try state.save([1]) }.code == error.code, what)
        #expect(try stateError(what) { try state.update { $0 = [1] } }.code == error.code, what)
        #expect(fileSystem.contents(of: "state") == damaged, what)
        #expect(try directory.temporaries().isEmpty, what)
    }

    @Test("round trip", arguments: [0, 1, 15, 16, 127, 128, 129, 4096, 65_537])
    func roundTrip(_ count: Int) throws {
        let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try state.save(payload)
        #expect(try state.load() == payload)
        #expect(try state.verify().length == count)
    }

    @Test("every flip of one bit is found")
    func bitFlips() throws {
        for bit in 0..<(sound.count * 8) {
            var damaged = sound
            damaged[bit / 8] ^= 1 << (bit % 8)
            // A flip in the format's digit may make it a later format's, which is refused as well.
            try expectDamage(damaged, "bit \(bit % 8) of byte \(bit / 8)", orNewerFormat: bit / 8 == 9)
        }
    }

    @Test("a file cut off at any length is found; an empty one is not an absent one")
    func truncation() throws {
        for length in 0..<sound.count {
            try expectDamage(Array(sound[..<length]), "\(length) bytes")
        }
    }

    @Test("bytes after the payload are found")
    func trailingBytes() throws {
        for extra in [[0], [UInt8(ascii: "\n")], sound, [UInt8](repeating: 0, count: 4096)] {
            try expectDamage(sound + extra, "\(extra.count) bytes more")
        }
    }

    @Test("sectors of zeros or of another state are found")
    func sectors() throws {
        try state.save([UInt8](repeating: 1, count: 2000))
        let before = try directory.bytes(of: "state")
        try state.save([UInt8](repeating: 2, count: 2000))
        let after = try directory.bytes(of: "state")
        for start in stride(from: 0, to: after.count, by: 512) {
            let sector = start..<min(start + 512, after.count)
            var damaged = after
            damaged.replaceSubrange(sector, with: [UInt8](repeating: 0, count: sector.count))
            try expectDamage(damaged, "zeros at \(start)")
            damaged.replaceSubrange(sector, with: before[sector])
            try expectDamage(damaged, "old bytes at \(start)")
        }
    }

    @Test("the evidence says which check failed, with both numbers")
    func evidence() throws {
        func evidence(_ frame: [UInt8]) throws -> StateCorruption {
            try fileSystem.write("state", frame)
            return try #require(try stateError { _ = try state.load() }.corruption)
        }
        #expect(try evidence([]).check == .tooShort)
        #expect(try evidence([]).description == "the file has 0 bytes, fewer than a header's 128")
        #expect(try evidence([UInt8](repeating: 0, count: 500)).check == .magic)
        #expect(try evidence(SampleFrame(generation: padded(0)).bytes).check == .column)
        let length = try evidence(SampleFrame(length: padded(9)).bytes)
        #expect((length.check, length.expected, length.found) == (.length, 9, 7))
        let checksum = try evidence(SampleFrame(checksum: "00000000000000ff").bytes)
        #expect((checksum.check, checksum.expected) == (.checksum, 255))
        #expect(checksum.found != nil)
        #expect(checksum.description.contains("00000000000000ff"))
    }

    @Test("an absent file is not found, and that is another error")
    func absent() throws {
        fileSystem.remove("state")
        #expect(try stateError { _ = try state.load() }.code == .notFound)
        #expect(try stateError { _ = try state.verify() }.code == .notFound)
        #expect(try stateError { try state.update { $0 = [] } }.code == .notFound)
        try state.update(initial: [9]) { $0.append(10) }
        #expect(try state.load() == [9, 10])
    }
}
