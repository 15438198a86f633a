// SPDX-License-Identifier: Apache-2.0
//
// Names and texts of other processes, as people are shown them. A name may hold any byte: an escape sequence that a
// terminal would obey, a newline that would pass for a second message, a mark that turns the reading direction round.
// Invariant: every message of the library and of its tools shows a path through one of these.

/// A path between quotes: `'a b'`, or `$'caf\xe9\n'` if it holds what may not be shown, as bash and zsh read it.
package func quoted(_ path: String) -> String {
    isHarmless(path) && !path.utf8.contains(UInt8(ascii: "'")) ? "'\(path)'" : escaped(path)
}

/// A path where no quotes are needed: as it is, or `$'caf\xe9\n'` if it holds what may not be shown.
package func shown(_ path: String) -> String {
    isHarmless(path) && !path.utf8.starts(with: "$'".utf8) ? path : escaped(path)
}

/// A text of mixed origin in which what may not be shown is spelt as `\x1b`.
package func legible(_ text: String) -> String {
    if isHarmless(text) { return text }
    return text.unicodeScalars.reduce(into: "") { shown, scalar in
        if scalar.isHarmless { shown.unicodeScalars.append(scalar) } else { shown += hexadecimalEscapes(scalar) }
    }
}

extension Unicode.Scalar {
    /// Whether a terminal shows it, and neither obeys it nor changes the place of what stands beside it.
    package var isHarmless: Bool {
        if value < 0x7f { return value >= 0x20 }
        return switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .surrogate: false
        default: rawByte == nil
        }
    }
}

private func isHarmless(_ text: String) -> Bool { text.unicodeScalars.allSatisfy(\.isHarmless) }

private func escaped(_ path: String) -> String {
    var text = "$'"
    for scalar in path.unicodeScalars {
        switch scalar {
        case "'", "\\": text += "\\\(scalar)"
        case "\n": text += "\\n"
        case "\r": text += "\\r"
        case "\t": text += "\\t"
        case _ where scalar.isHarmless: text.unicodeScalars.append(scalar)
        default: text += hexadecimalEscapes(scalar)
        }
    }
    return text + "'"
}

/// Each byte of it, with two digits.
private func hexadecimalEscapes(_ scalar: Unicode.Scalar) -> String {
    String(scalar).pathBytes.map { "\\x" + hexadecimal(UInt64($0)).suffix(2) }.joined()
}
