// SPDX-License-Identifier: Apache-2.0
//
// Checksums for inputs, computed by tables that are made here: the formats are described in docs/file-format.md, and this
// is not the code under test.

/// CRC-64/NVME, byte by byte.
enum CRC64 {
    private static let table: [UInt64] = (0..<256).map { index in
        var sum = UInt64(index)
        for _ in 0..<8 { sum = sum >> 1 ^ (sum & 1 == 1 ? 0x9A6C_9329_AC4B_C9B5 : 0) }
        return sum
    }

    static func of(_ pieces: ArraySlice<UInt8>...) -> UInt64 {
        var sum = UInt64.max
        for piece in pieces {
            for byte in piece { sum = sum >> 8 ^ table[Int(UInt8(truncatingIfNeeded: sum) ^ byte)] }
        }
        return ~sum
    }
}

/// A number as digits that fill a column.
func column(_ value: UInt64, _ width: Int, radix: Int = 10) -> [UInt8] {
    let digits = String(value, radix: radix)
    return Array((String(repeating: "0", count: max(0, width - digits.count)) + digits).utf8)
}

extension [UInt8] {
    /// Cut off or filled up with zeros.
    func resized(to count: Int) -> [UInt8] {
        Array(prefix(count)) + repeatElement(0, count: Swift.max(0, count - self.count))
    }

    /// Writes the checksum of a state's header and what follows it.
    ///
    /// The first page of a two-slot file has it in the same place.
    mutating func sealFrame(to end: Int) {
        guard end >= 128, end <= count else { return }
        let sum = CRC64.of(self[..<102], self[118..<end])
        replaceSubrange(102..<118, with: column(sum, 16, radix: 16))
    }
}
