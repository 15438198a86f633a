// SPDX-License-Identifier: Apache-2.0
//
// A frame's header, written and read. Writing puts digits straight into 128 bytes on the stack, because it happens once per save
// and a formatted string per column costs more than the checksum of the whole frame. Reading is strict: exact spaces, digits
// only, lower-case hexadecimal, no number that does not fit. What the parser accepts, the encoder would have written byte for
// byte; everything else is damage, or a later format.

/// What the header of a frame says about its payload, without the checksum.
struct FrameHeader: Hashable, Sendable {
    var store: StoreID
    var generation: Generation
    var schema: UInt32
    /// 0 if no fencing token was ever given.
    var token: UInt64
    /// The bytes of the payload.
    var length: UInt64
}

/// A header with the checksum that it carries; equal only if the 128 bytes are.
struct SealedHeader: Hashable, Sendable {
    var header: FrameHeader
    var checksum: UInt64
}

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

extension Descriptor {
    /// The bytes of a header; nil if the file ends before their end.
    borrowing func frameHeader(at offset: Int64 = 0) throws(SystemError) -> Frame.Header? {
        var header = Frame.Header(repeating: 0)
        var bytes = header.mutableSpan
        let count = try readAll(into: &bytes, at: offset)
        return count == Frame.headerLength ? header : nil
    }

    /// Writes a frame.
    borrowing func write(
        _ header: FrameHeader,
        _ payload: [UInt8],
        at offset: Int64 = 0
    ) throws(SystemError) -> SealedHeader {
        try unsafe payload.span.withUnsafeBytes { payload throws(SystemError) in
            let (bytes, checksum) = unsafe header.encoded(before: payload)
            try unsafe bytes.span.withUnsafeBytes { bytes throws(SystemError) in
                try unsafe writeAll(bytes, payload, at: offset)
            }
            return SealedHeader(header: header, checksum: checksum)
        }
    }
}

extension SealedHeader {
    /// Parses a header; its checksum is not compared with anything here.
    init(parsing bytes: Frame.Header) throws(StateFailure) {
        let version = try bytes.formatNumber()
        if version != Frame.formatVersion { throw .newerFormat(version) }
        for index in Frame.separators.indices where bytes[Frame.separators[index]] != asciiSpace {
            throw .corrupt(.column("separator", at: Frame.separators[index]..<Frame.separators[index] + 1))
        }
        for index in Frame.reservedColumns where bytes[index] != asciiSpace {
            throw .corrupt(.column("reserved", at: Frame.reservedColumns))
        }
        if bytes[Frame.newlineColumn] != asciiNewline {
            throw .corrupt(.column("newline", at: Frame.newlineColumn..<Frame.newlineColumn + 1))
        }
        let schema = try bytes.decimal("schema", Frame.schemaColumn)
        guard let schema = UInt32(exactly: schema) else { throw .corrupt(.column("schema", at: Frame.schemaColumn)) }
        header = FrameHeader(
            store: StoreID(value: try bytes.hexadecimal("store", Frame.storeColumn)),
            generation: Generation(try bytes.decimal("generation", Frame.generationColumn)),
            schema: schema,
            token: try bytes.decimal("token", Frame.tokenColumn),
            length: try bytes.decimal("length", Frame.lengthColumn)
        )
        // 0 means that there is no state: no save has ever written it.
        if header.generation == .absent { throw .corrupt(.column("generation", at: Frame.generationColumn)) }
        checksum = try bytes.hexadecimal("checksum", Frame.checksumColumn)
    }

    /// Checks that the bytes, which this was parsed from, and the payload are what one save wrote.
    func verify(_ bytes: Frame.Header, _ payload: [UInt8]) throws(StateFailure) {
        if header.length != UInt64(payload.count) {
            throw .corrupt(.length(header: header.length, file: UInt64(payload.count)))
        }
        let computed = unsafe payload.withUnsafeBytes { unsafe Frame.checksum(of: bytes, $0) }
        if computed != checksum { throw .corrupt(.checksum(header: checksum, computed: computed)) }
    }
}

extension Frame.Header {
    /// The number after the magic, of any width: a later format may keep nothing else of this layout.
    func formatNumber() throws(StateFailure) -> UInt64 {
        for index in Frame.magic.indices where self[index] != Frame.magic[index] { throw .corrupt(.magic) }
        var end = Frame.formatColumn.lowerBound
        while end < Frame.headerLength && self[end].isDigit { end += 1 }
        let column = Frame.formatColumn.lowerBound..<end
        guard !column.isEmpty, self[column.lowerBound] != UInt8(ascii: "0"), end < Frame.headerLength,
            self[end] == asciiSpace
        else { throw .corrupt(.magic) }
        return try decimal("format", column)
    }

    /// Whether it is the first line of a two-slot file.
    var isOfTwoSlots: Bool { (try? formatNumber()) == SlotFile.formatVersion }

    func decimal(_ name: StaticString, _ column: Range<Int>) throws(StateFailure) -> UInt64 {
        try number(name, column, radix: 10)
    }

    func hexadecimal(_ name: StaticString, _ column: Range<Int>) throws(StateFailure) -> UInt64 {
        try number(name, column, radix: 16)
    }

    /// The number that fills the column.
    private func number(_ name: StaticString, _ column: Range<Int>, radix: UInt64) throws(StateFailure) -> UInt64 {
        let value = unsafe span.withUnsafeBytes { bytes in
            unsafe UnsafeRawBufferPointer(rebasing: bytes[column]).column(radix: radix)
        }
        guard let value else { throw .corrupt(.column(name, at: column)) }
        return value
    }
}

extension UInt8 {
    fileprivate var isDigit: Bool { self >= UInt8(ascii: "0") && self <= UInt8(ascii: "9") }
}
