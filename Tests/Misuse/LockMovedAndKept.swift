// SPDX-License-Identifier: Apache-2.0
//
// Whoever hands a lock on has it no more.
// expect: 'lock' used after consume

import Holdfast

struct Service: ~Copyable {
    let lock: HeldLock
}

func start(_ file: LockFile) throws -> Service {
    let lock = try file.lock()
    let service = Service(lock: lock)
    #if MISUSE
    _ = try lock.isStillInPlace()
    #endif
    return service
}
