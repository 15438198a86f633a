// SPDX-License-Identifier: Apache-2.0
//
// Whether a process lives has three answers; who asks must say what "unknown" means.
// expect: cannot convert value of type 'Liveness' to expected condition type 'Bool'

import Holdfast

func mayBreak(_ process: ProcessIdentity) -> Bool {
    #if MISUSE
    if Liveness.of(process) { return false }
    return true
    #else
    switch Liveness.of(process) {
    case .alive, .unknown: return false
    case .dead: return true
    }
    #endif
}
