// SPDX-License-Identifier: Apache-2.0
//
// Waiting. The contracts stand in hf_wait.h.
#include "hf_wait.h"

#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/eventfd.h>
#include <sys/inotify.h>
#endif

#ifdef __linux__

int hf_watch_open(void) {
    return inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
}

int hf_watch_add(int watch, int directory, const char *name) {
    char path[32 + NAME_MAX];
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", directory, name);
    return inotify_add_watch(watch, path, IN_MODIFY | IN_CLOSE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ATTRIB | IN_DONT_FOLLOW);
}

int hf_watch_remove(int watch, int watch_descriptor) {
    return inotify_rm_watch(watch, watch_descriptor);
}

/* Whether the number still leads to an object without a file, as an eventfd and an inotify instance are: other code of the
   process may have closed it, and it may be another file by now. */
static bool is_ours(int descriptor) {
    struct stat status;
    return fstat(descriptor, &status) == 0 && (status.st_mode & S_IFMT) == 0;
}

int hf_watch_drain(int watch, int *watch_descriptors, int capacity) {
    if (!is_ours(watch)) {
        return 0;
    }
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t count = read(watch, buffer, sizeof buffer);
    int stored = 0;
    for (ssize_t offset = 0; offset < count && stored < capacity;) {
        const struct inotify_event *event = (const void *)(buffer + offset);
        if (stored == 0 || watch_descriptors[stored - 1] != event->wd) {
            watch_descriptors[stored++] = event->wd;
        }
        offset += (ssize_t)(sizeof *event + event->len);
    }
    return stored;
}

int hf_event_open(int ends[2]) {
    ends[0] = ends[1] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return ends[0] < 0 ? -1 : 0;
}

void hf_wait_readable(int first, int second, int64_t nanoseconds) {
    struct pollfd entries[2] = {{.fd = first, .events = POLLIN}, {.fd = second, .events = POLLIN}};
    struct timespec limit = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    ppoll(entries, 2, nanoseconds < 0 ? NULL : &limit, NULL);
}

#else

/* A pipe. */
static bool is_ours(int descriptor) {
    struct stat status;
    return fstat(descriptor, &status) == 0 && S_ISFIFO(status.st_mode);
}

int hf_watch_open(void) {
    errno = ENOSYS;
    return -1;
}

int hf_watch_add(int watch, int directory, const char *name) {
    (void)watch, (void)directory, (void)name;
    errno = ENOSYS;
    return -1;
}

int hf_watch_remove(int watch, int watch_descriptor) {
    (void)watch, (void)watch_descriptor;
    errno = ENOSYS;
    return -1;
}

int hf_watch_drain(int watch, int *watch_descriptors, int capacity) {
    (void)watch, (void)watch_descriptors, (void)capacity;
    return 0;
}

int hf_event_open(int ends[2]) {
    if (pipe(ends) != 0) {
        return -1;
    }
    for (int end = 0; end < 2; end++) {
        fcntl(ends[end], F_SETFD, FD_CLOEXEC);
        fcntl(ends[end], F_SETFL, O_NONBLOCK);
    }
    return 0;
}

void hf_wait_readable(int first, int second, int64_t nanoseconds) {
    struct pollfd entries[2] = {{.fd = first, .events = POLLIN}, {.fd = second, .events = POLLIN}};
    poll(entries, 2, nanoseconds < 0 ? -1 : (int)((nanoseconds + 999999) / 1000000));
}

#endif

void hf_event_signal(int write_end) {
    if (!is_ours(write_end)) {
        return;
    }
    uint64_t one = 1;
    ssize_t ignored = write(write_end, &one, sizeof one); /* full means that it is readable already */
    (void)ignored;
}

void hf_event_clear(int read_end) {
    if (!is_ours(read_end)) {
        return;
    }
    char buffer[64];
    ssize_t ignored = read(read_end, buffer, sizeof buffer);
    (void)ignored;
}

int hf_start_thread(void *(*body)(void *context), void *context) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* the new thread inherits the mask */
    pthread_t thread;
    int error = pthread_create(&thread, NULL, body, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) {
        pthread_detach(thread);
    }
    return error;
}
