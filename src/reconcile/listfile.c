#include "reconcile/listfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "reconcile/filelock.h"

#define LIST_MAX_BYTES (16u << 20)
#define RACY_MS 1000 /* coarser than any file system's clock that a list lies on */

/* What stat() says of a file whose content we know. */
struct mark {
	bool valid;
	struct stat st;
};

struct listfile {
	struct worker *worker;
	char *path;
	struct filelock lock; /* the worker's while a job is under way */
	struct mark stored;   /* likewise: as the last store left it */
	listfile_cb *cb;
	void *arg;
	bool busy;
	bool gone; /* freed while a job was under way: a last job, behind it, frees us */
};

enum what { LOAD, STORE, CHECK, RELEASE };

struct job {
	struct worker_job job;
	struct listfile *lf;
	enum what what; /* RELEASE is the last one: whoever comes next for this file must find it unlocked */
	bool take_lock;
	struct ds_set_ref *sets;
	size_t n_sets;
	struct ds_entries ours;
	struct listfile_result r;
};

static void
fill_error(struct job *j, int err, const char *what, const char *path)
{
	if (j->r.err != 0)
		return;
	j->r.err = err;
	filelock_explain(err, what, path, j->r.error, sizeof j->r.error);
}

static void
lock(struct job *j)
{
	struct listfile *lf = j->lf;
	pid_t holder = 0;
	int err = filelock_take(&lf->lock, &holder);

	if (err == -EWOULDBLOCK) {
		j->r.err = err;
		snprintf(j->r.error, sizeof j->r.error, "managed by pid %ld: another c4d has locked %s; stop one of the two",
		    (long)holder, lf->lock.path);
	} else if (err != 0) {
		fill_error(j, err, "lock", lf->lock.path);
	}
	j->r.locked = lf->lock.fd >= 0;
}

/*
 * Remembers the file as it is. One that was changed a moment ago might change again without its times showing
 * it (they are coarse): such a mark is worth nothing.
 */
static void
set_mark(struct mark *m, const char *path)
{
	struct timespec now;
	int64_t age_ms;

	m->valid = false;
	if (stat(path, &m->st) != 0 || clock_gettime(CLOCK_REALTIME, &now) != 0)
		return;
	age_ms = (now.tv_sec - m->st.st_ctim.tv_sec) * 1000LL + (now.tv_nsec - m->st.st_ctim.tv_nsec) / 1000000;
	m->valid = age_ms > RACY_MS;
}

static bool
same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool
is_marked(const struct mark *m, const char *path)
{
	struct stat st;

	return m->valid && stat(path, &st) == 0 && st.st_dev == m->st.st_dev && st.st_ino == m->st.st_ino &&
	    st.st_size == m->st.st_size && same_time(st.st_mtim, m->st.st_mtim) && same_time(st.st_ctim, m->st.st_ctim);
}

/* The file's new text; false: it can't be made, or is what the file holds. */
static bool
compose(struct job *j, const char *old, size_t len, struct buf *text)
{
	const char *bad_uri = NULL;
	int err = dslist_compose(old ? old : "", len, j->sets, j->n_sets, &j->ours, text, &bad_uri);

	if (err != 0) {
		j->r.err = err;
		snprintf(j->r.error, sizeof j->r.error, err == -EMSGSIZE ?
		    "%s: the line of %.200s would be longer than Kamailio reads (%d bytes); shorten uri or attrs in the configuration" :
		    "%s: Kamailio would not read the line of %.200s back as it is meant (of at most %d bytes, without blanks or #); "
		    "correct uri or attrs in the configuration",
		    j->lf->path, bad_uri ? bad_uri : "?", DSLIST_LINE_MAX);
		return false;
	}
	return old == NULL || text->len != len || (len > 0 && memcmp(text->s, old, len) != 0);
}

static void
replace(struct job *j, const char *text, size_t len)
{
	const char *what = "";
	int err = file_replace_unsynced(j->lf->path, text, len, &what);

	if (err != 0)
		fill_error(j, err, what, j->lf->path);
	else
		j->r.written = j->r.exists = true;
}

static void
read_or_store(struct job *j)
{
	const char *path = j->lf->path;
	struct buf text = { 0 };
	struct mark before;
	char *old = NULL;
	size_t len = 0;
	int err;

	j->r.read = true;
	j->lf->stored.valid = false;
	set_mark(&before, path);
	err = file_read(path, LIST_MAX_BYTES, &old, &len);
	j->r.exists = err == 0;
	if (err != 0 && err != -ENOENT) {
		fill_error(j, err, "read", path);
		return;
	}
	if (j->what == STORE && j->r.locked && compose(j, old, len, &text))
		replace(j, text.s ? text.s : "", text.len);
	else if (j->what == LOAD && !j->r.exists && j->r.locked)
		/* Kamailio does not start without the file; an empty one says nothing and is fine. */
		replace(j, "", 0);
	if (j->what == STORE && j->r.err == 0 && !j->r.written)
		j->lf->stored = before;
	if (j->r.written)
		dslist_parse(text.s ? text.s : "", text.len, &j->r.all, &j->r.bad);
	else if (old != NULL)
		dslist_parse(old, len, &j->r.all, &j->r.bad);
	buf_free(&text);
	free(old);
}

static void
job_run(struct worker_job *wj)
{
	struct job *j = CONTAINER_OF(wj, struct job, job);

	if (j->what == RELEASE) {
		filelock_drop(&j->lf->lock);
		return;
	}
	if (j->take_lock)
		lock(j);
	if (j->what == CHECK)
		j->r.unchanged = j->r.err == 0 && is_marked(&j->lf->stored, j->lf->path);
	else
		read_or_store(j);
}

static void
listfile_destroy(struct listfile *lf)
{
	filelock_drop(&lf->lock);
	free(lf->lock.path);
	free(lf->path);
	free(lf);
}

/* Kamailio waits for the list, and nothing waits for this: that the list outlives a loss of power. */
struct sync_job {
	struct worker_job job;
	char *path;
};

static void
sync_run(struct worker_job *wj)
{
	/* what can't be synced is an older list at worst, and the next write says what is wrong */
	(void)!file_sync_dir(CONTAINER_OF(wj, struct sync_job, job)->path);
}

static void
sync_done(struct worker_job *wj)
{
	struct sync_job *j = CONTAINER_OF(wj, struct sync_job, job);

	free(j->path);
	free(j);
}

static void
sync_later(struct listfile *lf)
{
	struct sync_job *j = xcalloc(1, sizeof *j);

	j->job.run = sync_run;
	j->job.done = sync_done;
	j->path = xstrdup(lf->path);
	worker_submit(lf->worker, WORKER_NORMAL, &j->job);
}

static void
job_done(struct worker_job *wj)
{
	struct job *j = CONTAINER_OF(wj, struct job, job);
	struct listfile *lf = j->lf;

	lf->busy = false;
	if (j->r.written)
		sync_later(lf);
	if (j->what == RELEASE)
		listfile_destroy(lf);
	else if (!lf->gone)
		lf->cb(lf->arg, &j->r);
	ds_entries_clear(&j->r.all);
	ds_entries_clear(&j->ours);
	free(j->sets);
	free(j);
}

static struct job *
new_job(struct listfile *lf, enum what what)
{
	struct job *j = xcalloc(1, sizeof *j);

	j->job.run = job_run;
	j->job.done = job_done;
	j->lf = lf;
	j->what = what;
	lf->busy = true;
	return j;
}

struct listfile *
listfile_new(struct worker *worker, const char *path, listfile_cb *cb, void *arg)
{
	struct listfile *lf = xcalloc(1, sizeof *lf);

	lf->worker = worker;
	lf->path = xstrdup(path);
	lf->lock.path = xasprintf("%s.c4d-lock", path);
	lf->lock.fd = -1;
	lf->cb = cb;
	lf->arg = arg;
	return lf;
}

void
listfile_free(struct listfile *lf)
{
	struct job *j;

	if (lf == NULL)
		return;
	if (!lf->busy) {
		listfile_destroy(lf);
		return;
	}
	lf->gone = true;
	j = new_job(lf, RELEASE);
	worker_submit(lf->worker, WORKER_URGENT, &j->job);
}

void
listfile_load(struct listfile *lf, bool take_lock)
{
	struct job *j = new_job(lf, LOAD);

	j->take_lock = take_lock;
	worker_submit(lf->worker, WORKER_URGENT, &j->job);
}

void
listfile_check(struct listfile *lf)
{
	struct job *j = new_job(lf, CHECK);

	j->take_lock = true;
	worker_submit(lf->worker, WORKER_URGENT, &j->job);
}

void
listfile_store(struct listfile *lf, const struct ds_set_ref *sets, size_t n_sets, struct ds_entries *takes)
{
	struct job *j = new_job(lf, STORE);

	j->take_lock = true;
	j->sets = xcalloc(n_sets, sizeof *sets);
	if (n_sets)
		memcpy(j->sets, sets, n_sets * sizeof *sets);
	j->n_sets = n_sets;
	j->ours = *takes;
	memset(takes, 0, sizeof *takes);
	worker_submit(lf->worker, WORKER_URGENT, &j->job);
}
