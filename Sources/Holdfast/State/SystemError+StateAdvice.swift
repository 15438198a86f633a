// SPDX-License-Identifier: Apache-2.0
//
// One table from errno to what it means for a state file and what to do about it.

internal import _HoldfastCShims

extension SystemError {
    /// A sentence for the errors that a state file meets in practice; nil for the others.
    var advice: String? {
        if let permissionAdvice { return permissionAdvice }
        return switch code {
        case ENOSPC:
            """
            The disk is full, or has no inode left (df -i): make room for a second copy of the state, which is written \
            beside the old one.
            """
        case EDQUOT:
            "The disk quota is used up: make room for a second copy of the state, which is written beside the old one."
        case EFBIG:
            """
            The state is larger than this process may write (ulimit -f), or than the file system takes: raise the limit.
            """
        case EROFS:
            """
            The file system is read-only: it was mounted so, or the kernel made it so after an I/O error, which its log \
            would show.
            """
        case EXDEV:
            "The file and its directory are on different file systems, so it cannot be replaced by a rename."
        case EBUSY:
            """
            The file is a mount point (a single file mounted into a container, for example), which cannot be replaced \
            by a rename: mount its directory instead.
            """
        case EMFILE: "This process has no descriptor left: raise its limit (ulimit -n) or look for a leak."
        case ENFILE: "The system has no descriptor left."
        case EACCES, EPERM: "This process lacks the permission, which for a save includes writing to the directory."
        case ENAMETOOLONG: "The file system does not take names as long as those of the companion files."
        case EIO: "The device or the file system failed: look at the kernel's log before trusting it again."
        case EINVAL where call == "fsync", EOPNOTSUPP where call == "fsync", ENOTSUP where call == "fsync":
            "This file system does not flush directories."
        default: nil
        }
    }
}
