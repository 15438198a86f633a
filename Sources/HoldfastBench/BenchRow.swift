// SPDX-License-Identifier: Apache-2.0
//
// One line of a benchmark: an operation beside its floor, and beside others who do the same.

/// What a row should reach.
public enum Goal: Sendable {
    /// At most so many times the floor.
    case ratio(Double)
    /// At most so many nanoseconds.
    case nanoseconds(Double)
    /// At least this part of the whole.
    case share(Double)
}

/// One line of a benchmark.
public struct BenchRow {
    /// What one operation asks of the disk; nil where it cannot be counted.
    public struct Writing: Sendable {
        /// Flushes per operation.
        public var flushes: Double?
        /// Bytes per operation.
        public var bytesWritten: Double?

        init(_ measured: Measured) {
            flushes = measured.flushes.median
            bytesWritten = measured.bytesWritten.median
        }
    }

    /// What one who does the same takes.
    public struct Entry: Sendable {
        /// Who it is.
        public let name: String
        /// The median.
        public let nanoseconds: Double
        /// See ``Samples/spread``.
        public let spread: Double?
        /// Of one operation.
        public let writing: Writing

        /// - Parameters:
        ///   - name: Who it is.
        ///   - measured: What was measured.
        public init(_ name: String, _ measured: Measured) {
            self.name = name
            nanoseconds = measured.time.median ?? 0
            spread = measured.time.spread
            writing = Writing(measured)
        }
    }

    /// The name of the operation.
    public let work: String
    /// Holdfast.
    public let subject: Entry
    /// The floor, by the name of what it does.
    public let floor: Entry
    /// Those who do the same.
    public var peers: [Entry] = []
    /// Whether it is a durable save.
    public let countsFlushes: Bool
    /// What it should reach, if anything.
    public let goal: Goal?
    /// Whether the times stand for a share, a second being the whole: processor time per second of waiting, for example.
    public var isShare = false

    /// How many times the floor it takes.
    public var ratio: Double? { floor.nanoseconds > 0 ? subject.nanoseconds / floor.nanoseconds : nil }

    /// Whether the goal is reached, if there is one.
    public var isMet: Bool? {
        switch goal {
        case .ratio(let most): ratio.map { $0 <= most }
        case .nanoseconds(let most): subject.nanoseconds <= most
        case .share(let least): subject.nanoseconds >= least * 1e9
        case nil: nil
        }
    }

    /// - Parameters:
    ///   - work: The name of the operation.
    ///   - measured: What was measured of Holdfast.
    ///   - floor: What the floor is, and what was measured of it.
    ///   - goal: What it should reach.
    ///   - countsFlushes: Whether it is a durable save.
    public init(
        _ work: String,
        _ measured: Measured,
        floor: (name: String, measured: Measured),
        goal: Goal? = nil,
        countsFlushes: Bool = false
    ) {
        self.work = work
        subject = Entry("Holdfast", measured)
        self.floor = Entry(floor.name, floor.measured)
        self.goal = goal
        self.countsFlushes = countsFlushes
    }
}

extension BenchRow: Encodable {
    /// The keys of a line of JSON, all of which are always there, but for the flushes, which only saves have.
    public enum CodingKeys: String, CodingKey {
        /// The name of the operation.
        case work
        /// The median.
        case nanoseconds
        /// What the floor is.
        case floor
        /// Its median.
        case floorNanoseconds
        /// How many times the floor it takes.
        case ratio
        /// See ``Samples/spread``.
        case spread
        /// Whether the goal is reached.
        case met
        /// Per save.
        case flushes
        /// Per save.
        case floorFlushes
    }

    /// Writes one object.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(work, forKey: .work)
        try container.encode(subject.nanoseconds.rounded(to: 0.01), forKey: .nanoseconds)
        try container.encode(floor.name, forKey: .floor)
        try container.encode(floor.nanoseconds.rounded(to: 0.01), forKey: .floorNanoseconds)
        // Not nil as no key: what is not known is null.
        try container.encode(ratio?.rounded(to: 0.001), forKey: .ratio)
        try container.encode(subject.spread?.rounded(to: 0.001), forKey: .spread)
        try container.encode(isMet, forKey: .met)
        if countsFlushes {
            try container.encode(subject.writing.flushes?.rounded(to: 0.01), forKey: .flushes)
            try container.encode(floor.writing.flushes?.rounded(to: 0.01), forKey: .floorFlushes)
        }
    }
}

extension Double {
    /// Rounded to a multiple of a decimal step.
    ///
    /// Division by a whole number, unlike multiplication by a fraction, gives the double nearest to the decimal.
    public func rounded(to step: Double) -> Double {
        let scale = (1 / step).rounded()
        return (self * scale).rounded() / scale
    }
}
