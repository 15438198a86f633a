// SPDX-License-Identifier: Apache-2.0
//
// Processes and the page they share. The contracts stand in hfs_process.h.
#include "hfs_process.h"

#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#ifdef __APPLE__
#include <limits.h>
#include <mach-o/dyld.h>
#endif

enum { lifeline_in_child = 3 };

static volatile sig_atomic_t stop_signal;

static void remember(int number) {
    if (number != SIGCHLD) {
        stop_signal = number;
    }
}

void hfs_supervise(void) {
    static const int numbers[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP};
    sigset_t blocked;
    sigemptyset(&blocked);
    struct sigaction action = {.sa_handler = remember};
    sigemptyset(&action.sa_mask);
    for (size_t index = 0; index < sizeof numbers / sizeof *numbers; index++) {
        sigaddset(&blocked, numbers[index]);
        sigaction(numbers[index], &action, NULL);
    }
    sigprocmask(SIG_BLOCK, &blocked, NULL);
}

static struct timespec duration(int64_t nanoseconds) {
    return (struct timespec){.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
}

void hfs_wait_for_news(int64_t nanoseconds) {
    sigset_t none;
    sigemptyset(&none);
    struct timespec limit = duration(nanoseconds);
    pselect(0, NULL, NULL, NULL, &limit, &none);
}

int hfs_stop_signal(void) {
    return stop_signal;
}

pid_t hfs_spawn(const char *path, char *const arguments[], int lifeline) {
    extern char **environ;
#ifdef __APPLE__
    char own_path[PATH_MAX];
    uint32_t capacity = sizeof own_path;
    if (_NSGetExecutablePath(own_path, &capacity) != 0) {
        errno = ENAMETOOLONG;
        return -1;
    }
#else
    const char *own_path = "/proc/self/exe";
#endif
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    /* dup2 onto itself would leave it close-on-exec on some systems, so the parent never holds it at 3. */
    posix_spawn_file_actions_adddup2(&actions, lifeline, lifeline_in_child);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    pid_t pid;
    int error = posix_spawn(&pid, path != NULL ? path : own_path, &actions, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return pid;
}

pid_t hfs_reap(int *killed_by, int *status) {
    int raw;
    pid_t pid;
    do {
        pid = waitpid(-1, &raw, WNOHANG);
    } while (pid < 0 && errno == EINTR);
    if (pid > 0) {
        *killed_by = WIFSIGNALED(raw) ? WTERMSIG(raw) : 0;
        *status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 0;
    }
    return pid;
}

int hfs_lifeline(int *write_end) {
    int low[2], ends[2];
    if (pipe(low) != 0) {
        return -1;
    }
    for (int end = 0; end < 2; end++) {
        ends[end] = fcntl(low[end], F_DUPFD_CLOEXEC, 10);
        close(low[end]);
    }
    *write_end = ends[1];
    return ends[1] < 0 ? -1 : ends[0];
}

static void *wait_for_the_end(void *unused) {
    (void)unused;
    char byte;
    ssize_t count;
    do {
        count = read(lifeline_in_child, &byte, 1);
    } while (count > 0 || (count < 0 && errno == EINTR));
    _exit(EXIT_FAILURE);
}

int hfs_end_with_parent(void) {
    fcntl(lifeline_in_child, F_SETFD, FD_CLOEXEC);
    pthread_t thread;
    int error = pthread_create(&thread, NULL, wait_for_the_end, NULL);
    if (error == 0) {
        pthread_detach(thread);
    }
    return error;
}

static uint64_t *moment_of_death;

void hfs_die(void) {
    if (moment_of_death != NULL) {
        struct timespec now;
        uint64_t unknown = 0;
        clock_gettime(CLOCK_MONOTONIC, &now);
        __atomic_compare_exchange_n(moment_of_death, &unknown, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec,
                                    false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
    }
    kill(getpid(), SIGKILL);
    for (;;) {
        pause(); /* another thread may have to take the signal first */
    }
}

/* Volatile: a handler changes it between any two instructions. */
static _Thread_local volatile uint64_t steps_left;
/* What happens then: a death, or a sleep of so many nanoseconds. */
static _Thread_local int64_t sleep_at_last_step;

static void act_at_last_step(int number) {
    if (number == SIGTRAP) {
        if (steps_left == 0 || --steps_left > 0) {
            return;
        }
        if (sleep_at_last_step > 0) {
            int error = errno;
            hfs_sleep(sleep_at_last_step);
            errno = error;
            return;
        }
    }
    hfs_die();
}

void hfs_prepare_death(uint64_t *moment) {
    moment_of_death = moment;
    struct sigaction action = {.sa_handler = act_at_last_step, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGALRM, &action, NULL);
    sigaction(SIGTRAP, &action, NULL);
}

void hfs_die_in(int64_t microseconds) {
    struct itimerval timer = {.it_value = {.tv_sec = microseconds / 1000000, .tv_usec = microseconds % 1000000}};
    setitimer(ITIMER_REAL, &timer, NULL);
}

bool hfs_act_in_steps(uint64_t count, int64_t nanoseconds) {
/* ThreadSanitizer does its own work around a handler, and cannot be interrupted in the middle of that. */
#if defined(__x86_64__) && defined(__clang__) && !__has_feature(thread_sanitizer)
    enum { trap_flag = 0x100 };
    sigset_t trap;
    sigemptyset(&trap);
    sigaddset(&trap, SIGTRAP);
    pthread_sigmask(SIG_UNBLOCK, &trap, NULL); /* a trap that is blocked ends the process */
    steps_left = count;
    sleep_at_last_step = nanoseconds;
    unsigned long long flags = __builtin_ia32_readeflags_u64();
    __builtin_ia32_writeeflags_u64(count > 0 ? flags | trap_flag : flags & ~(unsigned long long)trap_flag);
    return true;
#else
    (void)count;
    (void)nanoseconds;
    return false;
#endif
}

void *hfs_map_file(const char *path, size_t size) {
    int descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (size > 0 ? O_CREAT | O_EXCL : 0), 0600);
    if (descriptor < 0) {
        return NULL;
    }
    struct stat status;
    void *address = MAP_FAILED;
    if ((size == 0 || ftruncate(descriptor, (off_t)size) == 0) && fstat(descriptor, &status) == 0) {
        address = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    }
    int error = errno;
    close(descriptor);
    errno = error;
    return address == MAP_FAILED ? NULL : address;
}

void hfs_sleep(int64_t nanoseconds) {
    struct timespec length = duration(nanoseconds);
    nanosleep(&length, NULL);
}

void hfs_yield(void) {
    sched_yield();
}
