// SPDX-License-Identifier: Apache-2.0
//
// What the handler of forks knows of an open arena (hf_arena.h): a forked child is no member of it, and its copy of the
// descriptor, which would keep the parent's slot alive, is closed before fork(2) returns.

internal import _HoldfastCShims

enum ArenaMember {
    /// Opens a file that the handler of forks knows from then on; the caller owns its descriptor.
    static func make(
        on fileSystem: any FileSystem,
        opening open: () throws(SystemError) -> Descriptor
    ) throws(SystemError) -> UnsafeMutablePointer<hf_member> {
        // A fork between the open and the entry would copy the descriptor unseen. Where no other process is, a simulated one
        // may come between in this thread.
        let isReal = fileSystem.hasOtherProcesses
        if isReal { hf_members_hold() }
        defer { if isReal { hf_members_let_go() } }
        let file = try open()
        guard let member = unsafe hf_member_make(file.rawValue, isReal) else {
            throw SystemError(call: "pthread_atfork", code: hf_errno())
        }
        _ = file.relinquish()
        return unsafe member
    }
}
