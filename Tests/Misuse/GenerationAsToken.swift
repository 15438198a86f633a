// SPDX-License-Identifier: Apache-2.0
//
// A generation counts the saves of a state, a token the acquisitions of a lock. One is never taken for the other.
// expect: cannot convert value of type 'Generation' to expected argument type 'Fence'

import Holdfast

func work(_ state: StateFile<[UInt8]>) throws {
    let commit = try state.save([1])
    #if MISUSE
    try state.save([2], fence: commit.generation)
    #else
    try state.save([2], ifGeneration: commit.generation)
    #endif
}
