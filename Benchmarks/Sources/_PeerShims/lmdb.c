// SPDX-License-Identifier: Apache-2.0
//
// LMDB, loaded at run time. The few declarations are those of lmdb.h.
#include "error.h"
#include "peers.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct MDB_env MDB_env;
typedef struct MDB_txn MDB_txn;
typedef unsigned int MDB_dbi;
typedef struct {
    size_t size;
    void *data;
} MDB_val;
enum { MDB_NOSUBDIR = 0x4000, MDB_NOSYNC = 0x10000, MDB_RDONLY = 0x20000, MDB_NOTLS = 0x200000 };

static int (*env_create)(MDB_env **);
static int (*env_set_mapsize)(MDB_env *, size_t);
static int (*env_open)(MDB_env *, const char *, unsigned int, int);
static void (*env_close)(MDB_env *);
static int (*txn_begin)(MDB_env *, MDB_txn *, unsigned int, MDB_txn **);
static int (*txn_commit)(MDB_txn *);
static void (*txn_abort)(MDB_txn *);
static void (*txn_reset)(MDB_txn *);
static int (*txn_renew)(MDB_txn *);
static int (*dbi_open)(MDB_txn *, const char *, unsigned int, MDB_dbi *);
static int (*put)(MDB_txn *, MDB_dbi, MDB_val *, MDB_val *, unsigned int);
static int (*get)(MDB_txn *, MDB_dbi, MDB_val *, MDB_val *);
static char *(*message)(int);
static char *(*version)(int *, int *, int *);
static int is_loaded;

static void load(void) {
    void *library = dlopen("liblmdb.so.0", RTLD_NOW);
    if (library == NULL) {
        return;
    }
    is_loaded =
        (env_create = peer_symbol(library, "mdb_env_create")) && (env_set_mapsize = peer_symbol(library, "mdb_env_set_mapsize")) &&
        (env_open = peer_symbol(library, "mdb_env_open")) && (env_close = peer_symbol(library, "mdb_env_close")) &&
        (txn_begin = peer_symbol(library, "mdb_txn_begin")) && (txn_commit = peer_symbol(library, "mdb_txn_commit")) &&
        (txn_abort = peer_symbol(library, "mdb_txn_abort")) && (txn_reset = peer_symbol(library, "mdb_txn_reset")) &&
        (txn_renew = peer_symbol(library, "mdb_txn_renew")) && (dbi_open = peer_symbol(library, "mdb_dbi_open")) &&
        (put = peer_symbol(library, "mdb_put")) && (get = peer_symbol(library, "mdb_get")) &&
        (message = peer_symbol(library, "mdb_strerror")) && (version = peer_symbol(library, "mdb_version"));
}

const char *peer_lmdb_version(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return is_loaded ? version(NULL, NULL, NULL) : NULL;
}

struct lmdb {
    struct peer_database functions;
    MDB_env *environment;
    MDB_dbi table;
    MDB_txn *reader;
};

static int failed(int code) {
    return peer_failed("LMDB", message(code));
}

static void close_database(struct peer_database *opened) {
    struct lmdb *database = (struct lmdb *)opened;
    txn_abort(database->reader);
    env_close(database->environment);
    free(database);
}

static int hold(struct peer_database *opened) {
    struct lmdb *database = (struct lmdb *)opened;
    MDB_txn *transaction;
    int code = txn_begin(database->environment, NULL, 0, &transaction);
    return code == 0 ? 0 : failed(code);
}

static int lock(struct peer_database *opened, size_t count) {
    struct lmdb *database = (struct lmdb *)opened;
    for (size_t turn = 0; turn < count; turn++) {
        MDB_txn *transaction;
        int code = txn_begin(database->environment, NULL, 0, &transaction);
        if (code != 0) {
            return failed(code);
        }
        txn_abort(transaction);
    }
    return 0;
}

static MDB_val key(void) {
    return (MDB_val){.size = 5, .data = (void *)"state"};
}

static int save(struct peer_database *opened, const void *bytes, size_t length, size_t count) {
    struct lmdb *database = (struct lmdb *)opened;
    for (size_t turn = 0; turn < count; turn++) {
        MDB_txn *transaction;
        MDB_val name = key(), value = {.size = length, .data = (void *)bytes};
        int code = txn_begin(database->environment, NULL, 0, &transaction);
        if (code != 0) {
            return failed(code);
        }
        if ((code = put(transaction, database->table, &name, &value, 0)) != 0) {
            txn_abort(transaction);
            return failed(code);
        }
        if ((code = txn_commit(transaction)) != 0) {
            return failed(code);
        }
    }
    return 0;
}

static int load_bytes(struct peer_database *opened, void *bytes, size_t length, size_t count) {
    struct lmdb *database = (struct lmdb *)opened;
    for (size_t turn = 0; turn < count; turn++) {
        MDB_val name = key(), value;
        int code = txn_renew(database->reader);
        if (code == 0) {
            code = get(database->reader, database->table, &name, &value);
        }
        if (code != 0) {
            return failed(code);
        }
        if (value.size != length) {
            return peer_failed("LMDB", "the value has another length");
        }
        memcpy(bytes, value.data, length);
        txn_reset(database->reader);
    }
    return 0;
}

struct peer_database *peer_lmdb_open(const char *path, int flushes) {
    if (peer_lmdb_version() == NULL) {
        peer_failed("LMDB", "it cannot be loaded");
        return NULL;
    }
    struct lmdb *database = calloc(1, sizeof *database);
    MDB_txn *transaction = NULL;
    int code = -1;
    if (database == NULL || (code = env_create(&database->environment)) != 0 ||
        (code = env_set_mapsize(database->environment, (size_t)1 << 30)) != 0 ||
        (code = env_open(database->environment, path, MDB_NOSUBDIR | MDB_NOTLS | (flushes ? 0 : MDB_NOSYNC), 0600)) != 0 ||
        (code = txn_begin(database->environment, NULL, 0, &transaction)) != 0 ||
        (code = dbi_open(transaction, NULL, 0, &database->table)) != 0 || (code = txn_commit(transaction)) != 0 ||
        (code = txn_begin(database->environment, NULL, MDB_RDONLY, &database->reader)) != 0) {
        failed(code);
        return NULL;
    }
    txn_reset(database->reader);
    database->functions =
        (struct peer_database){.close = close_database, .lock = lock, .hold = hold, .save = save, .load = load_bytes};
    return &database->functions;
}
