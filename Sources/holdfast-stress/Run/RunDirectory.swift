// SPDX-License-Identifier: Apache-2.0
//
// The directory of one run: made fresh, so that whatever is in it at the end was left there by the run.

internal import Holdfast
internal import _HoldfastCShims
internal import _HoldfastStressShims

/// A fresh directory with the page of the run and a directory for the lock files.
struct RunDirectory: Codable {
    let path: String

    /// Makes it below `parent`, on the file system that shall be stressed.
    private init(in parent: String) throws(SystemError) {
        path = "\(parent)/holdfast-stress.\(getpid()).\(hexadecimal(.random(in: .min ... .max)))"
        _ = try OpenDirectory(makingPath: locks)
    }

    var page: String { "\(path)/page" }
    var locks: String { "\(path)/locks" }
    var arena: String { "\(locks)/stress.arena" }
    var state: String { "\(locks)/state" }

    /// What is among the lock files.
    func leftovers(except expected: Set<String>) throws(SystemError) -> [String] {
        try OpenDirectory(locks).names().filter { !expected.contains($0) }.sorted()
    }

    /// Makes one for the time of the body; nothing of it is left on disk, whatever comes of that.
    static func with<Result>(in parent: String, _ body: (RunDirectory) throws -> Result) throws -> Result {
        let directory = try RunDirectory(in: parent)
        defer {
            do throws(SystemError) {
                try directory.remove()
            } catch {
                complain("cannot remove \(directory.path): \(error)")
            }
        }
        return try body(directory)
    }

    /// Removes it and all that is in it.
    private func remove() throws(SystemError) {
        for directory in [locks, path] {
            let directory = try OpenDirectory(directory)
            for name in try directory.names().compactMap(FileName.init) { try directory.unlink(name) }
            if unsafe rmdir(directory.path) != 0 { throw SystemError(call: "rmdir", code: hf_errno()) }
        }
    }
}
