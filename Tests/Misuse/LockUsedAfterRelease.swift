// SPDX-License-Identifier: Apache-2.0
//
// After the release there is no lock, so neither its token nor anything else of it.
// expect: 'lock' used after consume

import Holdfast

func work(_ file: LockFile, _ state: StateFile<[UInt8]>) throws {
    let lock = try file.lock()
    let fence = lock.fence
    try lock.release()
    #if MISUSE
    try state.save([1], fence: lock.fence)
    #else
    try state.save([1], fence: fence)
    #endif
}
