/*
 * file: what goes wrong on the way, what a crash leaves behind, and two processes at one file.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "dir_fx.h"

struct fx {
	char dir[64];
	char *path; /* DIR/f */
	char *tmp; /* what file_replace() writes first */
};

static int
setup(void **state)
{
	struct fx *f = xcalloc(1, sizeof *f);

	make_dir(f->dir);
	f->path = xasprintf("%s/f", f->dir);
	f->tmp = xasprintf("%s/f.c4d-tmp", f->dir);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fx *f = *state;

	remove_tree(f->dir);
	free(f->path);
	free(f->tmp);
	free(f);
	return 0;
}

static void
make(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void
assert_holds(const char *path, const char *want)
{
	char *data;
	size_t len;

	assert_int_equal(file_read(path, 1 << 20, &data, &len), 0);
	assert_string_equal(data, want);
	assert_int_equal(len, strlen(want));
	free(data);
}

/* ---- reading ---- */

/* Sizes around the buffer's steps: nothing is lost, nothing is added, and one byte too many is
 * refused. */
static void
every_size_is_read_whole(void **state)
{
	static const size_t sizes[] = { 0, 1, 4094, 4095, 4096, 4097, 8190, 8191, 8192, 8193, 65535,
		100001 };
	struct fx *f = *state;
	char *text, *data, *untouched = (char *)f;
	size_t i, k, len;

	for (i = 0; i < NELEM(sizes); i++) {
		text = xcalloc(sizes[i] + 1, 1);
		for (k = 0; k < sizes[i]; k++)
			text[k] = (char)('!' + k % 90);
		make(f->path, text, 0600);
		assert_int_equal(file_read(f->path, sizes[i], &data, &len), 0);
		assert_int_equal(len, sizes[i]);
		assert_memory_equal(data, text, sizes[i] + 1); /* with its NUL */
		free(data);
		if (sizes[i] > 0) {
			data = untouched;
			assert_int_equal(file_read(f->path, sizes[i] - 1, &data, &len), -EFBIG);
			assert_ptr_equal(data, untouched);
		}
		free(text);
	}
}

static void
what_is_no_file_does_not_hang(void **state)
{
	struct fx *f = *state;
	char *data = NULL;
	size_t len = 99;

	assert_int_equal(mkfifo(f->path, 0600), 0);
	assert_int_equal(file_read(f->path, 100, &data, &len), 0); /* nobody writes: empty */
	assert_int_equal(len, 0);
	free(data);
	assert_int_equal(file_read("/dev/zero", 1 << 16, &data, &len), -EFBIG);
}

/* ---- replacing ---- */

static void
passwords_are_not_for_everybody(void **state)
{
	static const gid_t groups[][2] = { { 0, 12345 }, { 12345, 12345 }, { 777, 777 } };
	static const mode_t modes[][2] = { { 0600, 0600 }, { 0640, 0640 }, { 0660, 0660 }, { 0644, 0640 }, { 0646, 0640 }, { 0601, 0640 } };
	struct fx *f = *state;
	const char *what;
	struct stat st;
	size_t i;

	for (i = 0; i < NELEM(modes); i++) {
		make(f->path, "old", modes[i][0]);
		assert_int_equal(file_replace_secret(f->path, "new", 3, &what), 0);
		assert_holds(f->path, "new");
		assert_int_equal(stat(f->path, &st), 0);
		assert_int_equal(st.st_mode & 07777, modes[i][1]);
		assert_int_equal(file_mode_is_open(modes[i][0]), modes[i][0] != modes[i][1]);
		assert_int_equal(unlink(f->path), 0);
	}
	assert_int_equal(file_replace_secret(f->path, "new", 3, &what), 0);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	if (geteuid() != 0)
		return;
	/* who read it like everybody can read it by its group */
	assert_int_equal(chown(f->dir, (uid_t)-1, 12345), 0);
	for (i = 0; i < NELEM(groups); i++) {
		assert_int_equal(chmod(f->path, 0644), 0);
		assert_int_equal(chown(f->path, 23456, groups[i][0]), 0);
		assert_int_equal(file_replace_secret(f->path, "new", 3, &what), 0);
		assert_int_equal(stat(f->path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0640);
		assert_int_equal(st.st_uid, 23456);
		assert_int_equal(st.st_gid, groups[i][1]);
	}
}

static void
mode_and_group_are_kept(void **state)
{
	static const mode_t modes[] = { 0600, 0640, 0644, 0660, 0664, 0400 };
	struct fx *f = *state;
	gid_t other = 12345;
	const char *what;
	struct stat st;
	size_t i;

	for (i = 0; i < NELEM(modes); i++) {
		make(f->path, "old", modes[i]);
		if (geteuid() == 0)
			assert_int_equal(chown(f->path, 23456, other), 0);
		assert_int_equal(file_replace(f->path, "new", 3, &what), 0);
		assert_int_equal(stat(f->path, &st), 0);
		assert_int_equal(st.st_mode & 07777, modes[i]);
		if (geteuid() == 0) {
			assert_int_equal(st.st_uid, 23456);
			assert_int_equal(st.st_gid, other);
		}
		assert_holds(f->path, "new");
		assert_int_equal(unlink(f->path), 0);
	}
	/* a new file: readable for the directory's group, whatever the umask */
	if (geteuid() == 0)
		assert_int_equal(chown(f->dir, (uid_t)-1, other), 0);
	umask(0077);
	assert_int_equal(file_replace(f->path, "new", 3, &what), 0);
	umask(0022);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	if (geteuid() == 0)
		assert_int_equal(st.st_gid, other);
}

/* A reader that has the old file open goes on reading the old one; a name never shows half a file.
 */
static void
the_old_file_is_left_alone(void **state)
{
	struct fx *f = *state;
	char *hard = xasprintf("%s/hard", f->dir);
	const char *what;

	make(f->path, "old", 0600);
	assert_int_equal(link(f->path, hard), 0);
	assert_int_equal(file_replace(f->path, "new and longer", 14, &what), 0);
	assert_holds(f->path, "new and longer");
	assert_holds(hard, "old");
	assert_int_equal(access(f->tmp, F_OK), -1);
	free(hard);
}

static void
readers_see_one_or_the_other(void **state)
{
	struct fx *f = *state;
	char *a = xcalloc(200001, 1), *b = xcalloc(100001, 1), *data;
	const char *what;
	size_t len, seen = 0;
	pid_t child;
	int status, i;

	memset(a, 'a', 200000);
	memset(b, 'b', 100000);
	assert_int_equal(file_replace(f->path, a, 200000, &what), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		int err = 0;

		for (i = 0; i < 200 && err == 0; i++)
			err = i % 2 ? file_replace(f->path, a, 200000, &what)
				    : file_replace(f->path, b, 100000, &what);
		_exit(err != 0);
	}
	while (waitpid(child, &status, WNOHANG) == 0) {
		assert_int_equal(file_read(f->path, 1 << 20, &data, &len), 0);
		assert_true((len == 200000 && strcmp(data, a) == 0) ||
			    (len == 100000 && strcmp(data, b) == 0));
		free(data);
		seen++;
	}
	assert_int_equal(status, 0);
	assert_true(seen > 0);
	free(a);
	free(b);
}

static void
what_a_crash_left_is_replaced(void **state)
{
	struct fx *f = *state;
	char *victim = xasprintf("%s/victim", f->dir);
	const char *what;

	make(f->tmp, "half of", 0400);
	assert_int_equal(file_replace(f->path, "whole", 5, &what), 0);
	assert_holds(f->path, "whole");
	assert_int_equal(access(f->tmp, F_OK), -1);
	/* a link in its place is not followed */
	make(victim, "victim", 0600);
	assert_int_equal(symlink(victim, f->tmp), 0);
	assert_int_equal(file_replace(f->path, "again", 5, &what), 0);
	assert_holds(victim, "victim");
	assert_holds(f->path, "again");
	free(victim);
}

/* In a process of its own, whose files may not be larger than that. */
static int
replace_with_limit(const char *path, const char *text, rlim_t limit, char *what_out)
{
	struct rlimit rl = { limit, limit };
	int fds[2], err = 0;
	const char *what;
	pid_t child;
	ssize_t n;

	assert_int_equal(pipe(fds), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		char line[64];

		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &rl);
		err = file_replace(path, text, strlen(text), &what);
		n = snprintf(line, sizeof line, "%d %s", err, what);
		_exit(write(fds[1], line, (size_t)n) != n);
	}
	close(fds[1]);
	n = read(fds[0], what_out, 63);
	assert_true(n > 0);
	what_out[n] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	err = atoi(what_out);
	memmove(what_out, strchr(what_out, ' ') + 1, strlen(strchr(what_out, ' ')));
	return err;
}

/* Each step that can fail is named, and leaves the old file and no litter. */
static void
failures_name_their_step(void **state)
{
	struct fx *f = *state;
	char long_name[256], what_text[64], *path;
	const char *what;

	make(f->path, "old", 0600);
	path = xasprintf("%s/no/f", f->dir);
	assert_int_equal(file_replace(path, "x", 1, &what), -ENOENT);
	assert_string_equal(what, "open the directory of");
	free(path);
	path = xasprintf("%s/f/f", f->dir);
	assert_int_equal(file_replace(path, "x", 1, &what), -ENOTDIR);
	assert_string_equal(what, "open the directory of");
	free(path);
	memset(long_name, 'n', 250);
	long_name[250] = '\0';
	path = xasprintf("%s/%s", f->dir, long_name);
	assert_int_equal(file_replace(path, "x", 1, &what), -ENAMETOOLONG);
	assert_string_equal(what, "create a file beside");
	free(path);
	assert_int_equal(mkdir(f->tmp, 0700), 0);
	assert_int_equal(file_replace(f->path, "x", 1, &what), -EEXIST);
	assert_string_equal(what, "create a file beside");
	assert_int_equal(rmdir(f->tmp), 0);
	assert_int_equal(replace_with_limit(f->path, "longer than eight", 8, what_text), -EFBIG);
	assert_string_equal(what_text, "write");
	assert_int_equal(access(f->tmp, F_OK), -1);
	path = xasprintf("%s/d", f->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(file_replace(path, "x", 1, &what), -EISDIR);
	assert_string_equal(what, "rename over");
	free(path);
	path = xasprintf("%s/d.c4d-tmp", f->dir);
	assert_int_equal(access(path, F_OK), -1);
	free(path);
	assert_holds(f->path, "old");
}

static time_t
seconds_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mtime;
}

static void
set_seconds(const char *path, time_t at)
{
	struct timespec t = { .tv_sec = at, .tv_nsec = 999999999 };
	struct timespec times[2] = { t, t };

	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* Each write's time is a whole second above the one before it, however fast they come. */
static void
every_write_is_newer(void **state)
{
	struct fx *f = *state;
	time_t before, last = 0;
	const char *what;
	char text[2] = "0";
	int i;

	for (i = 0; i < 5; i++) {
		text[0] = (char)('0' + i);
		assert_int_equal(file_replace_newer(f->path, text, 1, &what), 0);
		assert_holds(f->path, text);
		assert_true(seconds_of(f->path) > last);
		last = seconds_of(f->path);
	}
	/* file_replace() does not do that */
	assert_int_equal(file_replace(f->path, "x", 1, &what), 0);
	assert_true(seconds_of(f->path) < last);
	/* an old file, and one that isn't there, get the present time */
	before = time(NULL) - 1; /* the kernel's clock for files is coarser */
	set_seconds(f->path, 1000000000);
	assert_int_equal(file_replace_newer(f->path, "y", 1, &what), 0);
	assert_in_range(seconds_of(f->path), before, time(NULL));
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(file_replace_newer(f->path, "z", 1, &what), 0);
	assert_in_range(seconds_of(f->path), before, time(NULL));
}

static void
a_time_far_ahead_goes_up_by_one(void **state)
{
	time_t ahead = time(NULL) + 3600;
	struct fx *f = *state;
	const char *what;

	make(f->path, "old", 0640);
	set_seconds(f->path, ahead);
	assert_int_equal(file_replace_newer(f->path, "new", 3, &what), 0);
	assert_int_equal(seconds_of(f->path), ahead + 1);
	assert_int_equal(file_replace_newer(f->path, "newer", 5, &what), 0);
	assert_int_equal(seconds_of(f->path), ahead + 2);
	assert_holds(f->path, "newer");
	assert_int_equal(access(f->tmp, F_OK), -1);
}

/* ---- locks ---- */

static void
a_lock_is_one_process_s(void **state)
{
	struct fx *f = *state;
	int up[2], down[2], fd;
	pid_t child, holder = 99;
	char byte;

	assert_int_equal(pipe(up), 0);
	assert_int_equal(pipe(down), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		pid_t nobody;

		close(down[1]);
		fd = file_lock(f->path, &nobody);
		(void)!write(up[1], fd >= 0 ? "y" : "n", 1);
		(void)!read(down[0], &byte, 1);
		_exit(0); /* without closing: death is what frees it */
	}
	close(down[0]);
	assert_int_equal(read(up[0], &byte, 1), 1);
	assert_int_equal(byte, 'y');
	assert_int_equal(file_lock(f->path, &holder), -EWOULDBLOCK);
	assert_int_equal(holder, child);
	close(down[1]);
	assert_int_equal(waitpid(child, NULL, 0), child);
	fd = file_lock(f->path, &holder);
	assert_true(fd >= 0);
	assert_int_equal(holder, 0);
	/* not handed on to what we start */
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fd);
	close(up[0]);
	close(up[1]);
}

static void
a_lock_file_holds_the_pid_alone(void **state)
{
	static const struct {
		const char *text;
		pid_t holder;
	} rows[] = {
		{ "", 0 },
		{ "garbage", 0 },
		{ "123", 123 },
		{ "4567\nmore\n", 4567 },
		{ "99999 and a line that is longer than what is read of it, so that it is cut\n",
		    99999 },
	};
	struct fx *f = *state;
	pid_t holder;
	char *want;
	size_t i;
	int fd, other;

	for (i = 0; i < NELEM(rows); i++) {
		make(f->path, rows[i].text, 0640);
		other = open(f->path, O_RDONLY);
		assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
		assert_int_equal(file_lock(f->path, &holder), -EWOULDBLOCK);
		assert_int_equal(holder, rows[i].holder);
		assert_holds(f->path, rows[i].text); /* a holder's file is not written */
		close(other);
		fd = file_lock(f->path, &holder);
		assert_true(fd >= 0);
		want = xasprintf("%ld\n", (long)getpid());
		assert_holds(f->path, want);
		free(want);
		close(fd);
	}
	assert_int_equal(file_lock(f->dir, &holder), -EISDIR);
}

#define FX_TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		FX_TEST(every_size_is_read_whole),
		FX_TEST(what_is_no_file_does_not_hang),
		FX_TEST(mode_and_group_are_kept),
		FX_TEST(passwords_are_not_for_everybody),
		FX_TEST(the_old_file_is_left_alone),
		FX_TEST(readers_see_one_or_the_other),
		FX_TEST(what_a_crash_left_is_replaced),
		FX_TEST(failures_name_their_step),
		FX_TEST(every_write_is_newer),
		FX_TEST(a_time_far_ahead_goes_up_by_one),
		FX_TEST(a_lock_is_one_process_s),
		FX_TEST(a_lock_file_holds_the_pid_alone),
	};

	return cmocka_run_group_tests_name("file", tests, NULL, NULL);
}
