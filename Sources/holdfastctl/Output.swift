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
    /// A path, in which U+FFFD stands for each byte that is not UTF-8.
    case path(String)
    case count(UInt64?)
    case measure(Double?)
    case flag(Bool?)

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .text(let value?): try container.encode(value)
        case .path(let path):
            try container.encode(path.hasRawBytes ? String(decoding: path.pathBytes, as: UTF8.self) : path)
        case .count(let value?): try container.encode(value)
        case .measure(let value?): try container.encode(value)
        case .flag(let value?): try container.encode(value)
        case .text(nil), .count(nil), .measure(nil), .flag(nil): try container.encodeNil()
        }
    }

    /// The exact bytes of a path that is not UTF-8, two hexadecimal digits for each; null for the others.
    static func bytes(of path: String) -> JSONValue {
        guard path.hasRawBytes else { return .text(nil) }
        return .text(path.pathBytes.map { String(hexadecimal(UInt64($0)).suffix(2)) }.joined())
    }

    /// A process identifier.
    static func pid(_ pid: Int32?) -> JSONValue { .count(pid.flatMap { UInt64(exactly: $0) }) }
}

enum Output {
    /// Prints one line of text, in which nothing moves a terminal's cursor or begins another line.
    static func line(_ text: String) throws(CommandFailure) {
        try StandardStreams.write(Array("\(legible(text))\n".utf8))
    }

    /// Prints the help.
    static func help(_ text: String) throws(CommandFailure) {
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
        try StandardStreams.write(Array("\(escaped(String(decoding: text, as: UTF8.self)))\n".utf8))
    }

    /// The same JSON, in which what a terminal would obey is spelt `\u009b`: the encoder does so below U+0020 only.
    private static func escaped(_ json: String) -> String {
        json.unicodeScalars.reduce(into: "") { text, scalar in
            if scalar.isHarmless {
                text.unicodeScalars.append(scalar)
            } else {
                for unit in UTF16.encode(scalar) ?? .init() { text += "\\u" + hexadecimal(UInt64(unit)).suffix(4) }
            }
        }
    }
}

/// Says something on standard error, on one line.
func diagnose(_ message: String) {
    let line = message.split(whereSeparator: \.isNewline).joined(separator: " ")
    StandardStreams.writeError("holdfastctl: \(legible(line))\n")
}
