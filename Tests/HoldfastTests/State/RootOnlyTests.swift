// SPDX-License-Identifier: Apache-2.0
//
// What only root can set up on a real kernel: small and read-only file systems, bind mounts, other users. Each test that
// cannot run here says so in the output.

import Foundation
import Holdfast
import Testing

/// Mounts something, and unmounts it when it goes.
///
/// Nil, and a line in the output, if that is not permitted.
final class Mount {
    private let point: String

    init?(_ arguments: [String], at point: String) throws {
        self.point = point
        guard try Self.run("mount", arguments) else {
            print("NOT RUN: mount \(arguments.joined(separator: " ")) is not permitted here")
            return nil
        }
    }

    deinit {
        _ = try? Self.run("umount", ["-l", point])
    }

    static func run(_ tool: String, _ arguments: [String]) throws -> Bool {
        try Child("/usr/bin/env", [tool] + arguments).wait() == 0
    }
}

/// Whether this is root; says so if not.
func isRoot(_ test: String = #function) -> Bool {
    if geteuid() == 0 { return true }
    print("NOT RUN: \(test) needs root")
    return false
}

@Suite(.temporaryDirectory)
struct RootOnlyTests {
    let path = TemporaryDirectory.current

    @Test("on a full disk the old state stands, and a save works again when there is room")
    func fullDisk() throws {
        guard isRoot(), let mount = try Mount(["-t", "tmpfs", "-o", "size=128k", "holdfast", path], at: path) else {
            return
        }
        let directory = try OpenDirectory(path)
        let state = try directory.state()
        try state.save([UInt8](repeating: 1, count: 20_000))
        var room = 128 << 10
        // Less and less room, until there is none for the first byte either.
        var failures = 0
        while room > 0 {
            let filler = [UInt8](repeating: 0, count: (128 << 10) - room)
            try? directory.put("filler", filler)
            do throws(StateError) {
                try state.save([UInt8](repeating: 1, count: 20_000))
            } catch {
                failures += 1
                #expect(error.code == .notSaved || error.code == .notLocked, "\(error)")
                #expect(error.cause?.code == ENOSPC, "\(error)")
                #expect(error.description.contains("make room"), "\(error)")
            }
            #expect(try state.load() == [UInt8](repeating: 1, count: 20_000), "with room for \(room)")
            #expect(try directory.temporaries().isEmpty, "with room for \(room)")
            room -= 4096
        }
        #expect(failures > 2)
        // Emptied, not only unlinked: a process that another test forks meanwhile may have it open.
        try directory.put("filler", [UInt8]())
        try directory.unlink(directory.name("filler"))
        try state.save([2])
        #expect(try state.load() == [2])
        withExtendedLifetime(mount) {}
    }

    @Test("on a read-only file system a state loads, and a save says why it cannot")
    func readOnly() throws {
        guard isRoot(), let mount = try Mount(["-t", "tmpfs", "holdfast", path], at: path) else { return }
        let directory = try OpenDirectory(path)
        let state = try directory.state()
        try state.save([1])
        #expect(try Mount.run("mount", ["-o", "remount,ro", path]))
        let error = try stateError { try state.save([2]) }
        #expect(error.cause?.code == EROFS)
        #expect(error.description.contains("read-only"))
        #expect(error.description.contains("The old state stands."))
        #expect(try directory.state().load() == [1])
        #expect(try stateError { try directory.state("other").save([2]) }.cause?.code == EROFS)
        withExtendedLifetime(mount) {}
    }

    @Test("an owner without a number in a user namespace has a sentence and an exit status of its own")
    func unmappedOwner() throws {
        guard isRoot() else { return }
        let directory = try OpenDirectory(path)
        try directory.state().save([1])
        let file = try directory.open(directory.name("state"), .readWrite)
        try directory.fileSystem.setOwner(file.rawValue, owner: 4242, group: 4242)
        try directory.fileSystem.setPermissions(file.rawValue, 0o644)
        let save = "echo 2 | \(CommandLineTool.holdfastctl.command[0]) state save \(path)/state 2>&1"
        guard try Mount.run("unshare", ["--user", "--map-root-user", "true"]) else {
            print("NOT RUN: \(#function): unshare(1) may not make a user namespace here")
            return
        }
        let saver = try Child("/usr/bin/env", ["unshare", "--user", "--map-root-user", "sh", "-c", save])
        #expect(saver.wait() == 73)
        #expect(saver.printed.contains("has no number in this user namespace"), "\(saver.printed)")
        #expect(try directory.state().load() == [1])
    }

    @Test("a lock file of a read-only file system can be locked exclusively, and waited for")
    func readOnlyLockFile() async throws {
        guard isRoot(), let mount = try Mount(["-t", "tmpfs", "holdfast", path], at: path) else { return }
        let directory = try OpenDirectory(path)
        try directory.put("a.lock", [])
        #expect(try Mount.run("mount", ["-o", "remount,ro", path]))
        let file = try LockFile(directory.name("a.lock"), in: directory)
        let held = KeptLock(try await file.lock())
        let waiter = Task { try await file.withLock(.exclusive) { hold in hold.abandoned } }
        try await waitUntil { file.site.waitingCount == 1 }
        try held.release()
        #expect(try await waiter.value == nil)
        let error = #expect(throws: LockError.self) {
            try LockFile(directory.name("b.lock"), in: directory).lock().release()
        }
        #expect(error?.cause?.code == EROFS)
        withExtendedLifetime(mount) {}
    }

    @Test("a file that is a mount point cannot be replaced, and the save says so (EBUSY)")
    func bindMount() throws {
        let directory = try OpenDirectory(path)
        let state = try directory.state(options: StateOptions(keepsPrevious: false))
        try state.save([1])
        let file = state.path
        guard isRoot(), let mount = try Mount(["--bind", file, file], at: file) else { return }
        let error = try stateError { try state.save([2]) }
        #expect(error.code == .notSaved)
        #expect(error.cause == SystemError(call: "renameat", code: EBUSY))
        #expect(error.description.contains("mount its directory instead"))
        #expect(try state.load() == [1])
        #expect(try directory.temporaries().isEmpty)
        withExtendedLifetime(mount) {}
    }

    @Test("an empty file that is a mount point becomes a state in two slots, in place")
    func adoptedMount() throws {
        let directory = try OpenDirectory(path)
        try directory.put("state", [])
        try directory.setPermissions(of: "state", 0o640)
        let file = directory.path(of: try directory.name("state"))
        guard isRoot(), let mount = try Mount(["--bind", file, file], at: file) else { return }
        let plain = try directory.state(options: StateOptions(adoptsEmpty: true))
        #expect(try stateError { try plain.save([1]) }.cause?.code == EBUSY)
        let inode = try directory.status("state").identity.inode
        let state = try directory.state(options: StateOptions(strategy: .twoSlot, adoptsEmpty: true))
        for value in 1...3 as ClosedRange<UInt8> {
            #expect(try state.save([value]).generation == Generation(UInt64(value)))
            #expect(try directory.state().load() == [value])
        }
        let status = try directory.status("state")
        #expect((status.identity.inode, status.permissions) == (inode, 0o640))
        #expect(try directory.temporaries().isEmpty)
        withExtendedLifetime(mount) {}
    }

    @Test("who is given a state without the files beside it is told which")
    func companionsToGive() async throws {
        guard isRoot() else { return }
        let directory = try OpenDirectory(path)
        try directory.fileSystem.setPermissions(directory.descriptor.rawValue, 0o777)
        for (name, strategy) in [("plain", StateStrategy.replace), ("slots", .twoSlot)] {
            try await directory.state(name, options: StateOptions(strategy: strategy)).save([1])
            try directory.setOwner(of: name, 65534, group: 65534)
        }
        await #expect(processExitsWith: .success) { [path = path as String] in
            #expect(setgid(65534) == 0 && setuid(65534) == 0)
            let directory = try OpenDirectory(path)
            let cases = [
                ("plain", StateStrategy.replace, "\(path)/.plain.lock"), ("slots", .twoSlot, "\(path)/.slots.arena"),
            ]
            for (name, strategy, companion) in cases {
                let state = try directory.state(name, options: StateOptions(strategy: strategy))
                let error = try stateError { try state.save([2]) }
                #expect(error.code == .notLocked)
                #expect(error.cause?.code == EACCES)
                #expect(error.description.contains("has to be given '\(companion)' too"), "\(error)")
                #expect(try await state.load() == [1])
            }
        }
        // What root makes after that belongs to the state's owner.
        for name in [".plain.lock", ".slots.lock", ".slots.arena"] { try directory.unlink(directory.name(name)) }
        for name in ["plain", "slots"] { try await directory.state(name).save([3]) }
        await #expect(processExitsWith: .success) { [path = path as String] in
            #expect(setgid(65534) == 0 && setuid(65534) == 0)
            let directory = try OpenDirectory(path)
            for name in ["plain", "slots"] {
                try await directory.state(name).save([4])
                #expect(try await directory.state(name).load() == [4])
            }
        }
    }

    @Test("a daemon that has dropped its privileges leaves a PID file without a PID, and no error")
    func pidFileAfterDrop() async throws {
        guard isRoot() else { return }
        let directory = try OpenDirectory(path)
        try directory.fileSystem.setPermissions(directory.descriptor.rawValue, 0o755)
        await #expect(processExitsWith: .success) { [path = path as String] in
            let directory = try OpenDirectory(path)
            let lock = try await require(PIDFile(directory.name("a.pid"), in: directory).tryLock())
            #expect(setgid(65534) == 0 && setuid(65534) == 0)
            try lock.release()
            #expect(try directory.read("a.pid").split(separator: "\n").first?.allSatisfy { $0 == " " } == true)
        }
        #expect(try LockFile(directory.name("a.pid"), in: directory).status() == .free)
    }

    @Test("two users of one group share a lock, also after its guard is gone as after a boot")
    func sharedLock() async throws {
        guard isRoot() else { return }
        let directory = try OpenDirectory(path)
        try directory.fileSystem.setPermissions(directory.descriptor.rawValue, 0o777)
        let file = try LockFile(directory.name("a"), in: directory, permissions: 0o660, group: 65534)
        try await file.withLock { _ in }
        for isAfterBoot in [false, true] {
            if isAfterBoot { for name in ["a", ".a.guard"] { try directory.unlink(directory.name(name)) } }
            for user in [4711, 4712] as [UInt32] {
                await #expect(processExitsWith: .success) { [path = path as String, user = user as UInt32] in
                    #expect(setgid(65534) == 0 && setuid(user) == 0)
                    let directory = try OpenDirectory(path)
                    let file = try LockFile(directory.name("a"), in: directory, permissions: 0o660, group: 65534)
                    try await file.withLock { _ in }
                    // The next one needs the guard too.
                    let opened = try directory.open(directory.name("a"), .readWrite)
                    try opened.truncate(to: 0)
                }
            }
        }
    }

    @Test("owner and group stay when root saves another user's state")
    func owner() throws {
        guard isRoot() else { return }
        let directory = try OpenDirectory(path)
        let state = try directory.state()
        try state.save([1])
        let file = try directory.open(directory.name("state"), .readWrite)
        try directory.fileSystem.setOwner(file.rawValue, owner: 4711, group: 4712)
        try directory.fileSystem.setPermissions(file.rawValue, 0o4640)
        try state.save([2])
        let status = try directory.status("state")
        #expect((status.owner, status.group) == (4711, 4712))
        #expect(status.permissions == 0o4640, "also what fchown(2) takes away")
    }

    @Test("who may not write to the directory, or not give the new file to the old one's owner, saves nothing")
    func otherUser() async throws {
        guard isRoot() else { return }
        let directory = try OpenDirectory(path)
        try await directory.state().save([1])
        let modes = [("state", 0o644), (".state.lock", 0o666)] as [(String, UInt32)]
        for (name, mode) in modes {
            let file = try directory.open(directory.name(name), .readWrite)
            try directory.fileSystem.setPermissions(file.rawValue, mode)
        }
        for mode in [0o755, 0o777] as [UInt32] {
            try directory.fileSystem.setPermissions(directory.descriptor.rawValue, mode)
            await #expect(processExitsWith: .success) { [path = path as String, mode = mode as UInt32] in
                #expect(setgid(65534) == 0 && setuid(65534) == 0)
                let directory = try OpenDirectory(path)
                let state = try directory.state()
                let error = try stateError { try state.save([2]) }
                #expect(error.code == .notSaved)
                #expect(error.cause?.call == (mode == 0o755 ? "openat" : "fchown"))
                #expect(error.cause?.code == (mode == 0o755 ? EACCES : EPERM))
                #expect(error.description.contains(mode == 0o755 ? "permission" : "another user"))
                #expect(try await state.load() == [1])
                #expect(try directory.temporaries().isEmpty)
            }
        }
        #expect(try directory.status("state").owner == 0)
    }

    @Test("a directory that is read-only for this user")
    func readOnlyDirectory() throws {
        if geteuid() == 0 {
            print("NOT RUN: \(#function) needs a user who is not root; otherUser() is its like")
            return
        }
        let directory = try OpenDirectory(path)
        let state = try directory.state()
        try state.save([1])
        try directory.fileSystem.setPermissions(directory.descriptor.rawValue, 0o500)
        #expect(try stateError { try state.save([2]) }.cause?.code == EACCES)
        #expect(try stateError { try directory.state("other").save([2]) }.cause?.code == EACCES)
        #expect(try state.load() == [1])
        try directory.fileSystem.setPermissions(directory.descriptor.rawValue, 0o700)
    }
}
