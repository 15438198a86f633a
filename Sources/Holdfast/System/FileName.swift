// SPDX-License-Identifier: Apache-2.0
//
// One component of a path. What it refuses (separators, "..", NUL) is what would let a name leave its directory.

internal import Synchronization
internal import _HoldfastCShims

/// The name of a file within its directory: one component, which cannot lead anywhere else.
///
/// 1 to 255 bytes, without `/` and NUL, and neither `.` nor `..`. Most names are UTF-8; those of ``init(bytes:)`` need not be.
///
///     let state = try StateFile<Settings>("settings", in: directory)
///     guard let name = FileName(argument) else { throw UsageError() }
///
/// A literal is a name, and traps if it is not one component. A string that is made at run time is checked by ``init(_:)``.
public struct FileName: Hashable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
    /// The longest name in bytes.
    ///
    /// The corresponding C constant is `NAME_MAX`.
    public static let maximumLength = 255

    /// The name as it stands in the directory.
    ///
    /// A byte that is not UTF-8 stands in it as one scalar of U+10FF80…U+10FFFF; ``bytes`` has it as it is.
    public let description: String

    /// Makes a name, or nil if the string is not one component.
    ///
    /// A scalar of U+10FF80…U+10FFFF is taken for the byte 0x80…0xFF, as ``description`` has it.
    public init?(_ name: String) {
        if name.hasRawBytes {
            guard let same = Self(bytes: name.pathBytes) else { return nil }
            self = same
        } else {
            guard Self.isComponent(name.utf8) else { return nil }
            self.init(text: name)
        }
    }

    /// Makes a name from a literal, which must be one component.
    ///
    /// Traps for any other literal: the program is wrong, and no input can correct it. `FileName("settings")` is a literal too.
    public init(stringLiteral literal: String) {
        guard let name = Self(literal) else {
            // Also in an optimized build this says why, as preconditionFailure does not.
            fatalError("\(quoted(literal)) is not a file name: it has to be one component of a path")
        }
        self = name
    }

    /// Makes a name of any bytes, UTF-8 or not, or nil if they are not one component.
    public init?(bytes: [UInt8]) {
        guard Self.isComponent(bytes) else { return nil }
        self.init(text: String(pathBytes: bytes))
    }

    private init(text: String) {
        description = text
    }

    private static func isComponent(_ bytes: some Collection<UInt8>) -> Bool {
        !bytes.isEmpty && bytes.count <= maximumLength && !bytes.elementsEqual(".".utf8)
            && !bytes.elementsEqual("..".utf8) && !bytes.contains(UInt8(ascii: "/")) && !bytes.contains(0)
    }

    /// The name's bytes, as the file system has them.
    public var bytes: [UInt8] { description.pathBytes }

    /// A hidden companion of this name, `.NAME.suffix`, or nil if that would be too long.
    package func companion(_ suffix: String) -> FileName? {
        FileName(".\(description).\(suffix)")
    }

    /// A companion name that no other writer chooses: `.NAME.<16 hex digits>.suffix`.
    package func uniqueCompanion(_ suffix: String) -> FileName? {
        companion("\(hexadecimal(Self.nonce())).\(suffix)")
    }

    /// A number that no other caller gets: a count from a random start, which costs no getrandom(2) each time.
    private static func nonce() -> UInt64 {
        counter.wrappingAdd(1, ordering: .relaxed).newValue &+ UInt64(UInt32(bitPattern: getpid())) << 32
    }

    private static let counter = Atomic<UInt64>(.random(in: .min ... .max))

    /// Whether `name` is one that ``uniqueCompanion(_:)`` could have made of this one.
    package func isUniqueCompanion(_ name: String, suffix: String) -> Bool {
        // Byte by byte: to Swift's strings é is é however it is spelt, to the file system it is not.
        let bytes = name.utf8
        let (prefix, ending) = (".\(description).".utf8, ".\(suffix)".utf8)
        guard bytes.count == prefix.count + 16 + ending.count, bytes.starts(with: prefix) else { return false }
        let rest = bytes.dropFirst(prefix.count)
        return rest.prefix(16).allSatisfy(isLowerHexadecimal) && rest.dropFirst(16).elementsEqual(ending)
    }

    /// Whether both are the same bytes, and so the same file.
    public static func == (first: FileName, second: FileName) -> Bool {
        first.description.utf8.elementsEqual(second.description.utf8)
    }

    /// Hashes the bytes.
    public func hash(into hasher: inout Hasher) {
        for byte in description.utf8 { hasher.combine(byte) }
    }
}

private func isLowerHexadecimal(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
}
