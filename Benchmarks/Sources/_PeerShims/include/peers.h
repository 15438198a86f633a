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

/* NULL if SQLite cannot be loaded. */
const char *_Nullable peer_sqlite_version(void);
struct peer_sqlite;
/* Opens a database with a table of one row. `journal` is WAL or DELETE; synchronous is FULL, or OFF if not `flushes`. */
struct peer_sqlite *_Nullable peer_sqlite_open(const char *path, const char *journal, int flushes);
void peer_sqlite_close(struct peer_sqlite *database);
/* BEGIN IMMEDIATE, COMMIT. */
int peer_sqlite_lock(struct peer_sqlite *database, size_t count);
/* BEGIN IMMEDIATE, and no end. */
int peer_sqlite_hold(struct peer_sqlite *database);
/* Replaces the row's blob in a transaction of its own. */
int peer_sqlite_save(struct peer_sqlite *database, const void *bytes, size_t length, size_t count);
/* Selects the row's blob and copies it. */
int peer_sqlite_load(struct peer_sqlite *database, void *bytes, size_t length, size_t count);

/* NULL if LMDB cannot be loaded. */
const char *_Nullable peer_lmdb_version(void);
struct peer_lmdb;
struct peer_lmdb *_Nullable peer_lmdb_open(const char *path, int flushes);
void peer_lmdb_close(struct peer_lmdb *database);
/* A write transaction that changes nothing. */
int peer_lmdb_lock(struct peer_lmdb *database, size_t count);
int peer_lmdb_hold(struct peer_lmdb *database);
/* Puts one key in a transaction of its own. */
int peer_lmdb_save(struct peer_lmdb *database, const void *bytes, size_t length, size_t count);
/* Gets it in a read transaction that is renewed each time, and copies it. */
int peer_lmdb_load(struct peer_lmdb *database, void *bytes, size_t length, size_t count);

#pragma clang assume_nonnull end
#endif
