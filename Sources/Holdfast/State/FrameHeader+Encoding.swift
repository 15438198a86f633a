// SPDX-License-Identifier: Apache-2.0
//
// Writing a header: digits straight into 128 bytes on the stack, because it happens once per save and a formatted
// string per column costs more than the checksum of the whole frame.

extension FrameHeader {
    /// The 128 bytes before this payload, whose length must be the one that the header says.
    func encoded(before payload: UnsafeRawBufferPointer) -> Frame.Header {
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
        bytes.writeHexadecimal(unsafe Frame.checksum(of: bytes, payload), Frame.checksumColumn)
        return bytes
    }
}

extension Frame.Header {
    /// Fills the column with the number, zeros in front.
    fileprivate mutating func writeDecimal(_ value: UInt64, _ column: Range<Int>) {
        var rest = value
        for index in column.reversed() {
            let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
            self[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit)
            rest = quotient
        }
        precondition(rest == 0, "every column is as wide as its type's largest number")
    }

    fileprivate mutating func writeHexadecimal(_ value: UInt64, _ column: Range<Int>) {
        var rest = value
        for index in column.reversed() {
            let digit = UInt8(truncatingIfNeeded: rest & 15)
            self[index] = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + (digit - 10)
            rest >>= 4
        }
    }
}
