// SPDX-License-Identifier: Apache-2.0
//
// The known-bad control: the published protocol of a lock file with a bare PID, whose dead lock is renamed away and
// unlinked. Two cleaners judge the same PID dead; the slower one renames away the lock that the faster one has taken.

package import Holdfast
internal import _HoldfastCShims

/// O_CREAT|O_EXCL, the PID written after it, stale locks renamed to `.removing`.
package struct RemovingProtocol {
    private let directory: OpenDirectory
    private let name: FileName
    /// Looks again after the rename, and links the file back if it took away a live lock.
    ///
    /// That is too late: the name was free meanwhile. And an owner that released meanwhile finds nothing to unlink, so
    /// that its lock comes back forever: such a run may come to a standstill.
    private let verifies: Bool

    package init(directory: OpenDirectory, name: FileName, verifies: Bool) {
        self.directory = directory
        self.name = name
        self.verifies = verifies
    }

    /// Makes the lock file; false if there is one.
    package func create() throws(SystemError) -> Bool {
        let file: Descriptor
        do throws(SystemError) {
            file = try directory.open(name, .createNew(permissions: 0o600))
        } catch  where error.code == EEXIST {
            return false
        }
        try file.write(pid: getpid())
        return true
    }

    /// Removes the lock file of a process that it judges dead.
    package func removeIfStale() throws(SystemError) {
        guard let pid = try readPID(name), isDead(pid), let aside = FileName("\(name).removing") else { return }
        try directory.rename(name, to: aside, replacing: true)
        if verifies, let moved = try readPID(aside), !isDead(moved) {
            do throws(SystemError) {
                try directory.link(aside, to: name)
            } catch  where error.code == EEXIST {
                // Somebody has taken the free name meanwhile: two live holders.
            }
        }
        try directory.unlink(aside)
    }

    private func readPID(_ name: FileName) throws(SystemError) -> Int32? {
        let file: Descriptor
        do throws(SystemError) {
            file = try directory.open(name, .read)
        } catch  where error.code == ENOENT {
            return nil
        }
        return Int32(try file.readText())
    }

    private func isDead(_ pid: Int32) -> Bool {
        kill(pid, 0) != 0 && hf_errno() == ESRCH
    }
}

extension Descriptor {
    /// Writes a PID in decimal, and nothing else, as the original protocol does.
    package borrowing func write(pid: Int32) throws(SystemError) {
        let digits = Array(String(pid).utf8)
        try unsafe digits.span.withUnsafeBytes { bytes throws(SystemError) in
            try unsafe writeAll(bytes)
        }
    }

    /// All of a short file.
    fileprivate borrowing func readText() throws(SystemError) -> String {
        var bytes = [UInt8](repeating: 0, count: 32)
        var span = bytes.mutableSpan
        let count = try unsafe span.withUnsafeMutableBytes { bytes throws(SystemError) in
            try unsafe readAll(into: bytes)
        }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}
