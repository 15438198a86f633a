// SPDX-License-Identifier: Apache-2.0
//
// A system call that failed: which one and with what errno. The set of codes is open, so they are numbers and not cases.

internal import _HoldfastCShims

/// A system call that failed.
public struct SystemError: Error, Hashable, Codable, Sendable {
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

extension SystemError {
    /// A sentence for what the errno of a forbidden call does not say by itself; nil for the others.
    package var permissionAdvice: String? {
        switch (code, call) {
        // A lack of rights is EACCES: open(2) says EPERM only for these.
        case (EPERM, "openat"):
            """
            The file, or its directory, is immutable or append-only: lsattr(1) shows it, chattr -i or -a takes it back.
            """
        case (EPERM, "openat(O_TMPFILE)"):
            "The directory is immutable or append-only, which lsattr(1) shows, or it was deleted."
        case (EPERM, "unlinkat"), (EPERM, "renameat"), (EPERM, "renameat2"), (EPERM, "linkat"):
            """
            This process lacks the permission: the file or its directory is immutable or append-only (lsattr(1) shows it), \
            or another user owns the file in a sticky directory such as /tmp.
            """
        case (EPERM, "fchown"), (EACCES, "fchown"):
            "The file belongs to another user or group, which this process may not give the new one to."
        case (EINVAL, "fchown"):
            """
            The file's owner or group has no number in this user namespace (see /proc/self/uid_map and gid_map), so no \
            new file can be given to it: save from outside, or map it.
            """
        case (EOVERFLOW, _) where call != "fstat" && call != "fstatat" && call != "preadv":
            """
            This process's user or group has no number on this file system or in this user namespace (see \
            /proc/self/uid_map and gid_map), so it can make no file here.
            """
        default: nil
        }
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
