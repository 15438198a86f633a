// SPDX-License-Identifier: Apache-2.0
//
// A reboot may repeat the tokens of a mutex: a state that was fenced with one would refuse every save. So none is a fence.
// expect: cannot convert value of type 'MutexToken' to expected argument type

import Holdfast

func work(_ mutex: SharedMemoryMutex, _ file: LockFile, _ state: StateFile<[UInt8]>) throws {
    try mutex.withLock { grant in
        #if MISUSE
        try state.save([1], fence: grant.token)
        try state.save([1], fence: Fence(grant.token))
        #else
        try state.save([1])
        #endif
    }
    try file.withLock { grant in try state.save([2], fence: grant.fence) }
}
