/* CDRs: the table `cdr`, with its ids, its retention and the cursor of what was forwarded. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/record.h"
#include "store/store_int.h"

#define KEY_LAST "cdr:last"
#define KEY_FORWARDED "cdr:forwarded"
#define HEADER 9 /* of a record: version, stored */

struct put_job {
	struct store_txn txn;
	struct store_cdr_put put;
	struct store_cdr_view view;
};

/* One transaction's view of the table. */
struct rows {
	MDB_txn *txn;
	MDB_dbi dbi, meta;
	MDB_cursor *cur;
};

static void
key_of(int64_t id, uint8_t out[8])
{
	int b;

	for (b = 0; b < 8; b++)
		out[b] = (uint8_t)((uint64_t)id >> (56 - 8 * b));
}

static int64_t
id_of(const MDB_val *k)
{
	struct reader r = { k->mv_data, k->mv_size, false };

	return (int64_t)get_u64(&r);
}

static int64_t
stored_of(const MDB_val *v)
{
	struct reader r = { v->mv_data, v->mv_size, false };

	(void)get_u8(&r);
	return (int64_t)get_u64(&r);
}

static int64_t
get_mark(const struct rows *t, const char *key)
{
	MDB_val k = { strlen(key), (void *)(uintptr_t)key }, v;
	struct reader r;

	if (mdb_get(t->txn, t->meta, &k, &v) != 0)
		return 0;
	r = (struct reader){ v.mv_data, v.mv_size, false };
	return get_u8(&r) == RECORD_VERSION ? (int64_t)get_u64(&r) : 0;
}

static int
put_mark(const struct rows *t, const char *key, int64_t id)
{
	MDB_val k = { strlen(key), (void *)(uintptr_t)key }, v;
	uint8_t bytes[HEADER] = { RECORD_VERSION };

	key_of(id, bytes + 1);
	v.mv_size = sizeof bytes;
	v.mv_data = bytes;
	return mdb_put(t->txn, t->meta, &k, &v, 0);
}

static int64_t
edge(const struct rows *t, MDB_cursor_op op)
{
	MDB_val k, v;

	return mdb_cursor_get(t->cur, &k, &v, op) == 0 ? id_of(&k) : 0;
}

static uint64_t
count(const struct rows *t)
{
	MDB_stat st;

	return mdb_stat(t->txn, t->dbi, &st) == 0 ? st.ms_entries : 0;
}

/* ---- writing ---- */

/* The oldest first; those to come count already. */
static int
trim(const struct rows *t, struct put_job *job, int64_t forwarded, int64_t now)
{
	const struct store_cdr_put *p = &job->put;
	uint64_t n = count(t) + p->n;
	MDB_val k, v;
	int rc = 0;

	while (rc == 0 && job->view.trimmed < p->trim_max && mdb_cursor_get(t->cur, &k, &v, MDB_FIRST) == 0) {
		bool needed = p->protect && id_of(&k) > forwarded, many = n > p->max;

		if (!many && (needed || stored_of(&v) >= now - p->keep_ms))
			break;
		rc = mdb_cursor_del(t->cur, 0);
		job->view.trimmed++;
		job->view.lost += needed;
		n--;
	}
	return rc;
}

/* An import of what is there already is none. */
static int
check_same(const struct rows *t, MDB_val *k, const struct buf *b)
{
	MDB_val v;
	int rc = mdb_get(t->txn, t->dbi, k, &v);

	if (rc == 0 && v.mv_size == b->len && memcmp((const char *)v.mv_data + HEADER, b->s + HEADER, b->len - HEADER) == 0)
		return MDB_KEYEXIST;
	return rc == 0 ? EEXIST : rc == MDB_NOTFOUND ? 0 : rc;
}

static int
put_one(const struct rows *t, const struct store_cdr_put *p, size_t i, int64_t id, bool given, int64_t now)
{
	uint8_t key[8];
	MDB_val k = { sizeof key, key }, v;
	struct buf b = { 0 };
	int rc;

	key_of(id, key);
	put_u8(&b, RECORD_VERSION);
	put_u64(&b, (uint64_t)now);
	p->make(p->arg, i, id, &b);
	rc = given ? check_same(t, &k, &b) : 0;
	if (rc == 0) {
		v.mv_size = b.len;
		v.mv_data = b.s;
		rc = mdb_put(t->txn, t->dbi, &k, &v, 0);
	} else if (rc == MDB_KEYEXIST) {
		rc = 0;
	}
	buf_free(&b);
	return rc;
}

static int
put_all(const struct rows *t, struct put_job *job, int64_t now, int64_t *last)
{
	const struct store_cdr_put *p = &job->put;
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && p->ids != NULL && i < p->n; i++)
		if (p->ids[i] > *last)
			*last = p->ids[i];
	for (i = 0; rc == 0 && i < p->n; i++) {
		bool given = p->ids != NULL && p->ids[i] != 0;
		int64_t id;

		if (!given && *last == INT64_MAX)
			return EOVERFLOW;
		id = given ? p->ids[i] : ++*last;
		rc = put_one(t, p, i, id, given, now);
		if (rc == EEXIST)
			job->view.clash = id;
	}
	return rc;
}

static bool
is_too_large(const struct rows *t, int64_t size_bytes)
{
	MDB_stat st;

	return mdb_stat(t->txn, t->dbi, &st) == 0 &&
	    (int64_t)(st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages) * st.ms_psize > size_bytes / 4 * 3;
}

/* Where the first that is not forwarded is, and since when it waits. */
static void
view_behind(const struct rows *t, struct store_cdr_view *w)
{
	uint8_t key[8];
	MDB_val k = { sizeof key, key }, v;

	key_of(w->forwarded + 1, key);
	if (w->newest <= w->forwarded || mdb_cursor_get(t->cur, &k, &v, MDB_SET_RANGE) != 0)
		return;
	w->behind_ms = stored_of(&v);
	w->behind = (uint64_t)(w->newest - id_of(&k)) + 1;
	if (w->behind > w->count)
		w->behind = w->count;
}

static void
view(const struct rows *t, struct store_cdr_view *w)
{
	w->oldest = edge(t, MDB_FIRST);
	w->newest = edge(t, MDB_LAST);
	w->count = count(t);
	view_behind(t, w);
}

static int
put_body(struct store_txn *st, MDB_txn *txn)
{
	struct put_job *job = CONTAINER_OF(st, struct put_job, txn);
	const struct store_cdr_put *p = &job->put;
	struct db *db = &job->txn.st->db;
	struct rows t = { .txn = txn, .dbi = db->dbi[T_CDR], .meta = db->dbi[T_META] };
	int64_t now = store_wall_ms(), last, forwarded, newest;
	int rc = mdb_cursor_open(txn, t.dbi, &t.cur);

	if (rc != 0)
		return rc;
	memset(&job->view, 0, sizeof job->view);
	last = get_mark(&t, KEY_LAST);
	newest = edge(&t, MDB_LAST);
	if (last < newest)
		last = newest;
	forwarded = get_mark(&t, KEY_FORWARDED);
	if (p->forwarded > forwarded)
		rc = put_mark(&t, KEY_FORWARDED, forwarded = p->forwarded);
	if (rc == 0)
		rc = trim(&t, job, forwarded, now);
	if (rc == 0)
		rc = put_all(&t, job, now, &last);
	if (rc == 0 && p->n > 0)
		rc = put_mark(&t, KEY_LAST, last);
	if (rc == 0 && p->n > 0 && is_too_large(&t, job->txn.st->conf.size_bytes))
		rc = ENOSPC;
	job->view.last = last;
	job->view.forwarded = forwarded;
	view(&t, &job->view);
	mdb_cursor_close(t.cur);
	return rc;
}

static void
put_done(struct store_txn *st, int err)
{
	struct put_job *job = CONTAINER_OF(st, struct put_job, txn);

	if (err != 0)
		job->view = (struct store_cdr_view){ .clash = err == -EEXIST ? job->view.clash : 0 };
	job->put.done(job->put.arg, err, &job->view);
	free(job);
}

void
store_put_cdrs(struct store *st, const struct store_cdr_put *put)
{
	struct put_job *job = xcalloc(1, sizeof *job);

	job->txn.body = put_body;
	job->txn.done = put_done;
	job->txn.urgent = true;
	job->put = *put;
	store_txn_submit(st, &job->txn);
}

/* ---- reading ---- */

struct get_job {
	struct worker_job job;
	struct store *st;
	struct store_cdr_get get;
	int err;
	int64_t last;
	bool end;
};

/* The first of them, if there is any. */
static int
seek(const struct store_cdr_get *g, MDB_cursor *cur, MDB_val *k, MDB_val *v)
{
	uint8_t key[8];
	int rc;

	if (g->backwards && g->before == 0)
		return mdb_cursor_get(cur, k, v, MDB_LAST);
	key_of(g->backwards ? g->before : g->after + 1, key);
	k->mv_size = sizeof key;
	k->mv_data = key;
	rc = mdb_cursor_get(cur, k, v, MDB_SET_RANGE);
	if (!g->backwards)
		return rc;
	return mdb_cursor_get(cur, k, v, rc == 0 ? MDB_PREV : MDB_LAST);
}

static bool
is_asked(const struct store_cdr_get *g, int64_t id)
{
	return id > g->after && (g->before == 0 || id < g->before);
}

static int
get_rows(struct get_job *job, MDB_cursor *cur)
{
	const struct store_cdr_get *g = &job->get;
	MDB_val k, v;
	size_t n = 0;
	int rc;

	for (rc = g->after == INT64_MAX ? MDB_NOTFOUND : seek(g, cur, &k, &v); rc == 0 && is_asked(g, id_of(&k));
	     rc = mdb_cursor_get(cur, &k, &v, g->backwards ? MDB_PREV : MDB_NEXT)) {
		struct reader r = { v.mv_data, v.mv_size, false };
		uint8_t version = get_u8(&r);
		int64_t stored = (int64_t)get_u64(&r);

		if (n++ == g->limit)
			return 0;
		job->last = id_of(&k);
		if (version == RECORD_VERSION && !r.bad && !g->row(g->arg, job->last, stored, r.p, r.left))
			return 0;
	}
	job->end = rc == 0 || rc == MDB_NOTFOUND;
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static void
get_run(struct worker_job *wj)
{
	struct get_job *job = CONTAINER_OF(wj, struct get_job, job);
	struct db *db = &job->st->db;
	MDB_txn *txn;
	MDB_cursor *cur;
	int rc;

	if (db->env == NULL) {
		job->err = -EIO;
		return;
	}
	rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);
	if (rc == 0) {
		rc = db_cursor(db, txn, T_CDR, &cur);
		if (rc == 0) {
			rc = get_rows(job, cur);
			mdb_cursor_close(cur);
		} else if (rc == MDB_NOTFOUND) {
			job->end = true;
			rc = 0;
		}
		mdb_txn_abort(txn);
	}
	db_forget_pages(db);
	job->err = store_err(rc);
}

static void
get_done(struct worker_job *wj)
{
	struct get_job *job = CONTAINER_OF(wj, struct get_job, job);

	job->get.done(job->get.arg, job->err, job->last, job->end);
	free(job);
}

void
store_get_cdrs(struct store *st, const struct store_cdr_get *get)
{
	struct get_job *job = xcalloc(1, sizeof *job);

	job->job.run = get_run;
	job->job.done = get_done;
	job->st = st;
	job->get = *get;
	worker_submit(st->worker, WORKER_NORMAL, &job->job);
}
