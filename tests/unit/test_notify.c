/* notify: what arrives at the service manager's socket; and the headline that is its line of
 * status. */
#include "loop_fx.h"

#include <stddef.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/jsonx.h"
#include "base/notify.h"
#include "control/headline.h"

/* ---- a manager ---- */

static char dir[] = "/tmp/test_notify.XXXXXX";
static int manager = -1;
static struct buf heard; /* every datagram, one behind the other */
static int full; /* so many sends are refused yet: the manager's queue is full */
static int sends;

ssize_t
sendto(int fd, const void *data, size_t len, int flags, __CONST_SOCKADDR_ARG to, socklen_t to_len)
{
	struct msghdr m = { .msg_name = (void *)(uintptr_t)to.__sockaddr__, .msg_namelen = to_len };
	struct iovec v = { (void *)(uintptr_t)data, len };

	sends++;
	assert_true(flags & MSG_DONTWAIT); /* the loop never waits for the manager */
	if (full > 0) {
		full--;
		errno = EAGAIN;
		return -1;
	}
	m.msg_iov = &v;
	m.msg_iovlen = 1;
	return sendmsg(fd, &m, flags);
}

static bool
hears(const char *part)
{
	char text[1024];
	ssize_t n;

	while ((n = recv(manager, text, sizeof text, MSG_DONTWAIT)) > 0)
		buf_add(&heard, text, (size_t)n);
	return heard.s != NULL && strstr(heard.s, part) != NULL;
}

static void
forget(void)
{
	(void)hears("");
	buf_free(&heard);
}

static void
listen_at(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t len = strlen(path);

	memcpy(sun.sun_path, path, len);
	if (path[0] == '@')
		sun.sun_path[0] = '\0';
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(manager, (struct sockaddr *)&sun,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
	    0);
	assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
}

static void
manage(void)
{
	char path[64];

	snprintf(path, sizeof path, "%s/notify", dir);
	(void)unlink(path);
	listen_at(path);
}

static void
begin(struct fx *fx)
{
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	unsetenv("RUNTIME_DIRECTORY");
	full = sends = 0;
	fx_init(fx);
}

static void
end(struct fx *fx)
{
	if (manager >= 0)
		close(manager);
	manager = -1;
	buf_free(&heard);
	fx_fini(fx);
}

/* ---- the tests ---- */

static void
test_nobody(void **state)
{
	struct notify *n;
	struct fx fx;

	begin(&fx);
	setenv("WATCHDOG_USEC", "2000", 1); /* without a socket: of nobody */
	assert_int_equal(notify_new(&n, fx.loop), 0);
	assert_false(notify_is_on(n));
	assert_false(notify_is_restart(n));
	notify_ready(n);
	notify_status(n, "x");
	notify_stopping(n);
	fx_pass(&fx, 20);
	assert_int_equal(sends, 0);
	notify_free(n);
	notify_free(NULL);

	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(notify_new(&n, fx.loop), 0);
	assert_false(notify_is_on(n));
	ASSERT_SAYS(fx.log.s,
	    "c4d: the service manager can't be told: NOTIFY_SOCKET relative: Invalid argument");
	notify_free(n);
	end(&fx);
}

static void
test_words(void **state)
{
	struct notify *n;
	struct fx fx;
	long long at, before;

	begin(&fx);
	manage();
	assert_int_equal(notify_new(&n, fx.loop), 0);
	assert_true(notify_is_on(n));
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_false(hears("READY"));
	notify_ready(n);
	assert_true(hears(""));
	assert_string_equal(heard.s, "READY=1\n");
	forget();

	before = loop_now_us(fx.loop);
	notify_reloading(n);
	assert_true(hears("RELOADING=1\nMONOTONIC_USEC="));
	at = atoll(strstr(heard.s, "USEC=") + 5);
	assert_true(at >= before && at <= loop_now_us(fx.loop));
	forget();
	notify_ready(n);
	assert_true(hears("READY=1\n"));
	forget();

	notify_status(n, "generation 17, all is well");
	assert_true(hears(""));
	assert_string_equal(heard.s, "STATUS=generation 17, all is well\n");
	forget();
	notify_status(n, "generation 17, all is well"); /* the same: nothing is said */
	assert_false(hears("STATUS"));
	notify_status(n, "two\nlines, \xc3\xa4");
	assert_true(hears("STATUS=two lines, ??\n"));
	forget();
	notify_free(n);
	end(&fx);
}

static void
test_long_status(void **state)
{
	char line[2000];
	struct notify *n;
	struct fx fx;

	begin(&fx);
	manage();
	assert_int_equal(notify_new(&n, fx.loop), 0);
	memset(line, 'x', sizeof line - 1);
	line[sizeof line - 1] = '\0';
	notify_status(n, line);
	assert_true(hears("STATUS=xxx"));
	assert_int_equal(heard.len, strlen("STATUS=") + 399 + 1);
	notify_free(n);
	end(&fx);
}

/* A manager that is busy: the newest state, in one datagram, and no stale word. */
static void
test_busy(void **state)
{
	struct notify *n;
	struct fx fx;

	begin(&fx);
	manage();
	assert_int_equal(notify_new(&n, fx.loop), 0);
	full = 4;
	notify_ready(n);
	notify_status(n, "one");
	notify_reloading(n);
	notify_status(n, "two");
	assert_false(hears("="));
	AWAIT(&fx, hears("STATUS"));
	ASSERT_SAYS(heard.s, "RELOADING=1\n");
	ASSERT_SAYS(heard.s, "STATUS=two\n");
	assert_null(strstr(heard.s, "READY=1"));
	assert_string_equal(fx.log.s, ""); /* nothing to worry about */
	forget();
	full = 1;
	notify_reloading(n);
	notify_ready(n);
	assert_true(hears("READY=1\n"));
	assert_null(strstr(heard.s, "RELOADING"));
	notify_free(n);
	end(&fx);
}

/* A manager that is gone (its socket was removed): said once, and tried again. */
static void
test_gone(void **state)
{
	struct notify *n;
	struct fx fx;

	begin(&fx);
	manage();
	assert_int_equal(notify_new(&n, fx.loop), 0);
	close(manager);
	manager = -1;
	notify_ready(n);
	AWAIT(&fx, sends >= 3);
	assert_int_equal(fx_lines(&fx), 1);
	ASSERT_SAYS(
	    fx.log.s, "c4d: the service manager can't be told (NOTIFY_SOCKET /tmp/test_notify.");
	ASSERT_SAYS(fx.log.s, "Connection refused");
	manage(); /* back */
	AWAIT(&fx, hears("READY=1\n"));
	notify_free(n);
	end(&fx);
}

static void
test_abstract(void **state)
{
	struct notify *n;
	struct fx fx;
	char name[64];

	begin(&fx);
	snprintf(name, sizeof name, "@test_notify.%ld", (long)getpid());
	listen_at(name);
	assert_int_equal(notify_new(&n, fx.loop), 0);
	notify_ready(n);
	assert_true(hears("READY=1\n"));
	notify_free(n);
	end(&fx);
}

static void
test_watchdog(void **state)
{
	struct notify *n;
	struct fx fx;
	char pid[16];
	int64_t before;
	int k;

	begin(&fx);
	manage();
	setenv("WATCHDOG_USEC", "60000", 1);
	snprintf(pid, sizeof pid, "%ld", (long)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	before = loop_now_ms(fx.loop);
	assert_int_equal(notify_new(&n, fx.loop), 0);
	assert_null(getenv("WATCHDOG_USEC"));
	assert_null(getenv("WATCHDOG_PID"));
	assert_true(hears("WATCHDOG=1\n")); /* at once, */
	for (k = 0; k < 3; k++) {
		forget();
		AWAIT(&fx, hears("WATCHDOG=1\n"));
	}
	assert_true(loop_now_ms(fx.loop) - before >= 90); /* and at half of the time */
	notify_free(n);

	setenv("WATCHDOG_USEC", "2000", 1);
	setenv("WATCHDOG_PID", "1", 1); /* another's */
	setenv("NOTIFY_SOCKET", "/nonexistent/socket", 1);
	sends = 0;
	assert_int_equal(notify_new(&n, fx.loop), 0);
	fx_pass(&fx, 20);
	assert_int_equal(sends, 0);
	notify_free(n);
	end(&fx);
}

static void
test_stopping(void **state)
{
	struct notify *n;
	struct fx fx;

	begin(&fx);
	manage();
	assert_int_equal(notify_new(&n, fx.loop), 0);
	notify_stopping(n);
	assert_true(hears("STOPPING=1\nEXTEND_TIMEOUT_USEC=20000000\n"));
	forget();
	AWAIT(&fx, hears("EXTEND_TIMEOUT_USEC=20000000\n")); /* a drain takes its time */
	notify_free(n);
	end(&fx);
}

static void
test_restart(void **state)
{
	struct notify *n;
	struct fx fx;
	char path[64], both[96];

	begin(&fx);
	snprintf(path, sizeof path, "%s/" NOTIFY_RESTART, dir);
	snprintf(both, sizeof both, "%s:/nonexistent", dir);
	setenv("RUNTIME_DIRECTORY", both, 1);
	assert_int_equal(mkdir(path, 0700), 0); /* a leftover */
	assert_int_equal(notify_new(&n, fx.loop), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_false(notify_is_restart(n));
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(notify_is_restart(n));
	assert_int_equal(rmdir(path), 0);
	notify_free(n);
	end(&fx);
}

/* ---- the line ---- */

static void
line_is(const char *status, const char *want)
{
	json_t *o = json_loads(status, 0, NULL);
	char *got;

	assert_non_null(o);
	got = headline_new(o);
	assert_string_equal(got, want);
	free(got);
	json_decref(o);
}

static void
test_headline(void **state)
{
	line_is("{\"generation\": 17, \"services\": {\"count\": 3}, \"targets\": {\"converged\": "
		"2, \"window\": 1, \"failed\": 0},"
		"\"problems\": []}",
	    "generation 17, 3 services, 2 of 3 targets converged, all is well");
	line_is("{\"generation\": 1, \"services\": {\"count\": 1}, \"targets\": {\"converged\": "
		"0}, \"problems\": [{\"problem\": \"p\"}]}",
	    "generation 1, 1 service, 1 problem: p");
	line_is("{\"generation\": 0, \"services\": {\"count\": 0}, \"targets\": {}, \"problems\": "
		"[{\"problem\": \"p\"}, {\"problem\": \"q\"}]}",
	    "generation 0, 0 services, 2 problems: p");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_long_status),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_gone),
		cmocka_unit_test(test_abstract),
		cmocka_unit_test(test_watchdog),
		cmocka_unit_test(test_stopping),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_headline),
	};
	char path[64];
	int rc;

	if (mkdtemp(dir) == NULL)
		return 1;
	rc = cmocka_run_group_tests_name("notify", tests, NULL, NULL);
	snprintf(path, sizeof path, "%s/notify", dir);
	(void)unlink(path);
	(void)rmdir(dir);
	return rc;
}
