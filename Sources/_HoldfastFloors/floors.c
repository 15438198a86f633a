// SPDX-License-Identifier: Apache-2.0
//
// The floors. The contracts stand in hf_floors.h.
#include "hf_floors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* close(2) that keeps the errno of the failure before it. */
static int failed(int descriptor) {
    int error = errno;
    close(descriptor);
    errno = error;
    return -1;
}

int hf_floor_lock(int directory, const char *name, bool exclusive, size_t count) {
    for (size_t turn = 0; turn < count; turn++) {
        int descriptor = openat(directory, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (descriptor < 0) {
            return -1;
        }
        if (flock(descriptor, exclusive ? LOCK_EX : LOCK_SH) != 0) {
            return failed(descriptor);
        }
        close(descriptor);
    }
    return 0;
}

int hf_floor_pid_file(int directory, const char *name, size_t count) {
    for (size_t turn = 0; turn < count; turn++) {
        char line[16];
        int length = snprintf(line, sizeof line, "%d\n", (int)getpid());
        int file = openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (file < 0) {
            return -1;
        }
        if (write(file, line, (size_t)length) != length || fsync(file) != 0 || flock(file, LOCK_EX) != 0 ||
            unlinkat(directory, name, 0) != 0) {
            return failed(file);
        }
        close(file);
    }
    return 0;
}

static int save(int directory, const char *name, const char *temporary, const void *bytes, size_t length, bool flush) {
    int file = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) {
        return -1;
    }
    if (write(file, bytes, length) != (ssize_t)length || (flush && fsync(file) != 0) ||
        renameat(directory, temporary, directory, name) != 0) {
        return failed(file);
    }
    close(file);
    if (!flush) {
        return 0;
    }
    int entry = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (entry < 0) {
        return -1;
    }
    if (fsync(entry) != 0) {
        return failed(entry);
    }
    return close(entry);
}

int hf_floor_save(int directory, const char *name, const char *temporary, const void *bytes, size_t length, bool flush,
                  size_t count) {
    for (size_t turn = 0; turn < count; turn++) {
        if (save(directory, name, temporary, bytes, length, flush) != 0) {
            return -1;
        }
    }
    return 0;
}

int hf_floor_overwrite(int file, const void *bytes, size_t length, off_t half, size_t count) {
    for (size_t turn = 0; turn < count; turn++) {
        if (pwrite(file, bytes, length, (off_t)(turn & 1) * half) != (ssize_t)length || fdatasync(file) != 0) {
            return -1;
        }
    }
    return 0;
}

uint64_t hf_floor_read_word(const uint64_t *word, size_t count) {
    uint64_t zeros = 0;
    for (size_t turn = 0; turn < count; turn++) {
        zeros += __atomic_load_n(word, __ATOMIC_ACQUIRE) == 0;
    }
    return zeros;
}

int hf_floor_load(int directory, const char *name, void *bytes, size_t length, size_t count) {
    for (size_t turn = 0; turn < count; turn++) {
        struct stat status;
        int file = openat(directory, name, O_RDONLY | O_CLOEXEC);
        if (file < 0) {
            return -1;
        }
        if (fstat(file, &status) != 0) {
            return failed(file);
        }
        if ((size_t)status.st_size != length || read(file, bytes, length) != (ssize_t)length) {
            errno = ERANGE;
            return failed(file);
        }
        close(file);
    }
    return 0;
}

int hf_floor_copy(void *to, const void *from, size_t length, size_t count) {
    for (size_t turn = 0; turn < count; turn++) {
        memcpy(to, from, length);
        /* The compiler must believe that somebody reads each copy. */
        __asm__ volatile("" : : "r"(to) : "memory");
    }
    return 0;
}

int hf_floor_wait_for_lock(int directory, const char *name) {
    int descriptor = openat(directory, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0) {
        return -1;
    }
    int result;
    do {
        result = flock(descriptor, LOCK_EX);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? descriptor : failed(descriptor);
}
