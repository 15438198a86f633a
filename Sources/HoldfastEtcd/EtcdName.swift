// SPDX-License-Identifier: Apache-2.0
//
// Names become parts of keys. Each byte that is not a letter, a digit, or one of `.`, `_` and `-` is percent-encoded,
// so that no name reaches into the keys of another one, and a name can be read in `etcdctl get --prefix`.

#if Etcd
/// The name of a lock or a state below a cluster's namespace.
///
/// Any text of 1 to 512 bytes; `jobs/nightly` is one name and no path.
public struct EtcdName: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
    /// The text as it was given.
    public let description: String
    /// The text as it stands in keys.
    package let encoded: String

    /// Makes a name from a text that is not known before the program runs.
    ///
    /// - Parameter text: 1 to 512 bytes in UTF-8.
    /// - Throws: `refused` for an empty or longer text.
    public init(_ text: String) throws(EtcdError) {
        guard (1...512).contains(text.utf8.count) else {
            throw EtcdError(.refused, "name", "has \(text.utf8.count) bytes and not 1 to 512")
        }
        description = text
        encoded = Self.encode(text)
    }

    /// Makes a name from a literal, which must have 1 to 512 bytes.
    public init(stringLiteral text: String) {
        precondition((1...512).contains(text.utf8.count), "an EtcdName has 1 to 512 bytes")
        description = text
        encoded = Self.encode(text)
    }

    private static func encode(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".unicodeScalars)
        var encoded = String.UnicodeScalarView()
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                encoded.append(Unicode.Scalar(byte))
            default:
                encoded.append("%")
                encoded.append(digits[Int(byte >> 4)])
                encoded.append(digits[Int(byte & 15)])
            }
        }
        return String(encoded)
    }
}
#endif
