// SPDX-License-Identifier: Apache-2.0
//
// Which calls go wrong. A plan is a value; the file system counts calls in its own copy.

/// Which calls to a ``SimulatedFileSystem`` go wrong, and how.
///
/// ```swift
/// fileSystem.faults = .fail(call: 3, with: EIO)
/// fileSystem.faults = .failEvery(with: EINVAL) { $0.function == "fsync" && $0.isOnDirectory }
/// ```
///
/// Calls are counted from 1, from the moment that the plan is set.
public struct FaultPlan: Sendable {
    private struct Rule: Sendable {
        let fault: Fault
        let calls: ClosedRange<Int>
        var skipped = 0
        var remaining: Int
        let matches: @Sendable (Call) -> Bool
    }

    private var rules: [Rule] = []
    /// How many calls it was asked about.
    private(set) var seen = 0

    /// Nothing goes wrong.
    public static let none = FaultPlan()

    /// The N-th call from now has this fault; if the fault is lasting, so has every later one.
    ///
    /// - Parameters:
    ///   - fault: What goes wrong.
    ///   - call: From 1.
    /// - Returns: A plan of this fault alone.
    public static func inject(_ fault: Fault, call: Int) -> FaultPlan {
        precondition(call >= 1, "calls are counted from 1")
        let calls = call...(fault.isLasting ? .max : call)
        return FaultPlan(rules: [Rule(fault: fault, calls: calls, remaining: .max, matches: { _ in true })])
    }

    /// The N-th call from now fails with this errno, and nothing has happened.
    ///
    /// - Parameters:
    ///   - call: From 1.
    ///   - code: The errno.
    /// - Returns: A plan of this fault alone.
    public static func fail(call: Int, with code: Int32) -> FaultPlan {
        inject(.failure(code), call: call)
    }

    /// The N-th call from now, if it is a write, transfers no more than this many bytes.
    ///
    /// - Parameters:
    ///   - call: From 1.
    ///   - bytes: At least 0.
    /// - Returns: A plan of this fault alone.
    public static func shortWrite(call: Int, bytes: Int) -> FaultPlan {
        inject(.shortWrite(bytes: bytes), call: call)
    }

    /// The calls that match fail with this errno, and nothing has happened.
    ///
    /// - Parameters:
    ///   - code: The errno.
    ///   - skipped: How many of them go well before.
    ///   - times: How many of them fail then; the later ones go well.
    ///   - matches: Whether a call is meant. It sees the call without an outcome, and must not use the file system.
    /// - Returns: A plan of this fault alone.
    public static func failEvery(
        with code: Int32,
        after skipped: Int = 0,
        times: Int = .max,
        where matches: @escaping @Sendable (Call) -> Bool
    ) -> FaultPlan {
        let calls = 1...Int.max
        let rule = Rule(fault: .failure(code), calls: calls, skipped: skipped, remaining: times, matches: matches)
        return FaultPlan(rules: [rule])
    }

    /// Both plans; where both mean a call, this one decides.
    ///
    /// - Parameter other: Counts from the same moment.
    /// - Returns: A plan of both.
    public func and(_ other: FaultPlan) -> FaultPlan {
        FaultPlan(rules: rules + other.rules)
    }

    /// Counts one call and says what goes wrong in it.
    mutating func next(_ call: Call) -> Fault.Kind? {
        seen += 1
        for index in rules.indices {
            let rule = rules[index]
            guard rule.remaining > 0, rule.calls.contains(seen), rule.matches(call) else { continue }
            // Only a write can be short: in another call this is no fault, and it is not used up.
            if case .shortWrite = rule.fault.kind, !["pwritev", "pwrite"].contains(call.function) { continue }
            if rule.skipped > 0 {
                rules[index].skipped -= 1
                continue
            }
            rules[index].remaining -= 1
            return rule.fault.kind
        }
        return nil
    }
}
