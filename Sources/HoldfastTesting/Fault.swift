// SPDX-License-Identifier: Apache-2.0
//
// What a simulated call can be made to do wrong.

/// What goes wrong in a call.
public struct Fault: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        case failure(Int32)
        case shortWrite(Int)
    }

    let kind: Kind
    /// Whether every later call goes wrong as well.
    public let isLasting: Bool

    /// The call fails with this errno, and nothing has happened.
    ///
    /// With one exception, close(2): the descriptor is closed all the same, as on Linux. To fail once with EINTR is to be
    /// interrupted by a signal: the caller should call again.
    public static func failure(_ errno: Int32) -> Fault {
        Fault(kind: .failure(errno), isLasting: false)
    }

    /// The call and every later one fail with this errno: a device that is gone, a file system that went read-only.
    ///
    /// Do not use EINTR with it: callers repeat a call that was interrupted, here forever.
    public static func lastingFailure(_ errno: Int32) -> Fault {
        Fault(kind: .failure(errno), isLasting: true)
    }

    /// The call, if it is a write, transfers no more than this many bytes; other calls go well.
    ///
    /// - Parameter bytes: At least 0. With 0, a call says that it wrote nothing, which write(2) does not for a regular file.
    /// - Returns: The fault.
    public static func shortWrite(bytes: Int) -> Fault {
        precondition(bytes >= 0, "a write cannot transfer less than nothing")
        return Fault(kind: .shortWrite(bytes), isLasting: false)
    }
}

extension Fault: CustomStringConvertible {
    /// For example `EIO`, `EROFS from then on` or `a write of 1 byte`.
    public var description: String {
        switch kind {
        case .failure(let code): errnoName(code) + (isLasting ? " from then on" : "")
        case .shortWrite(let bytes): "a write of \(bytes) \(bytes == 1 ? "byte" : "bytes")"
        }
    }
}
