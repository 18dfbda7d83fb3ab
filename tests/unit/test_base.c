/* base: text, files, the loop's later-queue and timers, the worker. */
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
#include <sys/wait.h>
#include <pthread.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/text.h"
#include "base/worker.h"

/* ---- text ---- */

static void
test_durations(void **state)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: refused */
	} rows[] = {
		{ "0", 0 },
		{ "0s", 0 },
		{ "200ms", 200 },
		{ "15s", 15000 },
		{ "10m", 600000 },
		{ "2h", 7200000 },
		{ "90d", 7776000000 },
		{ "1m30s", 90000 },
		{ "1d1h1m1s1ms", 90061001 },
		{ "", -1 },
		{ "1", -1 },
		{ "00", -1 },
		{ "s", -1 },
		{ "-1s", -1 },
		{ "+1s", -1 },
		{ " 1s", -1 },
		{ "1s ", -1 },
		{ "1 s", -1 },
		{ "1.5s", -1 },
		{ "1e3s", -1 },
		{ "1S", -1 },
		{ "1sm", -1 },
		{ "1us", -1 },
		{ "1m30", -1 },
		{ "1w", -1 },
		{ "0x10s", -1 },
		{ "9223372036854775807d", -1 },
		{ "99999999999999999999s", -1 },
		{ "106751991167d106751991167d", -1 },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		int64_t ms = -7;
		int err = text_parse_duration(rows[i].text, &ms);

		if (err != (rows[i].ms < 0 ? -EINVAL : 0) ||
		    ms != (rows[i].ms < 0 ? -7 : rows[i].ms))
			fail_msg("\"%s\": %d, %lld", rows[i].text, err, (long long)ms);
	}
}

static void
test_format_duration(void **state)
{
	static const struct {
		int64_t ms;
		const char *want;
	} rows[] = {
		{ 0, "0s" },
		{ -5, "0s" },
		{ 200, "200ms" },
		{ 1000, "1s" },
		{ 90000, "1m30s" },
		{ 90061001, "1d1h1m1s1ms" },
		{ 7776000000, "90d" },
	};
	char out[64], small[4];
	int64_t back;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		text_format_duration(rows[i].ms, out, sizeof out);
		assert_string_equal(out, rows[i].want);
		assert_int_equal(text_parse_duration(out, &back), 0);
		assert_int_equal(back, rows[i].ms > 0 ? rows[i].ms : 0);
	}
	text_format_duration(90061001, small, sizeof small);
	assert_string_equal(small, "1d1");
}

static void
test_sizes_and_numbers(void **state)
{
	static const struct {
		const char *text;
		int64_t bytes;
	} sizes[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "1K", 1024 },
		{ "64M", 64 << 20 },
		{ "1G", 1 << 30 },
		{ "2T", 2ll << 40 },
		{ "", -1 },
		{ "G", -1 },
		{ "1GB", -1 },
		{ "1g", -1 },
		{ "-1", -1 },
		{ "1 G", -1 },
		{ "1.5G", -1 },
		{ "9999999999T", -1 },
		{ "99999999999999999999", -1 },
	};
	static const struct {
		const char *text;
		int err;
		int64_t n;
	} ints[] = {
		{ "5", 0, 5 },
		{ "-10", 0, -10 },
		{ "100", 0, 100 },
		{ "007", 0, 7 },
		{ "101", -ERANGE, 0 },
		{ "-11", -ERANGE, 0 },
		{ "99999999999999999999", -ERANGE, 0 },
		{ "", -EINVAL, 0 },
		{ "-", -EINVAL, 0 },
		{ "--5", -EINVAL, 0 },
		{ "+5", -EINVAL, 0 },
		{ " 5", -EINVAL, 0 },
		{ "5 ", -EINVAL, 0 },
		{ "- 5", -EINVAL, 0 },
		{ "0x5", -EINVAL, 0 },
		{ "5.0", -EINVAL, 0 },
		{ "1e1", -EINVAL, 0 },
		{ "no", -EINVAL, 0 },
	};
	size_t i;

	for (i = 0; i < NELEM(sizes); i++) {
		int64_t n = -1;
		int err = text_parse_size(sizes[i].text, &n);

		if (err != (sizes[i].bytes < 0 ? -EINVAL : 0) || n != sizes[i].bytes)
			fail_msg("size \"%s\": %d, %lld", sizes[i].text, err, (long long)n);
	}
	for (i = 0; i < NELEM(ints); i++) {
		int64_t n = 0;
		int err = text_parse_int(ints[i].text, -10, 100, &n);

		if (err != ints[i].err || n != ints[i].n)
			fail_msg("number \"%s\": %d, %lld", ints[i].text, err, (long long)n);
	}
}

static void
test_times_and_names(void **state)
{
	char out[32], max[64];

	text_format_time(0, out);
	assert_string_equal(out, "");
	text_format_time(-1, out);
	assert_string_equal(out, "");
	text_format_time(1795232400123, out);
	assert_string_equal(out, "2026-11-21T03:40:00.123Z");
	text_format_time(INT64_MAX, out); /* no such year: no text, and no overflow */
	assert_true(strlen(out) < sizeof out);
	assert_true(text_is_name("a"));
	assert_true(text_is_name("router-1_x"));
	assert_false(text_is_name(""));
	assert_false(text_is_name("Router"));
	assert_false(text_is_name("a.b"));
	assert_false(text_is_name("a b"));
	memset(max, 'a', 63);
	max[63] = '\0';
	assert_true(text_is_name(max));
	assert_false(
	    text_is_name("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
	assert_true(text_is_printable("!~", 2));
	assert_true(text_is_printable("", 0));
	assert_false(text_is_printable("a b", 3));
	assert_false(text_is_printable("a\0b", 3));
	assert_false(text_is_printable("\x7f", 1));
	assert_false(text_is_printable("\xc3\xa4", 2));
}

static void
masks_what_is_not_printable(void **state)
{
	char text[] = " ~\n\t\r\x1b[0m\x7f\xc3\xa4\0.", kept[] = "a\nb\tc\rd\0e";

	text_mask(text, sizeof text - 1, "");
	assert_string_equal(text, " ~????[0m????.");
	text_mask(kept, sizeof kept - 1, "\n\t");
	assert_string_equal(kept, "a\nb\tc?d?e");
}

static void
test_dns_names(void **state)
{
	static const struct {
		const char *text, *want; /* NULL: refused, for what */
		const char *why;
	} rows[] = {
		{ "a", "a", NULL }, { "A.B-c_9.", "a.b-c_9", NULL }, { "1", "1", NULL }, { "_sip._udp.x", "_sip._udp.x", NULL },
		{ "", NULL, "1 to 63" }, { ".", NULL, "1 to 63" }, { "a..b", NULL, "1 to 63" }, { "a..", NULL, "1 to 63" },
		{ ".a", NULL, "1 to 63" }, { "a b", NULL, "only letters" }, { "a/b", NULL, "only letters" },
		{ "\xc3\xa9", NULL, "only letters" }, { "a:1", NULL, "only letters" },
	};
	char text[300];
	const char *why;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		snprintf(text, sizeof text, "%s", rows[i].text);
		why = text_make_dns_name(text);
		if ((why == NULL) != (rows[i].why == NULL) || (why != NULL && strstr(why, rows[i].why) == NULL))
			fail_msg("'%s': %s", rows[i].text, why ? why : "taken");
		if (why == NULL)
			assert_string_equal(text, rows[i].want);
	}
	/* a label of 63, a name of 253 and its dot */
	for (i = 0; i < 254; i++)
		text[i] = i % 64 == 63 || i == 253 ? '.' : 'x';
	text[254] = '\0';
	assert_null(text_make_dns_name(text));
	assert_int_equal(strlen(text), 253);
	text[253] = 'x';
	assert_non_null(strstr(text_make_dns_name(text), "253 bytes"));
	text[64] = '\0';
	text[63] = 'x';
	assert_non_null(strstr(text_make_dns_name(text), "1 to 63"));
}

static void
test_buf(void **state)
{
	struct buf b = { 0 }, want = { 0 };
	char *s;
	int i;

	buf_add(&b, "", 0);
	assert_string_equal(b.s, "");
	buf_printf(&b, "%s", "");
	buf_puts(&b, "x");
	for (i = 0; i < 1000; i++) {
		buf_printf(&b, "%d,", i);
		buf_add(&b, "ab\0c", 4);
	}
	assert_int_equal(b.len, 1 + 3890 + 4000);
	assert_int_equal(b.s[b.len], 0);
	assert_memory_equal(b.s, "x0,ab\0c1,ab\0c", 13);
	buf_free(&b);
	assert_null(b.s);
	s = buf_take(&b);
	assert_string_equal(s, "");
	free(s);
	buf_puts(&want, "taken");
	s = buf_take(&want);
	assert_int_equal(want.len, 0);
	assert_string_equal(s, "taken");
	free(s);
}

/* ---- log ---- */

struct heard {
	unsigned lines;
	enum log_level level;
	char text[256];
};

static void
hear(void *arg, enum log_level level, const char *sub, const char *text)
{
	struct heard *h = arg;

	h->lines++;
	h->level = level;
	snprintf(h->text, sizeof h->text, "%s: %s", sub, text);
}

static void
test_log(void **state)
{
	struct heard h = { 0 };

	assert_int_equal(
	    log_set(NULL, "error"), 0); /* keeps stderr quiet; the hook hears from notice on */
	log_hook(hear, &h);
	errno = ENOENT;
	log_warn("a", "no %s", "file");
	assert_int_equal(errno, ENOENT);
	assert_string_equal(h.text, "a: no file: No such file or directory");
	log_warnx("a", "one\nline\x01");
	assert_string_equal(h.text, "a: one?line?");
	log_info("a", "unheard");
	assert_int_equal(h.lines, 2);
	assert_int_equal(log_set("b", "error"), 0);
	assert_true(log_wants("b", LOG_L_ERROR));
	assert_false(log_wants("b", LOG_L_WARN));
	assert_int_equal(log_set("b", "loud"), -EINVAL);
	assert_int_equal(log_level_parse("debug"), LOG_L_DEBUG);
	assert_string_equal(log_level_name(LOG_L_NOTICE), "notice");
	log_unhook(hear, &h);
	log_warnx("a", "unheard");
	assert_int_equal(h.lines, 2);
	assert_int_equal(log_set(NULL, "info"), 0);
}

/* ---- files ---- */

static char dir[64];

static char *
in_dir(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static int
dir_setup(void **state)
{
	snprintf(dir, sizeof dir, "/tmp/c4d-test-base-XXXXXX");
	return mkdtemp(dir) == NULL;
}

static int
dir_teardown(void **state)
{
	static const char *const names[] = { "f", "lock", "big", "link", "sub/f" };
	size_t i;

	for (i = 0; i < NELEM(names); i++)
		(void)unlink(in_dir(names[i]));
	(void)rmdir(in_dir("sub"));
	return rmdir(dir); /* fails when something, a temporary file, was left behind */
}

static void
assert_file(const char *path, const char *want)
{
	char *data = NULL;
	size_t len = 0;

	assert_int_equal(file_read(path, 1 << 20, &data, &len), 0);
	assert_int_equal(len, strlen(want));
	assert_string_equal(data, want);
	free(data);
}

static void
test_file_read(void **state)
{
	static char big[10000];
	const char *what;
	char *data = NULL;
	size_t len = 77;

	assert_int_equal(file_read(in_dir("none"), 10, &data, &len), -ENOENT);
	assert_int_equal(file_read(dir, 10, &data, &len), -EISDIR);
	memset(big, 'x', sizeof big);
	assert_int_equal(file_replace(in_dir("big"), big, sizeof big, &what), 0);
	assert_int_equal(file_read(in_dir("big"), sizeof big - 1, &data, &len), -EFBIG);
	assert_null(data);
	assert_int_equal(len, 77); /* only set on success */
	assert_int_equal(file_read(in_dir("big"), sizeof big, &data, &len), 0);
	assert_int_equal(len, sizeof big);
	assert_memory_equal(data, big, sizeof big);
	assert_int_equal(data[len], 0);
	free(data);
	assert_int_equal(file_replace(in_dir("big"), "", 0, &what), 0);
	assert_file(in_dir("big"), "");
}

static void
test_file_replace(void **state)
{
	const char *what = NULL;
	struct stat st, before;
	mode_t mask = umask(0077);

	assert_int_equal(file_replace(in_dir("f"), "one\n", 4, &what), 0);
	assert_file(in_dir("f"), "one\n");
	assert_int_equal(stat(in_dir("f"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640); /* whatever the umask */
	/* mode and owner stay; the file is another one, so whoever reads the old one reads it whole
	 */
	assert_int_equal(chmod(in_dir("f"), 0604), 0);
	(void)!chown(in_dir("f"), 1234, 2345); /* works for root alone */
	assert_int_equal(stat(in_dir("f"), &before), 0);
	assert_int_equal(file_replace(in_dir("f"), "two\n", 4, &what), 0);
	assert_file(in_dir("f"), "two\n");
	assert_int_equal(stat(in_dir("f"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0604);
	assert_int_equal(st.st_uid, before.st_uid);
	assert_int_equal(st.st_gid, before.st_gid);
	assert_int_not_equal(st.st_ino, before.st_ino);
	/* what a crash left is no obstacle */
	{
		int fd = open(in_dir("f.c4d-tmp"), O_CREAT | O_WRONLY, 0400);

		assert_true(fd >= 0);
		close(fd);
	}
	assert_int_equal(file_replace(in_dir("f"), "three\n", 6, &what), 0);
	assert_file(in_dir("f"), "three\n");
	umask(mask);
}

static void
test_file_replace_fails(void **state)
{
	const char *what = NULL;

	assert_int_equal(file_replace(in_dir("nowhere/f"), "x", 1, &what), -ENOENT);
	assert_string_equal(what, "open the directory of");
	/* a directory in its place: rename says no, and nothing is left beside it */
	assert_int_equal(mkdir(in_dir("sub"), 0700), 0);
	assert_int_equal(file_replace(in_dir("sub"), "x", 1, &what), -EISDIR);
	assert_string_equal(what, "rename over");
	assert_int_equal(access(in_dir("sub.c4d-tmp"), F_OK), -1);
	assert_int_equal(rmdir(in_dir("sub")), 0);
}

static void
test_file_lock(void **state)
{
	pid_t holder = -1, child;
	int fd, again, status;
	struct stat st;
	char want[32];

	fd = open(in_dir("lock"), O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	assert_true(fd >= 0);
	close(fd);
	fd = file_lock(in_dir("lock"), &holder);
	assert_true(fd >= 0);
	assert_int_equal(holder, 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600); /* who may read a file may lock it */
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	snprintf(want, sizeof want, "%ld\n", (long)getpid());
	assert_file(in_dir("lock"), want);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(fd); /* the child's copy; the parent's keeps the lock */
		again = file_lock(in_dir("lock"), &holder);
		_exit(again == -EWOULDBLOCK && holder == getppid() ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(fd);
	fd = file_lock(in_dir("lock"), &holder);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(file_lock(in_dir("nowhere/lock"), &holder), -ENOENT);
	assert_int_equal(symlink("lock", in_dir("link")), 0);
	assert_int_equal(file_lock(in_dir("link"), &holder), -ELOOP);
}

/* ---- loop ---- */

/* A test stops the loop itself; the alarm is only for one that would hang. */
static int
loop_setup(void **state)
{
	struct loop *l;

	alarm(20);
	if (loop_new(&l) != 0)
		return -1;
	*state = l;
	return 0;
}

static int
loop_teardown(void **state)
{
	loop_free(*state);
	alarm(0);
	return 0;
}

struct trace {
	struct loop *loop;
	struct loop_later a, b, c;
	struct loop_timer t, u;
	char text[64];
	int n;
};

static void
trace_put(struct trace *t, char c)
{
	size_t len = strlen(t->text);

	assert_true(len + 1 < sizeof t->text);
	t->text[len] = c;
}

static void
put_a(void *arg)
{
	trace_put(arg, 'a');
}

static void
put_b(void *arg)
{
	trace_put(arg, 'b');
}

static void
put_stop(void *arg)
{
	struct trace *t = arg;

	trace_put(t, '.');
	loop_stop(t->loop);
}

static void
test_later_order(void **state)
{
	struct trace t = { .loop = *state };

	loop_later(t.loop, &t.a, put_a, &t);
	loop_later(t.loop, &t.b, put_b, &t);
	loop_later(t.loop, &t.a, put_a, &t); /* queued already: once, in its first place */
	loop_later(t.loop, &t.c, put_stop, &t);
	assert_string_equal(t.text, ""); /* never from inside the call */
	assert_true(t.a.queued);
	assert_int_equal(loop_run(t.loop), 0);
	assert_string_equal(t.text, "ab.");
	assert_false(t.a.queued);
}

static void
requeue(void *arg)
{
	struct trace *t = arg;

	trace_put(t, 'r');
	if (++t->n < 3)
		loop_later(t->loop, &t->a, requeue, t);
	else
		loop_later(t->loop, &t->b, put_stop, t);
}

/* What is queued during a drain waits for the next one: b runs between the first two r. */
static void
test_later_drain_takes_what_was_there(void **state)
{
	struct trace t = { .loop = *state };

	loop_later(t.loop, &t.a, requeue, &t);
	loop_later(t.loop, &t.c, put_b, &t);
	assert_int_equal(loop_run(t.loop), 0);
	assert_string_equal(t.text, "rbrr.");
}

static void
cancel_others(void *arg)
{
	struct trace *t = arg;

	trace_put(t, 'x');
	loop_later_cancel(t->loop, &t->b); /* in the drain that runs */
	loop_later(t->loop, &t->c, put_a, t);
	loop_later_cancel(t->loop, &t->c); /* in the next one */
	loop_later_cancel(t->loop, &t->c);
	loop_timer_start(&t->t, 0);
}

static void
test_later_cancel(void **state)
{
	struct trace t = { .loop = *state };

	loop_timer_init(&t.t, t.loop, put_stop, &t);
	loop_later_cancel(t.loop, &t.a); /* never queued */
	loop_later(t.loop, &t.a, cancel_others, &t);
	loop_later(t.loop, &t.b, put_b, &t);
	assert_int_equal(loop_run(t.loop), 0);
	assert_string_equal(t.text, "x.");
	assert_false(t.b.queued);
	assert_false(t.c.queued);
	/* the last of the queue goes, and the queue still takes new ones */
	t.text[0] = t.text[1] = '\0';
	loop_later(t.loop, &t.a, put_a, &t);
	loop_later(t.loop, &t.b, put_b, &t);
	loop_later_cancel(t.loop, &t.b);
	loop_later(t.loop, &t.c, put_stop, &t);
	assert_int_equal(loop_run(t.loop), 0);
	assert_string_equal(t.text, "a.");
	loop_timer_fini(&t.t);
}

static void
spin(void *arg)
{
	struct trace *t = arg;

	t->n++;
	loop_later(t->loop, &t->a, spin, t);
}

static void
on_pipe(void *arg, int fd, int what)
{
	struct trace *t = arg;
	char c;

	assert_int_equal(what, LOOP_READ);
	assert_int_equal(read(fd, &c, 1), 1);
	trace_put(t, c);
	loop_timer_start(&t->t, 5);
}

/* A queue that never empties starves neither descriptors nor timers. */
static void
test_later_is_fair(void **state)
{
	struct trace t = { .loop = *state };
	struct loop_io io;
	int p[2];

	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], "i", 1), 1);
	loop_timer_init(&t.t, t.loop, put_stop, &t);
	loop_io_init(&io, t.loop, p[0], on_pipe, &t);
	loop_io_want(&io, LOOP_READ);
	loop_later(t.loop, &t.a, spin, &t);
	assert_int_equal(loop_run(t.loop), 0);
	assert_string_equal(t.text, "i.");
	assert_true(t.n > 2);
	loop_later_cancel(t.loop, &t.a);
	loop_io_fini(&io);
	loop_timer_fini(&t.t);
	close(p[0]);
	close(p[1]);
}

struct mortal {
	struct trace *t;
	struct loop_later later;
};

static void
die(void *arg)
{
	struct mortal *m = arg;

	loop_free_later(m->t->loop, m);
	trace_put(m->t, 'd'); /* still there: the sanitizer would say otherwise */
}

static void
test_free_later(void **state)
{
	struct trace t = { .loop = *state };
	struct mortal *m = xcalloc(1, sizeof *m);

	m->t = &t;
	loop_later(t.loop, &m->later, die, m);
	loop_later(t.loop, &t.a, put_stop, &t);
	loop_free_later(t.loop, NULL);
	assert_int_equal(loop_run(t.loop), 0);
	assert_string_equal(t.text, "d.");
	loop_free_later(t.loop, xcalloc(1, 100)); /* what is left goes with the loop */
}

static void
start_again(void *arg)
{
	struct trace *t = arg;

	assert_false(loop_timer_armed(&t->t));
	trace_put(t, 't');
	if (++t->n < 3)
		loop_timer_start(&t->t, 1);
	else
		loop_stop(t->loop);
}

static void
test_timer(void **state)
{
	struct trace t = { .loop = *state };
	struct loop_timer zero = { 0 };
	int64_t began = loop_now_ms(t.loop);

	loop_timer_init(&t.t, t.loop, start_again, &t);
	assert_false(loop_timer_armed(&t.t));
	loop_timer_start(&t.t, 3600000);
	assert_true(loop_timer_armed(&t.t));
	loop_timer_start(&t.t, -5); /* replaces the hour; in the past is now */
	loop_timer_init(&t.u, t.loop, put_b, &t);
	loop_timer_start(&t.u, 0);
	loop_timer_stop(&t.u);
	loop_timer_stop(&t.u);
	assert_false(loop_timer_armed(&t.u));
	assert_int_equal(loop_run(t.loop), 0);
	assert_string_equal(t.text, "ttt");
	assert_true(loop_now_ms(t.loop) - began < 10000);
	loop_timer_fini(&t.t);
	loop_timer_fini(&t.t);
	loop_timer_fini(&t.u);
	loop_timer_fini(&zero);
}

static void
on_due(void *arg)
{
	struct trace *t = arg;

	t->n = (int)(loop_now_us(t->loop) / 1000);
	loop_stop(t->loop);
}

/* Not early, also when the callback that started it took long: the loop's idea of now is fresh. */
static void
start_late(void *arg)
{
	struct trace *t = arg;
	int64_t until = loop_now_us(t->loop) + 30000;

	while (loop_now_us(t->loop) < until)
		;
	t->n = (int)loop_now_ms(t->loop);
	loop_timer_start(&t->u, 40);
}

static void
test_timer_is_not_early(void **state)
{
	struct trace t = { .loop = *state };
	int64_t due;

	loop_timer_init(&t.t, t.loop, start_late, &t);
	loop_timer_init(&t.u, t.loop, on_due, &t);
	loop_timer_start(&t.t, 0);
	assert_int_equal(loop_run(t.loop), 0);
	due = t.u.due_ms;
	assert_int_equal(due, -1);
	loop_timer_start(&t.u, 20);
	due = t.u.due_ms;
	assert_int_equal(loop_run(t.loop), 0);
	assert_true(t.n >= due);
	loop_timer_fini(&t.t);
	loop_timer_fini(&t.u);
}

static void
test_timer_after_a_long_callback(void **state)
{
	struct trace t = { .loop = *state };
	int started;

	loop_timer_init(&t.t, t.loop, start_late, &t);
	loop_timer_init(&t.u, t.loop, put_stop, &t);
	loop_timer_start(&t.t, 0);
	assert_int_equal(loop_run(t.loop), 0);
	started = t.n;
	assert_true((int)loop_now_ms(t.loop) - started >= 40);
	loop_timer_fini(&t.t);
	loop_timer_fini(&t.u);
}

static void
test_signal(void **state)
{
	struct trace t = { .loop = *state };

	assert_int_equal(loop_signal(t.loop, SIGUSR1, put_stop, &t), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	assert_int_equal(loop_run(t.loop), 0);
	assert_string_equal(t.text, ".");
}

static void
test_clocks_and_jitter(void **state)
{
	struct loop *l = *state;
	int64_t a = loop_now_us(l), low = 2000, high = 0;
	struct loop_lag lag;
	int i;

	assert_true(loop_now_us(l) >= a);
	assert_true(loop_now_ms(l) >= a / 1000);
	assert_true(loop_wall_ms(l) > 1700000000000);
	for (i = 0; i < 2000; i++) {
		int64_t ms = loop_jitter(l, 1000, 10);

		low = ms < low ? ms : low;
		high = ms > high ? ms : high;
	}
	assert_true(low >= 900 && low < 920);
	assert_true(high <= 1100 && high > 1080);
	assert_int_equal(loop_jitter(l, 1000, 0), 1000);
	assert_int_equal(loop_jitter(l, 0, 10), 0);
	assert_int_equal(loop_jitter(l, 3, 10), 3);
	loop_lag(l, &lag);
	assert_int_equal(lag.turns, 0);
}

static void
block_loop(void *arg)
{
	struct trace *t = arg;
	int64_t until = loop_now_us(t->loop) + 60000;

	while (loop_now_us(t->loop) < until)
		;
	loop_timer_start(&t->u, 30);
}

static void
test_lag_sees_a_blocked_loop(void **state)
{
	struct trace t = { .loop = *state };
	struct loop_lag lag;

	loop_lag(t.loop, &lag);
	loop_timer_init(&t.t, t.loop, block_loop, &t);
	loop_timer_init(&t.u, t.loop, put_stop, &t);
	loop_timer_start(&t.t, 0);
	assert_int_equal(loop_run(t.loop), 0);
	loop_lag(t.loop, &lag);
	assert_true(lag.turns >= 1);
	assert_true(lag.max_us >= 35000); /* 60 ms, of which the beat would have slept 20 */
	assert_true(lag.over_5ms >= 1);
	loop_timer_fini(&t.t);
	loop_timer_fini(&t.u);
}

static void
test_lag_is_measured_for_who_asks(void **state)
{
	struct trace t = { .loop = *state };
	struct loop_lag lag;

	loop_timer_init(&t.u, t.loop, put_stop, &t);
	loop_lag_so_far(t.loop, &lag);
	loop_timer_start(&t.u, 50);
	assert_int_equal(loop_run(t.loop), 0);
	loop_lag_so_far(t.loop, &lag);
	assert_int_equal(lag.turns, 0); /* it has slept */
	loop_lag(t.loop, &lag);
	loop_timer_start(&t.u, 50);
	assert_int_equal(loop_run(t.loop), 0);
	loop_lag_so_far(t.loop, &lag);
	assert_true(lag.turns >= 1);
	loop_timer_fini(&t.u);
}

/* ---- worker ---- */

#define JOBS 40

struct shared {
	struct loop *loop;
	pthread_t loop_thread;
	pthread_mutex_t gate; /* the first job waits for it, so that the others queue up */
	int ran[JOBS]; /* worker thread only, until the job is done */
	int n_ran;
	int n_done;
	int stop_at;
};

struct job {
	struct worker_job job;
	struct shared *s;
	int id;
	bool gated;
};

static void
job_run(struct worker_job *wj)
{
	struct job *j = CONTAINER_OF(wj, struct job, job);

	if (j->gated) {
		pthread_mutex_lock(&j->s->gate);
		pthread_mutex_unlock(&j->s->gate);
	}
	if (!pthread_equal(pthread_self(), j->s->loop_thread))
		j->s->ran[j->s->n_ran++] = j->id;
}

static void
job_done(struct worker_job *wj)
{
	struct job *j = CONTAINER_OF(wj, struct job, job);

	assert_true(pthread_equal(pthread_self(), j->s->loop_thread));
	if (++j->s->n_done == j->s->stop_at)
		loop_stop(j->s->loop);
	free(j);
}

static void
submit(struct worker *w, struct shared *s, enum worker_prio prio, int id, bool gated)
{
	struct job *j = xcalloc(1, sizeof *j);

	j->job.run = job_run;
	j->job.done = job_done;
	j->s = s;
	j->id = id;
	j->gated = gated;
	worker_submit(w, prio, &j->job);
}

static void
shared_init(struct shared *s, struct loop *l)
{
	memset(s, 0, sizeof *s);
	s->loop = l;
	s->loop_thread = pthread_self();
	pthread_mutex_init(&s->gate, NULL);
}

/* Normal jobs keep their order, urgent ones go before those that wait and keep theirs. */
static void
test_worker_order(void **state)
{
	struct worker *w;
	struct shared s;
	int i, expect[JOBS], n = 0, urgent = 0;

	shared_init(&s, *state);
	assert_int_equal(worker_new(&w, s.loop), 0);
	s.stop_at = 21;
	pthread_mutex_lock(&s.gate);
	submit(w, &s, WORKER_URGENT, 0, true);
	for (i = 1; i <= 20; i++)
		submit(w, &s, i % 2 ? WORKER_NORMAL : WORKER_URGENT, i, false);
	assert_int_equal(s.n_done, 0);
	pthread_mutex_unlock(&s.gate);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.n_done, 21);
	assert_int_equal(s.n_ran, 21);
	expect[n++] = 0;
	for (urgent = 1; urgent >= 0; urgent--)
		for (i = 1; i <= 20; i++)
			if (i % 2 != urgent)
				expect[n++] = i;
	assert_memory_equal(s.ran, expect, 21 * sizeof *expect);
	worker_free(w);
	pthread_mutex_destroy(&s.gate);
}

/* Ending: whatever was submitted runs, and every done() is called though no loop runs any more. */
static void
test_worker_free_finishes(void **state)
{
	struct worker *w;
	struct shared s;
	int i;

	shared_init(&s, *state);
	assert_int_equal(worker_new(&w, s.loop), 0);
	pthread_mutex_lock(&s.gate);
	for (i = 0; i < 30; i++)
		submit(w, &s, WORKER_NORMAL, i, i == 0);
	pthread_mutex_unlock(&s.gate);
	worker_free(w);
	assert_int_equal(s.n_ran, 30);
	assert_int_equal(s.n_done, 30);
	worker_free(NULL);
	assert_int_equal(worker_new(&w, s.loop), 0);
	worker_free(w); /* without a job */
	pthread_mutex_destroy(&s.gate);
}

/* Who asks while one is under way shares it: were it queued twice, the queue would end in a ring. */
static void
test_worker_trims_once(void **state)
{
	struct worker *w;
	struct shared s;
	int i;

	shared_init(&s, *state);
	assert_int_equal(worker_new(&w, s.loop), 0);
	for (i = 0; i < 3; i++) {
		s.stop_at = 2 * (i + 1);
		pthread_mutex_lock(&s.gate);
		submit(w, &s, WORKER_NORMAL, 0, true);
		worker_trim(w);
		worker_trim(w);
		submit(w, &s, WORKER_NORMAL, 1, false);
		worker_trim(w);
		pthread_mutex_unlock(&s.gate);
		assert_int_equal(loop_run(s.loop), 0);
		assert_int_equal(s.n_ran, 2 * (i + 1));
	}
	worker_trim(w);
	worker_free(w);
	assert_int_equal(s.n_done, 6);
	pthread_mutex_destroy(&s.gate);
}

/* The loop goes on while a job waits on the disk; here, for a gate that a timer opens. */
static void
open_gate(void *arg)
{
	struct shared *s = arg;

	assert_int_equal(s->n_done, 0);
	pthread_mutex_unlock(&s->gate);
}

static void
test_worker_leaves_the_loop_alone(void **state)
{
	struct loop_timer t;
	struct worker *w;
	struct shared s;

	shared_init(&s, *state);
	assert_int_equal(worker_new(&w, s.loop), 0);
	s.stop_at = 1;
	pthread_mutex_lock(&s.gate);
	submit(w, &s, WORKER_NORMAL, 1, true);
	loop_timer_init(&t, s.loop, open_gate, &s);
	loop_timer_start(&t, 10);
	assert_int_equal(loop_run(s.loop), 0);
	assert_int_equal(s.n_done, 1);
	loop_timer_fini(&t);
	worker_free(w);
	pthread_mutex_destroy(&s.gate);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_format_duration),
		cmocka_unit_test(test_sizes_and_numbers),
		cmocka_unit_test(test_times_and_names),
		cmocka_unit_test(masks_what_is_not_printable),
		cmocka_unit_test(test_dns_names),
		cmocka_unit_test(test_buf),
		cmocka_unit_test(test_log),
		cmocka_unit_test_setup_teardown(test_file_read, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(test_file_replace, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(test_file_replace_fails, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(test_file_lock, dir_setup, dir_teardown),
		cmocka_unit_test_setup_teardown(test_later_order, loop_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(
		    test_later_drain_takes_what_was_there, loop_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(test_later_cancel, loop_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(test_later_is_fair, loop_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(test_free_later, loop_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(test_timer, loop_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(test_timer_is_not_early, loop_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(
		    test_timer_after_a_long_callback, loop_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(test_signal, loop_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(test_clocks_and_jitter, loop_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(
		    test_lag_sees_a_blocked_loop, loop_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(
		    test_lag_is_measured_for_who_asks, loop_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(test_worker_order, loop_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(
		    test_worker_free_finishes, loop_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(test_worker_trims_once, loop_setup, loop_teardown),
		cmocka_unit_test_setup_teardown(
		    test_worker_leaves_the_loop_alone, loop_setup, loop_teardown),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
