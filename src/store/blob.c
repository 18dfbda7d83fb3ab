/* Rows that are opaque here: the table `routing`, changed in one transaction, read as a whole. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/record.h"
#include "store/store_int.h"

/* In a batch's bytes: what is to be done, the lengths, then key and value. */
enum { BATCH_PUT, BATCH_DEL };

static void
add(struct store_batch *b, uint8_t what, const void *key, size_t klen, const void *val, size_t vlen)
{
	put_u8(&b->bytes, what);
	put_u16(&b->bytes, (uint16_t)klen);
	put_u32(&b->bytes, (uint32_t)vlen);
	buf_add(&b->bytes, key, klen);
	buf_add(&b->bytes, val, vlen);
	b->n++;
}

void
store_batch_put(struct store_batch *b, const void *key, size_t klen, const void *val, size_t vlen)
{
	add(b, BATCH_PUT, key, klen, val, vlen);
}

void
store_batch_del(struct store_batch *b, const void *key, size_t klen)
{
	add(b, BATCH_DEL, key, klen, "", 0);
}

void
store_batch_free(struct store_batch *b)
{
	buf_free(&b->bytes);
	b->n = 0;
}

/* ---- writing ---- */

struct put_job {
	struct store_txn txn;
	struct store_batch batch;
	bool replace;
	store_done_cb *cb;
	void *arg;
};

static int
apply_one(MDB_txn *txn, MDB_dbi dbi, struct reader *r)
{
	uint8_t what = get_u8(r);
	MDB_val k, v;
	int rc;

	k.mv_size = get_u16(r);
	v.mv_size = get_u32(r);
	k.mv_data = (void *)(uintptr_t)r->p;
	v.mv_data = (void *)(uintptr_t)(r->p + k.mv_size);
	r->p += k.mv_size + v.mv_size;
	r->left -= k.mv_size + v.mv_size;
	if (what == BATCH_PUT)
		return mdb_put(txn, dbi, &k, &v, 0);
	rc = mdb_del(txn, dbi, &k, NULL);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int
put_body(struct store_txn *t, MDB_txn *txn)
{
	struct put_job *job = CONTAINER_OF(t, struct put_job, txn);
	MDB_dbi dbi = t->st->db.dbi[T_ROUTING];
	struct reader r = { (const uint8_t *)job->batch.bytes.s, job->batch.bytes.len, false };
	int rc = job->replace ? mdb_drop(txn, dbi, 0) : 0;

	while (rc == 0 && r.left > 0)
		rc = apply_one(txn, dbi, &r);
	return rc;
}

static void
put_done(struct store_txn *t, int err)
{
	struct put_job *job = CONTAINER_OF(t, struct put_job, txn);

	job->cb(job->arg, err);
	store_batch_free(&job->batch);
	free(job);
}

void
store_put_routing(struct store *st, struct store_batch *takes, bool replace, store_done_cb *cb, void *arg)
{
	struct put_job *job = xcalloc(1, sizeof *job);

	job->txn.body = put_body;
	job->txn.done = put_done;
	job->batch = *takes;
	memset(takes, 0, sizeof *takes);
	job->replace = replace;
	job->cb = cb;
	job->arg = arg;
	store_txn_submit(st, &job->txn);
}

/* ---- reading ---- */

struct read_job {
	struct worker_job job;
	struct store *st;
	store_row_cb *row;
	store_done_cb *cb;
	void *arg;
	int err;
};

static void
read_run(struct worker_job *wj)
{
	struct read_job *job = CONTAINER_OF(wj, struct read_job, job);
	struct db *db = &job->st->db;
	MDB_txn *txn;
	MDB_cursor *cur;
	MDB_val k, v;
	int rc;

	if (db->env == NULL) {
		job->err = -EIO;
		return;
	}
	rc = mdb_txn_begin(db->env, NULL, MDB_RDONLY, &txn);
	if (rc == 0) {
		rc = db_cursor(db, txn, T_ROUTING, &cur);
		if (rc == 0) {
			while ((rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT)) == 0)
				job->row(job->arg, k.mv_data, k.mv_size, v.mv_data, v.mv_size);
			mdb_cursor_close(cur);
		}
		mdb_txn_abort(txn);
	}
	db_forget_pages(db);
	job->err = rc == MDB_NOTFOUND ? 0 : store_err(rc);
}

static void
read_done(struct worker_job *wj)
{
	struct read_job *job = CONTAINER_OF(wj, struct read_job, job);

	job->cb(job->arg, job->err);
	free(job);
}

void
store_read_routing(struct store *st, store_row_cb *row, store_done_cb *done, void *arg)
{
	struct read_job *job = xcalloc(1, sizeof *job);

	job->job.run = read_run;
	job->job.done = read_done;
	job->st = st;
	job->row = row;
	job->cb = done;
	job->arg = arg;
	worker_submit(st->worker, WORKER_NORMAL, &job->job);
}
