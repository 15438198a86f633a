// SPDX-License-Identifier: Apache-2.0
//
// Reading a header strictly: exact spaces, digits only, lower-case hexadecimal, no number that does not fit. What this
// accepts, the encoder would have written byte for byte; everything else is damage, or a later format.

/// Why bytes are not a frame of this format.
enum FrameProblem: Error {
    case corrupt(StateCorruption)
    /// Holdfast's magic with a later format number.
    case newerFormat(UInt64)
}

extension Frame {
    /// The header of these bytes, if they and the payload are what one save wrote.
    static func verify(_ bytes: Header, _ payload: [UInt8]) throws(FrameProblem) -> SealedHeader {
        let frame = try SealedHeader(parsing: bytes)
        guard frame.header.length == UInt64(payload.count) else {
            throw .corrupt(.length(header: frame.header.length, file: UInt64(payload.count)))
        }
        let computed = unsafe payload.withUnsafeBytes { unsafe checksum(of: bytes, $0) }
        guard computed == frame.checksum else {
            throw .corrupt(.checksum(header: frame.checksum, computed: computed))
        }
        return frame
    }
}

extension SealedHeader {
    /// Parses a header; its checksum is not compared with anything here.
    init(parsing bytes: Frame.Header) throws(FrameProblem) {
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
}

extension Frame.Header {
    /// The number after the magic, of any width: a later format may keep nothing else of this layout.
    func formatNumber() throws(FrameProblem) -> UInt64 {
        for index in Frame.magic.indices where self[index] != Frame.magic[index] { throw .corrupt(.magic) }
        var end = Frame.formatColumn.lowerBound
        while end < Frame.headerLength && self[end].isDigit { end += 1 }
        let column = Frame.formatColumn.lowerBound..<end
        guard !column.isEmpty, self[column.lowerBound] != UInt8(ascii: "0"), end < Frame.headerLength,
            self[end] == asciiSpace
        else { throw .corrupt(.magic) }
        return try decimal("format", column)
    }

    func decimal(_ name: StaticString, _ column: Range<Int>) throws(FrameProblem) -> UInt64 {
        try number(name, column, radix: 10)
    }

    func hexadecimal(_ name: StaticString, _ column: Range<Int>) throws(FrameProblem) -> UInt64 {
        try number(name, column, radix: 16)
    }

    /// The number that fills the column.
    private func number(_ name: StaticString, _ column: Range<Int>, radix: UInt64) throws(FrameProblem) -> UInt64 {
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
