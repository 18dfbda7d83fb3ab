/*
 * run: what its two streams and its input are, sessions, the end by SIGTERM, what it refuses to run, and what there is not enough
 * of. How a command fares that a check runs is in test_probe.c.
 */
#include "loop_fx.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/run.h"
#include "child_fx.h"

#define PATIENT_MS 10000

/* ---- a system call that can be made to fail besides ---- */

static int fork_errno;

pid_t
fork(void)
{
	if (fork_errno != 0) {
		errno = fork_errno;
		return -1;
	}
	return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
}

/* ---- a nice value below 0, which only root could have ---- */

#define SEEN_AS_0 19 /* what everybody may have */

static bool goes_before;

int
getpriority(__priority_which_t which, id_t who)
{
	return goes_before ? -5 : 20 - (int)syscall(SYS_getpriority, which, who);
}

int
setpriority(__priority_which_t which, id_t who, int nice)
{
	return (int)syscall(SYS_setpriority, which, who, goes_before && nice == 0 ? SEEN_AS_0 : nice);
}

/* ---- a trial ---- */

struct trial {
	struct fx fx;
	struct run *run;
	struct run_job job;
	char *argv[4];
	unsigned ends;
	enum run_how how;
	int code;
	char out[RUN_TEXT_MAX + 1], err[RUN_TEXT_MAX + 1];
	size_t out_len;
	bool free_in_cb, again_in_cb;
	int again;
};

static void
on_end(void *arg, const struct run_end *end)
{
	struct trial *t = arg;
	const char *what;

	t->ends++;
	t->how = end->how;
	t->code = end->code;
	t->out_len = end->out_len;
	snprintf(t->out, sizeof t->out, "%.*s", (int)end->out_len, end->out_len > 0 ? end->out : "");
	snprintf(t->err, sizeof t->err, "%.*s", (int)end->err_len, end->err_len > 0 ? end->err : "");
	if (t->again_in_cb) {
		t->again_in_cb = false;
		t->again = run_start(t->run, &t->job, &what);
	}
	if (t->free_in_cb) {
		run_free(t->run);
		t->run = NULL;
	}
}

static void
trial_init(struct trial *t, const char *script)
{
	static char sh[] = "/bin/sh", c[] = "-c";

	memset(t, 0, sizeof *t);
	fx_init(&t->fx);
	child_fx_clear();
	fork_errno = 0;
	signal(SIGPIPE, SIG_IGN);
	t->argv[0] = sh;
	t->argv[1] = c;
	t->argv[2] = (char *)(uintptr_t)script;
	t->job = (struct run_job){ .argv = t->argv, .timeout_ms = PATIENT_MS };
	run_new(&t->run, t->fx.loop, on_end, t);
}

static void
start(struct trial *t)
{
	const char *what;

	assert_int_equal(run_start(t->run, &t->job, &what), 0);
	assert_int_equal(t->ends, 0); /* nothing from within */
	assert_true(run_is_busy(t->run));
}

static void
ends(struct trial *t, enum run_how how, int code)
{
	AWAIT(&t->fx, t->ends == 1);
	if (t->how != how || t->code != code)
		fail_msg("ended %d %d, not %d %d: %s%s", (int)t->how, t->code, (int)how, code, t->out, t->err);
}

static void
trial_fini(struct trial *t)
{
	run_free(t->run);
	fx_fini(&t->fx);
}

/* ---- streams ---- */

static void
two_streams_or_one(void **state)
{
	struct trial t;

	trial_init(&t, "echo out; echo err >&2; exit 7");
	start(&t);
	ends(&t, RUN_EXITED, 7);
	assert_string_equal(t.out, "out\n");
	assert_string_equal(t.err, "err\n");
	assert_false(run_is_busy(t.run));
	t.job.merge = true;
	t.ends = 0;
	start(&t); /* the same once more */
	ends(&t, RUN_EXITED, 7);
	assert_string_equal(t.out, "out\nerr\n");
	assert_string_equal(t.err, "");
	trial_fini(&t);
	no_children();
}

static void
reads_its_input_and_the_end(void **state)
{
	struct trial t;
	const char *line = "{\"event\":\"service-held\"}\n";

	trial_init(&t, "cat; echo .");
	t.job.input = line;
	t.job.input_len = strlen(line);
	start(&t);
	ends(&t, RUN_EXITED, 0);
	assert_string_equal(t.out, "{\"event\":\"service-held\"}\n.\n");
	/* none */
	t.ends = 0;
	t.job.input = NULL;
	start(&t);
	ends(&t, RUN_EXITED, 0);
	assert_string_equal(t.out, ".\n");
	/* nothing but the end */
	t.ends = 0;
	t.job.input = "";
	t.job.input_len = 0;
	start(&t);
	ends(&t, RUN_EXITED, 0);
	assert_string_equal(t.out, ".\n");
	trial_fini(&t);
}

/* More than a pipe holds: to one that reads, slowly, and to one that does not. */
static void
much_input(void **state)
{
	size_t len = 300000;
	char *big = xcalloc(len, 1);
	struct trial t;

	memset(big, 'x', len);
	trial_init(&t, "sleep 0.1; wc -c");
	t.job.input = big;
	t.job.input_len = len;
	start(&t);
	ends(&t, RUN_EXITED, 0);
	assert_int_equal(atoi(t.out), len);
	trial_fini(&t);

	trial_init(&t, "exit 3");
	t.job.input = big;
	t.job.input_len = len;
	start(&t);
	ends(&t, RUN_EXITED, 3);
	trial_fini(&t);

	/* it closes its stdin and goes on */
	trial_init(&t, "exec <&-; sleep 0.1; echo done");
	t.job.input = big;
	t.job.input_len = len;
	start(&t);
	ends(&t, RUN_EXITED, 0);
	assert_string_equal(t.out, "done\n");
	trial_fini(&t);

	/* it is freed meanwhile */
	trial_init(&t, "sleep 1000");
	t.job.input = big;
	t.job.input_len = len;
	start(&t);
	fx_pass(&t.fx, 20);
	trial_fini(&t);
	free(big);
	no_children();
}

static void
much_output(void **state)
{
	struct trial t;

	trial_init(&t, "head -c 1000000 /dev/zero | tr '\\0' x; head -c 1000000 /dev/zero | tr '\\0' y >&2; exit 2");
	start(&t);
	ends(&t, RUN_EXITED, 2);
	assert_int_equal(strspn(t.out, "x"), RUN_TEXT_MAX);
	assert_int_equal(strspn(t.err, "y"), RUN_TEXT_MAX);
	trial_fini(&t);
	no_children();
}

/* ---- what it finds itself in ---- */

static void
its_surroundings(void **state)
{
	static char path[] = "PATH=/usr/bin:/bin", one[] = "C4D_EVENT=a b";
	char *envp[] = { path, one, NULL };
	struct trial t;

	trial_init(&t, "env | grep -vE '^(PWD|SHLVL|_)=' | sort; set -- $(cat /proc/$$/stat); [ $5 = $$ ] && [ $6 = $$ ] && echo session");
	t.job.envp = envp;
	t.job.session = true;
	start(&t);
	ends(&t, RUN_EXITED, 0);
	assert_string_equal(t.out, "C4D_EVENT=a b\nPATH=/usr/bin:/bin\nsession\n");
	trial_fini(&t);

	trial_init(&t, "echo $MINE; set -- $(cat /proc/$$/stat); [ $5 = $$ ] && [ $6 != $$ ] && echo group; "
	    "for l in Blk Ign; do echo $((0x$(grep Sig$l /proc/$$/status | tail -c 9) & 0x7fffffff)); done; ls /proc/self/fd");
	assert_int_equal(setenv("MINE", "ours", 1), 0);
	start(&t);
	ends(&t, RUN_EXITED, 0);
	assert_string_equal(t.out, "ours\ngroup\n0\n0\n0\n1\n2\n3\n"); /* 3 is that of ls itself */
	trial_fini(&t);
}

static void
does_not_go_before_others(void **state)
{
	struct trial t;
	char own[16];
	int nice = getpriority(PRIO_PROCESS, 0);

	trial_init(&t, "nice");
	snprintf(own, sizeof own, "%d\n", nice > 0 ? nice : 0);
	start(&t);
	ends(&t, RUN_EXITED, 0);
	assert_string_equal(t.out, own); /* that is left alone */
	t.ends = 0;
	goes_before = true;
	start(&t);
	goes_before = false;
	ends(&t, RUN_EXITED, 0);
	assert_string_equal(t.out, "19\n");
	trial_fini(&t);
}

static void
cannot_be_executed(void **state)
{
	static char nowhere[] = "/nonexistent/notify", passwd[] = "/etc/passwd";
	struct trial t;

	trial_init(&t, "");
	t.argv[0] = nowhere;
	start(&t);
	ends(&t, RUN_NOT_RUN, ENOENT);
	t.ends = 0;
	t.argv[0] = passwd;
	start(&t);
	ends(&t, RUN_NOT_RUN, EACCES);
	trial_fini(&t);
	no_children();
}

static void
what_everybody_may_write_to(void **state)
{
	char path[] = "/tmp/c4d-run-XXXXXX";
	const char text[] = "#!/bin/sh\nexit 5\n";
	struct trial t;
	int fd = mkstemp(path);

	assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
	assert_int_equal(fchmod(fd, 0757), 0);
	close(fd);
	trial_init(&t, "");
	t.argv[0] = path;
	t.argv[1] = NULL;
	start(&t); /* a check's */
	ends(&t, RUN_EXITED, 5);
	t.ends = 0;
	t.job.safe = true;
	start(&t);
	ends(&t, RUN_NOT_RUN, EPERM);
	assert_int_equal(chmod(path, 0755), 0);
	t.ends = 0;
	start(&t);
	ends(&t, RUN_EXITED, 5);
	trial_fini(&t);
	unlink(path);
}

/* ---- its end ---- */

static void
ended_by_a_signal(void **state)
{
	struct trial t;

	trial_init(&t, "kill -TERM $$");
	start(&t);
	ends(&t, RUN_SIGNAL, SIGTERM);
	trial_fini(&t);
}

/* It obeys SIGTERM, and may say so; what it leaves of its group, deaf, does not stay. */
static void
told_to_end(void **state)
{
	struct trial t;
	int child;

	trial_init(&t, "trap 'echo bye; exit 0' TERM; (trap '' TERM; exec sleep 1000) & echo $!; wait");
	t.job.timeout_ms = 200;
	t.job.grace_ms = PATIENT_MS;
	t.job.session = true;
	start(&t);
	ends(&t, RUN_LATE, 0);
	child = atoi(t.out);
	assert_true(child > 1);
	ASSERT_SAYS(t.out, "bye\n");
	assert_false(run_is_busy(t.run));
	AWAIT(&t.fx, is_gone(child));
	trial_fini(&t);
	no_children();
}

static void
does_not_obey(void **state)
{
	struct trial t;
	const char *what;
	int a = 0, b = 0;

	trial_init(&t, "trap 'echo deaf' TERM INT HUP; sleep 1000 & echo $$ $!; while :; do wait; sleep 1000; done");
	t.job.timeout_ms = 200;
	t.job.grace_ms = 200;
	start(&t);
	assert_int_equal(run_start(t.run, &t.job, &what), -EALREADY);
	ends(&t, RUN_LATE, 0);
	assert_int_equal(sscanf(t.out, "%d %d", &a, &b), 2);
	assert_true(a > 1 && b > 1);
	AWAIT(&t.fx, !run_is_busy(t.run));
	AWAIT(&t.fx, is_gone(a) && is_gone(b));
	assert_int_equal(t.ends, 1);
	trial_fini(&t);
	no_children();
}

/* It waits for a disk, as it seems: nothing else is begun, also when it is asked from within the callback. */
static void
does_not_die(void **state)
{
	struct trial t;
	const char *what;

	trial_init(&t, "sleep 1000");
	t.job.timeout_ms = 100;
	t.again_in_cb = true;
	start(&t);
	blind = true;
	ends(&t, RUN_LATE, 0);
	assert_int_equal(t.again, -EBUSY);
	assert_true(run_is_busy(t.run));
	fx_pass(&t.fx, 50);
	assert_int_equal(run_start(t.run, &t.job, &what), -EBUSY);
	run_free(t.run); /* it is somebody else's to bury, */
	blind = false;
	run_new(&t.run, t.fx.loop, on_end, &t);
	t.argv[2] = (char *)(uintptr_t)"exit 0";
	t.ends = 0;
	start(&t);
	ends(&t, RUN_EXITED, 0); /* who does when the next one ends */
	no_children();
	trial_fini(&t);
}

static void
the_next_from_within_the_callback(void **state)
{
	struct trial t;

	trial_init(&t, "echo hello");
	t.again_in_cb = true;
	start(&t);
	AWAIT(&t.fx, t.ends == 2);
	assert_int_equal(t.again, 0);
	assert_string_equal(t.out, "hello\n");
	trial_fini(&t);
	no_children();
}

static void
freed(void **state)
{
	struct trial t;
	unsigned fds;

	trial_init(&t, "exit 0");
	fds = open_fds();
	t.free_in_cb = true;
	start(&t);
	ends(&t, RUN_EXITED, 0);
	assert_int_equal(open_fds(), fds);
	trial_fini(&t);
	no_children();

	trial_init(&t, "sleep 1000");
	fds = open_fds();
	t.job.timeout_ms = 50;
	t.free_in_cb = true; /* by one that was killed this moment */
	start(&t);
	ends(&t, RUN_LATE, 0);
	assert_int_equal(open_fds(), fds);
	trial_fini(&t);
	no_children();

	trial_init(&t, "trap '' TERM; sleep 1000");
	t.job.input = "x";
	t.job.input_len = 1;
	t.job.session = true;
	start(&t); /* and at once: its session has not begun */
	trial_fini(&t);
	no_children();
	run_free(NULL);
}

static void
not_enough(void **state)
{
	struct trial t;
	const char *what;
	unsigned fds;
	int i;

	trial_init(&t, "exit 0");
	fds = open_fds();
	t.job.input = "x";
	t.job.input_len = 1;
	for (i = 0; i < 4; i++) {
		pipe_errno = EMFILE;
		pipe_after = i;
		assert_int_equal(run_start(t.run, &t.job, &what), -EMFILE);
		assert_string_equal(what, "pipe");
		assert_int_equal(open_fds(), fds);
	}
	pipe_errno = 0;
	fork_errno = EAGAIN;
	assert_int_equal(run_start(t.run, &t.job, &what), -EAGAIN);
	assert_string_equal(what, "fork");
	fork_errno = 0;
	pidfd_errno = EPERM;
	assert_int_equal(run_start(t.run, &t.job, &what), -EPERM);
	assert_string_equal(what, "pidfd_open");
	pidfd_errno = 0;
	assert_int_equal(open_fds(), fds);
	assert_false(run_is_busy(t.run));
	no_children();
	start(&t); /* and then it works */
	ends(&t, RUN_EXITED, 0);
	trial_fini(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_streams_or_one),
		cmocka_unit_test(reads_its_input_and_the_end),
		cmocka_unit_test(much_input),
		cmocka_unit_test(much_output),
		cmocka_unit_test(its_surroundings),
		cmocka_unit_test(does_not_go_before_others),
		cmocka_unit_test(cannot_be_executed),
		cmocka_unit_test(what_everybody_may_write_to),
		cmocka_unit_test(ended_by_a_signal),
		cmocka_unit_test(told_to_end),
		cmocka_unit_test(does_not_obey),
		cmocka_unit_test(does_not_die),
		cmocka_unit_test(the_next_from_within_the_callback),
		cmocka_unit_test(freed),
		cmocka_unit_test(not_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
