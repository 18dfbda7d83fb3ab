/* Transactions that are not gathered with others: of the routing data and of CDRs. Nothing is retried: who asked is told. */
#include <errno.h>
#include <stdlib.h>

#include "store/store_int.h"

static int
write_once(struct store_txn *t)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(t->st->db.env, NULL, 0, &txn);

	if (rc != 0)
		return rc;
	rc = t->body(t, txn);
	if (rc == 0)
		return mdb_txn_commit(txn); /* frees it in any case */
	mdb_txn_abort(txn);
	return rc;
}

static void
txn_run(struct worker_job *wj)
{
	struct store_txn *t = CONTAINER_OF(wj, struct store_txn, job);
	struct db *db = &t->st->db;
	int rc;

	if (t->inject) {
		t->err = t->inject;
		return;
	}
	do {
		rc = store_make_writable(t->st, &t->aside);
		if (rc == 0)
			rc = write_once(t);
		while (rc == MDB_MAP_FULL && db_grow(db))
			rc = write_once(t);
	} while (db_lapsed(db, rc));
	t->err = store_err(rc);
	if (rc == 0)
		t->used_bytes = db_used(db);
	db_forget_pages(db);
}

static void
txn_done(struct worker_job *wj)
{
	struct store_txn *t = CONTAINER_OF(wj, struct store_txn, job);

	if (t->aside != NULL)
		store_note_aside(t->st, t->aside);
	if (t->err == 0) {
		t->st->commits++;
		t->st->used_bytes = t->used_bytes;
	}
	t->done(t, t->err);
}

void
store_txn_submit(struct store *st, struct store_txn *t)
{
	t->st = st;
	t->job.run = txn_run;
	t->job.done = txn_done;
	t->inject = store_take_failure(st);
	worker_submit(st->worker, t->urgent ? WORKER_URGENT : WORKER_NORMAL, &t->job);
}
