/* exec: a command of the operator's, by base/run: its exit status is the result, what it says the output. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/run.h"
#include "registrar/probe_int.h"

_Static_assert(RUN_TEXT_MAX >= PROBE_OUTPUT_MAX, "the whole output");

struct exec_probe {
	struct probe *probe;
	struct run *run;
	char **argv;
	int64_t timeout_ms;
};

/* `text`, and what it said. */
static void
say(struct exec_probe *e, const char *text, const char *said, size_t len)
{
	struct buf b = { 0 };

	buf_puts(&b, text);
	if (len > 0) {
		buf_puts(&b, "; it said:\n");
		buf_add(&b, said, len);
	}
	probe_done(e->probe, AGENT_CRITICAL, b.s, b.len);
	buf_free(&b);
}

static void
say_exit(struct exec_probe *e, const struct run_end *end)
{
	enum agent_status status = end->code == 0 ? AGENT_PASSING : end->code == 1 ? AGENT_WARNING : AGENT_CRITICAL;

	if (end->code == 0 || end->out_len == 0)
		probe_say(e->probe, status, "%s: exit status %d", e->argv[0], end->code);
	else
		probe_done(e->probe, status, end->out, end->out_len);
}

static void
say_not_run(struct exec_probe *e, int err)
{
	const char *hint = err == ENOENT || err == EACCES ? " (can c4d's user run it? of a script, its first line too)" : "";
	char text[512];

	snprintf(text, sizeof text, "cannot run %s: %s%s", e->argv[0], strerror(err), hint);
	say(e, text, NULL, 0);
}

static void
on_end(void *arg, const struct run_end *end)
{
	struct exec_probe *e = arg;
	char text[512], limit[32];

	switch (end->how) {
	case RUN_EXITED:
		say_exit(e, end);
		return;
	case RUN_NOT_RUN:
		say_not_run(e, end->code);
		return;
	case RUN_LATE:
		text_format_duration(e->timeout_ms, limit, sizeof limit);
		snprintf(text, sizeof text, "%s: killed: it had not ended within %s", e->argv[0], limit);
		break;
	case RUN_SIGNAL:
		snprintf(text, sizeof text, "%s: ended by signal %d (%s)", e->argv[0], end->code, strsignal(end->code));
		break;
	}
	say(e, text, end->out, end->out_len);
}

/* ---- asking ---- */

static void
ask(void *arg)
{
	struct exec_probe *e = arg;
	const struct run_job job = { .argv = e->argv, .timeout_ms = e->timeout_ms, .merge = true };
	const char *what;
	char text[160];
	int err = run_start(e->run, &job, &what);

	if (err == 0)
		return;
	if (err == -EBUSY) {
		say(e, "the command was killed and is not dead yet: does it wait for a disk?", NULL, 0);
	} else if (strcmp(what, "pidfd_open") == 0) {
		snprintf(text, sizeof text, "cannot watch a command: pidfd_open: %s (a seccomp filter about c4d?)", strerror(-err));
		say(e, text, NULL, 0);
	} else {
		say_not_run(e, -err);
	}
}

/* ---- life ---- */

static void
exec_probe_free(void *arg)
{
	struct exec_probe *e = arg;
	char **p;

	run_free(e->run);
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
	e->probe = seat->probe;
	e->timeout_ms = seat->c->timeout_ms;
	run_new(&e->run, seat->loop, on_end, e);
	e->argv = xcalloc(command->n + 1, sizeof *e->argv);
	for (i = 0; i < command->n; i++)
		e->argv[i] = xstrdup(command->v[i]);
	*out = e;
	return 0;
}

const struct probe_kind probe_exec = { make, ask, exec_probe_free };
