// SPDX-License-Identifier: Apache-2.0
//
// One component of a path. What it refuses (separators, "..", NUL) is what would let a name leave its directory.

/// The name of a file within its directory: one component, which cannot lead anywhere else.
///
/// 1 to 255 bytes of UTF-8, without `/` and NUL, and neither `.` nor `..`.
public struct FileName: Hashable, Sendable, CustomStringConvertible {
    /// The longest name in bytes.
    ///
    /// The corresponding C constant is `NAME_MAX`.
    public static let maximumLength = 255

    /// The name as it stands in the directory.
    public let description: String

    /// Makes a name, or nil if the string is not one component.
    public init?(_ name: String) {
        let bytes = name.utf8
        guard
            !name.isEmpty, bytes.count <= Self.maximumLength, name != ".", name != "..",
            !bytes.contains(UInt8(ascii: "/")), !bytes.contains(0)
        else { return nil }
        description = name
    }

    /// A hidden companion of this name, `.NAME.suffix`, or nil if that would be too long.
    package func companion(_ suffix: String) -> FileName? {
        FileName(".\(description).\(suffix)")
    }

    /// A companion name that no other writer chooses: `.NAME.<16 hex digits>.suffix`.
    package func uniqueCompanion(_ suffix: String) -> FileName? {
        companion("\(hexadecimal(.random(in: .min ... .max))).\(suffix)")
    }

    /// Whether `name` is one that ``uniqueCompanion(_:)`` could have made of this one.
    package func isUniqueCompanion(_ name: String, suffix: String) -> Bool {
        let prefix = ".\(description)."
        let ending = ".\(suffix)"
        guard name.hasPrefix(prefix), name.hasSuffix(ending) else { return false }
        let middle = name.dropFirst(prefix.count).dropLast(ending.count)
        return middle.utf8.count == 16 && middle.utf8.allSatisfy(isLowerHexadecimal)
    }
}

/// 16 lower-case digits.
package func hexadecimal(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
}

private func isLowerHexadecimal(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
}
