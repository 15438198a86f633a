// SPDX-License-Identifier: Apache-2.0
//
// What goes to standard output: text for people, or one JSON object per line for programs. Invariant: standard output
// holds results only; everything else goes to standard error, one line each, behind the program's name.

internal import FoundationEssentials
internal import Holdfast

/// A value in a line of JSON.
///
/// Every key of a line is always there; what is not known is null.
enum JSONValue: Encodable {
    case text(String?)
    case count(UInt64?)
    case measure(Double?)
    case flag(Bool?)

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .text(let value?): try container.encode(value)
        case .count(let value?): try container.encode(value)
        case .measure(let value?): try container.encode(value)
        case .flag(let value?): try container.encode(value)
        case .text(nil), .count(nil), .measure(nil), .flag(nil): try container.encodeNil()
        }
    }

    /// A process identifier.
    static func pid(_ pid: Int32?) -> JSONValue { .count(pid.flatMap { UInt64(exactly: $0) }) }
}

enum Output {
    /// Prints one line of text.
    static func line(_ text: String) throws(CommandFailure) {
        try StandardStreams.write(Array("\(text)\n".utf8))
    }

    /// Prints one object on one line, keys in order, numbers exact.
    static func line(_ object: [String: JSONValue]) throws(CommandFailure) { try json(object) }

    /// Prints one object on one line, keys in order, numbers exact.
    static func json(_ object: some Encodable) throws(CommandFailure) {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let text: Data
        do {
            text = try encoder.encode(object)
        } catch {
            throw CommandFailure(.ioError, "cannot write the result as JSON: \(error)")
        }
        try StandardStreams.write(Array(text) + [UInt8(ascii: "\n")])
    }
}

/// Says something on standard error, on one line.
func diagnose(_ message: String) {
    let line = message.split(whereSeparator: \.isNewline).joined(separator: " ")
    StandardStreams.writeError("holdfastctl: \(line)\n")
}
