// SPDX-License-Identifier: Apache-2.0
//
// The floors of a mutex in memory that processes share.
#ifndef HF_FLOOR_MUTEX_H
#define HF_FLOOR_MUTEX_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/* A mapped page that starts with a word and a mutex, both of which processes can share. */
struct hf_floor_page;

/* Maps the file `name`, made if it is not there, by openat(2), ftruncate(2), mmap(2); NULL with errno. The mutex is a robust
   process-shared pthread mutex, made by whoever makes the file, before anybody else opens it. */
struct hf_floor_page *_Nullable hf_floor_map(int directory, const char *name);
int hf_floor_unmap(struct hf_floor_page *page);

/* A compare-and-exchange from 0 to 1, and an exchange for 0. Nobody else may use the word. */
void hf_floor_exchange(struct hf_floor_page *page, size_t count);

/* pthread_mutex_lock(3), and pthread_mutex_consistent(3) if its holder died; pthread_mutex_unlock(3). They return an error
   number. */
int hf_floor_mutex_lock(struct hf_floor_page *page);
int hf_floor_mutex_unlock(struct hf_floor_page *page);
int hf_floor_mutex(struct hf_floor_page *page, size_t count);

/* flock(2) LOCK_EX and LOCK_UN of an open descriptor; -1 with errno. */
int hf_floor_flock(int descriptor, size_t count);

/* What a mutex guards in a benchmark: a number in the page, counted up in two steps. Returns the number before. */
uint64_t hf_floor_count(struct hf_floor_page *page);

/* One turn of a bare futex ping-pong at the page's word: waits until it is `mine`, stores `yours`, wakes. A new page's word
   is 0. */
void hf_floor_pass(struct hf_floor_page *page, uint32_t mine, uint32_t yours);

#pragma clang assume_nonnull end
#endif
