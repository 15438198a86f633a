// SPDX-License-Identifier: Apache-2.0
//
// One of several ways to do the same work, which are measured in turns.

/// A way to do some work, to be measured beside others.
public struct Contestant {
    /// What does the work.
    public let name: String
    /// How many operations make a turn, if that is not for others to say.
    let count: Int?
    let body: (Int) throws -> UInt64?

    /// Work that is timed from outside.
    ///
    /// - Parameters:
    ///   - name: What does the work.
    ///   - count: How many operations make a turn, if that is not for others to say.
    ///   - body: Does the operation as often as it is told.
    public init(_ name: String, count: Int? = nil, _ body: @escaping (Int) throws -> Void) {
        self.name = name
        self.count = count
        self.body = { count in
            try body(count)
            return nil
        }
    }

    private init(_ name: String, _ count: Int?, body: @escaping (Int) throws -> UInt64?) {
        self.name = name
        self.count = count
        self.body = body
    }

    /// Work that times itself, because it also does what is not to be measured, or is done elsewhere.
    ///
    /// - Parameters:
    ///   - name: What does the work.
    ///   - count: How many operations make a turn, if that is not for others to say.
    ///   - body: Does the operation as often as it is told, and returns what that took, in nanoseconds.
    /// - Returns: The contestant.
    public static func timingItself(
        _ name: String,
        count: Int? = nil,
        _ body: @escaping (Int) throws -> UInt64
    ) -> Contestant {
        Contestant(name, count, body: { count in try body(count) })
    }

    /// Does the operation so many times.
    ///
    /// - Returns: What it took, in nanoseconds.
    func time(_ count: Int) throws -> UInt64 {
        let start = Clock.now
        let own = try body(count)
        return own ?? (Clock.now - start)
    }
}
