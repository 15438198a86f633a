// SPDX-License-Identifier: Apache-2.0
//
// Random pauses and deaths: what makes a window of nanoseconds wide enough to be hit in every run.

internal import Synchronization
internal import _HoldfastStressShims

/// The randomness of one worker: a SplitMix64 sequence that threads may draw from at once.
final class Chance: Sendable {
    private let state: Atomic<UInt64>
    /// The longest pause in nanoseconds.
    private let longest: UInt64

    init(seed: UInt64, longestPause microseconds: UInt64) {
        state = Atomic(seed)
        longest = microseconds * 1000
    }

    /// A number below `bound`.
    func below(_ bound: UInt64) -> UInt64 {
        var word = state.wrappingAdd(0x9E37_79B9_7F4A_7C15, ordering: .relaxed).newValue
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return (word ^ word >> 31).multipliedFullWidth(by: bound).high
    }

    /// True in `parts` of 1000 cases.
    func happens(_ parts: UInt64) -> Bool {
        below(1000) < parts
    }

    /// Between two steps of a protocol: mostly nothing, sometimes another process's turn, sometimes a sleep.
    func pause() {
        switch below(8) {
        case 0...3: break
        case 4...5: hfs_yield()
        default: hfs_sleep(Int64(below(longest + 1)))
        }
    }

    /// Mostly the same, but in one of 64 cases a sleep of up to twenty times the longest pause.
    ///
    /// Some races need one process to stand still while others release, end and acquire.
    func longPause() {
        if below(64) == 0 { hfs_sleep(Int64(below(longest * 20 + 1))) } else { pause() }
    }
}
