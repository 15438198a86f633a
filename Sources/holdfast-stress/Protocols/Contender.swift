// SPDX-License-Identifier: Apache-2.0
//
// What a protocol under test has to do: take the lock, let the worker into the section, give the lock back.

internal import Holdfast

/// What an acquisition came with.
struct Grant {
    var isShared = false
    var token: UInt64?
    /// The holder that died, if the lock says that one did.
    var abandoned: ProcessIdentity?
}

/// One process's side of a protocol.
protocol Contender {
    /// Tries to take the lock and runs the section while it is held. False if the lock is taken.
    ///
    /// The section may not return: it kills the process in some cases.
    func attempt(_ section: (Grant) -> Void) throws -> Bool
    /// Removes the lock of a holder that died, after the last worker has ended.
    ///
    /// `pid` is a process that is no more. Returns what is in the way of that, or nil.
    func tidy(dead pid: Int32) throws -> String?
}

extension Contender {
    func tidy(dead pid: Int32) -> String? { nil }
}
