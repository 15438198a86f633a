// SPDX-License-Identifier: Apache-2.0
//
// The rows for people: aligned, in units that a person reads, and the goals below.

/// Rows as text.
public enum BenchTable {
    /// The rows, aligned, and which of them reach their goals.
    public static func lines(_ rows: [BenchRow]) -> [String] {
        let heading = ["work", "median", "floor", "ratio", "spread", "flushes", "floor's", "the floor"]
        let cells = [heading] + rows.map(cells)
        var lines = aligned(cells)
        let goals = rows.compactMap(goal)
        if !goals.isEmpty { lines += [""] + goals }
        return lines
    }

    /// Lines of equally many cells; all but the first and the last column flush right.
    public static func aligned(_ rows: [[String]]) -> [String] {
        guard let columns = rows.first?.indices else { return [] }
        let widths = columns.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            let last = row.count - 1
            return row.indices.map { column in
                let padding = String(repeating: " ", count: column == last ? 0 : widths[column] - row[column].count)
                return column == 0 || column == last ? row[column] + padding : padding + row[column]
            }.joined(separator: "  ")
        }
    }

    private static func cells(_ row: BenchRow) -> [String] {
        let time: (Double) -> String = row.isShare ? { share($0) } : { duration($0) }
        func flushes(_ value: Double?) -> String {
            if !row.countsFlushes { return "" }
            return value.map { decimal($0, 2) } ?? "not available"
        }
        return [
            row.work,
            time(row.subject.nanoseconds),
            time(row.floor.nanoseconds),
            row.isShare ? "" : row.ratio.map { "\(decimal($0, 2))×" } ?? "",
            row.subject.spread.map { "±\(decimal($0 * 100, 0)) %" } ?? "",
            flushes(row.subject.writing.flushes),
            flushes(row.floor.writing.flushes),
            row.floor.name,
        ]
    }

    /// Whether the row reaches its goal, in words; nil if it has none.
    public static func goal(_ row: BenchRow) -> String? {
        guard let goal = row.goal, let isMet = row.isMet else { return nil }
        let text =
            switch goal {
            case .ratio(let most):
                "\(decimal(row.ratio ?? 0, 3)) times, at most \(decimal(most, 3)) times the floor"
            case .nanoseconds(let most) where row.isShare: "\(share(row.subject.nanoseconds)), at most \(share(most))"
            case .nanoseconds(let most): "\(duration(row.subject.nanoseconds)), at most \(duration(most))"
            case .share(let least): "\(share(row.subject.nanoseconds)), at least \(share(least * 1e9))"
            }
        return "\(isMet ? "met   " : "missed") \(row.work): \(text)"
    }

    /// For example `5.70 µs`.
    public static func duration(_ nanoseconds: Double) -> String {
        switch nanoseconds {
        case ..<1e3: "\(decimal(nanoseconds, nanoseconds < 100 ? 1 : 0)) ns"
        case ..<1e6: "\(decimal(nanoseconds / 1e3, nanoseconds < 1e5 ? 2 : 1)) µs"
        default: "\(decimal(nanoseconds / 1e6, 2)) ms"
        }
    }

    /// Of a processor: nanoseconds per second as a percentage.
    public static func share(_ nanosecondsPerSecond: Double) -> String {
        "\(decimal(nanosecondsPerSecond / 1e7, 3)) %"
    }

    /// With so many digits after the point.
    public static func decimal(_ value: Double, _ places: Int) -> String {
        var scale = 1
        for _ in 0..<places { scale *= 10 }
        let scaled = Int((value * Double(scale)).rounded())
        if places == 0 { return "\(scaled)" }
        let fraction = "\(abs(scaled) % scale)"
        return "\(scaled / scale).\(String(repeating: "0", count: places - fraction.count))\(fraction)"
    }
}
