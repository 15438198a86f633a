// SPDX-License-Identifier: Apache-2.0
//
// How a state file is kept. Everything has a default, and every default is the safe one.

/// How the new state takes the place of the old one.
public struct StateStrategy: Hashable, Sendable, CustomStringConvertible {
    private enum Value: String {
        case replace
    }

    private let value: Value

    /// Write a new file beside the old one and rename it over: an ordinary file, which anything can read.
    ///
    /// Two flushes per save with ``Durability/powerLoss``. Needs a directory that it may write to, and cannot replace a
    /// file that is a mount point.
    public static let replace = StateStrategy(value: .replace)

    /// The name, for example `replace`.
    public var description: String { value.rawValue }
}

/// How a state file is kept.
public struct StateOptions: Hashable, Sendable {
    /// How the new state takes the place of the old one.
    public var strategy: StateStrategy
    /// What a save survives, unless it says otherwise itself.
    public var durability: Durability
    /// The largest payload in bytes that is saved or loaded, so that a damaged or foreign file cannot exhaust memory.
    public var maximumLength: Int
    /// Whether each save keeps the state before it as `.NAME.previous`, to fall back to or to restore.
    ///
    /// Costs a linkat(2) and a renameat(2) per save, and no flush.
    public var keepsPrevious: Bool
    /// Whether a save whose directory flush failed throws ``StateError/Code/directoryNotSynced``.
    ///
    /// Otherwise it returns, and ``Commit/directorySyncError`` says so.
    public var requiresDirectorySync: Bool
    /// The only store that is loaded or replaced; any if nil.
    ///
    /// A first save makes a store with this identity.
    public var expectedStore: StoreID?

    /// 256 MiB.
    public static let defaultMaximumLength = 256 << 20

    /// Makes options; those that are not named have their default.
    public init(
        strategy: StateStrategy = .replace,
        durability: Durability = .powerLoss,
        maximumLength: Int = StateOptions.defaultMaximumLength,
        keepsPrevious: Bool = false,
        requiresDirectorySync: Bool = false,
        expectedStore: StoreID? = nil
    ) {
        self.strategy = strategy
        self.durability = durability
        self.maximumLength = maximumLength
        self.keepsPrevious = keepsPrevious
        self.requiresDirectorySync = requiresDirectorySync
        self.expectedStore = expectedStore
    }
}
