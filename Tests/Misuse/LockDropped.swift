// SPDX-License-Identifier: Apache-2.0
//
// An acquisition whose result nobody keeps is over at once: the compiler says so.
// expect: result of call to 'tryLock(_:timeout:)' is unused

import Holdfast

func work(_ file: LockFile) throws {
    #if MISUSE
    try file.tryLock()
    #else
    if case .acquired(let lock) = try file.tryLock() { try lock.release() }
    #endif
}
