// SPDX-License-Identifier: Apache-2.0

internal import CrashWorkloads
internal import Holdfast

/// The known-bad ``RemovingProtocol``, with an unlink at release.
struct SeedProtocol: Contender {
    let directory: OpenDirectory
    let name: FileName
    let verifies: Bool

    func attempt(_ section: (Grant) -> Void) throws -> Bool {
        let file = RemovingProtocol(directory: directory, name: name, verifies: verifies)
        guard try file.create() else {
            try file.removeIfStale()
            return false
        }
        section(Grant())
        try directory.unlink(name)
        return true
    }
}
