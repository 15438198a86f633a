// SPDX-License-Identifier: Apache-2.0
//
// Writing a header: digits straight into 128 bytes on the stack, because it happens once per save and a formatted
// string per column costs more than the checksum of the whole frame.

extension FrameHeader {
    /// The 128 bytes before this payload, whose length must be the one that the header says, and the checksum in them.
    func encoded(before payload: UnsafeRawBufferPointer) -> (bytes: Frame.Header, checksum: UInt64) {
        precondition(length == UInt64(payload.count), "a header belongs to one payload")
        var bytes = Frame.Header(repeating: asciiSpace)
        for index in Frame.magic.indices { bytes[index] = Frame.magic[index] }
        bytes.writeDecimal(Frame.formatVersion, Frame.formatColumn)
        bytes.writeHexadecimal(store.value, Frame.storeColumn)
        bytes.writeDecimal(generation.value, Frame.generationColumn)
        bytes.writeDecimal(UInt64(schema), Frame.schemaColumn)
        bytes.writeDecimal(token, Frame.tokenColumn)
        bytes.writeDecimal(length, Frame.lengthColumn)
        bytes[Frame.newlineColumn] = asciiNewline
        let checksum = unsafe Frame.checksum(of: bytes, payload)
        bytes.writeHexadecimal(checksum, Frame.checksumColumn)
        return (bytes, checksum)
    }
}

extension Frame.Header {
    mutating func writeDecimal(_ value: UInt64, _ column: Range<Int>) {
        write(value, column, radix: 10)
    }

    mutating func writeHexadecimal(_ value: UInt64, _ column: Range<Int>) {
        write(value, column, radix: 16)
    }

    /// Fills the column with the number, zeros in front.
    private mutating func write(_ value: UInt64, _ column: Range<Int>, radix: UInt64) {
        var bytes = mutableSpan
        unsafe bytes.withUnsafeMutableBytes { bytes in
            unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[column]).storeColumn(value, radix: radix)
        }
    }
}
