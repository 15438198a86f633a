// SPDX-License-Identifier: Apache-2.0
//
// What an exploration found.

/// What came of an exploration: how much was tried, and what was wrong.
public struct CrashReport: Sendable {
    /// One kind of violation, with the shortest way to it that was found.
    public struct Finding: Sendable, CustomStringConvertible {
        /// What was found.
        public let violation: CrashViolation
        /// In how many states.
        public internal(set) var count: Int
        /// The calls up to the crash, what became of each one's changes, and what the recovery found, line by line.
        public let trace: [String]
        /// What to explore with, to find the same again.
        public let seed: UInt64
        /// The profile under which it was found.
        public let profile: CrashProfile

        /// The violation and how it comes about, on several lines.
        public var description: String {
            let times = count == 1 ? "1 state" : "\(count) states"
            return (["\(violation) (\(times), \(profile), seed \(seed))"] + trace.map { "    \($0)" })
                .joined(separator: "\n")
        }
    }

    /// How many distinct states were recovered from: what the files were, and what had been noted.
    public internal(set) var states = 0
    /// How many ways to crash led to them; equal states are tried once.
    public internal(set) var crashes = 0
    /// How many moments every possible crash was tried at.
    public internal(set) var exhaustiveMoments = 0
    /// How many moments had too many for that, and the sectors of each call were given one fate of a few.
    public internal(set) var symmetricMoments = 0
    /// How many moments had too many for that too, and random crashes were tried.
    public internal(set) var sampledMoments = 0
    /// What was wrong, one of each kind and number of crashes.
    public internal(set) var findings: [Finding] = []

    /// Whether every recovery was content.
    public var isSound: Bool { findings.isEmpty }

    /// The kinds of what was wrong.
    public var kinds: Set<CrashViolation.Kind> { Set(findings.map(\.violation.kind)) }
}

extension CrashReport: CustomStringConvertible {
    /// How much was tried on one line, and what was wrong on more.
    public var description: String {
        let line =
            "\(states) states from \(crashes) crashes at \(exhaustiveMoments) moments exhaustively, "
            + "\(symmetricMoments) by symmetry, \(sampledMoments) by samples"
        return ([line] + findings.map(\.description)).joined(separator: "\n")
    }
}
