/* The LMDB environment: opened, read, written. After the start only the worker thread comes here. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "store/record.h"
#include "store/store_int.h"

#define PRUNE_PER_COMMIT 200

static const char *const table_names[T_COUNT] = {
	"meta", "instances", "history", "routing", "cdr", "registrations",
};

int64_t
store_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int
store_err(int rc)
{
	switch (rc) {
	case 0:
		return 0;
	case MDB_MAP_FULL:
		return -ENOSPC;
	case MDB_INVALID:
	case MDB_CORRUPTED:
	case MDB_VERSION_MISMATCH:
	case MDB_PAGE_NOTFOUND:
	case MDB_INCOMPATIBLE:
	case MDB_PANIC:
		return -EBADMSG;
	case MDB_NOTFOUND:
		return -ENOENT;
	default:
		return rc > 0 ? -rc : -EIO;
	}
}

void
db_close(struct db *db)
{
	if (db->env != NULL)
		mdb_env_close(db->env);
	db->env = NULL;
}

/*
 * Without LMDB's own lock file: a map of it could not be backed on a full disk, which is a SIGBUS at the start.
 * Our lock keeps other processes away, and one thread at a time uses the environment.
 */
int
db_open(struct db *db, bool readonly)
{
	unsigned flags = MDB_NOSUBDIR | MDB_NOTLS | MDB_NOLOCK | (readonly ? MDB_RDONLY : 0);
	MDB_txn *txn = NULL;
	int rc, i;

	rc = mdb_env_create(&db->env);
	if (rc != 0) {
		db->env = NULL;
		return rc;
	}
	mdb_env_set_maxdbs(db->env, T_COUNT);
	mdb_env_set_mapsize(db->env, (size_t)db->size_bytes);
	db->readonly = readonly;
	rc = mdb_env_open(db->env, db->path, flags, 0600);
	if (rc == 0)
		rc = mdb_txn_begin(db->env, NULL, readonly ? MDB_RDONLY : 0, &txn);
	if (rc == 0)
		rc = format_check(db, txn);
	for (i = 0; rc == 0 && i < T_COUNT; i++) {
		rc = mdb_dbi_open(txn, table_names[i], readonly ? 0 : MDB_CREATE, &db->dbi[i]);
		if (rc == MDB_NOTFOUND) {
			db->dbi[i] = DB_NO_TABLE;
			rc = 0;
		}
	}
	if (rc == 0) {
		rc = mdb_txn_commit(txn); /* frees it in any case */
		txn = NULL;
	}
	if (txn != NULL)
		mdb_txn_abort(txn);
	if (rc != 0)
		db_close(db);
	return rc;
}

/* The same; a file that it made and could not complete (a full disk) does not stay. */
int
db_open_new(struct db *db)
{
	bool existed = access(db->path, F_OK) == 0;
	int rc = db_open(db, false);

	if (rc != 0 && !existed)
		(void)unlink(db->path);
	return rc;
}

int
db_get(struct db *db, enum table table, const void *key, size_t klen, struct buf *out)
{
	MDB_txn *txn;
	MDB_val k = { klen, (void *)(uintptr_t)key }, v;
	int rc;

	if (db->env == NULL)
		return MDB_NOTFOUND;
	rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);
	if (rc != 0)
		return rc;
	rc = mdb_get(txn, db->dbi[table], &k, &v);
	if (rc == 0)
		buf_add(out, v.mv_data, v.mv_size);
	mdb_txn_abort(txn);
	return rc;
}

int
db_cursor(struct db *db, MDB_txn *txn, enum table table, MDB_cursor **cur)
{
	return db->dbi[table] == DB_NO_TABLE ? MDB_NOTFOUND : mdb_cursor_open(txn, db->dbi[table], cur);
}

static uint64_t
key_generation(const MDB_val *k)
{
	struct reader r = { k->mv_data, k->mv_size, false };

	return get_u64(&r);
}

static void
db_prune(struct db *db, MDB_txn *txn)
{
	MDB_cursor *cur;
	MDB_val k, v;
	int64_t now = store_wall_ms();
	uint64_t newest = 0;
	int n;
	bool old = true; /* times in front: their difference went with the last commit's share */

	if (mdb_cursor_open(txn, db->dbi[T_HISTORY], &cur) != 0)
		return;
	if (mdb_cursor_get(cur, &k, &v, MDB_LAST) == 0)
		newest = key_generation(&k);
	for (n = 0; n < PRUNE_PER_COMMIT && mdb_cursor_get(cur, &k, &v, MDB_FIRST) == 0; n++) {
		struct reader r = { v.mv_data, v.mv_size, false };

		if (k.mv_size == 9) { /* a generation's difference begins it; its times follow it */
			(void)get_u8(&r);
			old = (int64_t)get_u64(&r) < now - db->keep_ms ||
			    key_generation(&k) + (uint64_t)db->keep_max <= newest;
		}
		if (!old || mdb_cursor_del(cur, 0) != 0)
			break;
	}
	mdb_cursor_close(cur);
}

int
db_apply(struct db *db, const struct ops *ops)
{
	MDB_txn *txn;
	int64_t now = store_wall_ms();
	size_t i;
	int rc;

	rc = mdb_txn_begin(db->env, NULL, 0, &txn);
	if (rc != 0)
		return rc;
	for (i = 0; rc == 0 && i < ops->n; i++) {
		struct op *op = &ops->v[i];
		MDB_val k = { op->key.len, op->key.s }, v = { op->val.len, op->val.s };

		if (op->del) {
			rc = mdb_del(txn, db->dbi[op->table], &k, NULL);
			if (rc == MDB_NOTFOUND)
				rc = 0;
			continue;
		}
		if (op->table == T_HISTORY && op->key.len == 9 && op->val.len > HISTORY_COMMITTED_AT + 8) {
			int b;

			for (b = 0; b < 8; b++)
				op->val.s[HISTORY_COMMITTED_AT + b] = (char)(uint8_t)((uint64_t)now >> (56 - 8 * b));
		}
		rc = mdb_put(txn, db->dbi[op->table], &k, &v, 0);
	}
	if (rc != 0) {
		mdb_txn_abort(txn);
		return rc;
	}
	db_prune(db, txn);
	return mdb_txn_commit(txn);
}

/*
 * When its meta page could not be written, LMDB refuses everything from then on, also when the disk is well again. The page before is
 * still there, and so is all that was committed.
 */
bool
db_lapsed(struct db *db, int rc)
{
	if (rc != MDB_PANIC || db->lapsed)
		return false;
	db_close(db);
	db->lapsed = true;
	return true;
}

/* A file from before may be larger than the configured size. */
bool
db_grow(struct db *db)
{
	if (db->size_bytes >= (int64_t)1 << 40 || mdb_env_set_mapsize(db->env, (size_t)db->size_bytes * 2) != 0)
		return false;
	db->size_bytes *= 2;
	return true;
}

int64_t
db_used(struct db *db)
{
	MDB_envinfo info;
	MDB_stat st;

	if (mdb_env_info(db->env, &info) != 0 || mdb_env_stat(db->env, &st) != 0)
		return 0;
	return (int64_t)(info.me_last_pgno + 1) * st.ms_psize;
}

/* Where the file is mapped, LMDB does not say: a page begins with its number, and in a transaction that only reads all pages are in the map. */
static char *
map_of(MDB_txn *txn, MDB_dbi dbi, const MDB_envinfo *info, unsigned page_size)
{
	MDB_cursor *cur;
	MDB_val k, v;
	char *page = NULL;
	uint64_t number;

	if (mdb_cursor_open(txn, dbi, &cur) != 0)
		return NULL;
	if (mdb_cursor_get(cur, &k, &v, MDB_FIRST) == 0) {
		page = (char *)k.mv_data - (uintptr_t)k.mv_data % page_size; /* a key is in its leaf, wherever its value is */
		memcpy(&number, page, sizeof number);
		page = number <= info->me_last_pgno ? page - number * page_size : NULL;
	}
	mdb_cursor_close(cur);
	return page;
}

void
db_forget_pages(struct db *db)
{
	MDB_envinfo info;
	MDB_stat st;
	MDB_txn *txn;
	char *map = NULL;
	int t;

	if (db->env == NULL || mdb_env_info(db->env, &info) != 0 || mdb_env_stat(db->env, &st) != 0 ||
	    mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn) != 0)
		return;
	for (t = 0; map == NULL && t < T_COUNT; t++)
		map = map_of(txn, db->dbi[t], &info, st.ms_psize);
	mdb_txn_abort(txn);
	if (map != NULL)
		(void)madvise(map, (info.me_last_pgno + 1) * st.ms_psize, MADV_DONTNEED);
}
