// SPDX-License-Identifier: Apache-2.0
//
// What a hot path must not do: allocate, and call the kernel.
#ifndef HFT_HOT_PATH_H
#define HFT_HOT_PATH_H

#include <stdbool.h>
#include <stdint.h>

/* Whether allocations can be counted: not beside a sanitizer, which has taken the functions for itself, nor without glibc. */
bool hft_counts_allocations(void);

/* Counts from now on how often this thread allocates, by whatever function of libc. */
void hft_begin_counting(void);
/* How often it did; no more is counted. */
uint64_t hft_end_counting(void);

/* From now on every system call of this thread ends the process with SIGSYS, but for exit_group(2): seccomp(2). Returns 0, or
   -1 with errno. There is no way back. */
int hft_forbid_system_calls(void);
/* exit_group(2) and nothing else. */
_Noreturn void hft_exit(int status);

#endif
