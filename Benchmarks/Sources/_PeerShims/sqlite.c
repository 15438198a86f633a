// SPDX-License-Identifier: Apache-2.0
//
// SQLite, loaded at run time. The few declarations are those of sqlite3.h (https://sqlite.org/c3ref), whose numbers never change.
#include "error.h"
#include "peers.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;
enum { SQLITE_OK = 0, SQLITE_ROW = 100, SQLITE_DONE = 101 };

static int (*sqlite_open)(const char *, sqlite3 **);
static int (*sqlite_close)(sqlite3 *);
static int (*sqlite_exec)(sqlite3 *, const char *, int (*)(void *, int, char **, char **), void *, char **);
static int (*sqlite_busy_timeout)(sqlite3 *, int);
static int (*sqlite_prepare)(sqlite3 *, const char *, int, sqlite3_stmt **, const char **);
static int (*sqlite_bind_blob)(sqlite3_stmt *, int, const void *, int, void (*)(void *));
static int (*sqlite_step)(sqlite3_stmt *);
static int (*sqlite_reset)(sqlite3_stmt *);
static int (*sqlite_finalize)(sqlite3_stmt *);
static const void *(*sqlite_column_blob)(sqlite3_stmt *, int);
static int (*sqlite_column_bytes)(sqlite3_stmt *, int);
static const char *(*sqlite_message)(sqlite3 *);
static const char *(*sqlite_version)(void);
static int is_loaded;

static void load(void) {
    void *library = dlopen("libsqlite3.so.0", RTLD_NOW);
    if (library == NULL) {
        return;
    }
    is_loaded = (sqlite_open = peer_symbol(library, "sqlite3_open")) && (sqlite_close = peer_symbol(library, "sqlite3_close")) &&
                (sqlite_exec = peer_symbol(library, "sqlite3_exec")) &&
                (sqlite_busy_timeout = peer_symbol(library, "sqlite3_busy_timeout")) &&
                (sqlite_prepare = peer_symbol(library, "sqlite3_prepare_v2")) &&
                (sqlite_bind_blob = peer_symbol(library, "sqlite3_bind_blob")) &&
                (sqlite_step = peer_symbol(library, "sqlite3_step")) && (sqlite_reset = peer_symbol(library, "sqlite3_reset")) &&
                (sqlite_finalize = peer_symbol(library, "sqlite3_finalize")) &&
                (sqlite_column_blob = peer_symbol(library, "sqlite3_column_blob")) &&
                (sqlite_column_bytes = peer_symbol(library, "sqlite3_column_bytes")) &&
                (sqlite_message = peer_symbol(library, "sqlite3_errmsg")) &&
                (sqlite_version = peer_symbol(library, "sqlite3_libversion"));
}

const char *peer_sqlite_version(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return is_loaded ? sqlite_version() : NULL;
}

struct sqlite {
    struct peer_database functions;
    sqlite3 *connection;
    sqlite3_stmt *begin, *commit, *save, *load;
};

static int failed(const struct sqlite *database) {
    return peer_failed("SQLite", sqlite_message(database->connection));
}

static int prepare(struct sqlite *database, const char *text, sqlite3_stmt **statement) {
    return sqlite_prepare(database->connection, text, -1, statement, NULL);
}

static void close_database(struct peer_database *opened) {
    struct sqlite *database = (struct sqlite *)opened;
    sqlite_finalize(database->begin);
    sqlite_finalize(database->commit);
    sqlite_finalize(database->save);
    sqlite_finalize(database->load);
    sqlite_close(database->connection);
    free(database);
}

static int run(const struct sqlite *database, sqlite3_stmt *statement) {
    int result = sqlite_step(statement);
    if (result != SQLITE_DONE) {
        failed(database);
    }
    sqlite_reset(statement);
    return result == SQLITE_DONE ? 0 : -1;
}

static int hold(struct peer_database *opened) {
    struct sqlite *database = (struct sqlite *)opened;
    return run(database, database->begin);
}

static int lock(struct peer_database *opened, size_t count) {
    struct sqlite *database = (struct sqlite *)opened;
    for (size_t turn = 0; turn < count; turn++) {
        if (run(database, database->begin) != 0 || run(database, database->commit) != 0) {
            return -1;
        }
    }
    return 0;
}

static int save(struct peer_database *opened, const void *bytes, size_t length, size_t count) {
    struct sqlite *database = (struct sqlite *)opened;
    for (size_t turn = 0; turn < count; turn++) {
        if (sqlite_bind_blob(database->save, 1, bytes, (int)length, NULL) != SQLITE_OK ||
            run(database, database->save) != 0) {
            return -1;
        }
    }
    return 0;
}

static int load_bytes(struct peer_database *opened, void *bytes, size_t length, size_t count) {
    struct sqlite *database = (struct sqlite *)opened;
    for (size_t turn = 0; turn < count; turn++) {
        if (sqlite_step(database->load) != SQLITE_ROW) {
            return failed(database);
        }
        const void *value = sqlite_column_blob(database->load, 0);
        if (value == NULL || (size_t)sqlite_column_bytes(database->load, 0) != length) {
            return peer_failed("SQLite", "the blob has another length");
        }
        memcpy(bytes, value, length);
        sqlite_reset(database->load);
    }
    return 0;
}

struct peer_database *peer_sqlite_open(const char *path, const char *journal, int flushes) {
    if (peer_sqlite_version() == NULL) {
        peer_failed("SQLite", "it cannot be loaded");
        return NULL;
    }
    struct sqlite *database = calloc(1, sizeof *database);
    char settings[256];
    snprintf(settings, sizeof settings,
             "PRAGMA journal_mode=%s; PRAGMA synchronous=%s;"
             "CREATE TABLE IF NOT EXISTS state(id INTEGER PRIMARY KEY, value BLOB)",
             journal, flushes ? "FULL" : "OFF");
    if (database == NULL || sqlite_open(path, &database->connection) != SQLITE_OK ||
        sqlite_busy_timeout(database->connection, 20000) != SQLITE_OK ||
        sqlite_exec(database->connection, settings, NULL, NULL, NULL) != SQLITE_OK ||
        prepare(database, "BEGIN IMMEDIATE", &database->begin) != SQLITE_OK ||
        prepare(database, "COMMIT", &database->commit) != SQLITE_OK ||
        prepare(database, "INSERT OR REPLACE INTO state VALUES(1, ?)", &database->save) != SQLITE_OK ||
        prepare(database, "SELECT value FROM state WHERE id = 1", &database->load) != SQLITE_OK) {
        if (database != NULL) {
            failed(database);
            close_database(&database->functions);
        }
        return NULL;
    }
    database->functions =
        (struct peer_database){.close = close_database, .lock = lock, .hold = hold, .save = save, .load = load_bytes};
    return &database->functions;
}
