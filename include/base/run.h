/*
 * run: a command of the operator's (a check of type exec, notify), one at a time per struct run, without a shell. It has a process
 * group of its own, default signals, no descriptor but the three, and no precedence: its nice value is 0 where c4d's is below.
 *
 * At its time-out the whole group gets SIGTERM, `grace_ms` later SIGKILL; what the leader leaves of it when it obeys is killed too.
 * A command that ends in time may leave others in the background: they are not waited for.
 *
 * It is forked and not spawned, since a spawn keeps its caller until the program's file was read, which may be on a disk that
 * hangs; the loop waits for none. A fork costs 0.15 ms of the loop's time at 5 MB, 1.3 ms at 50 MB, 10 ms at 200 MB resident.
 * Whoever gives input must ignore SIGPIPE: a command need not read it.
 */
#ifndef BASE_RUN_H
#define BASE_RUN_H

#include "base/loop.h"

#define RUN_TEXT_MAX 4096 /* of each stream; the rest is read and dropped, so that the command can end */

enum run_how {
	RUN_EXITED,  /* code: its exit status */
	RUN_SIGNAL,  /* code: which one ended it */
	RUN_LATE,    /* it was told to end at its time-out; perhaps it is not dead yet */
	RUN_NOT_RUN, /* code: why (errno): it could not be executed */
};

struct run_job { /* lent for the call */
	char *const *argv; /* argv[0]: the program's absolute path */
	char *const *envp; /* NULL: ours */
	const void *input; /* it reads this, and then the end; NULL: nothing */
	size_t input_len;
	int64_t timeout_ms;
	int64_t grace_ms;  /* 0: SIGKILL at once */
	bool session;      /* a session of its own, too */
	bool safe;         /* what everybody may write to is not run: EPERM */
	bool merge;        /* what it says to stderr is in `out` as well, in its order; `err` is empty */
};

struct run_end { /* lent for the callback */
	enum run_how how;
	int code;
	const char *out, *err; /* no NUL behind */
	size_t out_len, err_len;
};

struct run;
typedef void run_cb(void *arg, const struct run_end *); /* from the loop, once per job; may start the next, and may free the run */

void run_new(struct run **out, struct loop *, run_cb *, void *arg);
void run_free(struct run *); /* NULL is fine; what runs is killed, and nobody is told */
/*
 * -EALREADY: one is under way; -EBUSY: the last one was killed and is not dead yet; else what there is not enough of, or what a
 * container forbids (-EPERM): *what names the call that failed.
 */
MUST_USE int run_start(struct run *, const struct run_job *, const char **what);
bool run_is_busy(const struct run *); /* one is under way, or not dead yet */

#endif
