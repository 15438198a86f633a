// SPDX-License-Identifier: Apache-2.0
//
// The identity of a process beyond its PID. Each function returns -1 with errno where the platform or /proc has no answer; the
// caller then knows less, and must not conclude more.
#ifndef HF_PROCESS_H
#define HF_PROCESS_H

#include "hf_probe.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#pragma clang assume_nonnull begin

struct hf_process {
    uint64_t start_time; /* Linux: clock ticks since boot, of the reader's time namespace; Darwin: µs since 1970. */
    int64_t threads;     /* 0 if unknown */
    char state;          /* 'Z' and 'X' are dead, if no other thread lives */
};

/* /proc/PID/stat, fields 3, 20 and 22 (proc(5)); sysctl KERN_PROC_PID on Darwin. ENOENT or ESRCH: no such process. */
int hf_process_read(pid_t pid, struct hf_process *process);
/* /proc/PID/comm: the first 15 bytes of the executable's name, NUL-terminated. */
int hf_process_name(pid_t pid, char *name, size_t capacity);
/* The start of a process with that start time, or of this boot: seconds since 1970 by the wall clock as it is now; 0 if
   the platform does not tell. */
int64_t hf_start_second(uint64_t start_time);
int64_t hf_boot_second(void);
/* 1 if /proc/PID/fd has the file of the descriptor, so that the PID is that process's in our PID namespace; 0 if not, -1
   if this cannot be seen (EACCES). */
int hf_process_has_open(pid_t pid, int descriptor);
/* /proc/sys/kernel/random/boot_id: 36 characters and NUL. The same in every container of one kernel. */
int hf_boot_id(char boot_id[_Nonnull 37]);
/* Inode numbers of /proc/self/ns/pid and /proc/self/ns/time; ENOTSUP where there are no namespaces. */
int hf_pid_namespace(uint64_t *identity);
int hf_time_namespace(uint64_t *identity);
/* Whether /proc shows this process's own PID namespace: with unshare(1) -p and the parent's /proc it does not, and
   its files about a PID then describe another process. */
bool hf_proc_is_ours(void);

/* pthread_self(3) as a number: pthread_t is a pointer on one platform and a number on another. */
uintptr_t hf_thread(void);
/* Milliseconds since 1970, clock_gettime(2) CLOCK_REALTIME. */
uint64_t hf_wall_clock_milliseconds(void);

/* pidfd_open(2), Linux 5.3. ESRCH: no such process. EINVAL, ENOENT: a thread's number, and no process's. ENOSYS: no such
   call. */
int hf_pidfd_open(pid_t pid);
/* The inode of a pidfd on pidfs (Linux 6.9): unique per process for the life of this boot. ENOTSUP before. */
int hf_pidfd_inode(int pidfd, uint64_t *inode);
/* 1 if every thread of the process has ended, reaped or not; 0 if it runs. */
int hf_pidfd_has_exited(int pidfd);

/* The arguments of this process as bytes, ended by a null pointer, and their count. Swift's CommandLine repairs bytes that
   are not UTF-8, and needs /proc on Linux. glibc hands the arguments to a constructor. Other C libraries for Linux do not:
   there they are found below the environment, where the kernel puts them (never run). */
char *_Nullable *_Nonnull hf_arguments(int *count);

/* A signal, and the fields of its siginfo_t whose names differ between C libraries. */
struct hf_signal {
    int number;
    bool is_from_kernel;  /* SI_KERNEL: a terminal or a timer; false where there is no such code */
    bool is_from_process; /* SI_USER, SI_QUEUE, SI_TKILL */
    bool has_value;       /* sigqueue(3) sent `value` with it */
    pid_t sender;         /* 0 if unknown, or in another PID namespace */
    void *_Nullable value;
};

/* sigwaitinfo(2), or sigtimedwait(2) if `seconds` is not negative: the number, or -1 with EAGAIN or EINTR. Darwin has
   neither: sigwait(2), which waits forever. */
int hf_wait_for_signal(const sigset_t *set, int seconds, struct hf_signal *found);
/* sigqueue(3), or kill(2) where there is none. */
int hf_queue_signal(pid_t pid, int number, void *_Nullable value);

/* Ends this process by a signal as if it had no handler for it, and without a core file: the command under a lock has
   left one already. Returns if the signal does not end this process, as for PID 1. */
void hf_end_by_signal(int signal);

#pragma clang assume_nonnull end
#endif
