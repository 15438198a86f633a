// SPDX-License-Identifier: Apache-2.0
//
// How often the disk below a directory was told to flush, and what was written to it, by the kernel's own count: it shows
// what a save really asks of the device, whatever calls it made. It counts for the whole disk, so others that flush at the
// same time are in it; the median over many rounds is what to look at. A disk without a volatile cache is sent no flushes at
// all: then it is 0.

public import Holdfast

/// The counts of flushes and written bytes of the disks that hold a directory.
public struct DiskCounter: Sendable {
    /// What the disks have done since the system started.
    public struct Count: Sendable {
        /// The flush requests completed.
        public var flushes: UInt64
        /// The bytes of the write requests completed.
        public var bytesWritten: UInt64
    }

    /// The disks' names, for example `vda`.
    public let disks: [String]
    private let directories: [String]

    /// Nil if no disk is known: a file system in memory, over the network, in user space, or another kernel than Linux.
    public init?(of directory: OpenDirectory, on mount: Mount?) {
        var found: [String] = []
        if let device = try? directory.descriptor.status().identity.device {
            // As glibc's major(3) and minor(3) take them apart.
            let major = ((device >> 8) & 0xfff) | ((device >> 32) & ~0xfff)
            let minor = (device & 0xff) | ((device >> 12) & ~0xff)
            found = Self.disks(below: "/sys/dev/block/\(major):\(minor)")
        }
        if found.isEmpty, let mount, mount.type == "btrfs" { found = Self.disksOfBtrfs(mount) }
        directories = Array(Set(found)).sorted()
        disks = directories.map(Self.lastComponent)
        if directories.isEmpty || count() == nil { return nil }
    }

    /// The counts now.
    ///
    /// The seventh and the 16th number of a disk's `stat` file, of which Documentation/admin-guide/iostats.rst of the kernel
    /// tells. A sector there has 512 bytes.
    public func count() -> Count? {
        var sum = Count(flushes: 0, bytesWritten: 0)
        for directory in directories {
            let numbers = (readText("\(directory)/stat") ?? "").split { $0.isWhitespace }
            guard numbers.count >= 16, let flushes = UInt64(numbers[15]), let sectors = UInt64(numbers[6]) else {
                return nil
            }
            sum.flushes += flushes
            sum.bytesWritten += sectors * 512
        }
        return sum
    }

    /// Whether each disk has a volatile cache, as the kernel sees it: `write back` or `write through`.
    public var caches: [String] {
        directories.map { readText("\($0)/queue/write_cache")?.trimmed ?? "unknown cache" }
    }

    /// The disks that a block device stands on: itself, the one that it is a partition of, or those that it is made of.
    private static func disks(below device: String) -> [String] {
        guard readText("\(device)/uevent") != nil else { return [] }
        if readText("\(device)/partition") != nil { return disks(below: "\(device)/..") }
        let parts = names(in: "\(device)/slaves")
        if !parts.isEmpty { return parts.flatMap { disks(below: "/sys/class/block/\($0)") } }
        return [name(of: device).map { "/sys/class/block/\($0)" } ?? device]
    }

    /// The file system's device number is not a disk's, and it may have several disks.
    private static func disksOfBtrfs(_ mount: Mount) -> [String] {
        let device = lastComponent(of: resolved(mount.source) ?? mount.source)
        for system in names(in: "/sys/fs/btrfs") {
            let devices = names(in: "/sys/fs/btrfs/\(system)/devices")
            if devices.contains(device) { return devices.flatMap { disks(below: "/sys/class/block/\($0)") } }
        }
        return []
    }

    private static func name(of device: String) -> String? {
        readText("\(device)/uevent")?.split(separator: "\n")
            .first { $0.hasPrefix("DEVNAME=") }
            .map { String($0.dropFirst("DEVNAME=".count)) }
    }

    private static func lastComponent(of path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? path
    }

    private static func names(in path: String) -> [String] {
        (try? OpenDirectory(path).names()) ?? []
    }
}
