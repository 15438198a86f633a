// SPDX-License-Identifier: Apache-2.0
//
// What withLock lends tells of the lock and is not the lock: that is released when the body ends.
// expect: cannot assign value of type 'LockGrant' to type 'HeldLock'

import Holdfast

func work(_ file: LockFile) throws -> FencingToken? {
    var kept: HeldLock?
    var token: FencingToken?
    try file.withLock { grant in
        #if MISUSE
        kept = grant
        #else
        token = grant.token
        #endif
    }
    kept = nil
    _ = kept == nil
    return token
}
