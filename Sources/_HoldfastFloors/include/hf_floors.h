// SPDX-License-Identifier: Apache-2.0
//
// The floors: what the kernel and libc alone charge for the same work, in C with nothing around it. Each stands beside
// one of Holdfast's operations in a benchmark and does what that cannot do without, with the same number of bytes. None
// checks, records, retries or verifies anything; none is fit for use.
//
// Every function repeats its work `count` times, and returns 0, or -1 with the errno of the call that failed.
#ifndef HF_FLOORS_H
#define HF_FLOORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#pragma clang assume_nonnull begin

/* openat(2), flock(2) LOCK_EX or LOCK_SH, close(2). */
int hf_floor_lock(int directory, const char *name, bool exclusive, size_t count);

/* A PID file: openat(2) O_CREAT|O_EXCL, write(2) of the PID, fsync(2), flock(2); unlinkat(2), close(2). */
int hf_floor_pid_file(int directory, const char *name, size_t count);

/* The durable save: openat(2) O_CREAT|O_EXCL of `temporary`, write(2), fsync(2), renameat(2), and of the directory
   openat(2) O_DIRECTORY, fsync(2), close(2). Without `flush` only openat, write, renameat and close. */
int hf_floor_save(int directory, const char *name, const char *temporary, const void *bytes, size_t length, bool flush,
                  size_t count);

/* Overwrites, in turns, the two halves of an open file with `length` bytes and flushes each time: pwrite, fdatasync. The file
   has blocks for both, `half` apart. */
int hf_floor_overwrite(int file, const void *bytes, size_t length, off_t half, size_t count);

/* Loads a word that others may store, with acquire ordering, and adds up whether it is zero. */
uint64_t hf_floor_read_word(const uint64_t *word, size_t count);

/* openat(2), fstat(2), read(2), close(2). ERANGE if the file has another length. */
int hf_floor_load(int directory, const char *name, void *bytes, size_t length, size_t count);

/* memcpy(3). */
int hf_floor_copy(void *to, const void *from, size_t length, size_t count);

/* openat(2) and flock(2) LOCK_EX, waiting in the kernel. Returns the descriptor, whose close(2) is the release. */
int hf_floor_wait_for_lock(int directory, const char *name);

#pragma clang assume_nonnull end
#endif
