// SPDX-License-Identifier: Apache-2.0

import Foundation
import HoldfastTesting

extension Call {
    /// Every errno that its manual page has for it and that can happen to a caller who made no mistake.
    var plausibleErrnos: [Int32] {
        switch function {
        case "open", "openat":
            let always = [EACCES, EINTR, EIO, EMFILE, ENFILE, ENOMEM, ESTALE]
            if flags.contains("O_TMPFILE") { return always + [EDQUOT, EISDIR, ENOENT, ENOSPC, EOPNOTSUPP, EROFS] }
            return always + (flags.contains("O_CREAT") ? [EDQUOT, ENOSPC, EROFS] : [])
        case "close": return [EDQUOT, EINTR, EIO, ENOSPC]
        case "fstat", "fstatat", "statx": return [EACCES, EIO, ENOMEM, ESTALE]
        case "preadv": return [EINTR, EIO, ENOMEM]
        case "pwritev": return [EDQUOT, EFBIG, EINTR, EIO, ENOSPC, EPERM]
        case "ftruncate": return [EFBIG, EINTR, EIO, EPERM]
        case "fsync", "fdatasync": return [EDQUOT, EINTR, EINVAL, EIO, ENOSPC, EROFS]
        case "renameat", "renameat2", "linkat", "unlinkat", "mkdirat":
            return [EACCES, EBUSY, EDQUOT, EIO, EMLINK, ENOMEM, ENOSPC, EPERM, EROFS, EXDEV]
        case "readdir": return [EINTR, EIO, ENOMEM]
        case "fchown", "fchmod": return [EINTR, EIO, EPERM, EROFS]
        case "flistxattr", "fgetxattr", "fsetxattr": return [EDQUOT, EIO, ENOSPC, EOPNOTSUPP, EPERM]
        case "flock": return [EINTR, ENOLCK, EOPNOTSUPP]
        case "mmap": return [EAGAIN, ENODEV, ENOMEM, EPERM]
        case "fallocate": return [EDQUOT, EINTR, EIO, ENOSPC, EOPNOTSUPP, EPERM]
        case "fstatfs": return [EINTR, EIO, ENOMEM]
        case "fcntl": return [EINTR, EINVAL, ENOLCK]
        default: return [EIO]
        }
    }
}
