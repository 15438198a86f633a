// SPDX-License-Identifier: Apache-2.0
//
// An owner that knows nothing of Holdfast: a lock file with a bare PID, complete from the moment it has its name, and
// removed at release if it still is the owner's. Its dead locks are cleaned by Holdfast alone.

internal import CrashWorkloads
internal import Holdfast
internal import _HoldfastCShims

/// A bare PID file, linked to its name.
struct LegacyOwner: Contender {
    let directory: OpenDirectory
    let name: FileName
    /// Whether the owner keeps its file locked with flock(2), as some daemons do.
    let locksFile: Bool
    let chance: Chance
    let page: SharedPage
    let cleaner: Cleaner

    func attempt(_ section: (Grant) -> Void) throws -> Bool {
        try cleaner.cleanOften(chance)
        guard let temporary = FileName("legacy.\(getpid())") else { preconditionFailure("one component") }
        let file = try directory.open(temporary, .createNew(permissions: 0o600))
        try file.write(pid: getpid())
        let isTaken = try locksFile && !file.tryLock(.flock, exclusive: true)
        if isTaken { preconditionFailure("nobody else knows this file") }
        let isOwner = try link(temporary)
        try directory.unlink(temporary)
        guard isOwner else {
            try cleaner.clean()
            return false
        }
        section(Grant())
        try release(file)
        return true
    }

    func tidy(dead pid: Int32) throws -> String? {
        try cleaner.tidy(dead: pid)
    }

    private func link(_ temporary: FileName) throws(SystemError) -> Bool {
        do throws(SystemError) {
            try directory.link(temporary, to: name)
            return true
        } catch  where error.code == EEXIST {
            return false
        }
    }

    /// The owner lives, so its file must be in its place: nobody may have taken it away.
    private func release(_ file: borrowing Descriptor) throws(SystemError) {
        if try directory.status(of: name)?.identity == file.status().identity {
            try directory.unlink(name)
        } else {
            page[.displaced].add()
        }
    }
}
