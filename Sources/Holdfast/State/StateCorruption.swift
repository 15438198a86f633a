// SPDX-License-Identifier: Apache-2.0
//
// Evidence: which check a file failed, with the numbers that disagreed, so that a person can judge what happened to it.

/// Why a file is not the state that was saved: the first check that it failed.
public struct StateCorruption: Hashable, Sendable, CustomStringConvertible {
    /// One of the checks, in the order in which they are made.
    public struct Check: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String {
            case tooShort, magic, column, length, checksum, slot
        }

        private let value: Value

        /// The file is shorter than a header.
        ///
        /// An empty file is the usual trace of a power cut without a flush.
        public static let tooShort = Check(value: .tooShort)
        /// It does not begin with `holdfast/`, a format number and a space.
        public static let magic = Check(value: .magic)
        /// A column of the header holds something that no save writes there.
        public static let column = Check(value: .column)
        /// The file is longer or shorter than the header says.
        public static let length = Check(value: .length)
        /// The checksum of the bytes is not the one in the header.
        public static let checksum = Check(value: .checksum)
        /// A slot of a two-slot file holds a sound frame that was not saved there: another store's, another slot's, or none
        /// where there must be one; or the mark of a flush that failed.
        public static let slot = Check(value: .slot)

        /// The name, for example `checksum`.
        public var description: String { value.rawValue }
    }

    /// The check that failed.
    public let check: Check
    /// What the header says: a number of bytes, or a checksum.
    public let expected: UInt64?
    /// What was found instead.
    public let found: UInt64?
    /// A clause, for example `the file has 57 bytes, fewer than a header's 128`.
    public let description: String

    static func tooShort(_ size: UInt64, header: Int = Frame.headerLength) -> StateCorruption {
        StateCorruption(
            check: .tooShort,
            expected: UInt64(header),
            found: size,
            description: "the file has \(size) bytes, fewer than a header's \(header)"
        )
    }

    static var magic: StateCorruption {
        StateCorruption(check: .magic, expected: nil, found: nil, description: "it does not begin with \"holdfast/1 \"")
    }

    static func column(_ name: StaticString, at columns: Range<Int>) -> StateCorruption {
        StateCorruption(
            check: .column,
            expected: nil,
            found: nil,
            description: "the \(name) column, bytes \(columns.lowerBound) to \(columns.upperBound - 1), is malformed"
        )
    }

    /// Of the payload.
    static func length(header: UInt64, file: UInt64) -> StateCorruption {
        StateCorruption(
            check: .length,
            expected: header,
            found: file,
            description: "the header says \(header) bytes of payload and the file has \(file)"
        )
    }

    static func checksum(header: UInt64, computed: UInt64) -> StateCorruption {
        StateCorruption(
            check: .checksum,
            expected: header,
            found: computed,
            description:
                "the header's checksum is \(hexadecimal(header)) and that of the bytes is \(hexadecimal(computed))"
        )
    }

    static func slotFileLength(expected: UInt64, found: UInt64) -> StateCorruption {
        StateCorruption(
            check: .length,
            expected: expected,
            found: found,
            description: "a two-slot file with its capacity has \(expected) bytes and this one \(found)"
        )
    }

    /// What a slot holds in place of a state of this file.
    static func slot(_ description: String, expected: UInt64? = nil, found: UInt64? = nil) -> StateCorruption {
        StateCorruption(check: .slot, expected: expected, found: found, description: description)
    }

    /// The same, of one slot of a two-slot file.
    func inSlot(_ slot: Int) -> StateCorruption {
        StateCorruption(check: check, expected: expected, found: found, description: "in slot \(slot) \(description)")
    }
}
