#include "store/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "store/record.h"
#include "store/store_int.h"
#include "store/verify.h"

#define DB_FILE "topology.mdb"
#define LOCK_FILE "c4d.lock"
#define GATHER_MS 5 /* before a commit: one for what comes together, and a file that a Kamailio waits for gets the disk first */
#define OPS_KEEP_MAX 20000  /* records that wait while the disk is full; the oldest history goes first */

struct commit_job {
	struct worker_job job;
	struct store *st;
	struct ops ops;
	int err;
	int inject;
	char *aside; /* the new name of a file that was in the way */
	char text[256];
	int64_t used_bytes;
};

static void
op_clear(struct op *op)
{
	buf_free(&op->key);
	buf_free(&op->val);
}

static void
ops_clear(struct ops *ops)
{
	size_t i;

	for (i = 0; i < ops->n; i++)
		op_clear(&ops->v[i]);
	free(ops->v);
	memset(ops, 0, sizeof *ops);
}

/* ---- commits ---- */

/* Gives the data file another name, which is returned; NULL: it could not (errno says why). */
static char *
move_away(const char *path, const char *why)
{
	char *to = xasprintf("%s.%s-%lld", path, why, (long long)(store_wall_ms() / 1000)), *next;

	while (access(to, F_OK) == 0) {
		next = xasprintf("%s+", to);
		free(to);
		to = next;
	}
	if (rename(path, to) == 0)
		return to;
	free(to);
	return NULL;
}

/*
 * The directory could not be locked or written when c4d started: perhaps now. What was read then goes on. A file
 * that was not is not ours to mix with: its generations have the same numbers as those made meanwhile.
 */
static int
db_reopen(struct store *st, char **aside)
{
	struct db *db = &st->db;
	bool was_ours = (db->readonly && db->env != NULL) || db->lapsed;
	struct stat sb;
	pid_t holder;
	char *lock;
	int rc = 0;

	db_close(db);
	if (st->lock_fd < 0) {
		lock = xasprintf("%s/%s", st->dir, LOCK_FILE);
		(void)mkdir(st->dir, 0750);
		st->lock_fd = file_lock(lock, &holder);
		free(lock);
		if (st->lock_fd < 0)
			rc = -st->lock_fd;
	}
	if (rc == 0 && !was_ours && stat(db->path, &sb) == 0 && sb.st_size > 0) {
		*aside = move_away(db->path, "earlier");
		if (*aside == NULL)
			rc = errno;
	}
	if (rc == 0)
		rc = db_open_new(db);
	if (rc == 0)
		db->lapsed = false;
	if (rc != 0 && was_ours)
		(void)!db_open(db, true);
	return rc;
}

int
store_make_writable(struct store *st, char **aside)
{
	return st->db.env == NULL || st->db.readonly ? db_reopen(st, aside) : 0;
}

static void
commit_run(struct worker_job *wj)
{
	struct commit_job *job = CONTAINER_OF(wj, struct commit_job, job);
	struct db *db = &job->st->db;
	int rc;

	if (job->inject) {
		job->err = job->inject;
		return;
	}
	do {
		rc = store_make_writable(job->st, &job->aside);
		if (rc == 0)
			rc = db_apply(db, &job->ops);
		while (rc == MDB_MAP_FULL && db_grow(db))
			rc = db_apply(db, &job->ops);
	} while (db_lapsed(db, rc));
	job->err = store_err(rc);
	if (rc != 0)
		snprintf(job->text, sizeof job->text, "%s", mdb_strerror(rc));
	else
		job->used_bytes = db_used(db);
	db_forget_pages(db);
}

static int
op_cmp(const void *a, const void *b)
{
	const struct op *x = a, *y = b;
	size_t n = x->key.len < y->key.len ? x->key.len : y->key.len;
	int c;

	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	c = memcmp(x->key.s, y->key.s, n);
	if (c != 0)
		return c;
	if (x->key.len != y->key.len)
		return x->key.len < y->key.len ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

/* While commits fail what waits must not grow without end: the newest value per key stays. */
static void
ops_squeeze(struct ops *ops)
{
	size_t i, n = 0, history = 0, drop;

	qsort(ops->v, ops->n, sizeof *ops->v, op_cmp);
	for (i = 0; i < ops->n; i++) {
		bool again = i + 1 < ops->n && ops->v[i].table == ops->v[i + 1].table &&
		    ops->v[i].key.len == ops->v[i + 1].key.len &&
		    memcmp(ops->v[i].key.s, ops->v[i + 1].key.s, ops->v[i].key.len) == 0;

		if (again)
			op_clear(&ops->v[i]);
		else
			ops->v[n++] = ops->v[i];
	}
	ops->n = n;
	for (i = 0; i < n; i++)
		history += ops->v[i].table == T_HISTORY;
	if (n <= OPS_KEEP_MAX || history == 0)
		return;
	drop = n - OPS_KEEP_MAX < history ? n - OPS_KEEP_MAX : history;
	for (i = 0, n = 0; i < ops->n; i++) {
		if (ops->v[i].table == T_HISTORY && drop > 0) {
			op_clear(&ops->v[i]);
			drop--;
		} else {
			ops->v[n++] = ops->v[i];
		}
	}
	ops->n = n;
}

static void
fail(struct store *st, int err, const char *text)
{
	st->failures++;
	if (!st->failing) {
		st->failing = true;
		snprintf(st->why, sizeof st->why,
		    "cannot write %s: %s (c4d goes on from memory and tries again; check space and permissions of %s)",
		    st->db.path, text[0] ? text : strerror(-err), st->dir);
		log_error("store", "failing: %s", st->why);
	}
	loop_timer_start(&st->timer, STORE_RETRY_MS);
}

static void
note_aside(struct store *st, char *takes, const char *why)
{
	log_warnx("store", "%s was set aside as %s (%s); c4d begins a new one", st->db.path, takes, why);
	free(st->set_aside);
	st->set_aside = takes;
	snprintf(st->aside_why, sizeof st->aside_why, "%s", why);
}

void
store_note_aside(struct store *st, char *takes)
{
	note_aside(st, takes, "it could not be read when c4d started");
}

int
store_take_failure(struct store *st)
{
	if (st->fail_n == 0)
		return 0;
	st->fail_n--;
	return st->fail_err;
}

static void
commit_done(struct worker_job *wj)
{
	struct commit_job *job = CONTAINER_OF(wj, struct commit_job, job);
	struct store *st = job->st;
	size_t i;

	st->busy = false;
	if (job->aside != NULL)
		store_note_aside(st, job->aside);
	if (job->err == 0) {
		st->commits++;
		st->used_bytes = job->used_bytes;
		if (st->failing) {
			log_notice("store", "writes again after %" PRIu64 " failed attempts", st->failures);
			st->failing = false;
			st->why[0] = '\0';
			st->failures = 0;
		}
		ops_clear(&job->ops);
		if (st->pending.n > 0 && !st->flushing) /* else the worker takes no more */
			store_commit_now(st);
	} else {
		for (i = 0; i < job->ops.n; i++) {
			st->pending.v = xgrow(st->pending.v, st->pending.n, &st->pending.cap, sizeof *st->pending.v);
			st->pending.v[st->pending.n++] = job->ops.v[i];
		}
		free(job->ops.v);
		ops_squeeze(&st->pending);
		fail(st, job->err, job->text);
	}
	free(job);
}

void
store_commit_now(struct store *st)
{
	struct commit_job *job;

	if ((st->busy && !st->flushing) || st->pending.n == 0)
		return;
	job = xcalloc(1, sizeof *job);
	job->job.run = commit_run;
	job->job.done = commit_done;
	job->st = st;
	job->ops = st->pending;
	memset(&st->pending, 0, sizeof st->pending);
	job->inject = store_take_failure(st);
	st->busy = true;
	worker_submit(st->worker, WORKER_NORMAL, &job->job);
}

static struct op *
new_op(struct store *st, enum table table)
{
	struct op *op;

	st->pending.v = xgrow(st->pending.v, st->pending.n, &st->pending.cap, sizeof *st->pending.v);
	op = &st->pending.v[st->pending.n++];
	memset(op, 0, sizeof *op);
	op->table = table;
	op->order = st->order++;
	return op;
}

static void
on_timer(void *arg)
{
	store_commit_now(arg);
}

static void
commit_soon(struct store *st)
{
	if (st->flushing)
		store_commit_now(st);
	else if (!loop_timer_armed(&st->timer) || st->timer.due_ms - loop_now_ms(st->loop) > GATHER_MS)
		loop_timer_start(&st->timer, GATHER_MS);
}

/* ---- opening ---- */

/* 0, or errno: then the file stays, and can't be used. */
static int
set_aside(struct store *st, const char *why, const char *text)
{
	char *to = move_away(st->db.path, why);

	if (to == NULL)
		return errno;
	note_aside(st, to, text);
	return 0;
}

static bool
same_machine(struct store *st)
{
	struct buf b = { 0 };
	bool same = true;

	if (db_get(&st->db, T_META, "machine", 7, &b) == 0 && b.len > 0 && st->machine_id[0])
		same = b.len == strlen(st->machine_id) && memcmp(b.s, st->machine_id, b.len) == 0;
	buf_free(&b);
	return same;
}

static int
try_open(struct store *st, bool *again)
{
	const char *why = NULL;
	int rc;

	*again = true;
	if (store_verify(st->db.path, &why) == -EBADMSG)
		return set_aside(st, "corrupt", why);
	rc = db_open_new(&st->db);
	if (rc == DB_NEWER)
		return set_aside(st, "newer", st->db.newer);
	if (rc == 0 && !same_machine(st)) {
		db_close(&st->db);
		return set_aside(st, "other-machine", "another machine made it");
	}
	if (store_err(rc) == -EBADMSG || rc == EINVAL)
		return set_aside(st, "corrupt", mdb_strerror(rc));
	*again = false;
	return rc;
}

/* The directory can't be written: the last generation can be served all the same. */
static void
open_readonly(struct store *st)
{
	const char *why;
	int rc;

	if (store_verify(st->db.path, &why) != 0)
		return;
	rc = db_open(&st->db, true);
	if (rc == DB_NEWER)
		log_warnx("store", "%s can't be read: %s", st->db.path, st->db.newer);
	if (rc != 0)
		return;
	if (!same_machine(st))
		db_close(&st->db);
}

static void
open_db(struct store *st)
{
	int tries, rc = 0;
	bool again = true;

	for (tries = 0; tries < 3 && rc == 0 && again; tries++)
		rc = try_open(st, &again);
	if (st->db.env == NULL) {
		fail(st, rc ? store_err(rc) : -EIO, mdb_strerror(rc ? rc : EIO));
		open_readonly(st);
		return;
	}
	st->used_bytes = db_used(&st->db);
}

static void
add_adopted(struct store *st, const char *target, size_t len)
{
	st->adopted = xgrow(st->adopted, st->n_adopted, &st->cap_adopted, sizeof *st->adopted);
	st->adopted[st->n_adopted++] = xstrndup(target, len);
}

static void
load_adopted(struct store *st)
{
	MDB_txn *txn;
	MDB_cursor *cur;
	MDB_val k, v;

	if (st->db.env == NULL || mdb_txn_begin(st->db.env, NULL, MDB_RDONLY, &txn) != 0)
		return;
	if (mdb_cursor_open(txn, st->db.dbi[T_META], &cur) == 0) {
		while (mdb_cursor_get(cur, &k, &v, MDB_NEXT) == 0)
			if (k.mv_size > 8 && memcmp(k.mv_data, "adopted:", 8) == 0)
				add_adopted(st, (const char *)k.mv_data + 8, k.mv_size - 8);
		mdb_cursor_close(cur);
	}
	mdb_txn_abort(txn);
}

int
store_open(struct store **out, struct loop *loop, struct worker *worker, const struct store_conf *conf, pid_t *holder)
{
	struct store *st = xcalloc(1, sizeof *st);
	struct op *op;
	char *lock;

	st->loop = loop;
	st->worker = worker;
	st->conf = *conf;
	st->dir = xstrdup(conf->dir);
	st->machine_id = xstrdup(conf->machine_id);
	st->db.path = xasprintf("%s/%s", conf->dir, DB_FILE);
	st->db.size_bytes = conf->size_bytes;
	st->db.keep_ms = conf->keep_ms;
	st->db.keep_max = conf->keep_max;
	loop_timer_init(&st->timer, loop, on_timer, st);
	(void)mkdir(conf->dir, 0750);
	lock = xasprintf("%s/%s", conf->dir, LOCK_FILE);
	st->lock_fd = file_lock(lock, holder);
	free(lock);
	if (st->lock_fd == -EWOULDBLOCK) {
		store_free(st);
		return -EWOULDBLOCK;
	}
	if (st->lock_fd < 0) {
		fail(st, st->lock_fd, strerror(-st->lock_fd));
		open_readonly(st);
	} else {
		open_db(st);
	}
	load_adopted(st);
	if (st->db.format != STORE_FORMAT) {
		op = new_op(st, T_META);
		format_record(&op->key, &op->val);
	}
	if (st->machine_id[0]) { /* unknown today: it stays the store of whose it was */
		op = new_op(st, T_META);
		buf_puts(&op->key, "machine");
		buf_puts(&op->val, st->machine_id);
	}
	*out = st;
	return 0;
}

void
store_flush(struct store *st)
{
	if (st == NULL)
		return;
	st->flushing = true;
	store_commit_now(st);
}

void
store_free(struct store *st)
{
	size_t i;

	if (st == NULL)
		return;
	loop_timer_fini(&st->timer);
	ops_clear(&st->pending);
	db_close(&st->db);
	free(st->db.path);
	if (st->lock_fd >= 0)
		close(st->lock_fd);
	for (i = 0; i < st->n_adopted; i++)
		free(st->adopted[i]);
	free(st->adopted);
	free(st->set_aside);
	free(st->machine_id);
	free(st->dir);
	free(st);
}

/* ---- reading at start ---- */

size_t
store_load(struct store *st, store_instance_cb *cb, void *arg)
{
	MDB_txn *txn;
	MDB_cursor *cur = NULL;
	MDB_val k, v;
	size_t bad = 0;

	if (st->db.env == NULL || mdb_txn_begin(st->db.env, NULL, MDB_RDONLY, &txn) != 0)
		return 0;
	if (mdb_cursor_open(txn, st->db.dbi[T_INSTANCES], &cur) == 0) {
		while (mdb_cursor_get(cur, &k, &v, MDB_NEXT) == 0) {
			struct topo_instance inst;
			char service[64];

			if (record_read_instance(k.mv_data, k.mv_size, v.mv_data, v.mv_size, service, &inst) != 0) {
				bad++;
				continue;
			}
			cb(arg, service, &inst);
			topo_instance_clear(&inst);
		}
		mdb_cursor_close(cur);
	}
	mdb_txn_abort(txn);
	if (bad > 0)
		log_warnx("store", "%zu instance records of %s could not be read and were skipped", bad, st->db.path);
	return bad;
}

uint64_t
store_generation(struct store *st)
{
	struct buf b = { 0 };
	uint64_t gen = 0;

	if (db_get(&st->db, T_META, "generation", 10, &b) == 0) {
		struct reader r = { (const uint8_t *)b.s, b.len, false };

		gen = get_u64(&r);
	}
	buf_free(&b);
	return gen;
}

bool
store_service(struct store *st, const char *name, struct store_service *out)
{
	char *key = xasprintf("service:%s", name);
	struct buf b = { 0 };
	bool ok = db_get(&st->db, T_META, key, strlen(key), &b) == 0 &&
	    record_read_service(b.s, b.len, out) == 0;

	buf_free(&b);
	free(key);
	return ok;
}

bool
store_adopted(struct store *st, const char *target)
{
	size_t i;

	for (i = 0; i < st->n_adopted; i++)
		if (strcmp(st->adopted[i], target) == 0)
			return true;
	return false;
}

size_t
store_load_drains(struct store *st, store_drain_cb *cb, void *arg)
{
	static const char prefix[] = "drain:";
	const size_t len = sizeof prefix - 1;
	MDB_txn *txn;
	MDB_cursor *cur;
	MDB_val k = { len, (void *)(uintptr_t)prefix }, v;
	size_t bad = 0;
	int rc;

	if (st->db.env == NULL || mdb_txn_begin(st->db.env, NULL, MDB_RDONLY, &txn) != 0)
		return 0;
	if (mdb_cursor_open(txn, st->db.dbi[T_META], &cur) == 0) {
		for (rc = mdb_cursor_get(cur, &k, &v, MDB_SET_RANGE);
		     rc == 0 && k.mv_size > len && memcmp(k.mv_data, prefix, len) == 0;
		     rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT)) {
			struct topo_addr addr;
			struct store_drain d;
			char service[64];

			if (record_read_drain((const char *)k.mv_data + len, k.mv_size - len, v.mv_data, v.mv_size, service,
				&addr, &d) != 0) {
				bad++;
				continue;
			}
			cb(arg, service, &addr, &d);
			free(d.who);
		}
		mdb_cursor_close(cur);
	}
	mdb_txn_abort(txn);
	if (bad > 0)
		log_warnx("store", "%zu drains in %s could not be read and were skipped: look with c4ctl show instances", bad,
		    st->db.path);
	return bad;
}

size_t
store_load_registrations(struct store *st, store_registration_cb *cb, void *arg)
{
	MDB_txn *txn;
	MDB_cursor *cur;
	MDB_val k, v;
	size_t bad = 0;

	if (st->db.env == NULL || mdb_txn_begin(st->db.env, NULL, MDB_RDONLY, &txn) != 0)
		return 0;
	if (mdb_cursor_open(txn, st->db.dbi[T_REGISTRATIONS], &cur) == 0) {
		while (mdb_cursor_get(cur, &k, &v, MDB_NEXT) == 0) {
			struct store_registration reg;
			char *id;

			if (record_read_registration(k.mv_data, k.mv_size, v.mv_data, v.mv_size, &id, &reg) != 0) {
				bad++;
				continue;
			}
			cb(arg, id, &reg);
			record_registration_clear(&reg);
			free(id);
		}
		mdb_cursor_close(cur);
	}
	mdb_txn_abort(txn);
	if (bad > 0)
		log_warnx("store", "%zu registrations in %s could not be read and were skipped: if they are not in the configuration "
		    "any more, deregister them by hand at Consul", bad, st->db.path);
	return bad;
}

/* ---- writing ---- */

struct put_ctx {
	struct store *st;
	json_t *changes;
};

static void
put_change(void *arg, const struct topo_change *ch)
{
	struct put_ctx *ctx = arg;
	struct op *op;

	json_array_append_new(ctx->changes, store_change_json(ch));
	op = new_op(ctx->st, T_INSTANCES);
	record_instance_key(&op->key, ch->service, ch->after ? ch->after : ch->before);
	op->del = ch->after == NULL;
	if (!op->del)
		record_instance(&op->val, ch->after);
}

void
store_put_generation(struct store *st, const struct topo *before, const struct topo *after, int64_t seen_ms,
    const char *cause)
{
	struct put_ctx ctx = { st, json_array() };
	json_t *body = json_object();
	struct op *op;
	char *text;

	topo_diff(before, after, put_change, &ctx);
	jsonx_set_text(body, "cause", cause);
	json_object_set_new(body, "changes", ctx.changes);
	text = json_dumps(body, JSON_COMPACT);
	json_decref(body);
	op = new_op(st, T_HISTORY);
	record_history_key(&op->key, after->generation, NULL);
	put_u8(&op->val, RECORD_VERSION);
	put_u64(&op->val, (uint64_t)seen_ms);
	put_u64(&op->val, 0); /* the commit's own time: db_apply() */
	buf_puts(&op->val, text ? text : "{}");
	free(text);
	op = new_op(st, T_META);
	buf_puts(&op->key, "generation");
	put_u64(&op->val, after->generation);
	commit_soon(st);
}

void
store_put_service(struct store *st, const char *name, const struct store_service *s)
{
	struct op *op = new_op(st, T_META);

	buf_printf(&op->key, "service:%s", name);
	record_service(&op->val, s);
	commit_soon(st);
}

void
store_put_adopted(struct store *st, const char *target)
{
	struct op *op;

	if (store_adopted(st, target))
		return;
	add_adopted(st, target, strlen(target));
	op = new_op(st, T_META);
	buf_printf(&op->key, "adopted:%s", target);
	put_u8(&op->val, RECORD_VERSION);
	commit_soon(st);
}

void
store_put_drain(struct store *st, const char *service, const struct topo_addr *addr, const struct store_drain *d)
{
	struct op *op = new_op(st, T_META);

	buf_puts(&op->key, "drain:");
	record_drain_key(&op->key, service, addr);
	op->del = d == NULL;
	if (d != NULL)
		record_drain(&op->val, d);
	commit_soon(st);
}

void
store_put_registration(struct store *st, const char *id, const struct store_registration *reg)
{
	struct buf key = { 0 };
	struct op *op;

	if (!record_registration_key(&key, id)) { /* in a commit it would fail, and all that goes with it */
		log_warnx("store", "the registration %.40s... can't be remembered: its id has %zu bytes (1 to %d)", id, strlen(id),
		    RECORD_KEY_MAX);
		return;
	}
	op = new_op(st, T_REGISTRATIONS);
	op->key = key;
	op->del = reg == NULL;
	if (reg != NULL)
		record_registration(&op->val, reg);
	commit_soon(st);
}

void
store_put_times(struct store *st, uint64_t generation, const char *target, int64_t applied_ms, int64_t verified_ms)
{
	struct op *op = new_op(st, T_HISTORY);

	record_history_key(&op->key, generation, target);
	put_u8(&op->val, RECORD_VERSION);
	put_u64(&op->val, (uint64_t)applied_ms);
	put_u64(&op->val, (uint64_t)verified_ms);
	commit_soon(st);
}

void
store_view(const struct store *st, struct store_view *v)
{
	v->failing = st->failing;
	v->why = st->why;
	v->commits = st->commits;
	v->failures = st->failures;
	v->used_bytes = st->used_bytes;
	v->size_bytes = st->db.size_bytes;
	v->set_aside = st->set_aside;
	v->set_aside_why = st->aside_why;
	v->pending = st->pending.n;
}

void
store_fail_next(struct store *st, int err, unsigned n)
{
	st->fail_err = err;
	st->fail_n = n;
}
