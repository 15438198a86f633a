// SPDX-License-Identifier: Apache-2.0
//
// What withLock lends is not the body's to keep: it is released when the body ends.
// expect: 'lock' is borrowed and cannot be consumed

import Holdfast

func work(_ file: LockFile) throws {
    var kept: HeldLock?
    try file.withLock { lock in
        #if MISUSE
        kept = consume lock
        #else
        _ = try lock.isStillInPlace()
        #endif
    }
    kept = nil
    _ = kept == nil
}
