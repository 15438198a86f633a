// SPDX-License-Identifier: Apache-2.0
//
// Kernel locks on an open file description. Never POSIX F_SETLK: any close of the file by the process drops those.
#ifndef HF_LOCK_H
#define HF_LOCK_H

#include "hf_probe.h"

#include <stdbool.h>

/* flock(2). Swift cannot call it: the imported struct flock hides the function of the same name.
   Does not wait: -1 with EWOULDBLOCK if another open file description is in the way. */
int hf_flock(int descriptor, bool exclusive);

/* fcntl(2) F_OFD_SETLK or F_OFD_SETLKW on `length` bytes from `start` (0 is up to the end of the file). Invisible to
   Swift (GNU only). EAGAIN if another open file description is in the way; EBADF if an exclusive lock is asked of a
   descriptor that cannot write, or a shared one of a descriptor that cannot read. EINVAL before Linux 3.15. */
int hf_ofd_lock(int descriptor, bool exclusive, bool wait, off_t start, off_t length);

/* flock(2) LOCK_UN. For a description that is shared with a child, this releases the child's lock too; a close does not. */
int hf_flock_release(int descriptor);

/* fcntl(2) F_OFD_GETLK: 1 if another holder's OFD or POSIX lock is in the way of an exclusive one, 0 if none, -1. */
int hf_ofd_test(int descriptor, off_t start, off_t length);

/* The PID that /proc/locks names for a lock on this inode, 0 if it names none that this process can see, -1 if there
   is no /proc/locks. Device numbers there are the superblock's: on btrfs and overlayfs the answer may be 0. */
pid_t hf_lock_holder(uint64_t device, uint64_t inode);

#endif
