// SPDX-License-Identifier: Apache-2.0
//
// One line of `bench`: an operation beside its floor.

/// What a row should reach.
enum Goal {
    /// At most so many times the floor.
    case ratio(Double)
    /// At most so many nanoseconds.
    case nanoseconds(Double)
    /// At least this part of the whole.
    case share(Double)
}

struct BenchRow {
    /// The flushes of one save; nil where they cannot be counted.
    struct Flushes {
        var subject: Double?
        var floor: Double?
    }

    /// The name of the operation.
    let work: String
    /// The median.
    let nanoseconds: Double
    /// See ``Samples/spread``.
    let spread: Double?
    /// What the floor is.
    let floor: String
    let floorNanoseconds: Double
    /// Of saves only.
    var flushes: Flushes?
    var goal: Goal?
    /// Whether the times stand for a share, a second being the whole: processor time per second of waiting, for example.
    var isShare = false

    var ratio: Double? { floorNanoseconds > 0 ? nanoseconds / floorNanoseconds : nil }

    /// Whether the goal is reached, if there is one.
    var isMet: Bool? {
        switch goal {
        case .ratio(let most): ratio.map { $0 <= most }
        case .nanoseconds(let most): nanoseconds <= most
        case .share(let least): nanoseconds >= least * 1e9
        case nil: nil
        }
    }
}

extension BenchRow {
    init(
        _ work: String,
        _ measured: Comparison,
        floor: String,
        goal: Goal? = nil,
        countsFlushes: Bool = false
    ) {
        self.work = work
        nanoseconds = measured.subject.time.median ?? 0
        spread = measured.subject.time.spread
        self.floor = floor
        floorNanoseconds = measured.floor.time.median ?? 0
        self.goal = goal
        if countsFlushes {
            flushes = Flushes(subject: measured.subject.flushes.median, floor: measured.floor.flushes.median)
        }
    }

    var json: [String: JSONValue] {
        var object: [String: JSONValue] = [
            "work": .text(work),
            "nanoseconds": .measure(rounded(nanoseconds, to: 0.01)),
            "floor": .text(floor),
            "floorNanoseconds": .measure(rounded(floorNanoseconds, to: 0.01)),
            "ratio": .measure(ratio.map { rounded($0, to: 0.001) }),
            "spread": .measure(spread.map { rounded($0, to: 0.001) }),
            "met": .flag(isMet),
        ]
        if let flushes {
            object["flushes"] = .measure(flushes.subject.map { rounded($0, to: 0.01) })
            object["floorFlushes"] = .measure(flushes.floor.map { rounded($0, to: 0.01) })
        }
        return object
    }

    /// Division by a whole number, unlike multiplication by a fraction, gives the double nearest to the decimal.
    private func rounded(_ value: Double, to step: Double) -> Double {
        let scale = (1 / step).rounded()
        return (value * scale).rounded() / scale
    }
}
