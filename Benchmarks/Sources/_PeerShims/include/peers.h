// SPDX-License-Identifier: Apache-2.0
//
// Peers in C: locks of the kernel and of libc, SQLite and LMDB. The two databases are loaded at run time, so that this builds
// where they are not installed. Where nothing else is said a function repeats its work `count` times and returns 0, or -1 with
// a sentence in peer_error().
#ifndef PEERS_H
#define PEERS_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/* What went wrong last, in this thread. */
const char *peer_error(void);

/* fcntl(2) F_OFD_SETLKW, of a whole file that is opened and closed each time, and of one that stays open. */
int peer_ofd_lock(const char *path, size_t count);
int peer_ofd_relock(int file, size_t count);
/* Waits for it and keeps it: the descriptor. */
int peer_ofd_hold(const char *path);

/* A named semaphore of value 1, sem_open(3); sem_unlink(3). */
void *_Nullable peer_semaphore_open(const char *name);
int peer_semaphore_cycle(void *semaphore, size_t count);
int peer_semaphore_unlink(const char *name);

/* NULL if it cannot be loaded. */
const char *_Nullable peer_sqlite_version(void);
const char *_Nullable peer_lmdb_version(void);

/* An open database with a table of one row, or of one key. */
struct peer_database {
    void (*close)(struct peer_database *);
    /* A write transaction that changes nothing; in SQLite BEGIN IMMEDIATE, COMMIT. */
    int (*lock)(struct peer_database *, size_t count);
    /* The beginning of one, and no end. */
    int (*hold)(struct peer_database *);
    /* Replaces the row's blob, or the key's value, in a transaction of its own. */
    int (*save)(struct peer_database *, const void *bytes, size_t length, size_t count);
    /* Selects the row's blob and copies it; in LMDB gets the value in a read transaction that is renewed each time. */
    int (*load)(struct peer_database *, void *bytes, size_t length, size_t count);
};

/* `journal` is WAL or DELETE; synchronous is FULL, or OFF if not `flushes`. */
struct peer_database *_Nullable peer_sqlite_open(const char *path, const char *journal, int flushes);
struct peer_database *_Nullable peer_lmdb_open(const char *path, int flushes);

#pragma clang assume_nonnull end
#endif
