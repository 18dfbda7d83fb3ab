#include "reconcile/tablefile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "kamailio/dbtext.h"
#include "reconcile/filelock.h"

#define TABLE_MAX_BYTES (16u << 20)

struct tablefile {
	struct worker *worker;
	const struct table_kind *kind;
	char *path;
	int version;
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
	bool store, again;
	int version;
	bool release; /* the last one: whoever comes next for this file must find it unlocked */
	struct table_scopes scopes;
	struct table_rows base, rows;
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

static bool
write_file(struct job *j, const char *path, const struct buf *text)
{
	const char *what = "";
	bool secret = j->tf->kind->secret && strcmp(path, j->tf->path) == 0;
	int err = (secret ? file_replace_secret : file_replace_newer)(path, text->s ? text->s : "", text->len, &what);

	if (err != 0)
		fail(j, err, what, path);
	else
		j->r.written = true;
	return err == 0;
}

static char *
beside(const char *path, const char *name)
{
	return xasprintf("%.*s/%s", (int)(strrchr(path, '/') - path), path, name);
}

/* Which one is wanted: as the running Kamailio says; before it was heard, the older one stays if it is there. */
static int
wanted_version(const struct job *j, const struct table_version *v, const char *old, size_t len)
{
	int older = j->tf->kind->older;

	if (v != j->tf->kind->versions || older == 0)
		return v->version;
	if (j->version != 0)
		return j->version;
	return dbtext_version_get(old, len, v->table) == older ? older : v->version;
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
		if (dbtext_version_set(old, len, v->table, wanted_version(j, v, old, len), &text) != 0) {
			if (j->r.err == 0)
				snprintf(j->r.error, sizeof j->r.error, "%s is no version table of db_text: move it away", path);
			j->r.err = -EINVAL;
		} else if (!exists || text.len != len || memcmp(text.s, old, len) != 0) {
			(void)write_file(j, path, &text);
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
		(void)write_file(j, companion, &text);
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

/* Passwords for everybody: c4d does not leave it at that, even if they were there before. */
static bool
is_open(const struct job *j)
{
	struct stat st;

	return j->tf->kind->secret && stat(j->tf->path, &st) == 0 && file_mode_is_open(st.st_mode);
}

/* Is a new text to be made of the old one? */
static bool
must_compose(struct job *j, const char *old, size_t len)
{
	if (!j->store)
		return len == 0; /* an empty table, where there is none: Kamailio needs the file */
	j->r.moved = !table_rows_same(&j->r.rows, &j->base, &j->scopes);
	if (j->r.moved)
		return false;
	j->again |= is_open(j);
	return len == 0 || old[len - 1] != '\n' || j->r.bad > 0 || j->again ||
	    !table_file_is_right(&j->r.rows, &j->rows, &j->scopes);
}

/* The new text is in the file (or not): what does it hold now? */
static void
write_table(struct job *j, const char *old, size_t len, bool exists)
{
	const struct table_kind *kind = j->tf->kind;
	struct buf text = { 0 }, why = { 0 };
	int err = kind->compose(old, len, &j->scopes, &j->rows, &text, &why);

	if (err != 0) {
		if (j->r.err == 0)
			snprintf(j->r.error, sizeof j->r.error, "%s: %s", j->tf->path, why.len ? why.s : strerror(-err));
		j->r.err = j->r.err ? j->r.err : err;
	} else if (!exists || j->again || text.len != len || memcmp(text.s, old, len) != 0) {
		if (write_file(j, j->tf->path, &text)) {
			table_rows_clear(&j->r.rows);
			(void)kind->parse(text.s, text.len, &j->r.rows, &j->r.bad);
		}
	}
	buf_free(&text);
	buf_free(&why);
}

static void
job_run(struct worker_job *wj)
{
	struct job *j = CONTAINER_OF(wj, struct job, job);
	char *old = NULL;
	size_t len = 0;
	bool exists;
	int err;

	if (j->release) {
		filelock_drop(&j->tf->lock);
		return;
	}
	if (j->take_lock)
		take_lock(j);
	if (!read_file(j, j->tf->path, &old, &len, &exists))
		return;
	err = j->tf->kind->parse(old, len, &j->r.rows, &j->r.bad);
	j->r.read = err == 0;
	if (err != 0) {
		j->r.err = err;
		snprintf(j->r.error, sizeof j->r.error, "%s: its first line is no header of a db_text table: move the file away",
		    j->tf->path);
	} else if (j->locked) {
		keep_versions(j);
		if (must_compose(j, old, len))
			write_table(j, old, len, exists);
	}
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
	table_rows_clear(&j->base);
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
	j->version = tf->version;
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
tablefile_set_version(struct tablefile *tf, int version)
{
	tf->version = version;
}

void
tablefile_load(struct tablefile *tf, bool lock)
{
	struct job *j = new_job(tf);

	j->take_lock = lock;
	worker_submit(tf->worker, WORKER_URGENT, &j->job);
}

void
tablefile_store(struct tablefile *tf, const struct table_scopes *scopes, const struct table_rows *base,
    const struct table_rows *rows, bool again)
{
	struct job *j = new_job(tf);

	j->take_lock = j->store = true;
	j->again = again;
	j->scopes.v = xcalloc(scopes->n, sizeof *j->scopes.v);
	if (scopes->n > 0)
		memcpy(j->scopes.v, scopes->v, scopes->n * sizeof *j->scopes.v);
	j->scopes.n = scopes->n;
	table_rows_copy(&j->base, base);
	table_rows_copy(&j->rows, rows);
	worker_submit(tf->worker, WORKER_URGENT, &j->job);
}
