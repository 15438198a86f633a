// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import Holdfast

/// The ways to keep a state that can be stressed.
enum StateKind: String, CaseIterable, Codable, ExpressibleByArgument {
    /// Known bad: loads, changes and saves, with no lock over the three.
    case unlocked
    case replace
    case twoSlot = "two-slot"
    /// Writers convert the file now and then.
    case converted

    var isUnsound: Bool { self == .unlocked }

    var strategy: StateStrategy {
        switch self {
        case .replace: .replace
        case .unlocked, .twoSlot: .twoSlot
        case .converted: .asFound
        }
    }
}
