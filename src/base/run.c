/*
 * Between fork and exec there are only calls that a signal handler may make: the worker may hold malloc's lock in the moment of the
 * fork. A command's end is seen by a pidfd. It is waited for by its pid alone: nobody else in c4d waits for children.
 */
#include "base/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"

#define READ_BYTES 4096
#define READS_PER_TURN 16
#define DEATH_MS 100 /* one that was killed is gone within this, or waits for a disk */
#define FIRST_FREE_FD 3

/* FAILURE: the errno of what was before its exec, by a pipe that the exec closes. */
enum { P_IN, P_OUT, P_ERR, P_FAILURE, PIPES };

struct stream {
	int fd; /* -1: none */
	struct loop_io io;
	struct buf text;
};

struct run {
	struct loop *loop;
	run_cb *cb;
	void *arg;
	pid_t pid; /* 0: none; else it was not waited for yet */
	int pidfd; /* -1: none */
	struct loop_io end_io;
	struct stream in, out, err;
	size_t sent; /* of in.text */
	int failure; /* -1: none */
	struct loop_timer timer;
	int64_t grace_ms;
	bool telling; /* false while there is a pid: it was killed, and is not dead yet */
	bool late;    /* it was told to end */
};

/* Killed and not dead when their run was freed; looked after whenever another command ends. */
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
become(const struct run_job *job, int in, int out, int err)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	struct stat st;
	sigset_t none;
	int signo;

	(void)(job->session ? setsid() : setpgid(0, 0));
	/* That c4d goes before others is for calls. */
	if (getpriority(PRIO_PROCESS, 0) < 0)
		(void)setpriority(PRIO_PROCESS, 0, 0);
	/* c4d ignores some signals, and what is ignored stays so. */
	for (signo = 1; signo < NSIG; signo++)
		(void)sigaction(signo, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (job->input == NULL)
		in = open("/dev/null", O_RDONLY);
	if (in < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(job->merge ? out : err, STDERR_FILENO) < 0)
		return errno;
	/* All of c4d's are so already; of a library's not everybody can know. */
	(void)close_range(FIRST_FREE_FD, ~0U, CLOSE_RANGE_CLOEXEC);
	if (job->safe && stat(job->argv[0], &st) == 0 && (st.st_mode & S_IWOTH))
		return EPERM;
	execve(job->argv[0], job->argv, job->envp != NULL ? job->envp : environ);
	return errno;
}

/* `fds`: the ends that are its own; -1: not used. */
static void __attribute__((noreturn))
child(const struct run_job *job, int fds[PIPES])
{
	int i, err = 0;

	for (i = 0; i < PIPES; i++)
		if (fds[i] >= 0 && (fds[i] = lift(fds[i])) < 0)
			err = EMFILE;
	if (err == 0)
		err = become(job, fds[P_IN], fds[P_OUT], fds[P_ERR]);
	(void)!write(fds[P_FAILURE], &err, sizeof err);
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
close_pipes(struct run *r)
{
	close_fd(&r->in.io, &r->in.fd);
	close_fd(&r->out.io, &r->out.fd);
	close_fd(&r->err.io, &r->err.fd);
	close_fd(NULL, &r->failure);
}

static void
close_ends(int fds[PIPES])
{
	int i;

	for (i = 0; i < PIPES; i++)
		close_fd(NULL, &fds[i]);
}

/* All ends close at an exec. Only ours do not wait: the others are the command's, which would be surprised. */
static int
make_pipes(const struct run_job *job, int ours[PIPES], int its[PIPES])
{
	int i, fds[2];

	for (i = 0; i < PIPES; i++)
		ours[i] = its[i] = -1;
	for (i = 0; i < PIPES; i++) {
		if ((i == P_IN && job->input == NULL) || (i == P_ERR && job->merge))
			continue;
		if (pipe2(fds, O_CLOEXEC) != 0)
			return -errno;
		ours[i] = fds[i == P_IN];
		its[i] = fds[i != P_IN];
		(void)fcntl(ours[i], F_SETFL, O_NONBLOCK);
	}
	return 0;
}

static int
fork_command(struct run *r, const struct run_job *job, const char **what)
{
	int ours[PIPES], its[PIPES], err;
	sigset_t all, was;

	*what = "pipe";
	err = make_pipes(job, ours, its);
	if (err == 0) {
		*what = "fork";
		/* None of our handlers may run in the child. */
		sigfillset(&all);
		pthread_sigmask(SIG_SETMASK, &all, &was);
		r->pid = fork();
		if (r->pid == 0)
			child(job, its);
		err = r->pid < 0 ? -errno : 0;
		pthread_sigmask(SIG_SETMASK, &was, NULL);
	}
	close_ends(its);
	if (err != 0) {
		r->pid = 0;
		close_ends(ours);
		return err;
	}
	if (!job->session) /* a leader of its group could not begin a session */
		(void)setpgid(r->pid, r->pid); /* whoever of us comes first: it must be there before a kill */
	r->in.fd = ours[P_IN];
	r->out.fd = ours[P_OUT];
	r->err.fd = ours[P_ERR];
	r->failure = ours[P_FAILURE];
	return 0;
}

/* Of one that has not begun its session yet there is no group, nor anything but itself. */
static void
kill_all(const struct run *r, int signo)
{
	if (kill(-r->pid, signo) != 0)
		(void)kill(r->pid, signo);
}

/* False: it is not dead. */
static bool
reap(struct run *r, int *status)
{
	pid_t pid = waitpid(r->pid, status, WNOHANG);

	if (pid == 0 || (pid < 0 && errno == EINTR))
		return false;
	r->pid = 0;
	close_fd(&r->end_io, &r->pidfd);
	reap_undead();
	return true;
}

/* ---- what it reads and says ---- */

static void
on_in(void *arg, int fd, int what)
{
	struct run *r = arg;
	ssize_t n;

	while (r->sent < r->in.text.len) {
		n = write(r->in.fd, r->in.text.s + r->sent, r->in.text.len - r->sent);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) /* it does not want to know */
			break;
		r->sent += (size_t)n;
	}
	close_fd(&r->in.io, &r->in.fd);
}

/* False: that is all for now. */
static bool
read_some(struct stream *s)
{
	char more[READ_BYTES];
	ssize_t n = read(s->fd, more, sizeof more);
	size_t room = RUN_TEXT_MAX - s->text.len;

	if (n < 0 && errno == EINTR)
		return true;
	if (n == 0)
		close_fd(&s->io, &s->fd);
	if (n <= 0)
		return false;
	buf_add(&s->text, more, (size_t)n < room ? (size_t)n : room);
	return true;
}

static void
on_said(void *arg, int fd, int what)
{
	unsigned turn = 0;

	while (turn++ < READS_PER_TURN && read_some(arg))
		;
}

static void
listen_to(struct run *r, struct stream *s)
{
	if (s->fd < 0)
		return;
	loop_io_init(&s->io, r->loop, s->fd, on_said, s);
	loop_io_want(&s->io, LOOP_READ);
}

/* ---- results ---- */

/* The last word: the run may be freed by it. */
static void
tell(struct run *r, enum run_how how, int code)
{
	const struct run_end end = { how, code, r->out.text.s, r->err.text.s, r->out.text.len, r->err.text.len };

	r->telling = false;
	loop_timer_stop(&r->timer);
	r->cb(r->arg, &end);
}

static void
on_end(void *arg, int fd, int what)
{
	struct run *r = arg;
	int status = 0, err = 0;
	bool failed;

	if (r->late) /* while its pid is nobody else's: what is left of its group */
		kill_all(r, SIGKILL);
	if (!reap(r, &status))
		return;
	failed = r->failure >= 0 && read(r->failure, &err, sizeof err) == (ssize_t)sizeof err;
	if (r->out.fd >= 0)
		on_said(&r->out, r->out.fd, LOOP_READ);
	if (r->err.fd >= 0)
		on_said(&r->err, r->err.fd, LOOP_READ);
	close_pipes(r);
	if (!r->telling)
		return; /* what was killed */
	if (r->late)
		tell(r, RUN_LATE, 0);
	else if (failed)
		tell(r, RUN_NOT_RUN, err);
	else if (WIFEXITED(status))
		tell(r, RUN_EXITED, WEXITSTATUS(status));
	else
		tell(r, RUN_SIGNAL, WTERMSIG(status));
}

/* Also of what it started, unless that made itself a group of its own. */
static void
on_timer(void *arg)
{
	struct run *r = arg;

	if (!r->late && r->grace_ms > 0) {
		r->late = true;
		kill_all(r, SIGTERM);
		loop_timer_start(&r->timer, r->grace_ms);
		return;
	}
	r->late = true;
	kill_all(r, SIGKILL);
	close_pipes(r);
	tell(r, RUN_LATE, 0);
}

/* ---- starting ---- */

static void
clear(struct run *r)
{
	buf_free(&r->in.text);
	buf_free(&r->out.text);
	buf_free(&r->err.text);
	r->sent = 0;
	r->late = false;
}

static int
watch(struct run *r, const char **what)
{
	int err;

	r->pidfd = pidfd_open(r->pid, 0);
	if (r->pidfd < 0) { /* an old kernel's, or a container's that forbids it */
		err = -errno;
		*what = "pidfd_open";
		kill_all(r, SIGKILL);
		(void)waitpid(r->pid, NULL, 0);
		r->pid = 0;
		close_pipes(r);
		return err;
	}
	loop_io_init(&r->end_io, r->loop, r->pidfd, on_end, r);
	loop_io_want(&r->end_io, LOOP_READ);
	return 0;
}

int
run_start(struct run *r, const struct run_job *job, const char **what)
{
	int err;

	*what = "run";
	if (r->pid != 0)
		return r->telling ? -EALREADY : -EBUSY;
	clear(r);
	err = fork_command(r, job, what);
	if (err == 0)
		err = watch(r, what);
	if (err != 0)
		return err;
	r->telling = true;
	r->grace_ms = job->grace_ms;
	listen_to(r, &r->out);
	listen_to(r, &r->err);
	if (r->in.fd >= 0) {
		buf_add(&r->in.text, job->input, job->input_len);
		loop_io_init(&r->in.io, r->loop, r->in.fd, on_in, r);
		loop_io_want(&r->in.io, LOOP_WRITE);
	}
	loop_timer_start(&r->timer, job->timeout_ms);
	return 0;
}

bool
run_is_busy(const struct run *r)
{
	return r->pid != 0;
}

/* ---- life ---- */

static void
bury(struct run *r)
{
	struct pollfd end = { .fd = r->pidfd, .events = POLLIN };
	int status;

	kill_all(r, SIGKILL);
	(void)poll(&end, 1, DEATH_MS);
	if (reap(r, &status))
		return;
	close_fd(&r->end_io, &r->pidfd);
	undead.v = xgrow(undead.v, undead.n, &undead.cap, sizeof *undead.v);
	undead.v[undead.n++] = r->pid;
}

void
run_new(struct run **out, struct loop *loop, run_cb *cb, void *arg)
{
	struct run *r = xcalloc(1, sizeof *r);

	r->loop = loop;
	r->cb = cb;
	r->arg = arg;
	r->pidfd = r->in.fd = r->out.fd = r->err.fd = r->failure = -1;
	loop_timer_init(&r->timer, loop, on_timer, r);
	*out = r;
}

void
run_free(struct run *r)
{
	if (r == NULL)
		return;
	if (r->pid != 0)
		bury(r);
	close_pipes(r);
	loop_timer_fini(&r->timer);
	clear(r);
	loop_free_later(r->loop, r);
}
