// SPDX-License-Identifier: Apache-2.0
//
// Tells ThreadSanitizer what Swift's Synchronization.Mutex does; loaded before the libraries (LD_PRELOAD) by the check.
//
// The mutex is a futex with priority inheritance. When two threads meet, the kernel hands it over, in two functions of
// libswiftSynchronization.so, which is not instrumented: to ThreadSanitizer that is no synchronisation, and what the mutex
// protects looks like a race (Swift 6.3.1 on Linux; a Mutex<Int> that two threads count up is enough). These stand in
// front of the two. Should Swift rename them, the reports come back; nothing is hidden.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define SWIFT_CALL __attribute__((swiftcall))
#define SELF __attribute__((swift_context))
#define LOCK_SLOW "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK_SLOW "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

// Of ThreadSanitizer; absent in processes that are not instrumented.
void __tsan_acquire(void *address) __attribute__((weak));
void __tsan_release(void *address) __attribute__((weak));

SWIFT_CALL void lock_slow(uint32_t thread, SELF void *mutex) __asm__(LOCK_SLOW);
SWIFT_CALL void unlock_slow(SELF void *mutex) __asm__(UNLOCK_SLOW);

static void *of_library(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (!function) {
        fprintf(stderr, "there is no %s\n", name);
        abort();
    }
    return function;
}

SWIFT_CALL void lock_slow(uint32_t thread, SELF void *mutex) {
    SWIFT_CALL void (*next)(uint32_t, SELF void *) = of_library(LOCK_SLOW);
    next(thread, mutex);
    if (__tsan_acquire) __tsan_acquire(mutex);
}

SWIFT_CALL void unlock_slow(SELF void *mutex) {
    SWIFT_CALL void (*next)(SELF void *) = of_library(UNLOCK_SLOW);
    if (__tsan_release) __tsan_release(mutex);
    next(mutex);
}
