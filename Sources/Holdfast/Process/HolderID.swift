// SPDX-License-Identifier: Apache-2.0
//
// Who asks for a lock within this process: a task, or a thread outside a task.

internal import _HoldfastCShims

/// The identity of the calling task, or of the calling thread if it runs none.
struct HolderID: Hashable, Sendable {
    private let task: Int?
    private let thread: UInt

    static var current: HolderID {
        unsafe withUnsafeCurrentTask { task in
            if let task = unsafe task { return HolderID(task: unsafe task.hashValue, thread: 0) }
            return HolderID(task: nil, thread: hf_thread())
        }
    }
}
