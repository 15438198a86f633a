// SPDX-License-Identifier: Apache-2.0
//
// A system call that failed: which one and with what errno. The set of codes is open, so they are numbers and not cases.

internal import _HoldfastCShims

/// A system call that failed.
public struct SystemError: Error, Hashable, Sendable {
    /// The call as its manual page names it, for example `fsync`.
    public let call: String
    /// The value of `errno`.
    public let code: Int32

    /// Makes an error from a call and the errno that it left.
    public init(call: String, code: Int32) {
        self.call = call
        self.code = code
    }
}

extension SystemError: CustomStringConvertible {
    /// For example `fsync: Input/output error (5)`.
    public var description: String {
        // strerror(3) of glibc has been thread-safe since 2.32; Darwin's is for known codes.
        let reason = unsafe String(cString: strerror(code))
        return "\(call): \(reason) (\(code))"
    }
}

extension SystemError {
    /// Whether the code is any of these.
    package func isAny(of codes: Int32...) -> Bool {
        codes.contains(code)
    }
}

/// Runs one system call until a signal does not interrupt it: the only EINTR loop for calls of the ``FileSystem`` seam.
///
/// close(2) must not go through here: Linux has closed the descriptor even when it reports EINTR.
@inline(__always)
package func retrying<Result: ~Copyable>(_ call: () throws(SystemError) -> Result) throws(SystemError) -> Result {
    while true {
        do {
            return try call()
        } catch {
            if error.code != EINTR { throw error }
        }
    }
}
