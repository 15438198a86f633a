// SPDX-License-Identifier: Apache-2.0
//
// Waiting: one thread that sleeps on descriptors, and how a thread is started.
#ifndef HF_WAIT_H
#define HF_WAIT_H

#include "hf_probe.h"

#include <stddef.h>

#pragma clang assume_nonnull begin

/* inotify_init1(2), close-on-exec and non-blocking. ENOSYS on a platform without it: the caller polls instead. */
int hf_watch_open(void);
/* inotify_add_watch(2) for the file `name` of a directory, not following a symbolic link: each write to the file and
   close of it, its removal and its renaming. Returns the watch descriptor, the same one for the same inode. */
int hf_watch_add(int watch, int directory, const char *name);
int hf_watch_remove(int watch, int watch_descriptor);
/* Reads the pending events and stores the watch descriptor of each, -1 for a queue overflow. Returns their number. */
int hf_watch_drain(int watch, int *watch_descriptors, int capacity);

/* A pair of descriptors: a write to the second makes the first readable. eventfd(2), or a pipe. */
int hf_event_open(int ends[_Nonnull 2]);
void hf_event_signal(int write_end);
void hf_event_clear(int read_end);

/* Sleeps until one of the descriptors is readable (a negative one is ignored) or `nanoseconds` have passed (negative:
   no limit). ppoll(2); poll(2) on Darwin. A signal ends the sleep early, which does no harm. */
void hf_wait_readable(int first, int second, int64_t nanoseconds);

/* Runs `body(context)` on a detached thread with every signal blocked, so that handlers of the embedding service
   never run on it. Returns 0, or an error number as pthread_create(3) does. */
int hf_start_thread(void *_Nullable (*_Nonnull body)(void *context), void *context);

#pragma clang assume_nonnull end
#endif
