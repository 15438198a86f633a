// SPDX-License-Identifier: Apache-2.0
//
// Saving can fail, and that cannot be overlooked.
// expect: call can throw but is not marked with 'try'

import Holdfast

func work(_ state: StateFile<[UInt8]>) throws {
    #if MISUSE
    state.save([1])
    #else
    try state.save([1])
    #endif
}
