// SPDX-License-Identifier: Apache-2.0
//
// A report as a line of a table, and as JSON.

extension RunReport {
    private static let columns: [(title: String, width: Int)] = [
        ("protocol", 16), ("acquisitions", 13), ("overlaps", 10), ("lost", 7), ("killed", 8), ("reported", 10),
        ("cleaned", 9), ("displaced", 11), ("tokens back", 13), ("gone", 7), ("errors", 8), ("left", 6),
        ("per second", 12), ("", 0),
    ]

    static var heading: String { row(columns.map(\.title)) }

    var line: String {
        let name = settings.protocolName
        let cells: [Any] = [
            name.rawValue, self[.acquisitions], self[.overlaps], self[.lostUpdates], kills,
            name.reportsAbandoned ? "\(self[.abandoned])" : "-", self[.cleaned], self[.displaced],
            name.givesTokens ? "\(self[.tokenRegressions])" : "-", self[.missing], self[.errors], leftovers.count,
            Int(rate), verdict,
        ]
        return Self.row(cells.map { "\($0)" })
    }

    private var verdict: String {
        if stopSignal != 0 { return "stopped" }
        if !isGood { return "BAD" }
        if !settings.expectsOverlaps { return "good" }
        return stoodStill ? "caught, stood still" : "caught"
    }

    private static func row(_ cells: [String]) -> String {
        var line = ""
        for (cell, column) in zip(cells, columns) {
            let padding = String(repeating: " ", count: max(0, column.width - cell.count))
            line += line.isEmpty ? cell + padding : padding + (column.width == 0 ? "  " : "") + cell
        }
        return line
    }

    /// One JSON object, on one line.
    var json: String {
        var fields = [
            "\"protocol\":\"\(settings.protocolName.rawValue)\"", "\"workers\":\(settings.workers)",
            "\"seconds\":\(length / .seconds(1))", "\"perSecond\":\(Int(rate))", "\"killed\":\(kills)",
        ]
        for counter in Counter.allCases where !counter.isBookkeeping {
            fields.append("\"\(counter)\":\(self[counter])")
        }
        fields.append("\"stoodStill\":\(stoodStill)")
        fields.append("\"leftovers\":\(Self.jsonArray(leftovers))")
        fields.append("\"problems\":\(Self.jsonArray(problems))")
        fields.append("\"good\":\(isGood)")
        return "{\(fields.joined(separator: ","))}"
    }

    private static func jsonArray(_ strings: [String]) -> String {
        "[\(strings.map { "\"\($0.map(escaped).joined())\"" }.joined(separator: ","))]"
    }

    private static func escaped(_ character: Character) -> String {
        switch character {
        case "\"", "\\": "\\\(character)"
        case _ where character.unicodeScalars.contains { $0.value < 32 }: " "
        default: String(character)
        }
    }
}

extension Counter {
    /// Whether it is a word that the run works with, and tells a reader nothing.
    fileprivate var isBookkeeping: Bool {
        switch self {
        case .stop, .guarded, .holder, .lastToken: true
        default: false
        }
    }
}
