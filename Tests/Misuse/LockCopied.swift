// SPDX-License-Identifier: Apache-2.0
//
// There is one guard for a lock, so the end of one cannot leave another that believes it holds.
// expect: type 'FileLock' does not conform to protocol 'Copyable'

import Holdfast

struct Copies<Guard> {
    let first: Guard
    let second: Guard
}

struct Holder: ~Copyable {
    let lock: FileLock
}

#if MISUSE
typealias Locks = Copies<FileLock>
#else
typealias Locks = Holder
#endif
