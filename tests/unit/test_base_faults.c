/*
 * base when libc and libevent say no: files (full disks, short writes, interrupted calls), memory, the loop and the worker.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/worker.h"
#include "dir_fx.h"
#include "fault.h"

struct fx {
	char dir[64];
	char *path; /* DIR/f, which holds "old" */
	char *tmp;
	int fds; /* open before the test */
};

/* The lowest descriptor that is free: the same before and after, or one leaked. */
static int
lowest_fd(void)
{
	int fd = dup(STDIN_FILENO);

	close(fd);
	return fd;
}

static int
setup(void **state)
{
	struct fx *f = xcalloc(1, sizeof *f);
	const char *what;

	make_dir(f->dir);
	f->path = xasprintf("%s/f", f->dir);
	f->tmp = xasprintf("%s/f.c4d-tmp", f->dir);
	f->fds = lowest_fd();
	*state = f;
	return file_replace(f->path, "old", 3, &what);
}

static int
teardown(void **state)
{
	struct fx *f = *state;
	int rc = 0, fds = lowest_fd();

	fault_clear();
	remove_tree(f->dir);
	if (fds != f->fds) {
		print_error("descriptors: the lowest free one was %d and is %d\n", f->fds, fds);
		rc = 1;
	}
	free(f->path);
	free(f->tmp);
	free(f);
	return rc;
}

static void
assert_holds(const char *path, const char *want)
{
	char *data;
	size_t len;

	assert_int_equal(file_read(path, 1 << 20, &data, &len), 0);
	assert_string_equal(data, want);
	free(data);
}

/* ---- files ---- */

/* Whatever fails: the error and the step are told, the old file stays whole, and nothing lies beside it. */
static void
a_replacement_that_fails_leaves_the_old_file(void **state)
{
	static const struct {
		const char *call;
		unsigned nth;
		int err;
		const char *step;
	} cases[] = {
		{ "open", 1, EMFILE, "open the directory of" },
		{ "open", 2, ENOSPC, "create a file beside" },
		{ "open", 2, EROFS, "create a file beside" },
		{ "write", 1, ENOSPC, "write" },
		{ "write", 1, EDQUOT, "write" },
		{ "write", 1, EIO, "write" },
		{ "fsync", 1, EIO, "fsync" },
		{ "fsync", 1, ENOSPC, "fsync" },
		{ "rename", 1, EIO, "rename over" },
		{ "rename", 1, ENOSPC, "rename over" },
	};
	struct fx *f = *state;
	const char *what;
	size_t i;

	for (i = 0; i < NELEM(cases); i++) {
		fault_set(cases[i].call, cases[i].nth, cases[i].err);
		assert_int_equal(file_replace(f->path, "new", 3, &what), -cases[i].err);
		assert_string_equal(what, cases[i].step);
		assert_int_equal(fault_hits(), 1);
		fault_clear();
		assert_holds(f->path, "old");
		assert_int_equal(access(f->tmp, F_OK), -1);
	}
}

/* A full disk that shows itself in the middle of the file. */
static void
a_disk_that_fills_up_meanwhile_leaves_the_old_file(void **state)
{
	struct fx *f = *state;
	const char *what;

	fault_set("write", 1, FAULT_SHORT);
	fault_set("write", 1, ENOSPC);
	assert_int_equal(file_replace(f->path, "newer", 5, &what), -ENOSPC);
	assert_string_equal(what, "write");
	assert_int_equal(fault_hits(), 2);
	fault_clear();
	assert_holds(f->path, "old");
	assert_int_equal(access(f->tmp, F_OK), -1);
}

static void
short_and_interrupted_writes_go_on(void **state)
{
	struct fx *f = *state;
	const char *what;

	fault_times("write", 1, 4, FAULT_SHORT);
	fault_times("write", 1, 2, EINTR);
	assert_int_equal(file_replace(f->path, "0123456789", 10, &what), 0);
	assert_int_equal(fault_hits(), 6);
	fault_clear();
	assert_holds(f->path, "0123456789");
}

/* The rename is done: the new file is there, and whether it survives a loss of power is not known. */
static void
a_directory_that_cannot_be_synced_is_told(void **state)
{
	struct fx *f = *state;
	const char *what;

	fault_set("fsync", 2, EIO);
	assert_int_equal(file_replace(f->path, "new", 3, &what), -EIO);
	assert_string_equal(what, "fsync the directory of");
	fault_clear();
	assert_holds(f->path, "new");
	/* file systems that have no such thing */
	fault_set("fsync", 2, EINVAL);
	assert_int_equal(file_replace(f->path, "next", 4, &what), 0);
	fault_clear();
	fault_watch("fsync");
	assert_int_equal(file_replace_unsynced(f->path, "last", 4, &what), 0);
	assert_int_equal(fault_calls("fsync"), 1);
	assert_int_equal(file_sync_dir(f->path), 0);
	assert_int_equal(fault_calls("fsync"), 2);
	fault_set("fsync", 1, EIO);
	assert_int_equal(file_sync_dir(f->path), -EIO);
	fault_set("open", 1, EMFILE);
	assert_int_equal(file_sync_dir(f->path), -EMFILE);
}

static void
a_time_that_cannot_be_set_is_an_error(void **state)
{
	static const struct {
		const char *call;
		unsigned nth; /* the first stat() is for the owner and the mode */
		int err;
	} cases[] = { { "stat", 2, EACCES }, { "fstat", 1, EIO }, { "futimens", 1, EPERM } };
	struct fx *f = *state;
	const char *what;
	size_t i;

	for (i = 0; i < NELEM(cases); i++) {
		fault_set(cases[i].call, cases[i].nth, cases[i].err);
		assert_int_equal(file_replace_newer(f->path, "new", 3, &what), -cases[i].err);
		assert_string_equal(what, "set the time of");
		assert_int_equal(fault_hits(), 1);
		fault_clear();
		assert_holds(f->path, "old");
		assert_int_equal(access(f->tmp, F_OK), -1);
	}
}

/* Not ours to give away, perhaps: the file is written all the same. */
static void
an_owner_that_cannot_be_kept_is_no_error(void **state)
{
	struct fx *f = *state;
	const char *what;

	fault_times("fchown", 1, FAULT_ALWAYS, EPERM);
	fault_times("fchmod", 1, FAULT_ALWAYS, EPERM);
	assert_int_equal(file_replace(f->path, "new", 3, &what), 0);
	assert_int_equal(fault_hits(), 3);
	fault_clear();
	assert_holds(f->path, "new");
}

static void
reading_goes_on_when_interrupted_and_tells_errors(void **state)
{
	struct fx *f = *state;
	char *data = NULL;
	size_t len = 7;

	fault_set("read", 1, EINTR);
	fault_times("read", 1, 2, FAULT_SHORT);
	assert_int_equal(file_read(f->path, 100, &data, &len), 0);
	assert_int_equal(fault_hits(), 3);
	assert_string_equal(data, "old");
	assert_int_equal(len, 3);
	free(data);
	fault_clear();
	data = NULL;
	FAULT_EACH("read open", EIO) {
		int err = file_read(f->path, 100, &data, &len);

		assert_int_equal(err, fault_hits() ? -EIO : 0);
		assert_true((data == NULL) == (err != 0));
		free(data);
		data = NULL;
	}
}

static void
a_lock_tells_what_kept_it_away(void **state)
{
	struct fx *f = *state;
	char *path = xasprintf("%s/lock", f->dir);
	pid_t holder = 1;
	int fd, again;

	fault_set("open", 1, EROFS);
	assert_int_equal(file_lock(path, &holder), -EROFS);
	assert_int_equal(holder, 0);
	fault_set("flock", 1, ENOLCK);
	assert_int_equal(file_lock(path, &holder), -ENOLCK);
	assert_int_equal(fault_hits(), 2);
	fault_clear();
	/* a full disk: the lock holds without its pid, and the other one is told that it is unknown */
	fault_set("pwrite", 1, ENOSPC);
	fd = file_lock(path, &holder);
	assert_true(fd >= 0);
	assert_int_equal(fault_hits(), 1);
	again = file_lock(path, &holder);
	assert_int_equal(again, -EWOULDBLOCK);
	assert_int_equal(holder, 0);
	close(fd);
	fault_clear();
	fd = file_lock(path, &holder);
	assert_true(fd >= 0);
	assert_int_equal(file_lock(path, &holder), -EWOULDBLOCK);
	assert_int_equal(holder, getpid());
	close(fd);
	free(path);
}

static void
a_machine_without_an_id_has_none(void **state)
{
	char id[64] = "left over";

	fault_set("open", 1, ENOENT);
	file_machine_id(id);
	assert_string_equal(id, "");
	assert_int_equal(fault_hits(), 1);
}

/* ---- memory ---- */

static void
by_calloc(void *arg)
{
	(void)arg;
	fault_set("xalloc", 1, ENOMEM);
	free(xcalloc(1, 10));
}

static void
by_strdup(void *arg)
{
	(void)arg;
	fault_set("xalloc", 1, ENOMEM);
	free(xstrdup("x"));
}

static void
by_strndup(void *arg)
{
	(void)arg;
	fault_set("xalloc", 1, ENOMEM);
	free(xstrndup("x", 1));
}

static void
by_asprintf(void *arg)
{
	(void)arg;
	fault_set("xalloc", 1, ENOMEM);
	free(xasprintf("%d", 1));
}

static void
by_realloc(void *arg)
{
	(void)arg;
	fault_set("xalloc", 1, ENOMEM);
	free(xrealloc(NULL, 1, 1));
}

static void
by_growth(void *arg)
{
	size_t cap = 0;

	(void)arg;
	fault_set("xalloc", 1, ENOMEM);
	free(xgrow(NULL, 0, &cap, 1));
}

static void
by_overflow(void *arg)
{
	(void)arg;
	free(xrealloc(NULL, SIZE_MAX / 2, 3));
}

static void
nothing_at_all(void *arg)
{
	(void)arg;
	free(xcalloc(1, 10));
}

/* systemd starts us again, and LMDB has the state. */
static void
out_of_memory_ends_the_program_and_says_so(void **state)
{
	(void)state;
	assert_true(fault_aborts(by_calloc, NULL));
	assert_true(fault_aborts(by_strdup, NULL));
	assert_true(fault_aborts(by_strndup, NULL));
	assert_true(fault_aborts(by_asprintf, NULL));
	assert_true(fault_aborts(by_realloc, NULL));
	assert_true(fault_aborts(by_growth, NULL));
	assert_true(fault_aborts(by_overflow, NULL));
	assert_false(fault_aborts(nothing_at_all, NULL));
}

/* ---- the loop and the worker ---- */

static void
a_loop_without_memory_is_none(void **state)
{
	struct loop *l = NULL;

	(void)state;
	FAULT_EACH("event_base_new_with_config event_new", ENOMEM) {
		int err = loop_new(&l);

		assert_int_equal(err, fault_hits() ? -ENOMEM : 0);
		assert_true((l == NULL) == (err != 0));
		loop_free(l);
		l = NULL;
	}
}

static void
on_nothing(void *arg)
{
	(void)arg;
}

static void
a_signal_that_cannot_be_watched_is_an_error(void **state)
{
	struct loop *l;

	(void)state;
	assert_int_equal(loop_new(&l), 0);
	FAULT_EACH("event_new event_add", ENOMEM) {
		int err = loop_signal(l, SIGUSR2, on_nothing, NULL);

		assert_int_equal(err, fault_hits() ? -ENOMEM : 0);
	}
	loop_free(l);
}

static void
a_worker_that_cannot_start_is_an_error(void **state)
{
	struct worker *w = NULL;
	struct loop *l;
	sigset_t before, after;

	(void)state;
	assert_int_equal(loop_new(&l), 0);
	sigprocmask(SIG_SETMASK, NULL, &before);
	fault_set("eventfd", 1, EMFILE);
	assert_int_equal(worker_new(&w, l), -EMFILE);
	fault_set("pthread_create", 1, EAGAIN);
	assert_int_equal(worker_new(&w, l), -EAGAIN);
	assert_int_equal(fault_hits(), 2);
	assert_null(w);
	/* signals still arrive here */
	sigprocmask(SIG_SETMASK, NULL, &after);
	assert_int_equal(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
	loop_free(l);
}

struct chained {
	struct worker_job job;
	struct worker *w;
	struct chained *next; /* submitted by our done() */
	int ran, done;
};

static void
chained_run(struct worker_job *j)
{
	CONTAINER_OF(j, struct chained, job)->ran++;
}

static void
chained_done(struct worker_job *j)
{
	struct chained *c = CONTAINER_OF(j, struct chained, job);

	c->done++;
	if (c->next != NULL)
		worker_submit(c->w, WORKER_NORMAL, &c->next->job);
}

/* At the end the thread is gone when a done() asks for more: it is done here, not dropped. */
static void
a_job_that_comes_at_the_very_end_is_done(void **state)
{
	struct loop *l;
	struct worker *w;
	struct chained second = { .job = { .run = chained_run, .done = chained_done } },
		       first = { .job = { .run = chained_run, .done = chained_done }, .next = &second };

	(void)state;
	assert_int_equal(loop_new(&l), 0);
	assert_int_equal(worker_new(&w, l), 0);
	first.w = second.w = w;
	worker_submit(w, WORKER_NORMAL, &first.job);
	worker_free(w);
	assert_int_equal(first.ran, 1);
	assert_int_equal(first.done, 1);
	assert_int_equal(second.ran, 1);
	assert_int_equal(second.done, 1);
	loop_free(l);
}

int
main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_replacement_that_fails_leaves_the_old_file),
		T(a_disk_that_fills_up_meanwhile_leaves_the_old_file),
		T(short_and_interrupted_writes_go_on),
		T(a_directory_that_cannot_be_synced_is_told),
		T(a_time_that_cannot_be_set_is_an_error),
		T(an_owner_that_cannot_be_kept_is_no_error),
		T(reading_goes_on_when_interrupted_and_tells_errors),
		T(a_lock_tells_what_kept_it_away),
		T(a_machine_without_an_id_has_none),
		T(out_of_memory_ends_the_program_and_says_so),
		T(a_loop_without_memory_is_none),
		T(a_signal_that_cannot_be_watched_is_an_error),
		T(a_worker_that_cannot_start_is_an_error),
		T(a_job_that_comes_at_the_very_end_is_done),
	};

	return cmocka_run_group_tests_name("base: when calls fail", tests, NULL, NULL);
}
