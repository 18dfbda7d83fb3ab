#include "reconcile/listfile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define LIST_MAX_BYTES (16u << 20)

struct listfile {
	struct worker *worker;
	char *path;
	char *lock_path;
	int lock_fd; /* -1: not held; the worker's while a job is under way */
	listfile_cb *cb;
	void *arg;
	bool busy;
	bool gone; /* freed while a job was under way: a last job, behind it, frees us */
};

struct job {
	struct worker_job job;
	struct listfile *lf;
	bool take_lock;
	bool store;
	bool release; /* the last one: whoever comes next for this file must find it unlocked */
	struct ds_set_ref *sets;
	size_t n_sets;
	struct ds_entries ours;
	struct listfile_result r;
};

static void
fill_error(struct job *j, int err, const char *what, const char *path)
{
	const char *remedy = err == -ENOSPC || err == -EDQUOT ? "make room" : err == -ENOENT ? "make the directory" :
	    err == -ENOTDIR || err == -EISDIR || err == -ELOOP ? "something else stands at that path: move it away" :
	    err == -EROFS ? "the file system is read-only" : "give c4d's user the right to write there";

	if (j->r.err != 0)
		return;
	j->r.err = err;
	snprintf(j->r.error, sizeof j->r.error, "cannot %s %s: %s (%s; c4d tries again by itself)", what, path,
	    strerror(-err), remedy);
}

static void
unlock(struct listfile *lf)
{
	if (lf->lock_fd >= 0)
		close(lf->lock_fd);
	lf->lock_fd = -1;
}

/* Somebody removed the lock's file, or its whole directory: what we hold would keep nobody away. */
static void
drop_void_lock(struct listfile *lf)
{
	struct stat held, there;

	if (lf->lock_fd < 0 || fstat(lf->lock_fd, &held) != 0)
		return;
	if (stat(lf->lock_path, &there) != 0 || there.st_dev != held.st_dev || there.st_ino != held.st_ino)
		unlock(lf);
}

static void
lock(struct job *j)
{
	struct listfile *lf = j->lf;
	pid_t holder;
	int fd;

	drop_void_lock(lf);
	if (lf->lock_fd < 0) {
		fd = file_lock(lf->lock_path, &holder);
		if (fd == -EWOULDBLOCK) {
			j->r.err = -EWOULDBLOCK;
			snprintf(j->r.error, sizeof j->r.error, "managed by pid %ld: another c4d has locked %s; stop one of the two",
			    (long)holder, lf->lock_path);
		} else if (fd < 0) {
			fill_error(j, fd, "lock", lf->lock_path);
		} else {
			lf->lock_fd = fd;
		}
	}
	j->r.locked = lf->lock_fd >= 0;
}

static void
job_run(struct worker_job *wj)
{
	struct job *j = CONTAINER_OF(wj, struct job, job);
	const char *path = j->lf->path, *what = "", *bad_uri = NULL;
	struct buf text = { 0 };
	char *old = NULL;
	size_t len = 0;
	int err;

	if (j->release) {
		unlock(j->lf);
		return;
	}
	if (j->take_lock)
		lock(j);
	err = file_read(path, LIST_MAX_BYTES, &old, &len);
	j->r.exists = err == 0;
	if (err != 0 && err != -ENOENT) {
		fill_error(j, err, "read", path);
		return;
	}
	if (!j->r.exists && !j->store && j->r.locked) {
		/* Kamailio does not start without the file; an empty one says nothing and is fine. */
		err = file_replace(path, "", 0, &what);
		if (err != 0)
			fill_error(j, err, what, path);
		else
			j->r.written = j->r.exists = true;
	}
	if (j->store && j->r.locked) {
		err = dslist_compose(old ? old : "", len, j->sets, j->n_sets, &j->ours, &text, &bad_uri);
		if (err != 0) {
			j->r.err = err;
			snprintf(j->r.error, sizeof j->r.error, err == -EMSGSIZE ?
			    "%s: the line of %.200s would be longer than Kamailio reads (%d bytes); shorten uri or attrs in the configuration" :
			    "%s: Kamailio would not read the line of %.200s back as it is meant (of at most %d bytes, without blanks or #); "
			    "correct uri or attrs in the configuration",
			    path, bad_uri ? bad_uri : "?", DSLIST_LINE_MAX);
		} else if (old == NULL || text.len != len || (len > 0 && memcmp(text.s, old, len) != 0)) {
			err = file_replace(path, text.s ? text.s : "", text.len, &what);
			if (err != 0)
				fill_error(j, err, what, path);
			else
				j->r.written = j->r.exists = true;
		}
	}
	if (j->r.written)
		dslist_parse(text.s ? text.s : "", text.len, &j->r.all, &j->r.bad);
	else if (old != NULL)
		dslist_parse(old, len, &j->r.all, &j->r.bad);
	buf_free(&text);
	free(old);
}

static void
listfile_destroy(struct listfile *lf)
{
	unlock(lf);
	free(lf->lock_path);
	free(lf->path);
	free(lf);
}

static void
job_done(struct worker_job *wj)
{
	struct job *j = CONTAINER_OF(wj, struct job, job);
	struct listfile *lf = j->lf;

	lf->busy = false;
	if (j->release)
		listfile_destroy(lf);
	else if (!lf->gone)
		lf->cb(lf->arg, &j->r);
	ds_entries_clear(&j->r.all);
	ds_entries_clear(&j->ours);
	free(j->sets);
	free(j);
}

static struct job *
new_job(struct listfile *lf)
{
	struct job *j = xcalloc(1, sizeof *j);

	j->job.run = job_run;
	j->job.done = job_done;
	j->lf = lf;
	lf->busy = true;
	return j;
}

struct listfile *
listfile_new(struct worker *worker, const char *path, listfile_cb *cb, void *arg)
{
	struct listfile *lf = xcalloc(1, sizeof *lf);

	lf->worker = worker;
	lf->path = xstrdup(path);
	lf->lock_path = xasprintf("%s.c4d-lock", path);
	lf->lock_fd = -1;
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
	j = new_job(lf);
	j->release = true;
	worker_submit(lf->worker, WORKER_URGENT, &j->job);
}

void
listfile_load(struct listfile *lf, bool take_lock)
{
	struct job *j = new_job(lf);

	j->take_lock = take_lock;
	worker_submit(lf->worker, WORKER_URGENT, &j->job);
}

void
listfile_store(struct listfile *lf, const struct ds_set_ref *sets, size_t n_sets, const struct ds_entries *ours)
{
	struct job *j = new_job(lf);
	size_t i;

	j->take_lock = j->store = true;
	j->sets = xcalloc(n_sets, sizeof *sets);
	if (n_sets)
		memcpy(j->sets, sets, n_sets * sizeof *sets);
	j->n_sets = n_sets;
	for (i = 0; i < ours->n; i++)
		ds_entries_add(&j->ours, ours->v[i].set, ours->v[i].uri, ours->v[i].flags, ours->v[i].priority,
		    ours->v[i].attrs);
	worker_submit(lf->worker, WORKER_URGENT, &j->job);
}
