// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a state on disk, format 1: 128 ASCII bytes of fixed columns, the last one a newline, then the payload's
// exact bytes, and nothing after them. docs/file-format.md is the same in prose. Invariants:
// - a value has exactly one encoding, and the parser takes nothing but that encoding;
// - the checksum covers every byte of the file but its own 16 digits, so no column can be changed unnoticed.

/// The columns of a frame's header.
enum Frame {
    /// The bytes of the header.
    static let headerLength = 128
    /// The format that is written here, and the newest that is read.
    static let formatVersion: UInt64 = 1

    typealias Header = InlineArray<128, UInt8>

    /// "holdfast/" in ASCII.
    static let magic = [0x68, 0x6F, 0x6C, 0x64, 0x66, 0x61, 0x73, 0x74, 0x2F] as InlineArray<9, UInt8>
    static let formatColumn = 9..<10
    static let storeColumn = 11..<27
    static let generationColumn = 28..<48
    static let schemaColumn = 49..<59
    static let tokenColumn = 60..<80
    static let lengthColumn = 81..<101
    static let checksumColumn = 102..<118
    /// Spaces, so that a later format 1 cannot mean something by them that an older reader overlooks.
    static let reservedColumns = 118..<127
    static let newlineColumn = 127
    /// The spaces between the columns.
    static let separators = [10, 27, 48, 59, 80, 101] as InlineArray<6, Int>
}

/// A frame whose checksum is right.
struct StoredState: Sendable {
    var frame: SealedHeader
    var payload: [UInt8]

    var header: FrameHeader { frame.header }
}

extension Frame {
    /// The checksum of a frame: all of the header but the checksum's column, then the payload.
    static func checksum(of header: Header, _ payload: UnsafeRawBufferPointer) -> UInt64 {
        var checksum = Checksum()
        unsafe header.span.withUnsafeBytes { header in
            unsafe checksum.update(UnsafeRawBufferPointer(rebasing: header[..<checksumColumn.lowerBound]))
            unsafe checksum.update(UnsafeRawBufferPointer(rebasing: header[checksumColumn.upperBound...]))
        }
        unsafe checksum.update(payload)
        return checksum.value
    }
}

let asciiSpace = UInt8(ascii: " ")
let asciiNewline = UInt8(ascii: "\n")
