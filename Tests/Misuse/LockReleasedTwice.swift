// SPDX-License-Identifier: Apache-2.0
//
// A lock is released once: the second release would be of somebody else's lock.
// expect: 'lock' consumed more than once

import Holdfast

func work(_ file: LockFile) throws {
    let lock = try file.lock()
    try lock.release()
    #if MISUSE
    try lock.release()
    #endif
}
