// SPDX-License-Identifier: Apache-2.0
//
// Process identity. The contracts stand in hf_process.h.
#include "hf_process.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#else
#include <crt_externs.h>
#include <sys/sysctl.h>
#endif

uintptr_t hf_thread(void) {
    return (uintptr_t)pthread_self();
}

uint64_t hf_wall_clock_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void hf_end_by_signal(int number) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
#ifdef __linux__
    /* A core_pattern that is a program ignores the limit. */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    signal(number, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    kill(getpid(), number);
}

#ifdef __linux__

int hf_wait_for_signal(const sigset_t *set, int seconds, struct hf_signal *found) {
    siginfo_t information;
    struct timespec time = {seconds, 0};
    int number = sigtimedwait(set, &information, seconds < 0 ? NULL : &time);
    if (number < 0) {
        return -1;
    }
    *found = (struct hf_signal){
        .number = number,
        .is_from_kernel = information.si_code == SI_KERNEL,
        .is_from_process = information.si_code <= 0,
        .has_value = information.si_code == SI_QUEUE,
    };
    /* A timer has other fields in the place of the sender. */
    if (information.si_code == SI_USER || information.si_code == SI_QUEUE || information.si_code == SI_TKILL) {
        found->sender = information.si_pid;
        found->value = information.si_value.sival_ptr;
    }
    return number;
}

int hf_queue_signal(pid_t pid, int number, void *value) {
    return sigqueue(pid, number, (union sigval){.sival_ptr = value});
}

#else

int hf_wait_for_signal(const sigset_t *set, int seconds, struct hf_signal *found) {
    sigset_t pending;
    sigpending(&pending);
    bool is_there = false;
    for (int number = 1; number < NSIG; number++) {
        is_there = is_there || (sigismember(set, number) == 1 && sigismember(&pending, number) == 1);
    }
    if (seconds == 0 && !is_there) {
        errno = EAGAIN;
        return -1;
    }
    *found = (struct hf_signal){.is_from_process = true};
    errno = sigwait(set, &found->number);
    if (errno != 0) {
        return -1;
    }
    found->is_from_process = found->number != SIGCHLD;
    return found->number;
}

int hf_queue_signal(pid_t pid, int number, void *value) {
    (void)value;
    return kill(pid, number);
}

#endif

#ifdef __linux__

static int argument_count;
static char **arguments;

#ifdef __GLIBC__
static void keep_arguments(int count, char **vector, char **environment) {
    (void)environment;
    argument_count = count;
    arguments = vector;
}
__attribute__((section(".init_array"), used)) static void (*keeper)(int, char **, char **) = keep_arguments;
#else
/* Before anything can have moved the environment: count, arguments, a null pointer, environment. */
__attribute__((constructor)) static void keep_arguments(void) {
    extern char **environ;
    char **end = environ - 1;
    uintptr_t count = 0;
    while ((uintptr_t)end[-1 - (intptr_t)count] != count) {
        count++;
    }
    argument_count = (int)count;
    arguments = end - count;
}
#endif

char **hf_arguments(int *count) {
    *count = argument_count;
    return arguments;
}

#else

char **hf_arguments(int *count) {
    *count = *_NSGetArgc();
    return *_NSGetArgv();
}

#endif

#ifdef __linux__

static ssize_t read_whole(const char *path, char *text, size_t capacity) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return -1;
    }
    ssize_t count;
    do {
        count = read(descriptor, text, capacity - 1);
    } while (count < 0 && errno == EINTR);
    int error = errno;
    close(descriptor);
    errno = error;
    if (count >= 0) {
        text[count] = 0;
    }
    return count;
}

int hf_process_read(pid_t pid, struct hf_process *process) {
    char path[32], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (read_whole(path, text, sizeof text) < 0) {
        return -1;
    }
    /* The name in field 2 may hold spaces and parentheses: field 3 begins after the last one. */
    char *fields = strrchr(text, ')');
    long long threads;
    unsigned long long start_time;
    char state;
    if (fields == NULL || sscanf(fields + 1,
                                 " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %lld %*d %llu",
                                 &state, &threads, &start_time) != 3) {
        errno = EINVAL;
        return -1;
    }
    *process = (struct hf_process){.start_time = start_time, .threads = threads, .state = state};
    return 0;
}

int hf_process_name(pid_t pid, char *name, size_t capacity) {
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    ssize_t count = read_whole(path, name, capacity);
    if (count < 0) {
        return -1;
    }
    name[strcspn(name, "\n")] = 0;
    return 0;
}

int64_t hf_boot_second(void) {
    struct timespec wall, boot;
    if (clock_gettime(CLOCK_REALTIME, &wall) != 0 || clock_gettime(CLOCK_BOOTTIME, &boot) != 0) {
        return 0;
    }
    return wall.tv_sec - boot.tv_sec;
}

int64_t hf_start_second(uint64_t start_time) {
    int64_t boot = hf_boot_second();
    long ticks = sysconf(_SC_CLK_TCK);
    return boot == 0 || ticks <= 0 ? 0 : boot + (int64_t)(start_time / (uint64_t)ticks);
}

int hf_process_has_open(pid_t pid, int descriptor) {
    char path[32];
    struct stat ours, theirs;
    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    DIR *directory = fstat(descriptor, &ours) == 0 ? opendir(path) : NULL;
    if (directory == NULL) {
        return -1;
    }
    int found = 0;
    for (struct dirent *entry; !found && (entry = readdir(directory)) != NULL;) {
        found = entry->d_name[0] != '.' && fstatat(dirfd(directory), entry->d_name, &theirs, 0) == 0
                && theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
    }
    closedir(directory);
    return found;
}

int hf_boot_id(char boot_id[37]) {
    ssize_t count = read_whole("/proc/sys/kernel/random/boot_id", boot_id, 37);
    if (count >= 0 && count != 36) {
        errno = EINVAL;
    }
    return count == 36 ? 0 : -1;
}

static int namespace_identity(const char *path, uint64_t *identity) {
    struct stat status;
    if (stat(path, &status) != 0) {
        return -1;
    }
    *identity = status.st_ino;
    return 0;
}

int hf_pid_namespace(uint64_t *identity) {
    return namespace_identity("/proc/self/ns/pid", identity);
}

int hf_time_namespace(uint64_t *identity) {
    return namespace_identity("/proc/self/ns/time", identity);
}

bool hf_proc_is_ours(void) {
    char text[16];
    ssize_t count = readlink("/proc/self", text, sizeof text - 1);
    if (count <= 0) {
        return false;
    }
    text[count] = 0;
    return strtol(text, NULL, 10) == getpid();
}

int hf_pidfd_open(pid_t pid) {
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

int hf_pidfd_inode(int pidfd, uint64_t *inode) {
    struct statfs file_system;
    struct stat status;
    if (fstatfs(pidfd, &file_system) != 0 || fstat(pidfd, &status) != 0) {
        return -1;
    }
    /* Before Linux 6.9 every pidfd shared the one inode of anon_inodefs, which identifies nothing. */
    if (file_system.f_type != 0x50494446) {
        errno = ENOTSUP;
        return -1;
    }
    *inode = status.st_ino;
    return 0;
}

int hf_pidfd_has_exited(int pidfd) {
    struct pollfd entry = {.fd = pidfd, .events = POLLIN};
    int count;
    do {
        count = poll(&entry, 1, 0);
    } while (count < 0 && errno == EINTR);
    return count;
}

#else

int64_t hf_boot_second(void) {
    struct timeval boot;
    size_t size = sizeof boot;
    int name[2] = {CTL_KERN, KERN_BOOTTIME};
    return sysctl(name, 2, &boot, &size, NULL, 0) == 0 ? boot.tv_sec : 0;
}

int64_t hf_start_second(uint64_t start_time) {
    return (int64_t)(start_time / 1000000);
}

int hf_process_has_open(pid_t pid, int descriptor) {
    (void)descriptor;
    /* No namespaces: a PID names one process. */
    return kill(pid, 0) == 0;
}

int hf_process_read(pid_t pid, struct hf_process *process) {
    struct kinfo_proc info;
    size_t size = sizeof info;
    int name[4] = {CTL_KERN, KERN_PROC, KERN_PROC_PID, pid};
    if (sysctl(name, 4, &info, &size, NULL, 0) != 0) {
        return -1;
    }
    if (size == 0) {
        errno = ESRCH;
        return -1;
    }
    struct timeval start = info.kp_proc.p_starttime;
    *process = (struct hf_process){
        .start_time = (uint64_t)start.tv_sec * 1000000 + (uint64_t)start.tv_usec,
        .threads = 0,
        .state = info.kp_proc.p_stat == SZOMB ? 'Z' : 'R',
    };
    return 0;
}

int hf_process_name(pid_t pid, char *name, size_t capacity) {
    struct kinfo_proc info;
    size_t size = sizeof info;
    int path[4] = {CTL_KERN, KERN_PROC, KERN_PROC_PID, pid};
    if (sysctl(path, 4, &info, &size, NULL, 0) != 0 || size == 0) {
        return -1;
    }
    snprintf(name, capacity, "%s", info.kp_proc.p_comm);
    return 0;
}

int hf_boot_id(char boot_id[37]) {
    size_t size = 37;
    return sysctlbyname("kern.bootsessionuuid", boot_id, &size, NULL, 0);
}

static int unsupported(void) {
    errno = ENOTSUP;
    return -1;
}

int hf_pid_namespace(uint64_t *identity) {
    (void)identity;
    return unsupported();
}

int hf_time_namespace(uint64_t *identity) {
    (void)identity;
    return unsupported();
}

bool hf_proc_is_ours(void) {
    return true;
}

int hf_pidfd_open(pid_t pid) {
    (void)pid;
    return unsupported();
}

int hf_pidfd_inode(int pidfd, uint64_t *inode) {
    (void)pidfd, (void)inode;
    return unsupported();
}

int hf_pidfd_has_exited(int pidfd) {
    (void)pidfd;
    return unsupported();
}

#endif
