// SPDX-License-Identifier: Apache-2.0
//
// There is one guard for a lock, so the end of one cannot leave another that believes it holds.
// expect: type 'HeldLock' does not conform to protocol 'Copyable'

import Holdfast

struct Copies<Guard> {
    let first: Guard
    let second: Guard
}

struct Holder: ~Copyable {
    let lock: HeldLock
}

#if MISUSE
typealias Locks = Copies<HeldLock>
#else
typealias Locks = Holder
#endif
