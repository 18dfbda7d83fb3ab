/*
 * store_int: what the store's files share. LMDB is seen here and in them, nowhere else.
 */
#ifndef STORE_STORE_INT_H
#define STORE_STORE_INT_H

#include <limits.h>
#include <lmdb.h>

#include "base/text.h"
#include "store/store.h"

#define HISTORY_COMMITTED_AT 9 /* offset of the commit time in a history record: after version and seen */

enum table { T_META, T_INSTANCES, T_HISTORY, T_ROUTING, T_CDR, T_REGISTRATIONS, T_COUNT };

struct op {
	enum table table;
	struct buf key;
	struct buf val;
	bool del;
	uint64_t order; /* of being asked for: the later one of a key wins */
};

struct ops {
	struct op *v;
	size_t n;
	size_t cap;
};

/* The open environment. After start-up only the worker thread touches it. */
struct db {
	MDB_env *env;
	MDB_dbi dbi[T_COUNT];
	bool readonly; /* the file system refuses writing: good for reading only */
	bool lapsed;   /* closed by db_lapsed(): what the file holds is ours all the same */
	char *path;
	uint32_t format; /* of the file as it was opened; 0: it says none */
	char newer[128]; /* DB_NEWER: why */
	int64_t size_bytes;
	int64_t keep_ms;
	int64_t keep_max;
};

struct store {
	struct loop *loop;
	struct worker *worker;
	struct loop_timer timer; /* the next commit */
	struct store_conf conf;
	char *dir;
	char *machine_id;
	struct db db;
	int lock_fd;
	struct ops pending;
	bool busy; /* a commit is with the worker */
	bool flushing; /* the end: what comes goes to the worker at once, behind what is there */
	uint64_t order;
	uint64_t commits, failures;
	int64_t used_bytes;
	bool failing;
	char why[512];
	char *set_aside;
	char aside_why[160];
	char **adopted; /* as in the file: the loop thread asks while the worker may be reopening it */
	size_t n_adopted, cap_adopted;
	int fail_err;
	unsigned fail_n;
};

/*
 * A transaction of its own, of what is not gathered with others (txn.c). `body` writes, on the worker's thread, and returns LMDB's code; it is
 * called again when the map was too small and has grown. `done` runs from the loop and frees.
 */
struct store_txn {
	struct worker_job job;
	struct store *st;
	int (*body)(struct store_txn *, MDB_txn *);
	void (*done)(struct store_txn *, int err);
	bool urgent; /* somebody waits for it: it goes before what is not */
	int err, inject;
	char *aside;
	int64_t used_bytes;
};
void store_txn_submit(struct store *, struct store_txn *);

void store_commit_now(struct store *); /* what is pending, unless a commit is with the worker */
/* On the worker's thread: the file can be written, as far as it is up to us; LMDB's code. *aside: store_note_aside(). */
int store_make_writable(struct store *, char **aside);
void store_note_aside(struct store *, char *takes);
int store_take_failure(struct store *); /* what store_fail_next() wants of this commit */
int64_t store_wall_ms(void);
int store_err(int rc); /* LMDB's own codes become errno values here and nowhere else */

/* db.c. All return LMDB's codes; of an open, DB_NEWER too: a newer c4d wrote the file, and nothing in it was changed. */
#define DB_NEWER (-1)
#define DB_NO_TABLE UINT_MAX /* of a file that is only read: an earlier c4d had no such table; LMDB refuses it (EINVAL) */
void db_close(struct db *);
int db_open(struct db *, bool readonly);
int db_open_new(struct db *); /* for writing; a file that it made and could not complete (a full disk) does not stay */
int db_get(struct db *, enum table, const void *key, size_t klen, struct buf *out);
int db_cursor(struct db *, MDB_txn *, enum table, MDB_cursor **); /* MDB_NOTFOUND: there is no such table */
int db_apply(struct db *, const struct ops *); /* one transaction */
/* LMDB has given the environment up (MDB_PANIC): closed, to be opened anew. True: so it is, try again. */
bool db_lapsed(struct db *, int rc);
bool db_grow(struct db *); /* after MDB_MAP_FULL, with no transaction open: once more? */
int64_t db_used(struct db *);
/*
 * After a commit, and after what reads a large table: what is mapped of the file counts as memory of ours, and grows with it, up to all of
 * it. It stays in the system's cache. With no transaction open.
 */
void db_forget_pages(struct db *);

/* format.c */
int format_check(struct db *, MDB_txn *); /* 0 or DB_NEWER, or LMDB's codes */
void format_record(struct buf *key, struct buf *val);

#endif
