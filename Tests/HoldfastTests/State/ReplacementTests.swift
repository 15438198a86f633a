// SPDX-License-Identifier: Apache-2.0
//
// What the new file takes over from the old one, and what is never replaced or followed.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory)
struct ReplacementTests {
    @Test("a first save makes a file that only its owner can read", arguments: Ground.allCases)
    func newFile(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.state().save([1])
        for name in ["state", ".state.lock"] {
            #expect(try directory.status(name).permissions == 0o600, "\(name)")
        }
    }

    @Test("the mode stays", arguments: Ground.allCases, [0o640, 0o600, 0o644, 0o440, 0o2750] as [UInt32])
    func mode(_ ground: Ground, _ permissions: UInt32) throws {
        let directory = try ground.makeDirectory()
        let state = try directory.state()
        try state.save([1])
        let file = try directory.open(directory.name("state"), .readWrite)
        try directory.fileSystem.setPermissions(file.rawValue, permissions)
        let before = try file.status()
        try state.save([2])
        let after = try directory.status("state")
        #expect(after.permissions == permissions)
        #expect(after.identity != before.identity, "it is another file")
        #expect(try state.load() == [2])
    }

    @Test("extended attributes stay", arguments: Ground.allCases)
    func attributes(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let state = try directory.state()
        try state.save([1])
        let old = try directory.open(directory.name("state"), .readWrite)
        let values: [String: [UInt8]] = [
            "user.note": [1, 0, 2], "user.empty": [], "user.long": .init(repeating: 7, count: 900),
        ]
        for (name, value) in values { try directory.fileSystem.setAttribute(name, of: old.rawValue, to: value) }
        try state.save([2])
        let new = try directory.open(directory.name("state"), .read)
        let fileSystem = directory.fileSystem
        #expect(try Set(fileSystem.attributeNames(new.rawValue).filter { $0.hasPrefix("user.") }) == Set(values.keys))
        for (name, value) in values {
            #expect(try fileSystem.attribute(name, of: new.rawValue) == value)
        }
    }

    @Test("an attribute that cannot be carried over fails the save, unless it is the system's own")
    func attributesThatCannot() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        let state = try directory.state()
        try state.save([1])
        let file = try directory.open(directory.name("state"), .readWrite)
        for name in ["security.selinux", "trusted.note"] {
            try fileSystem.setAttribute(name, of: file.rawValue, to: [1])
        }
        for code in [EPERM, ENOTSUP] {
            fileSystem.faults = .failEvery(with: code) { $0.function == "fsetxattr" }
            try state.save([2])
        }
        fileSystem.faults = .failEvery(with: EIO) { $0.function == "fsetxattr" }
        try state.save([3])  // the labels are gone already
        let again = try directory.open(directory.name("state"), .readWrite)
        fileSystem.faults = .none
        try fileSystem.setAttribute("user.note", of: again.rawValue, to: [1])
        for code in [EPERM, ENOTSUP, ENOSPC] {
            fileSystem.faults = .failEvery(with: code) { $0.function == "fsetxattr" }
            let error = try stateError { try state.save([4]) }
            #expect(error.code == .notSaved)
            #expect(error.cause == SystemError(call: "fsetxattr", code: code))
            #expect(try state.load() == [3])
            #expect(try directory.temporaries().isEmpty)
        }
    }

    @Test(
        "a default access list of the directory changes nothing about a file that is there",
        arguments: [0o600, 0o640]
    )
    func defaultAccessList(_ permissions: UInt32) throws {
        let directory = try OpenDirectory(TemporaryDirectory.current)
        let state = try directory.state(options: StateOptions(keepsPrevious: true))
        try state.save([1])
        try directory.setPermissions(of: "state", permissions)
        guard try directory.setDefaultAccessList() else { return }
        for strategy in [StateStrategy.asFound, .twoSlot, .replace] {
            try directory.state(options: StateOptions(strategy: strategy, keepsPrevious: true)).save([2])
            for name in ["state", ".state.previous"] {
                #expect(try directory.accessList(of: name) == nil, "\(strategy), \(name)")
                #expect(try directory.status(name).permissions == permissions, "\(strategy), \(name)")
            }
        }
    }

    @Test("an access list of the file stays, under a mask that hides it too", arguments: [6, 4, 0] as [UInt8])
    func accessList(_ mask: UInt8) throws {
        let directory = try OpenDirectory(TemporaryDirectory.current)
        let state = try directory.state()
        try state.save([1])
        guard try directory.setDefaultAccessList() else { return }
        let list = OpenDirectory.accessList(6, named: 6, group: 4, mask: mask, other: 0)
        try directory.open(directory.name("state"), .readWrite).whileOpen {
            try directory.fileSystem.setAttribute("system.posix_acl_access", of: $0, to: list)
        }
        for strategy in [StateStrategy.asFound, .twoSlot, .replace] {
            try directory.state(options: StateOptions(strategy: strategy)).save([2])
            #expect(try directory.accessList(of: "state") == list, "\(strategy)")
            #expect(try directory.status("state").permissions == 0o600 | UInt32(mask) << 3, "\(strategy)")
        }
    }

    @Test("the new file is never open to more users than in the end: owner, labels, access list, and the mode last")
    func neverWider() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        let state = try directory.state()
        try state.save([1])
        let file = try directory.open(directory.name("state"), .readWrite)
        for name in ["system.posix_acl_access", "security.selinux", "user.note"] {
            let value = name.hasPrefix("system") ? OpenDirectory.accessList(6, group: 4, mask: 6, other: 0) : [1]
            try fileSystem.setAttribute(name, of: file.rawValue, to: value)
        }
        try directory.setOwner(of: "state", 4711, group: 4712)
        try directory.setPermissions(of: "state", 0o660)
        fileSystem.resetCalls()
        try state.save([2])
        let order = fileSystem.calls.filter { ["fchown", "fsetxattr", "fchmod", "renameat"].contains($0.function) }
            .map { $0.function == "fsetxattr" ? $0.name : $0.function }
        #expect(
            order == ["fchown", "security.selinux", "user.note", "system.posix_acl_access", "fchmod", "renameat"]
        )
    }

    @Test("a symbolic link is refused, and what it leads to is left alone", arguments: Ground.allCases)
    func symbolicLink(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let target = SampleFrame().bytes
        try directory.put("target", target)
        try directory.makeSymbolicLink("state", to: "target")
        try expectRefusal(directory, "symbolic link")
        #expect(try directory.bytes(of: "target") == target)
        try directory.makeSymbolicLink("dangling", to: "nowhere")
        #expect(try stateError { try directory.state("dangling").save([]) }.code == .refused)
        #expect(try !directory.has("nowhere"))
    }

    @Test("a FIFO is refused without waiting for somebody at its other end", arguments: Ground.allCases)
    func fifo(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.makeFIFO("state")
        try expectRefusal(directory, "FIFO")
    }

    @Test("a directory is refused", arguments: Ground.allCases)
    func directory(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        try directory.fileSystem.makeDirectory("state", in: directory.descriptor.rawValue, permissions: 0o700)
        try expectRefusal(directory, "it is a directory")
    }

    private func expectRefusal(_ directory: OpenDirectory, _ word: String) throws {
        let before = try directory.status(of: directory.name("state"))
        let state = try directory.state()
        let calls: [() throws -> Void] = [
            { _ = try state.load() }, { _ = try state.load(orPrevious: true) }, { _ = try state.verify() },
            { try state.save([1]) }, { try state.update(initial: []) { $0 = [1] } },
        ]
        for call in calls {
            let error = try stateError(nil, call)
            #expect(error.code == .refused)
            #expect(error.description.contains(word), "\(error)")
        }
        #expect(try directory.status(of: directory.name("state")) == before)
        #expect(try directory.temporaries().isEmpty)
    }

    @Test("a payload over the limit is neither saved nor loaded", arguments: Ground.allCases)
    func limit(_ ground: Ground) throws {
        let directory = try ground.makeDirectory()
        let state = try directory.state(options: StateOptions(maximumLength: 8))
        try state.save([UInt8](repeating: 1, count: 8))
        for call in [
            { try state.save([UInt8](repeating: 2, count: 9)) }, { try state.update { $0.append(2) } },
        ] as [() throws -> StateCommit] {
            let error = try stateError { _ = try call() }
            #expect(error.code == .tooLarge)
            #expect((error.expected, error.found) == (8, 9))
        }
        #expect(try state.load() == [UInt8](repeating: 1, count: 8))
        try directory.state().save([UInt8](repeating: 3, count: 9))
        #expect(try stateError { _ = try state.load() }.code == .tooLarge)
        #expect(try stateError { try state.save([]) }.code == .tooLarge, "it would replace what it cannot read")
    }

    @Test("a file larger than memory is refused before any of it is read")
    func sparseFile() throws {
        let directory = try OpenDirectory(TemporaryDirectory.current)
        let file = try directory.open(directory.name("state"), .createNew(permissions: 0o600))
        try file.truncate(to: 1 << 42)
        let error = try stateError { _ = try directory.state().load() }
        #expect(error.code == .tooLarge)
        #expect(error.found == UInt64(1 << 42) - 128)
    }

    @Test("names whose companions would not fit, or that look like companions, are refused")
    func names() throws {
        let directory = try SimulatedFileSystem().directory()
        let refused = [
            String(repeating: "n", count: 234), ".state.0123456789abcdef.tmp", ".a.b.0123456789abcdef.tmp",
            ".state.lock", ".\u{301}state.lock", ".\u{301}state.0123456789abcdef.tmp",
        ]
        for name in refused {
            let error = try stateError("\(name)") { _ = try directory.state(name) }
            #expect(error.code == .refused, "\(name)")
        }
        let allowed = [
            String(repeating: "n", count: 233), "state.lock", ".state", ".state.previous", ".state.0123456789abcde.tmp",
            ".state.0123456789ABCDEF.tmp", "state.0123456789abcdef.tmp", "..0123456789abcdef.tmp", "a b",
        ]
        for name in allowed { #expect(throws: Never.self, "\(name)") { try directory.state(name).save([1]) } }
    }
}
