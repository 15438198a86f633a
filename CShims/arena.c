// SPDX-License-Identifier: Apache-2.0
//
// Memory that processes share. The contracts stand in hf_arena.h.
#include "hf_arena.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#else
#include <os/os_sync_wait_on_address.h>
#endif

static pthread_mutex_t members_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hf_member *members;
static int handlers_error;
static bool forked;

static bool is_same_file(const struct hf_member *member) {
    struct stat status;
    return member->inode != 0 && fstat(member->descriptor, &status) == 0 && status.st_dev == member->device &&
           status.st_ino == member->inode;
}

static void before_fork(void) {
    pthread_mutex_lock(&members_lock);
}

static void after_fork_in_parent(void) {
    pthread_mutex_unlock(&members_lock);
}

static void after_fork_in_child(void) {
    for (struct hf_member *member = members; member != NULL; member = member->next) {
        __atomic_store_n(&member->acquirer, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&member->owner, 0, __ATOMIC_RELAXED);
        if (is_same_file(member)) {
            close(member->descriptor);
        }
        member->descriptor = -1;
    }
    members = NULL;
    forked = true;
    pthread_mutex_unlock(&members_lock);
}

bool hf_is_forked(void) {
    return forked;
}

/* Before the program begins: a fork that has begun when the handlers are installed would not call them in the child. */
__attribute__((constructor)) static void install_handlers(void) {
    handlers_error = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

void hf_members_hold(void) {
    pthread_mutex_lock(&members_lock);
}

void hf_members_let_go(void) {
    pthread_mutex_unlock(&members_lock);
}

struct hf_member *hf_member_make(int descriptor, bool is_real) {
    if (handlers_error != 0) {
        errno = handlers_error;
        return NULL;
    }
    struct hf_member *member = calloc(1, sizeof *member);
    if (member == NULL) {
        return NULL;
    }
    member->descriptor = descriptor;
    struct stat status;
    if (is_real && fstat(descriptor, &status) == 0) {
        member->device = status.st_dev;
        member->inode = status.st_ino;
    }
    if (!is_real) {
        hf_members_hold();
    }
    member->next = members;
    if (members != NULL) {
        members->previous = member;
    }
    members = member;
    if (!is_real) {
        hf_members_let_go();
    }
    return member;
}

void hf_member_begin(struct hf_member *member, uint32_t word) {
    __atomic_store_n(&member->acquirer, word, __ATOMIC_RELAXED);
    __atomic_store_n(&member->owner, word, __ATOMIC_RELEASE);
}

void hf_member_end(struct hf_member *member) {
    __atomic_store_n(&member->acquirer, 0, __ATOMIC_RELAXED);
}

void hf_member_destroy(struct hf_member *member) {
    pthread_mutex_lock(&members_lock);
    /* A forked child's list does not have it any more. */
    if (member->descriptor >= 0) {
        if (member->previous != NULL) {
            member->previous->next = member->next;
        } else {
            members = member->next;
        }
        if (member->next != NULL) {
            member->next->previous = member->previous;
        }
    }
    pthread_mutex_unlock(&members_lock);
    free(member);
}

void *hf_map_shared(int descriptor, size_t length, bool writable) {
    /* A mapping refers to the open file as a descriptor does: a child that is forked between these two calls would keep
       the file's locks. */
    hf_members_hold();
    int error = 0;
    void *address = mmap(NULL, length, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, descriptor, 0);
    if (address == MAP_FAILED) {
        error = errno;
        address = NULL;
#ifdef MADV_DONTFORK
    } else if (madvise(address, length, MADV_DONTFORK) != 0) {
#else
    } else if (minherit(address, length, VM_INHERIT_NONE) != 0) {
#endif
        error = errno;
        munmap(address, length);
        address = NULL;
    }
    hf_members_let_go();
    errno = error;
    return address;
}

int hf_unmap(void *address, size_t length) {
    return munmap(address, length);
}

#ifdef __linux__
/* Whether every byte has a block that no other file has, or room reserved for one. */
static bool has_blocks(int descriptor, off_t length) {
    enum { EXTENTS = 32 };
    union {
        struct fiemap map;
        char bytes[sizeof(struct fiemap) + EXTENTS * sizeof(struct fiemap_extent)];
    } request;
    for (uint64_t end = 0; end < (uint64_t)length;) {
        request.map = (struct fiemap){.fm_start = end, .fm_length = (uint64_t)length - end, .fm_extent_count = EXTENTS};
        if (ioctl(descriptor, FS_IOC_FIEMAP, &request.map) != 0) {
            /* tmpfs: no file shares its pages with another there. */
            return errno == EOPNOTSUPP && lseek(descriptor, 0, SEEK_HOLE) >= length;
        }
        if (request.map.fm_mapped_extents == 0) {
            return false;
        }
        for (uint32_t index = 0; index < request.map.fm_mapped_extents; index++) {
            const struct fiemap_extent *extent = &request.map.fm_extents[index];
            if (extent->fe_logical > end || (extent->fe_flags & FIEMAP_EXTENT_SHARED) != 0) {
                return false;
            }
            end = extent->fe_logical + extent->fe_length;
        }
    }
    return true;
}
#endif

int hf_allocate(int descriptor, off_t length) {
#ifdef __linux__
    /* On a full disk xfs refuses both of the calls below, even if they have nothing to do. */
    if (has_blocks(descriptor, length)) {
        return 0;
    }
    if (fallocate(descriptor, 0, 0, length) != 0) {
        return -1;
    }
    return fallocate(descriptor, FALLOC_FL_UNSHARE_RANGE, 0, length) == 0 || errno == EOPNOTSUPP ? 0 : -1;
#else
    (void)descriptor, (void)length;
    errno = EOPNOTSUPP;
    return -1;
#endif
}

int hf_ofd_release_range(int descriptor, off_t start, off_t length) {
    struct flock range = {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return fcntl(descriptor, F_OFD_SETLK, &range);
}

int64_t hf_monotonic(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#ifdef __linux__

bool hf_word_wait(const uint32_t *word, uint32_t expected, int64_t nanoseconds) {
    struct timespec limit = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    return syscall(SYS_futex, word, FUTEX_WAIT, expected, &limit, NULL, 0) == 0 || errno == EAGAIN;
}

void hf_word_wake(const uint32_t *word) {
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* The kernel's struct futex_waitv and number, which the headers of older distributions do not have. */
struct word_to_wait_for {
    uint64_t value;
    uint64_t address;
    uint32_t flags;
    uint32_t reserved;
};
enum { NUMBER_OF_FUTEX_WAITV = 449, SIZE_32_BITS = 2 };

void hf_words_wait(const struct hf_word *words, size_t count, int64_t nanoseconds) {
    static bool is_missing;
    if (count <= HF_WORDS_MAXIMUM && !__atomic_load_n(&is_missing, __ATOMIC_RELAXED)) {
        struct word_to_wait_for list[HF_WORDS_MAXIMUM];
        for (size_t index = 0; index < count; index++) {
            list[index] = (struct word_to_wait_for){
                .value = words[index].expected,
                .address = (uintptr_t)words[index].address,
                .flags = SIZE_32_BITS,
            };
        }
        struct timespec end;
        clock_gettime(CLOCK_MONOTONIC, &end);
        int64_t nanosecond = end.tv_nsec + nanoseconds % 1000000000;
        end.tv_sec += nanoseconds / 1000000000 + nanosecond / 1000000000;
        end.tv_nsec = nanosecond % 1000000000;
        if (syscall(NUMBER_OF_FUTEX_WAITV, list, (unsigned)count, 0, &end, CLOCK_MONOTONIC) >= 0 ||
            (errno != ENOSYS && errno != EPERM)) {
            return;
        }
        __atomic_store_n(&is_missing, true, __ATOMIC_RELAXED); /* EPERM: a sandbox that does not know it */
    }
    hf_word_wait(words[0].address, words[0].expected, nanoseconds < 1000000 ? nanoseconds : 1000000);
}

#else

bool hf_word_wait(const uint32_t *word, uint32_t expected, int64_t nanoseconds) {
    uint64_t limit = nanoseconds < 1 ? 1 : (uint64_t)nanoseconds;
    return os_sync_wait_on_address_with_timeout((void *)word, expected, 4, OS_SYNC_WAIT_ON_ADDRESS_SHARED,
                                                OS_CLOCK_MACH_ABSOLUTE_TIME, limit) >= 0;
}

void hf_word_wake(const uint32_t *word) {
    os_sync_wake_by_address_any((void *)word, 4, OS_SYNC_WAKE_BY_ADDRESS_SHARED);
}

void hf_words_wait(const struct hf_word *words, size_t count, int64_t nanoseconds) {
    (void)count;
    hf_word_wait(words[0].address, words[0].expected, nanoseconds < 1000000 ? nanoseconds : 1000000);
}

#endif
