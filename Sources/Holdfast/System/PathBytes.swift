// SPDX-License-Identifier: Apache-2.0
//
// Paths of any bytes in strings. On Linux a path is bytes, and few of them need be UTF-8; a string of Swift would repair
// the others, and the path would become another one.
//
// Invariants: a byte 0x80…0xFF that is not part of UTF-8 stands in a path's string as one of the 128 last scalars,
// U+10FF80…U+10FFFF. A path whose UTF-8 has such a scalar is taken apart in the same way, so that two paths never share a
// string. Only the calls into C and what is shown to people look at the difference.

internal import _HoldfastCShims

extension String {
    /// A path of any bytes, from which ``pathBytes`` gives them back.
    package init(pathBytes bytes: some Sequence<UInt8>) {
        let bytes = Array(bytes)
        if let text = String(validating: bytes, as: UTF8.self), !text.mayHaveRawBytes {
            self = text
            return
        }
        var scalars = String.UnicodeScalarView()
        var parser = Unicode.UTF8.ForwardParser()
        var source = bytes.makeIterator()
        var offset = 0
        func standIns(_ count: Int) {
            for byte in bytes[offset..<(offset + count)] { scalars.append(.standIn(byte)) }
            offset += count
        }
        while true {
            switch parser.parseScalar(from: &source) {
            case .valid(let encoded):
                let scalar = Unicode.UTF8.decode(encoded)
                if scalar.rawByte == nil {
                    scalars.append(scalar)
                    offset += encoded.count
                } else {
                    standIns(encoded.count)
                }
            case .error(let length): standIns(length)
            case .emptyInput:
                self = String(scalars)
                return
            }
        }
    }

    /// The bytes that the file system is given for this path.
    package var pathBytes: [UInt8] {
        guard mayHaveRawBytes else { return Array(utf8) }
        var bytes: [UInt8] = []
        for scalar in unicodeScalars {
            if let byte = scalar.rawByte { bytes.append(byte) } else { bytes += String(scalar).utf8 }
        }
        return bytes
    }

    /// How many bytes that are.
    package var pathLength: Int { mayHaveRawBytes ? pathBytes.count : utf8.count }

    /// Whether some bytes of this path are not UTF-8.
    package var hasRawBytes: Bool { mayHaveRawBytes && unicodeScalars.contains { $0.rawByte != nil } }

    /// False if there is certainly none: every stand-in begins with this byte.
    private var mayHaveRawBytes: Bool { utf8.contains(Self.standInStart) }

    package static let standInStart: UInt8 = 0xf4
}

extension Unicode.Scalar {
    private static let firstStandIn: UInt32 = 0x10_ff80

    fileprivate static func standIn(_ byte: UInt8) -> Unicode.Scalar {
        guard let scalar = Unicode.Scalar(firstStandIn + UInt32(byte) - 0x80) else {
            preconditionFailure("bytes below 0x80 are UTF-8")
        }
        return scalar
    }

    /// The byte that this scalar stands for in a path, if it stands for one.
    package var rawByte: UInt8? { value < Self.firstStandIn ? nil : UInt8(value - Self.firstStandIn + 0x80) }
}
