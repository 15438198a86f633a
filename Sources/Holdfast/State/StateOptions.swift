// SPDX-License-Identifier: Apache-2.0
//
// How a state file is kept. Everything has a default, and every default is the safe one.

/// How the new state takes the place of the old one.
public struct StateStrategy: Hashable, Sendable, CustomStringConvertible {
    private enum Value: String, Codable {
        case asFound = "as-found"
        case replace
        case twoSlot = "two-slot"
    }

    private let value: Value

    /// Keep the file as it is: by ``replace`` or in two slots, whatever it was made for.
    ///
    /// A first save makes a file for ``replace``.
    public static let asFound = StateStrategy(value: .asFound)

    /// Write a new file beside the old one and rename it over: an ordinary file, which anything can read.
    ///
    /// Two flushes per save with ``StateDurability/powerLoss``. Needs a directory that it may write to, and cannot replace a
    /// file that is a mount point.
    public static let replace = StateStrategy(value: .replace)

    /// Write in place, to the older of two slots in one file: one flush per save with ``StateDurability/powerLoss``, and a
    /// reader that looks again at an unchanged state (``StateReader``) makes no system call.
    ///
    /// Works for a file that is itself a mount point. Once made, the file never runs out of room on a file system that
    /// writes in place (ext4, xfs). All processes must reach it in the same directory, where `.NAME.arena` holds their
    /// lock.
    public static let twoSlot = StateStrategy(value: .twoSlot)

    /// The name, for example `replace`.
    public var description: String { value.rawValue }
}

extension StateStrategy: Codable {
    /// Reads the name.
    public init(from decoder: any Decoder) throws {
        value = try decoder.singleValueContainer().decode(Value.self)
    }

    /// Writes the name, for example `replace`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(value)
    }
}

/// How a state file is kept.
public struct StateOptions: Hashable, Sendable {
    /// How the new state takes the place of the old one.
    ///
    /// A save to a file of the other strategy converts it, and keeps its store, its generations, schema and token. A
    /// load finds the strategy by itself.
    public var strategy: StateStrategy
    /// Room for payloads of at least so many bytes in a two-slot file; nil for as much as there is, or is needed.
    ///
    /// A larger payload makes a larger file, by a replacement, with twice the room. More than 2⁴⁰ is refused by the save.
    public var capacity: Int?
    /// What a save survives, unless it says otherwise itself.
    public var durability: StateDurability
    /// The largest payload in bytes that is saved or loaded, so that a damaged or foreign file cannot exhaust memory.
    ///
    /// A negative number counts as 0.
    public var maximumLength: Int
    /// Whether each save keeps the state before it as `.NAME.previous`, to fall back to or to restore.
    ///
    /// Costs a linkat(2) and a renameat(2) per save, and no flush. A two-slot file has the state before in its other
    /// slot, with or without this.
    public var keepsPrevious: Bool
    /// Whether a save whose directory flush failed throws ``StateError/Code/directoryNotSynced``.
    ///
    /// Otherwise it returns, and ``StateCommit/directorySyncError`` says so.
    public var requiresDirectorySync: Bool
    /// The only store that is loaded or replaced; any if nil.
    ///
    /// A first save makes a store with this identity.
    public var expectedStore: StoreID?
    /// Whether a save makes a state of a file that is empty, as touch(1) makes one for a mount.
    ///
    /// Its owner, mode and attributes stay. A mount point is written in place, which needs ``StateStrategy/twoSlot``.
    /// Without this an empty file counts as corrupt, because it may be what is left of a state; and also with it, while
    /// there is a previous copy to restore.
    public var adoptsEmpty: Bool
    /// The mode of a state that a save makes, exactly, whatever the umask: at least 0600, at most 0777.
    ///
    /// By default what the directory's default access list grants, or 0600 where there is none. A state that is there
    /// keeps its own. What stands beside a state lets those in who may write to it: who may only read it could lock the
    /// others out.
    public var permissions: UInt32?
    /// The numerical group of a state that a save makes, and of all that is made beside it.
    ///
    /// By default the kernel's choice, which is this process's, or the directory's if that has the set-group-ID bit. It
    /// has to be one of this process's, unless that is root's.
    public var group: UInt32?

    /// 256 MiB.
    public static let defaultMaximumLength = 256 << 20

    /// Makes options; those that are not named have their default.
    public init(
        strategy: StateStrategy = .asFound,
        capacity: Int? = nil,
        durability: StateDurability = .powerLoss,
        maximumLength: Int = StateOptions.defaultMaximumLength,
        keepsPrevious: Bool = false,
        requiresDirectorySync: Bool = false,
        expectedStore: StoreID? = nil,
        adoptsEmpty: Bool = false,
        permissions: UInt32? = nil,
        group: UInt32? = nil
    ) {
        self.strategy = strategy
        self.capacity = capacity
        self.durability = durability
        self.maximumLength = maximumLength
        self.keepsPrevious = keepsPrevious
        self.requiresDirectorySync = requiresDirectorySync
        self.expectedStore = expectedStore
        self.adoptsEmpty = adoptsEmpty
        self.permissions = permissions
        self.group = group
    }
}
