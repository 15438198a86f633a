// SPDX-License-Identifier: Apache-2.0
//
// Lock files as other processes leave them.

import Holdfast

extension OpenDirectory {
    /// Writes the record of a process that holds a lock, or held it when it died, into a file that may be there.
    func writeRecord(
        of process: ProcessIdentity,
        to name: String,
        label: String = "test",
        token: UInt64 = 0,
        limit: UInt64 = 0,
        acquiredMilliseconds: UInt64 = 1
    ) throws {
        let template = LockRecordTemplate(process: process, family: .flock, label: label)
        let file = try open(self.name(name), .readWriteOrCreate(permissions: 0o600))
        try unsafe withBuffer(LockRecordLayout.size) { buffer throws(SystemError) in
            unsafe template.fill(buffer, token: token, limit: limit, acquiredMilliseconds: acquiredMilliseconds)
            try unsafe file.writeAll(UnsafeRawBufferPointer(buffer))
        }
    }
}
