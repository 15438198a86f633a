// SPDX-License-Identifier: Apache-2.0
//
// An attempt may find the lock busy: what it returns is no lock yet.
// expect: cannot convert

import Holdfast

func work(_ file: LockFile) throws {
    #if MISUSE
    let lock: HeldLock = try file.tryLock()
    try lock.release()
    #else
    switch try file.tryLock() {
    case .acquired(let lock): try lock.release()
    case .busy: return
    }
    #endif
}
