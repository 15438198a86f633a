// SPDX-License-Identifier: Apache-2.0
//
// A second, independent writer of format 2, which shares no code with the library, and what the tests of two-slot files
// have in common.

import Holdfast
import HoldfastTesting
import Testing

/// A two-slot file, made from text.
struct SampleSlots {
    var magic = "holdfast/2"
    var store = "00c0ffee00c0ffee"
    var capacity = 8192 - 128
    var first = 7
    /// The right one if nil.
    var checksum: String?
    var reserved = String(repeating: " ", count: 33)
    var restOfPage = [UInt8](repeating: 0, count: 4096 - 128)
    var slots: [[UInt8]] = [[], SampleFrame().bytes]

    var page: [UInt8] {
        let before = bytes("\(magic) \(store) \(padded(capacity)) \(padded(first))\(reserved)")
        let after = bytes("         \n")
        let computed = hexadecimal(bitwiseChecksum(before + after + restOfPage))
        return before + bytes(checksum ?? computed) + after + restOfPage
    }

    var bytes: [UInt8] {
        let length = (capacity + 128 + 4095) / 4096 * 4096
        return page + slots.flatMap { $0 + [UInt8](repeating: 0, count: length - $0.count) }
    }

    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
}

extension OpenDirectory {
    /// A two-slot state file of bytes here.
    func slots(_ name: String = "state", capacity: Int? = nil, durability: StateDurability = .powerLoss) throws
        -> StateFile<[UInt8]>
    {
        try state(name, options: StateOptions(strategy: .twoSlot, capacity: capacity, durability: durability))
    }
}

extension SimulatedFileSystem {
    /// The calls of the save that this file system has just seen.
    func calls(_ function: String) -> [Call] {
        calls.filter { $0.function == function }
    }

    /// Changes a file's bytes where it stands.
    func damage(_ name: String = "state", _ change: (inout [UInt8]) -> Void) throws {
        var bytes = try #require(contents(of: name))
        change(&bytes)
        try write(name, bytes)
    }
}

/// Where the slots of a file with the least room begin.
let firstSlot = 4096
let secondSlot = 8192
