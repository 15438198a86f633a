// SPDX-License-Identifier: Apache-2.0
//
// All that may have become of the changes when the power fails at one moment. Three ways, the first that stays within the
// limit: every combination; every combination in which the sectors of one call have one fate of a few; random ones.

/// How the states of one moment were chosen.
enum Coverage: Sendable {
    /// Every one.
    case exhaustive
    /// Every one in which the unflushed sectors of each call are all old, all new, all zeros, all garbage, or all new but
    /// the first or the last; or in which the words of mapped files have one fate of a few.
    case symmetric
    /// As many as the limit says.
    case sampled
}

extension CrashGraph {
    /// Calls the body with the outcomes of all nodes before a position, for each crash at that position.
    ///
    /// A crash at an earlier one is among them, as one that loses what came later, unless something was flushed or noted
    /// in between.
    func forEachCrash(
        at position: Int,
        limit: Int,
        wordLimit: Int,
        random: inout SplitMix,
        _ body: ([Outcome]) throws -> Void
    ) rethrows -> Coverage {
        let count = count(before: position)
        let choices = (0..<count).map { self.choices(of: $0, at: position) }
        var outcomes = Array(repeating: Outcome.lost, count: count)
        var room = limit
        let words = wordFates(choices, wordLimit, &random)
        if let words {
            // What becomes of the words does not depend on the rest, so it is chosen first.
            let cases = words.map { fate in
                var choices = choices
                for (node, outcome) in fate { choices[node] = [outcome] }
                return choices
            }
            if cases.allSatisfy({ countCombinations($0, &outcomes, 0, &room) }) {
                for choices in cases { try combine(choices, &outcomes, 0, body) }
                return .symmetric
            }
        } else if countCombinations(choices, &outcomes, 0, &room) {
            try combine(choices, &outcomes, 0, body)
            return .exhaustive
        }
        let groups = self.groups(choices, words)
        var combinations = 1
        for group in groups where combinations <= limit { combinations *= group.count }
        if combinations <= limit {
            try combine(groups, outcomes, 0, choices, body)
            return .symmetric
        }
        for _ in 0..<limit { try body(sample(choices, &random)) }
        return .sampled
    }

    /// What may become of a node, whatever becomes of others.
    private func choices(of index: Int, at position: Int) -> [Outcome] {
        let node = nodes[index]
        if node.durableAfter < position { return [.kept] }
        if !node.mayTear { return [.lost, .kept] }
        return node.hidesBytes ? [.lost, .kept, .zeros, .garbage] : [.lost, .kept, .garbage]
    }

    private func isPossible(_ outcome: Outcome, of index: Int, _ outcomes: [Outcome]) -> Bool {
        outcome == .lost || nodes[index].requires.allSatisfy { outcomes[$0] == .kept }
    }

    /// Whether there are no more combinations than there is room for.
    private func countCombinations(
        _ choices: [[Outcome]],
        _ outcomes: inout [Outcome],
        _ index: Int,
        _ room: inout Int
    ) -> Bool {
        if index == choices.count {
            room -= 1
            return room >= 0
        }
        var isDecided = false
        for outcome in choices[index] where isPossible(outcome, of: index, outcomes) {
            isDecided = true
            outcomes[index] = outcome
            if !countCombinations(choices, &outcomes, index + 1, &room) { return false }
        }
        if isDecided { return true }
        outcomes[index] = .lost
        return countCombinations(choices, &outcomes, index + 1, &room)
    }

    private func combine(
        _ choices: [[Outcome]],
        _ outcomes: inout [Outcome],
        _ index: Int,
        _ body: ([Outcome]) throws -> Void
    ) rethrows {
        if index == choices.count { return try body(outcomes) }
        var isDecided = false
        for outcome in choices[index] where isPossible(outcome, of: index, outcomes) {
            isDecided = true
            outcomes[index] = outcome
            try combine(choices, &outcomes, index + 1, body)
        }
        // A word that was to be kept has lost the sector that it was stored in.
        if isDecided { return }
        outcomes[index] = .lost
        try combine(choices, &outcomes, index + 1, body)
    }
}

/// A word of a file.
private struct WordPlace: Hashable {
    let inode: UInt64
    let offset: Int
}

/// The symmetric choice.
extension CrashGraph {
    /// One fate of several nodes: their outcomes.
    private typealias Fate = [(node: Int, outcome: Outcome)]

    /// The words that a power cut may leave old or new: all old, all new, and so many mixtures; nil if there are no more ways
    /// than that.
    ///
    /// A mixture has each word as it was at some moment since the last flush.
    private func wordFates(_ choices: [[Outcome]], _ limit: Int, _ random: inout SplitMix) -> [Fate]? {
        var histories: [WordPlace: [Int]] = [:]
        for (index, choice) in choices.enumerated() where choice.count > 1 {
            guard case .word(let inode, let store, _) = nodes[index].change else { continue }
            histories[WordPlace(inode: inode, offset: store.offset), default: []].append(index)
        }
        var combinations = 1
        for history in histories.values where combinations <= limit { combinations *= history.count + 1 }
        if combinations <= limit { return nil }
        let inOrder = histories.values.sorted { $0[0] < $1[0] }
        func fate(_ kept: (Int) -> Int) -> Fate {
            inOrder.flatMap { history in
                let kept = kept(history.count)
                return history.enumerated().map { ($1, $0 < kept ? Outcome.kept : .lost) }
            }
        }
        return [fate { _ in 0 }, fate { $0 }]
            + (0..<limit).map { _ in fate { Int(random.next() % UInt64($0 + 1)) } }
    }

    /// The fates of each call's sectors together, those of all words if there are too many, and of every other undecided
    /// node alone.
    private func groups(_ choices: [[Outcome]], _ words: [Fate]?) -> [[Fate]] {
        var groups = words.map { [$0] } ?? []
        var sectors: [Int: [Int]] = [:]
        var order: [Int] = []
        for (index, choice) in choices.enumerated() where choice.count > 1 {
            if words != nil, nodes[index].change.isWord { continue }
            guard nodes[index].change.isSector, let call = nodes[index].call else {
                groups.append(choice.map { [(index, $0)] })
                continue
            }
            if sectors[call] == nil { order.append(call) }
            sectors[call, default: []].append(index)
        }
        for members in order.compactMap({ sectors[$0] }) {
            var fates = choices[members[0]].map { outcome in members.map { ($0, outcome) } }
            if members.count > 1 {
                for odd in [members[0], members[members.count - 1]] {
                    fates.append(members.map { ($0, $0 == odd ? .lost : .kept) })
                }
            }
            groups.append(fates)
        }
        return groups
    }

    private func combine(
        _ groups: [[Fate]],
        _ outcomes: [Outcome],
        _ index: Int,
        _ choices: [[Outcome]],
        _ body: ([Outcome]) throws -> Void
    ) rethrows {
        if index == groups.count { return try body(possible(outcomes, choices)) }
        for fate in groups[index] {
            var outcomes = outcomes
            for (node, outcome) in fate { outcomes[node] = outcome }
            try combine(groups, outcomes, index + 1, choices, body)
        }
    }

    /// Loses what has lost what it requires, and keeps what is durable.
    func possible(_ wanted: [Outcome], _ choices: [[Outcome]]) -> [Outcome] {
        var outcomes = wanted
        for index in outcomes.indices {
            if choices[index].count == 1 {
                outcomes[index] = .kept
            } else if !isPossible(outcomes[index], of: index, outcomes) {
                outcomes[index] = .lost
            }
        }
        return outcomes
    }

    /// The same for a crash at a position.
    func possible(_ wanted: [Outcome], at position: Int) -> [Outcome] {
        possible(wanted, wanted.indices.map { choices(of: $0, at: position) })
    }

    /// Mostly kept, mostly lost, or anything.
    private func sample(_ choices: [[Outcome]], _ random: inout SplitMix) -> [Outcome] {
        let kept = [90, 50, 15][Int(random.next() % 3)]
        let wanted = choices.map { choice -> Outcome in
            if Int(random.next() % 100) < kept { return .kept }
            let others = choice.filter { $0 != .kept }
            return others.isEmpty ? .kept : others[Int(random.next() % UInt64(others.count))]
        }
        return possible(wanted, choices)
    }
}
