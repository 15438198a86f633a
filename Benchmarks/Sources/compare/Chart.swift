// SPDX-License-Identifier: Apache-2.0
//
// Charts as SVG that needs nothing else: no script, no font, no style sheet from elsewhere. Light or dark as the reader has it.

internal import Foundation
internal import HoldfastBench

/// What both charts share.
enum Chart {
    /// Told apart without red against green, in light and in dark.
    static let colours = ["#0969da", "#bc4c00", "#8250df", "#1a7f37", "#bf3989", "#9a6700", "#57606a", "#0a7ea4"]
    private static let darkColours = [
        "#58a6ff", "#f0883e", "#bc8cff", "#56d364", "#ff7bc8", "#e3b341", "#9ea7b3", "#4cc9f0",
    ]

    static func svg(width: Int, height: Int, label: String, _ body: String) -> String {
        func colouring(_ colours: [String]) -> String {
            colours.enumerated().map { ".c\($0) { stroke: \($1); fill: \($1) }" }.joined(separator: " ")
        }
        return """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" width="\(width)" height="\(height)" role="img" \
            aria-label="\(escaped(label))">
            <style>
            .hf text { font: 12px system-ui, sans-serif; fill: #1f2328; stroke: none } .hf .end { text-anchor: end } .hf .middle { text-anchor: middle }
            .hf .ground { fill: #ffffff } .hf .grid { stroke: #d1d9e0; stroke-width: 1 } .hf .floor { stroke: #59636e; stroke-width: 2.5 }
            .hf .line { fill: none; stroke-width: 2 } .hf .peer { fill: #59636e; fill-opacity: .45; stroke: none } .hf .minor { font-size: 11px; fill: #59636e }
            .hf .bold { font-weight: 600 } \(colouring(colours))
            .hf .line { fill: none }
            @media (prefers-color-scheme: dark) {
            .hf text { fill: #f0f6fc } .hf .ground { fill: #0d1117 } .hf .grid { stroke: #3d444d } .hf .floor { stroke: #9198a1 }
            .hf .peer { fill: #9198a1 } .hf .minor { fill: #9198a1 } \(colouring(darkColours)) .hf .line { fill: none }
            }
            </style>
            <g class="hf"><rect class="ground" width="\(width)" height="\(height)"/>
            \(body)
            </g>
            </svg>
            """
    }

    static func text(_ text: String, _ x: Double, _ y: Double, _ style: String = "") -> String {
        "<text x=\"\(number(x))\" y=\"\(number(y))\" class=\"\(style)\">\(escaped(text))</text>"
    }

    static func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ style: String) -> String {
        "<line x1=\"\(number(x1))\" y1=\"\(number(y1))\" x2=\"\(number(x2))\" y2=\"\(number(y2))\" class=\"\(style)\"/>"
    }

    static func circle(_ x: Double, _ y: Double, _ radius: Double, _ style: String, title: String) -> String {
        "<circle cx=\"\(number(x))\" cy=\"\(number(y))\" r=\"\(number(radius))\" class=\"\(style)\"><title>\(escaped(title))</title></circle>"
    }

    static func number(_ value: Double) -> String { BenchTable.decimal(value, 1) }

    /// A power of ten nanoseconds.
    static func time(exponent: Int) -> String {
        let (unit, power) =
            exponent < 3
            ? ("ns", exponent)
            : exponent < 6 ? ("µs", exponent - 3) : exponent < 9 ? ("ms", exponent - 6) : ("s", exponent - 9)
        guard power >= 0 else { return "0.\(String(repeating: "0", count: -power - 1))1 \(unit)" }
        return "1\(String(repeating: "0", count: power)) \(unit)"
    }
}

/// A logarithmic axis.
struct Scale {
    let low: Int
    let high: Int
    let from: Double
    let to: Double

    /// The powers of ten around the values.
    init(_ values: [Double], from: Double, to: Double) {
        let logarithms = values.filter { $0 > 0 }.map { log10($0) }
        low = Int((logarithms.min() ?? 0).rounded(.down))
        high = max(low + 1, Int((logarithms.max() ?? 1).rounded(.up)))
        self.from = from
        self.to = to
    }

    func position(_ value: Double) -> Double {
        from + (log10(max(value, 1e-9)) - Double(low)) / Double(high - low) * (to - from)
    }
}

/// Each row as a line: the floor, Holdfast and the peers on one scale of time.
struct DotPlot {
    private let rows: [BenchRow]

    init(_ rows: [BenchRow]) { self.rows = rows.filter { !$0.isShare } }

    var svg: String {
        let (width, left, right, top, step) = (900.0, 235.0, 30.0, 64.0, 26.0)
        let bottom = top + step * Double(rows.count)
        let values = rows.flatMap { row in ([row.floor, row.subject] + row.peers).map(\.nanoseconds) }
        let scale = Scale(values, from: left, to: width - right)
        var parts: [String] = [
            Chart.text("Time of one operation, logarithmic: further left is faster", left, 20, "bold")
        ]
        parts += [
            Chart.circle(left + 6, 38, 5.5, "c0", title: "Holdfast"), Chart.text("Holdfast", left + 18, 42),
            Chart.line(left + 96, 31, left + 96, 45, "floor"), Chart.text("the floor: raw C", left + 106, 42),
            Chart.circle(left + 222, 38, 4.5, "peer", title: "a peer"),
            Chart.text("a peer, by name in the table and on the page", left + 234, 42),
        ]
        for exponent in scale.low...scale.high {
            let x = scale.position(pow(10, Double(exponent)))
            parts.append(Chart.line(x, top - 8, x, bottom, "grid"))
            parts.append(Chart.text(Chart.time(exponent: exponent), x, bottom + 18, "middle minor"))
        }
        for (index, row) in rows.enumerated() {
            let y = top + step * (Double(index) + 0.5)
            parts.append(Chart.text(row.work, left - 12, y + 4, "end"))
            for peer in row.peers {
                parts.append(Chart.circle(scale.position(peer.nanoseconds), y, 4.5, "peer", title: title(peer)))
            }
            let floor = scale.position(row.floor.nanoseconds)
            parts.append(Chart.line(floor, y - 8, floor, y + 8, "floor"))
            parts.append(Chart.circle(scale.position(row.subject.nanoseconds), y, 5.5, "c0", title: title(row.subject)))
        }
        return Chart.svg(
            width: Int(width),
            height: Int(bottom + 30),
            label: "Time of one operation of Holdfast, of its floor and of its peers",
            parts.joined(separator: "\n")
        )
    }

    private func title(_ entry: BenchRow.Entry) -> String {
        "\(entry.name): \(BenchTable.duration(entry.nanoseconds))"
    }
}

/// Curves over a number that grows, both axes logarithmic.
struct LinePlot {
    private let growth: Growth

    init(_ growth: Growth) { self.growth = growth }

    var svg: String {
        let (width, height, left, right, top) = (900.0, 380.0, 80.0, 270.0, 30.0)
        let bottom = height - 52
        let points = growth.curves.flatMap(\.points)
        let vertical = Scale(points.map(\.nanoseconds), from: bottom, to: top)
        // From the first to the last number, not to the powers around them.
        let (first, last) = (log2(Double(points.map(\.x).min() ?? 1)), log2(Double(points.map(\.x).max() ?? 2)))
        func x(_ value: Int) -> Double {
            left + (log2(Double(value)) - first) / max(last - first, 1) * (width - right - left)
        }
        var parts: [String] = []
        for exponent in vertical.low...vertical.high {
            let y = vertical.position(pow(10, Double(exponent)))
            parts.append(Chart.line(left, y, width - right, y, "grid"))
            parts.append(Chart.text(Chart.time(exponent: exponent), left - 8, y + 4, "end minor"))
        }
        for value in Set(points.map(\.x)).sorted() {
            parts.append(Chart.line(x(value), top, x(value), bottom, "grid"))
            parts.append(Chart.text(growth.label(value), x(value), bottom + 18, "middle minor"))
        }
        parts.append(Chart.text(growth.axis, (left + width - right) / 2, bottom + 40, "middle"))
        parts.append(Chart.text("time of one operation", left - 66, top - 14))
        for (index, curve) in growth.curves.enumerated() {
            let style = "c\(index % Chart.colours.count)"
            let path = curve.points.map {
                "\(Chart.number(x($0.x))),\(Chart.number(vertical.position($0.nanoseconds)))"
            }
            parts.append("<polyline points=\"\(path.joined(separator: " "))\" class=\"\(style) line\"/>")
            for point in curve.points {
                let title = "\(curve.name), \(growth.label(point.x)): \(BenchTable.duration(point.nanoseconds))"
                parts.append(Chart.circle(x(point.x), vertical.position(point.nanoseconds), 3, style, title: title))
            }
            let y = top + 10 + Double(index) * 20
            parts.append(Chart.line(width - right + 16, y, width - right + 40, y, "\(style) line"))
            parts.append(Chart.text(curve.name, width - right + 48, y + 4))
        }
        return Chart.svg(width: Int(width), height: Int(height), label: growth.title, parts.joined(separator: "\n"))
    }
}
