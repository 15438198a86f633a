// SPDX-License-Identifier: Apache-2.0
//
// What file systems promise about order beyond what fsync(2) says. Each is a set of rules from which the dependencies
// between changes follow; where documentation is silent, or an optimisation may break a rule, the rule is left out.

/// How far a file system keeps the order of changes that nobody flushed.
///
/// In all of them a change is durable once a flush of its file, or for names of their directory, has returned.
public struct CrashProfile: Hashable, Sendable, CaseIterable, CustomStringConvertible {
    private enum Value: String {
        case posix, ext4, xfs, btrfs
    }

    private let value: Value

    /// Nothing is ordered but by flushes: each sector, size, mode, attribute and name by itself is old or new, and an unflushed
    /// sector may also read as zeros, or as anything.
    ///
    /// What is safe here is safe everywhere.
    public static let posix = CrashProfile(value: .posix)
    /// ext4 with `data=ordered` and `auto_da_alloc`, its defaults.
    ///
    /// Names, modes and attributes reach the device in the order in which they were changed. A file has grown only when the new
    /// bytes are there. A rename over another file waits for the data of the renamed one.
    public static let ext4 = CrashProfile(value: .ext4)
    /// xfs: as ext4, but a rename waits for no data.
    public static let xfs = CrashProfile(value: .xfs)
    /// btrfs: names are not ordered, a file has grown only when the new bytes are there, a rename over another file
    /// waits for the data of the renamed one, and because data is never overwritten in place, a sector is old or new.
    public static let btrfs = CrashProfile(value: .btrfs)

    /// All of them, the one with the least order first.
    public static let allCases: [CrashProfile] = [.posix, .ext4, .xfs, .btrfs]

    /// The name, for example `ext4`.
    public var description: String { value.rawValue }
}

extension CrashProfile {
    /// Names, modes, owners and attributes are journalled one after another.
    var ordersMetadata: Bool { value == .ext4 || value == .xfs }
    /// A larger size is on the device only when the bytes before it are.
    var writesDataBeforeSize: Bool { value != .posix }
    /// A rename over another file is on the device only when the renamed file's data is.
    var writesDataBeforeReplacing: Bool { value == .ext4 || value == .btrfs }
    /// A sector that was not flushed may hold zeros or anything.
    package var tearsSectors: Bool { value != .btrfs }
}
