// SPDX-License-Identifier: Apache-2.0
//
// Locks of the kernel and of libc. The contracts stand in peers.h.
#include "error.h"
#include "peers.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static _Thread_local char error[256];

const char *peer_error(void) {
    return error;
}

int peer_failed(const char *what, const char *why) {
    snprintf(error, sizeof error, "%s: %s", what, why);
    return -1;
}

void *peer_symbol(void *library, const char *name) {
    void *symbol = dlsym(library, name);
    if (symbol == NULL) {
        peer_failed("dlsym", dlerror());
    }
    return symbol;
}

static int lock(int file, short type) {
    struct flock whole = {.l_type = type, .l_whence = SEEK_SET};
    int result;
    do {
        result = fcntl(file, F_OFD_SETLKW, &whole);
    } while (result != 0 && errno == EINTR);
    return result;
}

int peer_ofd_relock(int file, size_t count) {
    for (size_t turn = 0; turn < count; turn++) {
        if (lock(file, F_WRLCK) != 0 || lock(file, F_UNLCK) != 0) {
            return peer_failed("fcntl", strerror(errno));
        }
    }
    return 0;
}

int peer_ofd_hold(const char *path) {
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 || lock(file, F_WRLCK) != 0) {
        return peer_failed("fcntl", strerror(errno));
    }
    return file;
}

int peer_ofd_lock(const char *path, size_t count) {
    for (size_t turn = 0; turn < count; turn++) {
        int file = peer_ofd_hold(path);
        if (file < 0) {
            return -1;
        }
        close(file);
    }
    return 0;
}

void *peer_semaphore_open(const char *name) {
    sem_t *semaphore = sem_open(name, O_CREAT, 0600, 1);
    if (semaphore == SEM_FAILED) {
        peer_failed("sem_open", strerror(errno));
        return NULL;
    }
    return semaphore;
}

int peer_semaphore_cycle(void *semaphore, size_t count) {
    for (size_t turn = 0; turn < count; turn++) {
        while (sem_wait(semaphore) != 0) {
            if (errno != EINTR) {
                return peer_failed("sem_wait", strerror(errno));
            }
        }
        sem_post(semaphore);
    }
    return 0;
}

int peer_semaphore_unlink(const char *name) {
    return sem_unlink(name);
}
