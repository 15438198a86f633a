// SPDX-License-Identifier: Apache-2.0
//
// A state file takes values of its own type only.
// expect: cannot convert value of type '[Int]' to expected argument type '[UInt8]'

import Holdfast

func work(_ state: StateFile<[UInt8]>, _ numbers: [Int]) throws {
    #if MISUSE
    try state.save(numbers)
    #else
    try state.save(numbers.map { UInt8(clamping: $0) })
    #endif
}
