// SPDX-License-Identifier: Apache-2.0
//
// The sound control, without any of Holdfast's lock code: flock(2) on a file that nobody deletes. If this one overlaps,
// the harness is wrong.

internal import Holdfast

/// flock(2) and close(2).
struct KernelLock: Contender {
    let directory: OpenDirectory
    let name: FileName

    func attempt(_ section: (Grant) -> Void) throws -> Bool {
        let file = try directory.open(name, .readWriteOrCreate(permissions: 0o600))
        guard try file.tryLock(.flock, exclusive: true) else { return false }
        section(Grant())
        try file.close()
        return true
    }
}
