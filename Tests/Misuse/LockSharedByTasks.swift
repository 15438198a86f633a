// SPDX-License-Identifier: Apache-2.0
//
// A lock belongs to one task, which may hand it on but not share it.
// expect: noncopyable 'lock' cannot be consumed when captured by an escaping closure

import Holdfast

func work(_ file: LockFile) async throws {
    let lock = try await file.lock()
    #if MISUSE
    let holder = Task { _ = try lock.isStillInPlace() }
    try await holder.value
    #endif
    try lock.release()
}
