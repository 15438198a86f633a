// SPDX-License-Identifier: Apache-2.0
//
// Access control lists, acl(5), as Linux has them in extended attributes: no tool is needed to set one.

import Foundation
import Holdfast
import Testing

extension OpenDirectory {
    /// A list with `user:1234:rwx` beside rights for the owner, the group, the mask and the others.
    static func accessList(_ owner: UInt8, named: UInt8 = 7, group: UInt8, mask: UInt8, other: UInt8) -> [UInt8] {
        let entries: [(tag: UInt8, rights: UInt8, id: UInt32)] = [
            (1, owner, .max), (2, named, 1234), (4, group, .max), (16, mask, .max), (32, other, .max),
        ]
        return [2, 0, 0, 0]
            + entries.flatMap { entry in
                [entry.tag, 0, entry.rights, 0] + (0..<4).map { UInt8(truncatingIfNeeded: entry.id >> ($0 * 8)) }
            }
    }

    /// Gives everything that is made here from now on `user:1234:rwx`; false, and a line in the output, if there are no lists.
    func setDefaultAccessList(_ list: [UInt8] = accessList(7, group: 7, mask: 7, other: 0)) throws -> Bool {
        let errno = try errnoLeft {
            try fileSystem.setAttribute("system.posix_acl_default", of: descriptor.rawValue, to: list)
        }
        if errno == ENOTSUP {
            print("NOT RUN: this file system has no access control lists")
            return false
        }
        try #require(errno == nil)
        return true
    }

    /// The access control list of a file; nil if it has none.
    func accessList(of name: String) throws -> [UInt8]? {
        try open(self.name(name), .read).whileOpen { file in
            guard try fileSystem.attributeNames(file).contains("system.posix_acl_access") else { return nil }
            return try fileSystem.attribute("system.posix_acl_access", of: file)
        }
    }

    /// Changes the mode of a file.
    func setPermissions(of name: String, _ permissions: UInt32) throws {
        try open(self.name(name), .read).whileOpen { try fileSystem.setPermissions($0, permissions) }
    }

    /// Gives a file to other users.
    func setOwner(of name: String, _ owner: UInt32, group: UInt32) throws {
        try open(self.name(name), .read).whileOpen { try fileSystem.setOwner($0, owner: owner, group: group) }
    }
}

extension Descriptor {
    /// Keeps it open while its number is in use: the value ends after its last use, which may be before that.
    borrowing func whileOpen<Result>(_ body: (Int32) throws -> Result) rethrows -> Result {
        try body(rawValue)
    }
}
