// SPDX-License-Identifier: Apache-2.0
//
// The two families of kernel locks on whole files. On Linux they do not see each other.

/// Which kernel lock is taken on a file.
///
/// Families do not exclude each other on Linux, so the record in a lock file names its own.
public enum LockFamily: String, Hashable, Codable, Sendable {
    /// flock(2): what flock(1), cargo, Go, Rust and Python's `fcntl.flock` take.
    case flock
    /// fcntl(2) `F_OFD_SETLK` over the whole file: it also excludes POSIX record locks (`F_SETLK`).
    case openFileDescription

    var other: Self {
        switch self {
        case .flock: .openFileDescription
        case .openFileDescription: .flock
        }
    }
}
