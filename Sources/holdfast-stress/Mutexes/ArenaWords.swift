// SPDX-License-Identifier: Apache-2.0
//
// The words of an arena's mutexes, as the harness sees them beside the library.

internal import Holdfast

/// The words of an arena.
struct ArenaWords {
    /// Where a count is put that shall soon be at its end: two more acquisitions, and the tokens have to be renewed.
    static let soonUsedUp = MutexWord.lastCount - 2

    private let file: SharedPage
    private let layout: ArenaLayout

    /// Maps an arena that exists.
    init(_ path: String, count: Int) throws {
        file = try SharedPage(opening: path)
        layout = ArenaLayout(count: count)
    }

    subscript(_ mutex: Int) -> SharedWord {
        file.word(at: ArenaLayout.cells + mutex * ((layout.size - ArenaLayout.cells) / layout.count))
    }

    /// Does to a free mutex what billions of acquisitions would: its count comes near its end.
    ///
    /// False if it is not free, is near the end already, or has just begun a new epoch.
    func useUp(_ mutex: Int) -> Bool {
        let seen = MutexWord(raw: self[mutex].load())
        guard seen.holder == .nobody, seen.count > 0, seen.count < Self.soonUsedUp else { return false }
        return self[mutex].replace(seen.raw, by: MutexWord(futex: seen.futex, count: Self.soonUsedUp).raw)
    }
}
