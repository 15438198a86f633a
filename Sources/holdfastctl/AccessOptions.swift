// SPDX-License-Identifier: Apache-2.0
//
// `--permissions` and `--group`: who may use the files that a command makes, the companions included.

internal import ArgumentParser
#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

struct AccessOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            The mode, in octal, of the file and its companions if they are made; by default what the directory's default \
            ACL grants, or 600.
            """,
            valueName: "mode"
        ),
        transform: mode
    )
    var permissions: UInt32?

    @Option(
        help: ArgumentHelp(
            "The group, by name or number, of the file and its companions if they are made.",
            valueName: "name"
        ),
        transform: group
    )
    var group: UInt32?

    /// Octal digits and nothing else: a mode that is misread lets the wrong users in.
    private static func mode(_ text: String) throws(ValidationError) -> UInt32 {
        let digits = UInt8(ascii: "0")...UInt8(ascii: "7")
        guard text.utf8.allSatisfy({ digits.contains($0) }), let mode = UInt32(text, radix: 8), mode <= 0o7777 else {
            throw ValidationError("--permissions takes a mode in octal, as 660, not '\(text)'")
        }
        if mode > 0o777 {
            throw ValidationError("--permissions takes no set-user-ID, set-group-ID or sticky bit, as '\(text)' has")
        }
        if mode & 0o600 != 0o600 {
            throw ValidationError("--permissions must let the owner read and write, as '\(text)' does not")
        }
        return mode
    }

    /// As chgrp(1): a name, or else a number.
    private static func group(_ text: String) throws(ValidationError) -> UInt32 {
        if let group = try named(text) { return group }
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        if text.utf8.allSatisfy({ digits.contains($0) }), let group = UInt32(text), group != .max { return group }
        throw ValidationError("there is no group '\(text)'")
    }

    private static func named(_ name: String) throws(ValidationError) -> UInt32? {
        var capacity = 1024
        // A group with many members needs more room than any limit that sysconf(3) names.
        while capacity <= 1 << 24 {
            var entry = unsafe GroupEntry()
            var found: UnsafeMutablePointer<GroupEntry>?
            var room = [CChar](repeating: 0, count: capacity)
            let code = unsafe getgrnam_r(name, &entry, &room, room.count, &found)
            if code != ERANGE { return unsafe found.map { unsafe $0.pointee.gr_gid } }
            capacity *= 2
        }
        throw ValidationError("the group '\(name)' cannot be looked up")
    }
}

/// `struct group`, whose name in C is that of a method here.
private typealias GroupEntry = group
