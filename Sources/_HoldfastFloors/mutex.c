// SPDX-License-Identifier: Apache-2.0
//
// The floors of a mutex. The contracts stand in hf_floor_mutex.h.
#include "hf_floor_mutex.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#else
#include <os/os_sync_wait_on_address.h>
#endif

struct hf_floor_page {
    uint32_t word;
    _Alignas(64) pthread_mutex_t mutex;
    _Alignas(64) volatile uint64_t count;
};

static int prepare(struct hf_floor_page *page) {
    pthread_mutexattr_t attributes;
    int error = pthread_mutexattr_init(&attributes);
    if (error == 0) {
        error = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    }
#ifdef __linux__
    if (error == 0) {
        error = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    }
#endif
    return error != 0 ? error : pthread_mutex_init(&page->mutex, &attributes);
}

struct hf_floor_page *hf_floor_map(int directory, const char *name) {
    int descriptor = openat(directory, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0) {
        return NULL;
    }
    struct stat status;
    if (fstat(descriptor, &status) != 0 ||
        (status.st_size == 0 && ftruncate(descriptor, sizeof(struct hf_floor_page)) != 0)) {
        int error = errno;
        close(descriptor);
        errno = error;
        return NULL;
    }
    struct hf_floor_page *page =
        mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    int error = errno;
    close(descriptor);
    if (page == MAP_FAILED) {
        errno = error;
        return NULL;
    }
    if (status.st_size == 0 && (error = prepare(page)) != 0) {
        munmap(page, sizeof *page);
        errno = error;
        return NULL;
    }
    return page;
}

int hf_floor_unmap(struct hf_floor_page *page) {
    return munmap(page, sizeof *page);
}

void hf_floor_exchange(struct hf_floor_page *page, size_t count) {
    for (size_t turn = 0; turn < count; turn++) {
        uint32_t nobody = 0;
        if (!__atomic_compare_exchange_n(&page->word, &nobody, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
            abort();
        }
        __atomic_exchange_n(&page->word, 0, __ATOMIC_RELEASE);
    }
}

int hf_floor_mutex_lock(struct hf_floor_page *page) {
    int error = pthread_mutex_lock(&page->mutex);
#ifdef __linux__
    if (error == EOWNERDEAD) {
        error = pthread_mutex_consistent(&page->mutex);
    }
#endif
    return error;
}

int hf_floor_mutex_unlock(struct hf_floor_page *page) {
    return pthread_mutex_unlock(&page->mutex);
}

int hf_floor_mutex(struct hf_floor_page *page, size_t count) {
    int error = 0;
    for (size_t turn = 0; turn < count && error == 0; turn++) {
        error = hf_floor_mutex_lock(page);
        if (error == 0) {
            error = hf_floor_mutex_unlock(page);
        }
    }
    return error;
}

int hf_floor_flock(int descriptor, size_t count) {
    for (size_t turn = 0; turn < count; turn++) {
        if (flock(descriptor, LOCK_EX) != 0 || flock(descriptor, LOCK_UN) != 0) {
            return -1;
        }
    }
    return 0;
}

uint64_t hf_floor_count(struct hf_floor_page *page) {
    uint64_t before = page->count;
    page->count = before + 1;
    return before;
}

void hf_floor_pass(struct hf_floor_page *page, uint32_t mine, uint32_t yours) {
    uint32_t seen;
    while ((seen = __atomic_load_n(&page->word, __ATOMIC_ACQUIRE)) != mine) {
#ifdef __linux__
        syscall(SYS_futex, &page->word, FUTEX_WAIT, seen, NULL, NULL, 0);
#else
        os_sync_wait_on_address(&page->word, seen, 4, OS_SYNC_WAIT_ON_ADDRESS_SHARED);
#endif
    }
    __atomic_store_n(&page->word, yours, __ATOMIC_RELEASE);
#ifdef __linux__
    syscall(SYS_futex, &page->word, FUTEX_WAKE, 1, NULL, NULL, 0);
#else
    os_sync_wake_by_address_any(&page->word, 4, OS_SYNC_WAKE_BY_ADDRESS_SHARED);
#endif
}
