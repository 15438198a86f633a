// SPDX-License-Identifier: Apache-2.0
//
// What the numbers of a benchmark depend on, as far as the system tells.

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif
internal import Holdfast

/// The mount that holds a path.
public struct Mount: Sendable {
    /// For example `ext4`.
    public let type: String
    /// For example `/dev/vda1`.
    public let source: String

    /// By the longest mount point that the path begins with, and of equal ones the last, which covers the others.
    public init?(of path: String) {
        guard let path = resolved(path), let table = readText("/proc/self/mountinfo") else { return nil }
        var best: (length: Int, type: String, source: String)?
        for line in table.split(separator: "\n") {
            // 36 35 98:0 /root /mount/point rw,noatime shared:1 - ext4 /dev/vda1 rw
            let fields = line.split(separator: " ")
            guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count > dash + 2 else { continue }
            let point = fields[4].replacing("\\040", with: " ")
            let isAbove = point == "/" || path == point || path.hasPrefix("\(point)/")
            if isAbove, point.count >= best?.length ?? 0 {
                best = (point.count, String(fields[dash + 1]), String(fields[dash + 2]))
            }
        }
        guard let best else { return nil }
        type = best.type
        source = best.source
    }
}

/// The machine, in words.
public enum Machine {
    /// Two lines: the machine, and the file system that is measured.
    ///
    /// - Parameters:
    ///   - program: What measures, with its version.
    ///   - path: Where it measures.
    ///   - mount: What is mounted there.
    ///   - disk: What counts flushes there, nil if they cannot be counted.
    /// - Returns: The lines.
    public static func heading(_ program: String, _ path: String, _ mount: Mount?, _ disk: DiskCounter?) -> [String] {
        #if canImport(Darwin)
        let kernel = "Darwin"
        #else
        let kernel = "Linux \(readText("/proc/sys/kernel/osrelease")?.trimmed ?? "")"
        #endif
        let processors = sysconf(Int32(_SC_NPROCESSORS_ONLN))
        #if DEBUG
        let build = "built for debugging: no numbers to judge by"
        #else
        let build = "optimised"
        #endif
        let disks = disk.map { disk in
            zip(disk.disks, disk.caches).map { "\($0) (\($1))" }.joined(separator: ", ")
        }
        return [
            "\(program), \(build); \(kernel); \(processor), \(processors) processors",
            "\(resolved(path) ?? path): \(mount?.type ?? "unknown file system") on \(disks ?? mount?.source ?? "an unknown device")"
                + (disk == nil ? ", whose flushes cannot be counted" : ""),
        ]
    }

    private static var processor: String {
        let line = readText("/proc/cpuinfo")?.split(separator: "\n").first { $0.hasPrefix("model name") }
        return line?.split(separator: ":").last.map { String($0).trimmed } ?? "unknown processor"
    }
}

/// The text of a small file of the system's, nil if it cannot be read.
public func readText(_ path: String) -> String? {
    guard let (directory, name) = try? OpenDirectory.resolve(path), let file = try? directory.open(name, .read) else {
        return nil
    }
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    let count = unsafe bytes.withUnsafeMutableBytes { try? unsafe file.readAll(into: $0) }
    return count.map { String(decoding: bytes[..<$0], as: UTF8.self) }
}

/// A path without symbolic links, nil if it leads nowhere.
///
/// The corresponding C function is `realpath`.
func resolved(_ path: String) -> String? {
    guard let text = unsafe realpath(path, nil) else { return nil }
    defer { unsafe free(text) }
    return unsafe String(cString: text)
}

extension String {
    /// Without white space at either end.
    package var trimmed: String {
        var text = self[...]
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
