// SPDX-License-Identifier: Apache-2.0
//
// The rows for people: aligned, in units that a person reads, and the goals below.

enum BenchTable {
    static func lines(_ rows: [BenchRow]) -> [String] {
        let heading = ["work", "median", "floor", "ratio", "spread", "flushes", "floor's", "the floor"]
        let cells = [heading] + rows.map(cells)
        let widths = heading.indices.map { column in cells.map { $0[column].count }.max() ?? 0 }
        var lines = cells.map { row in
            let last = row.count - 1
            return row.indices.map { column in
                let padding = String(repeating: " ", count: column == last ? 0 : widths[column] - row[column].count)
                return column == 0 || column == last ? row[column] + padding : padding + row[column]
            }.joined(separator: "  ")
        }
        let goals = rows.compactMap(goal)
        if !goals.isEmpty { lines += [""] + goals }
        return lines
    }

    private static func cells(_ row: BenchRow) -> [String] {
        let time: (Double) -> String = row.isShare ? { share($0) } : { duration($0) }
        func flushes(_ value: Double?) -> String {
            if row.flushes == nil { return "" }
            return value.map { decimal($0, 2) } ?? "not available"
        }
        return [
            row.work,
            time(row.nanoseconds),
            time(row.floorNanoseconds),
            row.isShare ? "" : row.ratio.map { "\(decimal($0, 2))×" } ?? "",
            row.spread.map { "±\(decimal($0 * 100, 0)) %" } ?? "",
            flushes(row.flushes?.subject),
            flushes(row.flushes?.floor),
            row.floor,
        ]
    }

    private static func goal(_ row: BenchRow) -> String? {
        guard let goal = row.goal, let isMet = row.isMet else { return nil }
        let text =
            switch goal {
            case .ratio(let most):
                "\(decimal(row.ratio ?? 0, 3)) times, at most \(decimal(most, 3)) times the floor"
            case .nanoseconds(let most) where row.isShare: "\(share(row.nanoseconds)), at most \(share(most))"
            case .nanoseconds(let most): "\(duration(row.nanoseconds)), at most \(duration(most))"
            case .share(let least): "\(share(row.nanoseconds)), at least \(share(least * 1e9))"
            }
        return "\(isMet ? "met   " : "missed") \(row.work): \(text)"
    }

    private static func duration(_ nanoseconds: Double) -> String {
        switch nanoseconds {
        case ..<1e3: "\(decimal(nanoseconds, nanoseconds < 100 ? 1 : 0)) ns"
        case ..<1e6: "\(decimal(nanoseconds / 1e3, nanoseconds < 1e5 ? 2 : 1)) µs"
        default: "\(decimal(nanoseconds / 1e6, 2)) ms"
        }
    }

    /// Of a processor: nanoseconds per second as a percentage.
    private static func share(_ nanosecondsPerSecond: Double) -> String {
        "\(decimal(nanosecondsPerSecond / 1e7, 3)) %"
    }

    private static func decimal(_ value: Double, _ places: Int) -> String {
        var scale = 1
        for _ in 0..<places { scale *= 10 }
        let scaled = Int((value * Double(scale)).rounded())
        if places == 0 { return "\(scaled)" }
        let fraction = "\(abs(scaled) % scale)"
        return "\(scaled / scale).\(String(repeating: "0", count: places - fraction.count))\(fraction)"
    }
}
