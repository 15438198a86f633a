// SPDX-License-Identifier: Apache-2.0
//
// Where everything stands in the file of an arena, and the part of its first page that never changes.
//
//        0  "holdfast-arena 1\n", zeros up to 32
//       32  u32 0x01020304 in the byte order of the machine    36  u32 size of a cell
//       40  u32 slots     44  u32 mutexes     48  u64 a random number     56  u64 CRC-64/NVME of the 56 bytes before
//       64  u32 epoch, changed and flushed under the maintenance lock
//       72  36 bytes: the boot id of the last adoption, zeros in a new file
//     4096  slots     12288  cells, to the end of the file

internal import _HoldfastCShims

/// The layout of an arena of so many mutexes.
package struct ArenaLayout: Hashable, Sendable {
    package let count: Int

    package static let slots = 1024
    package static let slotTable = 4096
    package static let cells = slotTable + slots * ArenaSlot.size
    package static let random = 48
    package static let epoch = 64
    package static let bootID = 72..<108
    package static let headerSize = 64
    package static let maximumCount = 1 << 20

    static let magic = "holdfast-arena "
    static let version = "1\n"
    private static let byteOrder: UInt32 = 0x0102_0304

    package init(count: Int) { self.count = count }

    /// The size of the file.
    package var size: Int { Self.cells + count * MutexCell.size }

    static func offset(ofSlot slot: Int) -> Int { slotTable + slot * ArenaSlot.size }

    /// The header of a new file.
    package func header(random: UInt64) -> [UInt8] {
        var bytes = Array((Self.magic + Self.version).utf8)
        bytes += Array(repeating: 0, count: 32 - bytes.count)
        for number in [Self.byteOrder, UInt32(MutexCell.size), UInt32(Self.slots), UInt32(count)] {
            unsafe withUnsafeBytes(of: number) { unsafe bytes.append(contentsOf: $0) }
        }
        unsafe withUnsafeBytes(of: random) { unsafe bytes.append(contentsOf: $0) }
        unsafe withUnsafeBytes(of: Self.checksum(of: bytes)) { unsafe bytes.append(contentsOf: $0) }
        return bytes
    }

    /// What is wrong with the header of a file that should have this layout; nil if nothing is.
    package func fault(in header: [UInt8], fileSize: Int64) -> (code: LockError.Code, reason: String)? {
        guard header.starts(with: Self.magic.utf8) else { return (.refused, "it is no mutex arena") }
        guard header.count >= Self.headerSize else { return (.refused, "it ends within its header") }
        guard header.dropFirst(Self.magic.utf8.count).starts(with: Self.version.utf8) else {
            return (.unsupported, "its format is newer than this library, which knows format 1")
        }
        let fields = unsafe header.withUnsafeBytes { bytes in
            (0..<4).map { unsafe bytes.loadUnaligned(fromByteOffset: 32 + $0 * 4, as: UInt32.self) }
        }
        if fields[0] == Self.byteOrder.byteSwapped {
            return (.unsupported, "it was made on a machine of the other byte order")
        }
        let sum = unsafe header.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: 56, as: UInt64.self) }
        guard sum == Self.checksum(of: Array(header[..<56])) else {
            return (.refused, "its header is damaged: the checksum does not match")
        }
        guard fields[..<3] == [Self.byteOrder, UInt32(MutexCell.size), UInt32(Self.slots)] else {
            return (.unsupported, "its layout (\(fields[1]) bytes a mutex, \(fields[2]) slots) is another one")
        }
        guard fields[3] == UInt32(count) else {
            return (.refused, "it has \(fields[3]) mutexes, not \(count)")
        }
        guard fileSize == Int64(size) else {
            return (.refused, "it is \(fileSize) bytes long and should be \(size)")
        }
        return nil
    }

    /// The random number in a sound header.
    static func key(in header: [UInt8]) -> UInt64 {
        unsafe header.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: random, as: UInt64.self) }
    }

    private static func checksum(of bytes: [UInt8]) -> UInt64 {
        var sum = Checksum()
        unsafe bytes.withUnsafeBytes { unsafe sum.update($0) }
        return sum.value
    }
}

extension ArenaLayout {
    /// Whether a file is an arena, or was to become one: it is empty or begins with the magic.
    static func isBegun(_ file: borrowing Descriptor) -> Bool {
        let count = magic.utf8.count
        return unsafe withBuffer(count) { bytes in
            guard let read = unsafe try? file.readAll(into: bytes) else { return false }
            return unsafe read == 0 || (read == count && bytes.elementsEqual(magic.utf8))
        }
    }
}
