// SPDX-License-Identifier: Apache-2.0
//
// A blocking method in a task would hold a thread of the cooperative pool: the method that is awaited is meant.
// expect: is 'async' but is not marked with 'await'

import Holdfast

func work(_ file: LockFile, _ mutex: SharedMemoryMutex) async throws {
    #if MISUSE
    let lock = try file.lock()
    #else
    let lock = try await file.lock()
    #endif
    try lock.release()
    try await mutex.withLock { grant in print(grant.token) }
}
