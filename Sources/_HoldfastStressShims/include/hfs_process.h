// SPDX-License-Identifier: Apache-2.0
//
// Processes and the page they share, for the stress tool: what Swift cannot call (variadic functions), must not spell
// (signal handlers), or what would be a page of pointers there (posix_spawn). Functions that return an int return -1
// with errno unless their comment says more.
#ifndef HFS_PROCESS_H
#define HFS_PROCESS_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#pragma clang assume_nonnull begin

/* Blocks SIGCHLD, SIGINT, SIGTERM and SIGHUP but in hfs_wait_for_news, so that none is lost between a look and a sleep.
   The last three no longer end the process: they are remembered. */
void hfs_supervise(void);
/* Sleeps until a child ends, a signal arrives or `nanoseconds` have passed. pselect(2), which unblocks the signals only
   while it sleeps. */
void hfs_wait_for_news(int64_t nanoseconds);
/* The last of SIGINT, SIGTERM and SIGHUP that arrived since hfs_supervise, or 0. */
int hfs_stop_signal(void);

/* Runs a program, this one again if the path is null, with no signal blocked and no descriptor but 0, 1, 2 and `lifeline`, which it has as 3.
   posix_spawn(3) and not fork(2): a forked child would share the parent's locks and its runtime. -1 with errno. */
pid_t hfs_spawn(const char *_Nullable path, char *_Nullable const arguments[_Nonnull], int lifeline);
/* Collects one ended child: its PID, 0 if none has ended, -1 with ECHILD if there are none at all. `killed_by` is the
   signal that ended it or 0, `status` its exit status. waitpid(2). */
pid_t hfs_reap(int *killed_by, int *status);
/* A pipe, close-on-exec at both ends, whose readers come to its end when the last holder of the write end dies.
   Returns the read end. pipe(2). */
int hfs_lifeline(int *write_end);
/* Ends this process at once when nobody holds the write end of descriptor 3 any more. Starts a thread that reads it.
   0, or an error number. */
int hfs_end_with_parent(void);
/* Kills this process as the kernel would: nothing runs after it, nothing is released by the program. */
_Noreturn void hfs_die(void);
/* From now on this process, before it kills itself, writes there the nanoseconds of CLOCK_MONOTONIC, if 0 is there; and
   the next two may be called. */
void hfs_prepare_death(uint64_t *moment);
/* This process kills itself after so many microseconds, wherever its threads are then; 0: it does not. setitimer(2). */
void hfs_die_in(int64_t microseconds);
/* After so many more instructions of the calling thread, system calls being one each, that thread sleeps for so many
   nanoseconds; if those are 0, this process kills itself. If `count` is 0, that is off. By the processor's trap flag
   and SIGTRAP, which take some microseconds for each instruction. False, and nothing is done, on processors other
   than x86-64 and under ThreadSanitizer. */
bool hfs_act_in_steps(uint64_t count, int64_t nanoseconds);

/* Makes (`size` > 0) or opens a file and maps it shared: NULL with errno. mmap(2) with MAP_SHARED. */
void *_Nullable hfs_map_file(const char *path, size_t size);

/* Sleeps; a signal ends it early, which does no harm. nanosleep(2). */
void hfs_sleep(int64_t nanoseconds);
/* Lets another process run. sched_yield(2). */
void hfs_yield(void);

#pragma clang assume_nonnull end
#endif
