#include "reconcile/tablefile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "kamailio/dbtext.h"
#include "reconcile/filelock.h"

#define TABLE_MAX_BYTES (16u << 20)

struct tablefile {
	struct worker *worker;
	const struct table_kind *kind;
	char *path;
	struct filelock lock; /* the worker's while a job is under way */
	tablefile_cb *cb;
	void *arg;
	bool busy;
	bool gone; /* freed while a job was under way: a last job, behind it, frees us */
};

struct job {
	struct worker_job job;
	struct tablefile *tf;
	bool take_lock, locked;
	bool store;
	bool release; /* the last one: whoever comes next for this file must find it unlocked */
	struct table_scopes scopes;
	struct table_rows rows;
	struct tablefile_result r;
};

static void
fail(struct job *j, int err, const char *what, const char *path)
{
	if (j->r.err != 0)
		return;
	j->r.err = err;
	filelock_explain(err, what, path, j->r.error, sizeof j->r.error);
}

static void
take_lock(struct job *j)
{
	pid_t holder = 0;
	int err = filelock_take(&j->tf->lock, &holder);

	j->locked = err == 0;
	if (err == -EWOULDBLOCK) {
		j->r.err = err;
		snprintf(j->r.error, sizeof j->r.error, "managed by pid %ld: another c4d has locked %s; stop one of the two",
		    (long)holder, j->tf->lock.path);
	} else if (err != 0) {
		fail(j, err, "lock", j->tf->lock.path);
	}
}

/* A missing file reads as empty. False: it can't be read. */
static bool
read_file(struct job *j, const char *path, char **text, size_t *len, bool *exists)
{
	int err = file_read(path, TABLE_MAX_BYTES, text, len);

	*exists = err == 0;
	if (err == -ENOENT) {
		*text = xstrdup("");
		*len = 0;
		return true;
	}
	if (err != 0)
		fail(j, err, "read", path);
	return err == 0;
}

static void
write_file(struct job *j, const char *path, const struct buf *text)
{
	const char *what = "";
	int err = file_replace_newer(path, text->s ? text->s : "", text->len, &what);

	if (err != 0)
		fail(j, err, what, path);
	else
		j->r.written = true;
}

static char *
beside(const char *path, const char *name)
{
	return xasprintf("%.*s/%s", (int)(strrchr(path, '/') - path), path, name);
}

/* db_text refuses a table whose row in `version` is missing or differs: Kamailio would not start. */
static void
keep_version(struct job *j, const struct table_version *v)
{
	char *path = beside(j->tf->path, "version"), *old = NULL, *companion;
	struct buf text = { 0 };
	size_t len = 0;
	bool exists;

	if (read_file(j, path, &old, &len, &exists)) {
		if (dbtext_version_set(old, len, v->table, v->version, &text) != 0) {
			j->r.err = -EINVAL;
			snprintf(j->r.error, sizeof j->r.error, "%s is no version table of db_text: move it away", path);
		} else if (!exists || text.len != len || memcmp(text.s, old, len) != 0) {
			write_file(j, path, &text);
		}
	}
	buf_free(&text);
	free(old);
	free(path);
	if (v->header == NULL)
		return;
	companion = beside(j->tf->path, v->table);
	old = NULL;
	if (read_file(j, companion, &old, &len, &exists) && !exists) {
		buf_printf(&text, "%s\n", v->header);
		write_file(j, companion, &text);
	}
	buf_free(&text);
	free(old);
	free(companion);
}

static void
keep_versions(struct job *j)
{
	size_t i;

	for (i = 0; i < NELEM(j->tf->kind->versions) && j->tf->kind->versions[i].table != NULL; i++)
		keep_version(j, &j->tf->kind->versions[i]);
}

/* What of the file is ours says the same already. */
static bool
is_right(const struct job *j, const struct table_rows *have)
{
	struct table_rows ours = { 0 };
	bool same;
	size_t i;

	table_rows_copy(&ours, have);
	for (i = ours.n; i-- > 0;)
		if (table_scope_find(&j->scopes, ours.v[i].set) == NULL)
			table_rows_remove(&ours, i);
	same = table_rows_equal(&ours, &j->rows);
	table_rows_clear(&ours);
	return same;
}

static void
job_run(struct worker_job *wj)
{
	struct job *j = CONTAINER_OF(wj, struct job, job);
	const struct table_kind *kind = j->tf->kind;
	struct buf text = { 0 }, why = { 0 };
	char *old = NULL;
	size_t len = 0;
	bool exists, wrote = false;
	int err;

	if (j->release) {
		filelock_drop(&j->tf->lock);
		return;
	}
	if (j->take_lock)
		take_lock(j);
	if (!read_file(j, j->tf->path, &old, &len, &exists))
		return;
	err = kind->parse(old, len, &j->r.rows, &j->r.bad);
	if (j->locked) {
		keep_versions(j);
		/* an empty table, where there is none: Kamailio needs the file */
		if (err != 0 || (j->store ? len == 0 || j->r.bad > 0 || !is_right(j, &j->r.rows) : len == 0))
			err = kind->compose(old, len, &j->scopes, &j->rows, &text, &why);
		if (err != 0) {
			j->r.err = err;
			snprintf(j->r.error, sizeof j->r.error, "%s: %s", j->tf->path, why.len ? why.s : strerror(-err));
		} else if (text.s != NULL && (!exists || text.len != len || memcmp(text.s, old, len) != 0)) {
			write_file(j, j->tf->path, &text);
			wrote = j->r.err == 0;
		}
	} else if (err != 0) {
		fail(j, err, "understand", j->tf->path);
	}
	if (wrote) {
		table_rows_clear(&j->r.rows);
		(void)kind->parse(text.s, text.len, &j->r.rows, &j->r.bad);
	}
	buf_free(&text);
	buf_free(&why);
	free(old);
}

static void
destroy(struct tablefile *tf)
{
	filelock_drop(&tf->lock);
	free(tf->lock.path);
	free(tf->path);
	free(tf);
}

static void
job_done(struct worker_job *wj)
{
	struct job *j = CONTAINER_OF(wj, struct job, job);
	struct tablefile *tf = j->tf;

	tf->busy = false;
	if (j->release)
		destroy(tf);
	else if (!tf->gone)
		tf->cb(tf->arg, &j->r);
	table_rows_clear(&j->r.rows);
	table_rows_clear(&j->rows);
	free(j->scopes.v);
	free(j);
}

static struct job *
new_job(struct tablefile *tf)
{
	struct job *j = xcalloc(1, sizeof *j);

	j->job.run = job_run;
	j->job.done = job_done;
	j->tf = tf;
	tf->busy = true;
	return j;
}

struct tablefile *
tablefile_new(struct worker *worker, const struct table_kind *kind, const char *path, tablefile_cb *cb, void *arg)
{
	struct tablefile *tf = xcalloc(1, sizeof *tf);

	tf->worker = worker;
	tf->kind = kind;
	tf->path = xstrdup(path);
	tf->lock.path = xasprintf("%s.c4d-lock", path);
	tf->lock.fd = -1;
	tf->cb = cb;
	tf->arg = arg;
	return tf;
}

void
tablefile_free(struct tablefile *tf)
{
	struct job *j;

	if (tf == NULL)
		return;
	if (!tf->busy) {
		destroy(tf);
		return;
	}
	tf->gone = true;
	j = new_job(tf);
	j->release = true;
	worker_submit(tf->worker, WORKER_URGENT, &j->job);
}

void
tablefile_load(struct tablefile *tf, bool lock)
{
	struct job *j = new_job(tf);

	j->take_lock = lock;
	worker_submit(tf->worker, WORKER_URGENT, &j->job);
}

void
tablefile_store(struct tablefile *tf, const struct table_scopes *scopes, const struct table_rows *rows)
{
	struct job *j = new_job(tf);

	j->take_lock = j->store = true;
	j->scopes.v = xcalloc(scopes->n, sizeof *j->scopes.v);
	if (scopes->n > 0)
		memcpy(j->scopes.v, scopes->v, scopes->n * sizeof *j->scopes.v);
	j->scopes.n = scopes->n;
	table_rows_copy(&j->rows, rows);
	worker_submit(tf->worker, WORKER_URGENT, &j->job);
}
