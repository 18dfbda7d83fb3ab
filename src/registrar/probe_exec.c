/*
 * exec: a command of the operator's. It is forked and not spawned, since a spawn keeps its caller until the program's file was
 * read, which may be on a disk that hangs; the loop waits for none. Between fork and exec there are only calls that a signal
 * handler may make: the worker may hold malloc's lock in the moment of the fork.
 *
 * Its end is seen by a pidfd. It is waited for by its pid alone: nobody else in c4d waits for children.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "registrar/probe_int.h"

#define READ_BYTES 4096
#define READS_PER_TURN 16
#define DEATH_MS 100 /* one that was killed is gone within this, or waits for a disk */
#define FIRST_FREE_FD 3

struct exec_probe {
	struct loop *loop;
	struct probe *probe;
	char **argv;
	int64_t timeout_ms;

	pid_t pid;   /* 0: none; else it was not waited for yet */
	int pidfd;   /* -1: none */
	int out;     /* what it says; -1: none */
	int failure; /* the errno of what was before its exec, by a pipe that the exec closes; -1: none */
	struct loop_io end_io, out_io;
	struct loop_timer timer;
	bool asking; /* false while it runs: it was killed, and is not dead yet */
	char said[PROBE_OUTPUT_MAX];
	size_t n_said;
};

/* Killed and not dead when their probe was freed; looked after whenever another command ends. */
static struct {
	pid_t *v;
	size_t n, cap;
} undead;

static void
reap_undead(void)
{
	size_t i, n = 0;

	for (i = 0; i < undead.n; i++)
		if (waitpid(undead.v[i], NULL, WNOHANG) == 0)
			undead.v[n++] = undead.v[i];
	undead.n = n;
	if (n == 0) {
		free(undead.v);
		memset(&undead, 0, sizeof undead);
	}
}

/* ---- the child, up to its exec ---- */

/* Not below what becomes stdin, stdout and stderr. */
static int
lift(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FREE_FD);
}

static int
become(char **argv, int out)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t none;
	int null, signo;

	(void)setpgid(0, 0);
	/* c4d ignores some signals, and what is ignored stays so. */
	for (signo = 1; signo < NSIG; signo++)
		(void)sigaction(signo, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	null = open("/dev/null", O_RDONLY);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(out, STDERR_FILENO) < 0)
		return errno;
	/* All of c4d's are so already; of a library's not everybody can know. */
	(void)close_range(FIRST_FREE_FD, ~0U, CLOSE_RANGE_CLOEXEC);
	execv(argv[0], argv);
	return errno;
}

static void __attribute__((noreturn))
child(char **argv, int out, int failure)
{
	int err;

	out = lift(out);
	failure = lift(failure);
	err = out < 0 ? EMFILE : become(argv, out);
	(void)!write(failure, &err, sizeof err);
	_exit(127);
}

/* ---- its birth and its death ---- */

static void
close_fd(struct loop_io *io, int *fd)
{
	if (*fd < 0)
		return;
	if (io != NULL)
		loop_io_fini(io);
	close(*fd);
	*fd = -1;
}

static void
close_pipes(struct exec_probe *e)
{
	close_fd(&e->out_io, &e->out);
	close_fd(NULL, &e->failure);
}

/* Both ends close at an exec. Only ours does not wait: the other is the command's, which would be surprised. */
static int
make_pipe(int fds[2])
{
	if (pipe2(fds, O_CLOEXEC) != 0)
		return errno;
	(void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
	return 0;
}

static int
fork_command(struct exec_probe *e)
{
	int out[2], failure[2], err;
	sigset_t all, was;

	err = make_pipe(out);
	if (err != 0)
		return err;
	err = make_pipe(failure);
	if (err != 0) {
		close(out[0]);
		close(out[1]);
		return err;
	}
	/* None of our handlers may run in the child. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	e->pid = fork();
	if (e->pid == 0)
		child(e->argv, out[1], failure[1]);
	err = e->pid < 0 ? errno : 0;
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	close(out[1]);
	close(failure[1]);
	e->out = out[0];
	e->failure = failure[0];
	if (err != 0) {
		e->pid = 0;
		close_pipes(e);
		return err;
	}
	(void)setpgid(e->pid, e->pid); /* whoever of us comes first: it must be there before a kill */
	return 0;
}

static void
kill_all(const struct exec_probe *e)
{
	(void)kill(-e->pid, SIGKILL);
}

/* False: it is not dead. */
static bool
reap(struct exec_probe *e, int *status)
{
	pid_t pid = waitpid(e->pid, status, WNOHANG);

	if (pid == 0 || (pid < 0 && errno == EINTR))
		return false;
	e->pid = 0;
	close_fd(&e->end_io, &e->pidfd);
	reap_undead();
	return true;
}

/* ---- what it says ---- */

/* False: that is all for now. */
static bool
read_some(struct exec_probe *e)
{
	char more[READ_BYTES];
	ssize_t n = read(e->out, more, sizeof more);
	size_t room = sizeof e->said - e->n_said;

	if (n < 0 && errno == EINTR)
		return true;
	if (n == 0)
		close_fd(&e->out_io, &e->out);
	if (n <= 0)
		return false;
	if ((size_t)n < room)
		room = (size_t)n;
	memcpy(e->said + e->n_said, more, room);
	e->n_said += room; /* the rest is read and dropped, so that the command can end */
	return true;
}

static void
on_out(void *arg, int fd, int what)
{
	unsigned turn = 0;

	while (turn++ < READS_PER_TURN && read_some(arg))
		;
}

/* ---- results ---- */

/* `text` and what it said. */
static void
say(struct exec_probe *e, const char *text)
{
	struct buf b = { 0 };

	e->asking = false;
	loop_timer_stop(&e->timer);
	buf_puts(&b, text);
	if (e->n_said > 0) {
		buf_puts(&b, b.len > 0 ? "; it said:\n" : "");
		buf_add(&b, e->said, e->n_said);
	}
	probe_done(e->probe, AGENT_CRITICAL, b.s, b.len);
	buf_free(&b);
}

static void
say_exit(struct exec_probe *e, int code)
{
	enum agent_status status = code == 0 ? AGENT_PASSING : code == 1 ? AGENT_WARNING : AGENT_CRITICAL;

	e->asking = false;
	loop_timer_stop(&e->timer);
	if (code == 0 || e->n_said == 0)
		probe_say(e->probe, status, "%s: exit status %d", e->argv[0], code);
	else
		probe_done(e->probe, status, e->said, e->n_said);
}

static void
say_end(struct exec_probe *e, int status)
{
	char text[512];

	if (WIFEXITED(status)) {
		say_exit(e, WEXITSTATUS(status));
		return;
	}
	snprintf(text, sizeof text, "%s: ended by signal %d (%s)", e->argv[0], WTERMSIG(status), strsignal(WTERMSIG(status)));
	say(e, text);
}

static void
say_not_run(struct exec_probe *e, int err)
{
	const char *hint = err == ENOENT || err == EACCES ? " (can c4d's user run it? of a script, its first line too)" : "";
	char text[512];

	e->n_said = 0;
	snprintf(text, sizeof text, "cannot run %s: %s%s", e->argv[0], strerror(err), hint);
	say(e, text);
}

static void
on_end(void *arg, int fd, int what)
{
	struct exec_probe *e = arg;
	int status = 0, err = 0;
	bool failed;

	if (!reap(e, &status))
		return;
	failed = e->failure >= 0 && read(e->failure, &err, sizeof err) == (ssize_t)sizeof err;
	if (e->out >= 0)
		on_out(e, e->out, LOOP_READ);
	close_pipes(e);
	if (!e->asking)
		return; /* what was killed */
	if (failed)
		say_not_run(e, err);
	else
		say_end(e, status);
}

/* Also of what it started, unless that made itself a group of its own. */
static void
on_timer(void *arg)
{
	struct exec_probe *e = arg;
	char text[512], limit[32];

	kill_all(e);
	close_pipes(e);
	text_format_duration(e->timeout_ms, limit, sizeof limit);
	snprintf(text, sizeof text, "%s: killed: it had not ended within %s", e->argv[0], limit);
	say(e, text);
}

/* ---- asking ---- */

static void
ask(void *arg)
{
	struct exec_probe *e = arg;
	char text[160];
	int err;

	e->asking = true;
	e->n_said = 0;
	if (e->pid != 0) {
		say(e, "the command was killed and is not dead yet: does it wait for a disk?");
		return;
	}
	err = fork_command(e);
	if (err != 0) {
		say_not_run(e, err);
		return;
	}
	e->pidfd = pidfd_open(e->pid, 0);
	if (e->pidfd < 0) { /* an old kernel's, or a container's that forbids it */
		snprintf(text, sizeof text, "cannot watch a command: pidfd_open: %s (a seccomp filter about c4d?)", strerror(errno));
		kill_all(e);
		(void)waitpid(e->pid, NULL, 0);
		e->pid = 0;
		close_pipes(e);
		say(e, text);
		return;
	}
	loop_io_init(&e->end_io, e->loop, e->pidfd, on_end, e);
	loop_io_want(&e->end_io, LOOP_READ);
	loop_io_init(&e->out_io, e->loop, e->out, on_out, e);
	loop_io_want(&e->out_io, LOOP_READ);
	loop_timer_start(&e->timer, e->timeout_ms);
}

/* ---- life ---- */

static void
bury(struct exec_probe *e)
{
	struct pollfd end = { .fd = e->pidfd, .events = POLLIN };
	int status;

	kill_all(e);
	(void)poll(&end, 1, DEATH_MS);
	if (reap(e, &status))
		return;
	close_fd(&e->end_io, &e->pidfd);
	undead.v = xgrow(undead.v, undead.n, &undead.cap, sizeof *undead.v);
	undead.v[undead.n++] = e->pid;
}

static void
exec_probe_free(void *arg)
{
	struct exec_probe *e = arg;
	char **p;

	if (e->pid != 0)
		bury(e);
	close_pipes(e);
	loop_timer_fini(&e->timer);
	for (p = e->argv; *p != NULL; p++)
		free(*p);
	free(e->argv);
	free(e);
}

static int
make(void **out, const struct probe_seat *seat)
{
	const struct strlist *command = seat->aim->command;
	struct exec_probe *e;
	size_t i;

	if (command == NULL || command->n == 0 || command->v[0][0] != '/') {
		snprintf(seat->why, seat->size, "command: needs a program's absolute path, and its arguments");
		return -EINVAL;
	}
	e = xcalloc(1, sizeof *e);
	e->loop = seat->loop;
	e->probe = seat->probe;
	e->timeout_ms = seat->c->timeout_ms;
	e->pidfd = e->out = e->failure = -1;
	e->argv = xcalloc(command->n + 1, sizeof *e->argv);
	for (i = 0; i < command->n; i++)
		e->argv[i] = xstrdup(command->v[i]);
	loop_timer_init(&e->timer, seat->loop, on_timer, e);
	*out = e;
	return 0;
}

const struct probe_kind probe_exec = { make, ask, exec_probe_free };
