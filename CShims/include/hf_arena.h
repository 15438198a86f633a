// SPDX-License-Identifier: Apache-2.0
//
// The kernel's part of a mutex in a mapped file: the mapping, sleeping at a word of it, and an end to both in a forked
// child.
#ifndef HF_ARENA_H
#define HF_ARENA_H

#include "hf_probe.h"

#include <stdbool.h>
#include <stddef.h>

#pragma clang assume_nonnull begin

/* One process's membership of one arena. A child made by fork(2) is no member: the child's copy of the descriptor, which
   would keep the parent's slot alive, is closed and the first three fields are reset before fork returns. */
struct hf_member {
    uint32_t acquirer; /* the bits that an acquisition writes into a mutex's word; 0 if none may be made */
    uint32_t owner;    /* the bits that a release expects there; 0 in a forked child */
    int descriptor;    /* of the arena's file; -1 in a forked child, which has closed its copy */
    dev_t device;      /* of the file that was opened, with its inode number */
    ino_t inode;
    struct hf_member *_Nullable next;
    struct hf_member *_Nullable previous;
};

/* While one thread has this, a fork(2) of another thread waits: for the moment between open(2) and hf_member_make. */
void hf_members_hold(void);
void hf_members_let_go(void);
/* A new member, known to pthread_atfork(3) from now on; NULL with ENOMEM. If the descriptor is the kernel's, it is called
   between the two above. A simulated one is no number of this process's: no child has a copy of it to close. */
struct hf_member *_Nullable hf_member_make(int descriptor, bool is_real);
/* Whether this process was made by fork(2) and has not executed another program since. Swift's Mutex remembers the number of
   the parent's thread there, so it traps when two threads of such a process meet in one. The library starts no optional thread there. */
bool hf_is_forked(void);
/* From now on the member may acquire and release. */
void hf_member_begin(struct hf_member *member, uint32_t word);
/* From now on the member may release, but not acquire. */
void hf_member_end(struct hf_member *member);
/* Forgets and frees the member. The caller closes the descriptor, except in a forked child. */
void hf_member_destroy(struct hf_member *member);

/* mmap(2) MAP_SHARED, readable and perhaps writable, from the start of a file; NULL with errno. A forked child does not have
   the mapping (MADV_DONTFORK): it cannot act as its parent by mistake, nor keep its parent's locks, because a mapping
   refers to the open file as a descriptor does. */
void *_Nullable hf_map_shared(int descriptor, size_t length, bool writable);
int hf_unmap(void *address, size_t length);

/* For a simulation of such a mapping: the first of `count` words, from `first` on, that is another one in memory than in a
   copy; `count` if all are alike. Each is loaded as an atomic, because others may be storing. */
static inline size_t hf_first_difference(const uint64_t *memory, const void *copy, size_t first, size_t count,
                                         uint64_t *found) {
    for (size_t index = first; index < count; index++) {
        uint64_t expected;
        __builtin_memcpy(&expected, (const char *)copy + index * sizeof expected, sizeof expected);
        *found = __atomic_load_n(&memory[index], __ATOMIC_RELAXED);
        if (*found != expected) {
            return index;
        }
    }
    return count;
}

/* Gives every byte of the file a block of its own, so that no store into a mapping of it finds the disk full: holes are
   filled, and blocks that it shares with a copy are copied. One ioctl(2) FS_IOC_FIEMAP (lseek(2) SEEK_HOLE on tmpfs) if every byte has one already; else fallocate(2) with mode 0 and, where the file system has it, FALLOC_FL_UNSHARE_RANGE. The
   contents stay, also while other processes change them. ENOSPC, EDQUOT: the disk is full. EOPNOTSUPP where there is no
   fallocate(2). */
int hf_allocate(int descriptor, off_t length);

/* F_OFD_SETLK with F_UNLCK on a range. */
int hf_ofd_release_range(int descriptor, off_t start, off_t length);

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t hf_monotonic(void);

/* Sleeps while the word, in memory that other processes share, is `expected`: until a wake-up or a change; false if a signal came or `nanoseconds` have
   passed. A signal counts as the end of the time, because signals that come more often would put it off forever. futex(2); os_sync_wait_on_address on Darwin. */
bool hf_word_wait(const uint32_t *word, uint32_t expected, int64_t nanoseconds);
/* Wakes one sleeper at the word. */
void hf_word_wake(const uint32_t *word);

struct hf_word {
    const uint32_t *address;
    uint32_t expected;
};
/* The greatest number of words that one call waits for. */
enum { HF_WORDS_MAXIMUM = 128 };
/* The same for several words at once. futex_waitv(2), Linux 5.16; elsewhere, and for words beyond the greatest number, it
   sleeps at the first word alone and for a millisecond at most. */
void hf_words_wait(const struct hf_word *words, size_t count, int64_t nanoseconds);

#pragma clang assume_nonnull end
#endif
