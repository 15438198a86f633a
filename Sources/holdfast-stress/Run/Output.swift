// SPDX-License-Identifier: Apache-2.0
//
// Lines of a table, and JSON.

/// A column of a table: its title and how wide it is; the first is aligned to the left.
struct Column {
    var title: String
    var width: Int

    init(_ title: String, _ width: Int) {
        self.title = title
        self.width = width
    }
}

extension [Column] {
    /// One line of the table.
    func row(_ cells: [String]) -> String {
        var line = ""
        for (cell, column) in zip(cells, self) {
            let padding = String(repeating: " ", count: Swift.max(0, column.width - cell.count))
            line += line.isEmpty ? cell + padding : padding + (column.width == 0 ? "  " : "") + cell
        }
        return line
    }
}

/// The strings as an array in JSON.
func jsonArray(_ strings: [String]) -> String {
    func escaped(_ character: Character) -> String {
        switch character {
        case "\"", "\\": "\\\(character)"
        case _ where character.unicodeScalars.contains { $0.value < 32 }: " "
        default: String(character)
        }
    }
    return "[\(strings.map { "\"\($0.map(escaped).joined())\"" }.joined(separator: ","))]"
}
