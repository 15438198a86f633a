// SPDX-License-Identifier: Apache-2.0
//
// The page of a run of `state`: counters, and a line of each writer.

/// What is counted besides the counters of every run.
enum StateCounter: Int, CaseIterable {
    /// States read.
    case reads
    /// States that are older than one that the same reader has seen.
    case older
    /// Files that were converted.
    case conversions
    /// Updates that are in the state and that nobody has made.
    case surplus
}

/// The page of a run of `state`; its `acquisitions` are the updates that writers were told of.
struct StatePage {
    static func lines(writers: Int) -> Int { StateCounter.allCases.count + writers }

    let page: SharedPage

    subscript(_ counter: Counter) -> SharedWord { page[counter] }
    subscript(_ counter: StateCounter) -> SharedWord { page.word(counter.rawValue) }

    /// How many updates a writer and those before it in its slot were told of.
    func told(_ writer: Int) -> SharedWord { page.word(StateCounter.allCases.count + writer) }
}
