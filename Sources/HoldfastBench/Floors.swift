// SPDX-License-Identifier: Apache-2.0
//
// The floors that stand beside more than one kind of work.

internal import _HoldfastFloors
public import Holdfast

/// What the kernel and libc alone charge, in C.
public enum Floors {
    /// Opens, locks with flock(2), and closes a file so many times.
    public static func lock(
        _ directory: OpenDirectory,
        _ name: String,
        mode: HeldLock.Mode = .exclusive,
        _ count: Int
    ) throws {
        try checkFloor("flock", unsafe hf_floor_lock(directory.descriptor.rawValue, name, mode == .exclusive, count))
    }

    /// Opens a file and waits for its lock.
    ///
    /// - Returns: The descriptor, whose close(2) is the release.
    public static func waitForLock(_ directory: OpenDirectory, _ name: String) throws -> Int32 {
        let descriptor = unsafe hf_floor_wait_for_lock(directory.descriptor.rawValue, name)
        try checkFloor("flock", descriptor)
        return descriptor
    }

    /// Locks and unlocks an open file with flock(2) so many times.
    public static func relock(_ descriptor: Int32, _ count: Int) throws {
        try checkFloor("flock", hf_floor_flock(descriptor, count))
    }

    /// Replaces a file so many times: open, write, fsync, rename, fsync of the directory; or without the two flushes.
    public static func save(
        _ directory: OpenDirectory,
        _ name: String,
        _ bytes: [UInt8],
        flushes: Bool = true,
        _ count: Int
    ) throws {
        let (descriptor, temporary) = (directory.descriptor.rawValue, ".\(name).tmp")
        try checkFloor("save", unsafe hf_floor_save(descriptor, name, temporary, bytes, bytes.count, flushes, count))
    }
}
