// SPDX-License-Identifier: Apache-2.0
//
// Kernel locks. The contracts stand in hf_lock.h.
#include "hf_lock.h"

#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/sysmacros.h>
#endif

int hf_flock(int descriptor, bool exclusive) {
    return flock(descriptor, (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB);
}

static struct flock byte_range(bool exclusive, off_t start, off_t length) {
    return (struct flock){
        .l_type = exclusive ? F_WRLCK : F_RDLCK,
        .l_whence = SEEK_SET,
        .l_start = start,
        .l_len = length,
    };
}

int hf_ofd_lock(int descriptor, bool exclusive, bool wait, off_t start, off_t length) {
    struct flock range = byte_range(exclusive, start, length);
    return fcntl(descriptor, wait ? F_OFD_SETLKW : F_OFD_SETLK, &range);
}

int hf_flock_release(int descriptor) {
    return flock(descriptor, LOCK_UN);
}

int hf_ofd_test(int descriptor, off_t start, off_t length) {
    struct flock range = byte_range(true, start, length);
    if (fcntl(descriptor, F_OFD_GETLK, &range) != 0) {
        return -1;
    }
    return range.l_type != F_UNLCK;
}

pid_t hf_lock_holder(uint64_t device, uint64_t inode) {
#ifdef __linux__
    FILE *locks = fopen("/proc/locks", "re");
    if (locks == NULL) {
        return -1;
    }
    /* proc(5): "1: FLOCK  ADVISORY  WRITE 1234 fd:00:4567 0 EOF"; a waiter's line has "->" and is passed over. */
    pid_t holder = 0;
    char line[256];
    while (holder == 0 && fgets(line, sizeof line, locks) != NULL) {
        int pid;
        unsigned int major_number, minor_number;
        unsigned long long number;
        if (sscanf(line, "%*d: %*15s %*15s %*15s %d %x:%x:%llu", &pid, &major_number, &minor_number, &number) == 4 &&
            number == inode && major_number == major(device) && minor_number == minor(device) && pid > 0) {
            holder = pid;
        }
    }
    fclose(locks);
    return holder;
#else
    (void)device, (void)inode;
    errno = ENOTSUP;
    return -1;
#endif
}
