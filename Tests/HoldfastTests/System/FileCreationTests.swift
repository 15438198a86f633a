// SPDX-License-Identifier: Apache-2.0
//
// Who may use what Holdfast makes: every file, of every kind, and in every order in which the files of one lock or state
// can be made.

import Foundation
import Holdfast
import HoldfastTesting
import Testing

@Suite(.temporaryDirectory)
struct FileCreationTests {
    /// Everything that is made beside and for one lock or state.
    enum Kind: CaseIterable, Sendable {
        case lock, sharedLock, pidFile, arena, state, slots

        /// Without a PID file, which has rights of its own.
        static let ordinary = allCases.filter { $0 != .pidFile }

        var names: [String] {
            switch self {
            case .lock: ["a", ".a.guard"]
            case .sharedLock, .pidFile, .arena: ["a"]
            case .state: ["a", ".a.lock", ".a.previous"]
            case .slots: ["a", ".a.lock", ".a.arena"]
            }
        }

        /// Makes them, and leaves them there.
        func make(in directory: OpenDirectory, permissions: UInt32? = nil, group: UInt32? = nil) throws {
            let name = try directory.name("a")
            switch self {
            case .lock, .sharedLock:
                let file = try LockFile(name, in: directory, permissions: permissions, group: group)
                try file.withLock(self == .lock ? .exclusive : .shared) { _ in }
            case .pidFile:
                let lock = try PIDFile(name, in: directory, permissions: permissions, group: group).lock()
                try directory.link(name, to: directory.name("kept"))
                try lock.release()
                try directory.rename(directory.name("kept"), to: name, replacing: false)
            case .arena:
                guard directory.fileSystem is KernelFileSystem else { return }
                _ = try MutexArena(name, in: directory, count: 1, permissions: permissions, group: group)
            case .state, .slots:
                let state = try directory.state(
                    "a",
                    options: StateOptions(
                        strategy: self == .slots ? .twoSlot : .replace,
                        keepsPrevious: true,
                        permissions: permissions,
                        group: group
                    )
                )
                try state.save([1])
                try state.save([2])
            }
        }

        /// Which of the names are only for those who may write to the file itself.
        func isForWriters(_ name: String) -> Bool { name != "a" && name != ".a.previous" }

        func isMade(in ground: Ground) -> Bool { self != .arena || ground == .kernel }
    }

    @Test("a new file is its user's alone, and a PID file the umask's", arguments: Ground.allCases, Kind.allCases)
    func privateByDefault(_ ground: Ground, _ kind: Kind) throws {
        let directory = try ground.makeDirectory()
        guard kind.isMade(in: ground) else { return }
        try kind.make(in: directory)
        let plain = try directory.open(directory.name("plain"), .createNew(permissions: 0o644)).status().permissions
        for name in kind.names {
            #expect(try directory.status(name).permissions == (kind == .pidFile ? plain : 0o600), "\(name)")
        }
    }

    @Test("permissions and group hold for all that is made", arguments: Ground.allCases, Kind.allCases)
    func asAskedFor(_ ground: Ground, _ kind: Kind) throws {
        let directory = try ground.makeDirectory()
        guard kind.isMade(in: ground) else { return }
        let group: UInt32 = ground == .simulation || geteuid() == 0 ? 4712 : getegid()
        try kind.make(in: directory, permissions: 0o666, group: group)
        for name in kind.names {
            let status = try directory.status(name)
            #expect(status.permissions == 0o666, "\(name), whatever the umask")
            #expect(status.group == group, "\(name)")
        }
    }

    @Test("what is made later gets the rights of the file that it stands beside", arguments: Ground.allCases)
    func companionsFollow(_ ground: Ground) throws {
        let isPrivileged = ground == .simulation || geteuid() == 0
        for kind in [Kind.lock, .state, .slots] {
            let directory = try ground.makeDirectory(named: "\(kind)")
            try kind.make(in: directory)
            try directory.setPermissions(of: "a", 0o664)
            if isPrivileged { try directory.setOwner(of: "a", 4711, group: 4712) }
            // As if they were on a file system that is empty after a boot.
            for name in kind.names.dropFirst() { try directory.unlink(directory.name(name)) }
            // Without its record the lock needs new tokens, and the guard for them.
            if kind == .lock { try directory.open(directory.name("a"), .readWrite).truncate(to: 0) }
            try kind.make(in: directory)
            // A save in two slots needs no `.a.lock`.
            let made = try kind.names.filter { try directory.has($0) }
            #expect(made.count >= 2)
            for name in made {
                let status = try directory.status(name)
                #expect(status.permissions == (kind.isForWriters(name) ? 0o660 : 0o664), "\(name)")
                if isPrivileged { #expect((status.owner, status.group) == (4711, 4712), "\(name)") }
            }
        }
    }

    @Test("who may only read a state or a lock cannot lock what is beside it", arguments: [Kind.lock, .state, .slots])
    func readersKeptOut(_ kind: Kind) throws {
        let directory = try Ground.kernel.makeDirectory()
        try kind.make(in: directory, permissions: 0o644)
        for name in kind.names where kind.isForWriters(name) {
            #expect(try directory.status(name).permissions == 0o600, "\(name)")
            try directory.unlink(directory.name(name))
        }
        // user:1234:r--, in the file's own list and in the directory's.
        let list = OpenDirectory.accessList(6, named: 4, group: 4, mask: 6, other: 4)
        guard try directory.setDefaultAccessList(list) else { return }
        try directory.open(directory.name("a"), .readWrite).whileOpen {
            try directory.fileSystem.setAttribute("system.posix_acl_access", of: $0, to: list)
            if kind == .lock { try directory.fileSystem.truncate($0, to: 0) }
        }
        try kind.make(in: directory)
        let made = try kind.names.filter { try kind.isForWriters($0) && directory.has($0) }
        #expect(!made.isEmpty)
        for name in made {
            #expect(
                try directory.accessList(of: name) == OpenDirectory.accessList(6, named: 0, group: 0, mask: 6, other: 0)
            )
        }
    }

    @Test("a companion that cannot be given to the file's group lets no other group in")
    func groupNotGiven() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        try directory.put("a", [])
        try directory.setPermissions(of: "a", 0o660)
        try directory.setOwner(of: "a", 4711, group: 4712)
        fileSystem.faults = .failEvery(with: EPERM) { $0.function == "fchown" }
        try Kind.lock.make(in: directory)
        #expect(try directory.status(".a.guard").permissions == 0o600)
        try directory.unlink(directory.name(".a.guard"))
        try directory.put("a", [])
        // The group alone: this user is a member, and not root.
        fileSystem.faults = .failEvery(with: EPERM) { $0.function == "fchown" && "\($0)".contains("4711") }
        try Kind.lock.make(in: directory)
        let status = try directory.status(".a.guard")
        #expect((status.owner, status.group, status.permissions) == (0, 4712, 0o660))
    }

    @Test("a default access list of the directory counts as for any program", arguments: Kind.ordinary)
    func defaultAccessList(_ kind: Kind) throws {
        let directory = try Ground.kernel.makeDirectory()
        guard try directory.setDefaultAccessList() else { return }
        try directory.open(directory.name("any"), .createNew(permissions: 0o666)).close()
        let list = try #require(try directory.accessList(of: "any"))
        try kind.make(in: directory)
        for name in kind.names {
            #expect(try directory.accessList(of: name) == list, "\(name)")
            #expect(try directory.status(name).permissions == 0o660, "\(name)")
        }
    }

    @Test("a PID file has as much of a default access list as any that is made with mode 0644")
    func defaultAccessListOfPIDFile() throws {
        let directory = try Ground.kernel.makeDirectory()
        guard try directory.setDefaultAccessList() else { return }
        try directory.open(directory.name("any"), .createNew(permissions: 0o644)).close()
        try Kind.pidFile.make(in: directory)
        #expect(try directory.accessList(of: "a") == directory.accessList(of: "any"))
        #expect(try directory.status("a").permissions == 0o640)
    }

    @Test("permissions that are asked for hold against a default access list", arguments: Kind.allCases)
    func permissionsBeforeDefaults(_ kind: Kind) throws {
        let directory = try Ground.kernel.makeDirectory()
        guard try directory.setDefaultAccessList() else { return }
        try kind.make(in: directory, permissions: 0o640)
        for name in kind.names {
            #expect(try directory.accessList(of: name) == nil, "\(name)")
            #expect(try directory.status(name).permissions == (kind.isForWriters(name) ? 0o600 : 0o640), "\(name)")
        }
    }

    @Test("the set-group-ID bit of the directory decides the group", arguments: Kind.allCases)
    func setGroupID(_ kind: Kind) throws {
        if geteuid() != 0 {
            print("NOT RUN: \(#function) needs root")
            return
        }
        let directory = try Ground.kernel.makeDirectory()
        let descriptor = directory.descriptor.rawValue
        try directory.fileSystem.setOwner(descriptor, owner: 0, group: 4712)
        try directory.fileSystem.setPermissions(descriptor, 0o2770)
        try kind.make(in: directory)
        for name in kind.names { #expect(try directory.status(name).group == 4712, "\(name)") }
    }

    @Test(
        "no file is made with other rights than a user's",
        arguments: [(0o4755, nil), (0o2660, nil), (0o1600, nil), (0o060, nil), (0o200, nil), (.max, nil), (nil, .max)]
            as [(UInt32?, UInt32?)]
    )
    func refused(_ permissions: UInt32?, _ group: UInt32?) throws {
        for kind in Kind.allCases {
            let directory = try Ground.kernel.makeDirectory(named: "\(kind)")
            do {
                try kind.make(in: directory, permissions: permissions, group: group)
                Issue.record("\(kind) was made")
            } catch let error as LockError {
                #expect(error.code == .refused)
            } catch let error as StateError {
                #expect(error.code == .refused)
            }
            #expect(try directory.names().isEmpty)
        }
    }

    @Test("a file that two users share has its rights before it has its name")
    func wholeWhenNamed() throws {
        let fileSystem = SimulatedFileSystem()
        let directory = try fileSystem.directory()
        fileSystem.onCall = { _, call in
            for name in ["a", ".a.guard"] {
                let named = fileSystem.asSomebodyElse {
                    FileName(name).flatMap { try? directory.status(of: $0) }
                }
                guard let status = named else { continue }
                #expect((status.permissions, status.group) == (0o660, 4712), "\(name) before \(call)")
            }
        }
        try Kind.lock.make(in: directory, permissions: 0o660, group: 4712)
        #expect(try directory.names() == [".a.guard", "a"])
    }
}
