// SPDX-License-Identifier: Apache-2.0
//
// What was measured, as lines for a terminal, as JSON and as Markdown.

internal import Foundation
internal import HoldfastBench

/// A row with those who are missing from it.
struct ReportRow: Encodable {
    let row: BenchRow
    let missing: [String]

    /// The fastest that does as much; see ``Report/note`` for the stars.
    var bestPeer: BenchRow.Entry? {
        row.peers.filter { !$0.name.hasSuffix("*") && !$0.name.hasPrefix("Holdfast") }
            .min { $0.nanoseconds < $1.nanoseconds }
    }
    /// How many times as fast as the best peer; below 1 if that is faster.
    var timesBestPeer: Double? {
        row.subject.nanoseconds > 0 ? bestPeer.map { $0.nanoseconds / row.subject.nanoseconds } : nil
    }

    private enum CodingKeys: String, CodingKey {
        case peers, spreads, flushesOfPeers, bytesWritten, bytesWrittenOfPeers, floorSpread, floorBytesWritten
        case bestPeer, timesBestPeer, missing
    }

    func encode(to encoder: any Encoder) throws {
        try row.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        func byName(_ value: (BenchRow.Entry) -> Double?) -> [String: Double?] {
            Dictionary(row.peers.map { ($0.name, value($0)) }) { first, _ in first }
        }
        try container.encode(byName { $0.nanoseconds.rounded(to: 0.01) }, forKey: .peers)
        try container.encode(byName { $0.spread?.rounded(to: 0.001) }, forKey: .spreads)
        try container.encode(row.floor.spread?.rounded(to: 0.001), forKey: .floorSpread)
        try container.encode(bestPeer?.name, forKey: .bestPeer)
        try container.encode(timesBestPeer?.rounded(to: 0.001), forKey: .timesBestPeer)
        try container.encode(missing, forKey: .missing)
        if row.countsFlushes {
            try container.encode(byName { $0.writing.flushes?.rounded(to: 0.01) }, forKey: .flushesOfPeers)
            try container.encode(byName { $0.writing.bytesWritten?.rounded(to: 1) }, forKey: .bytesWrittenOfPeers)
            try container.encode(row.subject.writing.bytesWritten?.rounded(to: 1), forKey: .bytesWritten)
            try container.encode(row.floor.writing.bytesWritten?.rounded(to: 1), forKey: .floorBytesWritten)
        }
    }
}

struct Report: Encodable {
    /// The machine, the file system, the load, the versions.
    let heading: [String]
    /// Programs that are not installed, and how to get them.
    let missing: [String]
    var rows: [ReportRow]
    var growth: [Growth]

    var goals: [GoalResult] { Goals.results(rows.map(\.row)) }

    private enum CodingKeys: String, CodingKey {
        case heading, missing, rows, goals, growth
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(heading, forKey: .heading)
        try container.encode(missing, forKey: .missing)
        try container.encode(rows, forKey: .rows)
        try container.encode(goals, forKey: .goals)
        try container.encode(growth, forKey: .growth)
    }

    func json() throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        return try encoder.encode(self) + Data("\n".utf8)
    }

    // MARK: Lines

    static let note = """
        Times are medians of rounds that all take in turns; the spread is half the distance between the tenth and the \
        ninetieth percentile. Flushes and bytes are those that the disk completed for one save, by the kernel's count, \
        with what others wrote at the time. A star: it does less, and is not counted as a peer for the best. \
        Foundation's .atomic, renameio and write-file-atomic do not flush the directory, so a power cut may undo their \
        saves; Synchronization.Mutex is for one process; the original's algorithm also writes its document as JSON, which at \
        1 MiB takes it longer than to save it; the floors of other work verify and record nothing. A POSIX \
        semaphore or a SoftFileLock whose holder died is never granted again, and has no time of recovery.
        """

    private static let columns = ["", "median", "spread", "to floor", "of Holdfast", "flushes", "written"]

    /// The cells of a row: the floor, Holdfast, each peer.
    private func cells(_ row: ReportRow) -> [[String]] {
        let row = row.row
        return ([row.floor, row.subject] + row.peers).enumerated().map { index, entry in
            let ofFloor = row.floor.nanoseconds > 0 ? entry.nanoseconds / row.floor.nanoseconds : nil
            let ofSubject = row.subject.nanoseconds > 0 ? entry.nanoseconds / row.subject.nanoseconds : nil
            let cells: [String] = [
                index == 0 ? "floor: \(entry.name)" : entry.name,
                BenchTable.duration(entry.nanoseconds), Self.percent(entry.spread), Self.times(ofFloor),
                Self.times(ofSubject), Self.written(row, entry.writing.flushes) { BenchTable.decimal($0, 2) },
                Self.written(row, entry.writing.bytesWritten) { Self.bytes($0) },
            ]
            return cells
        }
    }

    private static func percent(_ part: Double?) -> String {
        part.map { "±\(BenchTable.decimal($0 * 100, 0)) %" } ?? ""
    }

    private static func times(_ ratio: Double?) -> String { ratio.map { "\(BenchTable.decimal($0, 2))×" } ?? "" }

    private static func written(_ row: BenchRow, _ value: Double?, _ text: (Double) -> String) -> String {
        row.countsFlushes ? value.map(text) ?? "not available" : ""
    }

    static func bytes(_ count: Double) -> String {
        switch count {
        case ..<1024: "\(BenchTable.decimal(count, 0)) B"
        case ..<1_048_576: "\(BenchTable.decimal(count / 1024, 1)) KiB"
        default: "\(BenchTable.decimal(count / 1_048_576, 1)) MiB"
        }
    }

    func lines() -> [String] {
        var lines = heading + [""]
        for row in rows {
            lines.append(row.row.work)
            lines += BenchTable.aligned([Self.columns] + cells(row)).map { "  \($0)" }
            lines += row.missing.map { "  \($0): not installed (\(Peers.remedy))" }
            lines.append("")
        }
        for growth in growth {
            lines.append(growth.title)
            lines += BenchTable.aligned(growth.table).map { "  \($0)" }
            lines.append("")
        }
        lines += missing + (missing.isEmpty ? [] : [""])
        lines += goals.map { goal in
            let verdict = goal.verdict.padding(toLength: 12, withPad: " ", startingAt: 0)
            return "\(verdict)  \(goal.goal)\(goal.figure == nil ? "" : ": \(goal.figureText)")"
        }
        return lines + ["", Self.note]
    }

    // MARK: Markdown

    /// A table of a line for each row, and the goals.
    func markdown(command: String) -> String {
        // Where exactly it was measured is of no use to others.
        let heading = heading.map { line in
            line.hasPrefix("/") ? line.split(separator: ": ", maxSplits: 1).last.map(String.init) ?? line : line
        }
        var text = "One run of `\(command)`: \(heading.joined(separator: "; ")).\n\n"
        text += "| work | Holdfast | spread | floor | to floor | best peer | times as fast | flushes | written |\n"
        text += "|---|---|---|---|---|---|---|---|---|\n"
        for row in rows {
            let (subject, floor) = (row.row.subject, row.row.floor)
            let best = row.bestPeer.map { "\(BenchTable.duration($0.nanoseconds)): \($0.name)" }
            let cells: [String] = [
                "`\(row.row.work)`", BenchTable.duration(subject.nanoseconds), Self.percent(subject.spread),
                "\(BenchTable.duration(floor.nanoseconds)): \(floor.name)", Self.times(row.row.ratio),
                best ?? "", Self.times(row.timesBestPeer),
                Self.written(row.row, subject.writing.flushes) { BenchTable.decimal($0, 2) },
                Self.written(row.row, subject.writing.bytesWritten) { Self.bytes($0) },
            ]
            text += "| \(cells.joined(separator: " | ")) |\n"
        }
        text += "\n| goal | | |\n|---|---|---|\n"
        for goal in goals {
            let verdict = goal.isMet == false ? "**\(goal.verdict)**" : goal.verdict
            text += "| \(goal.goal) | \(goal.figureText) | \(verdict) |\n"
        }
        text += "\n\(Self.note)\n"
        if !missing.isEmpty { text += "\n" + missing.joined(separator: "\n") + "\n" }
        return text
    }

    // MARK: The page

    func page() -> String {
        var body = "<h1>Holdfast beside its floors and peers</h1>\n"
        body += "<p>\(heading.map(escaped).joined(separator: "<br>"))</p>\n"
        body += missing.map { "<p>\(escaped($0))</p>\n" }.joined()
        let verdicts = goals.map { [$0.goal, $0.verdict, $0.figureText] }
        body += "<h2>Goals</h2>\n" + table([["goal", "", ""]] + verdicts)
        body += "<h2>At a glance</h2>\n\(DotPlot(rows.map(\.row)).svg)\n"
        if !growth.isEmpty { body += "<h2>How cost grows</h2>\n" }
        for growth in growth {
            body += "<h3>\(escaped(growth.title))</h3>\n\(LinePlot(growth).svg)\n"
            body += "<details><summary>Numbers</summary>\(table(growth.table))</details>\n"
        }
        body += "<h2>Every row</h2>\n"
        for row in rows {
            body += "<h3>\(escaped(row.row.work))</h3>\n" + table([Self.columns] + cells(row))
            body += row.missing.map { "<p>\(escaped($0)): not installed (\(Peers.remedy))</p>\n" }.joined()
        }
        return """
            <!doctype html>
            <html lang="en"><head><meta charset="utf-8"><title>Holdfast, measured</title>
            <meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
            <style>
            body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
            table { border-collapse: collapse; font-variant-numeric: tabular-nums } td, th { padding: .15rem .6rem; text-align: right }
            td:first-child, th:first-child { text-align: left } tr + tr { border-top: 1px solid #8884 } svg { max-width: 100%; height: auto }
            </style></head><body>
            \(body)<p>\(escaped(Self.note))</p>
            </body></html>

            """
    }

    private func table(_ rows: [[String]]) -> String {
        let lines = rows.enumerated().map { index, row in
            let tag = index == 0 ? "th" : "td"
            return "<tr>" + row.map { "<\(tag)>\(escaped($0))</\(tag)>" }.joined() + "</tr>"
        }
        return "<table>\n\(lines.joined(separator: "\n"))\n</table>\n"
    }
}

/// Text within XML.
func escaped(_ text: String) -> String {
    text.replacingOccurrences(of: "&", with: "&amp;").replacingOccurrences(of: "<", with: "&lt;")
        .replacingOccurrences(of: ">", with: "&gt;")
}
