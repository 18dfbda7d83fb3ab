#include "control/hook.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/run.h"
#include "base/text.h"
#include "control/app.h"
#include "hook_look.h"

#define SOON_MS 200  /* what comes together is looked at together */
#define TICK_MS 5000 /* for what nobody tells of */
#define GRACE_MS 2000 /* between SIGTERM and SIGKILL */
#define BUSY_MS 1000 /* the last one is not dead yet */
#define AGAIN_MS 60000 /* another failure than the one that was logged is logged after so long */
#define LOGGED_LINES 40
#define ENV_MAX 12

struct hook {
	const struct app *a;
	struct hook_events *events;
	struct hook_limits limits;
	struct run *run;
	struct loop_timer look, next;
	char *path; /* NULL: none */
	char *ran;  /* the one that runs, or ran last: a reload may name another meanwhile */
	int64_t timeout_ms;
	char host[256];
	char about[128]; /* what runs is told this */
	struct hook_view view;
	unsigned row; /* failures, one after the other */
	int64_t logged_ms;
};

/* ---- how it ended ---- */

/* The first line of what it said, printable. */
static void
first_line(const struct run_end *end, char out[160])
{
	bool err = end->err_len > 0;
	const char *s = err ? end->err : end->out;
	size_t len = err ? end->err_len : end->out_len, n;

	for (n = 0; n < len && n < 159 && s[n] != '\n'; n++)
		out[n] = s[n];
	out[n] = '\0';
	text_mask(out, n, "");
}

static void
log_said(const char *stream, const char *s, size_t len)
{
	char line[256];
	size_t i, n, lines;

	for (i = lines = 0; i < len && lines < LOGGED_LINES; lines++) {
		for (n = 0; i < len && s[i] != '\n' && n < sizeof line - 1; i++)
			line[n++] = s[i];
		line[n] = '\0';
		text_mask(line, n, "");
		i += i < len && s[i] == '\n';
		log_debug("hook", "%s: %s", stream, line);
	}
}

static void
note_failure(struct hook *h, const char *why)
{
	int64_t now_ms = loop_now_ms(h->a->loop);
	bool other = strcmp(why, h->view.why) != 0;

	snprintf(h->view.why, sizeof h->view.why, "%s", why);
	h->view.failing = h->path != NULL && strcmp(h->path, h->ran) == 0;
	if (!hook_events_failed(h->events, h->row, now_ms))
		log_error("hook", "%s has failed for %d minutes: %s is given up, and nobody is told of it", h->ran, HOOK_TRY_MS / 60000, h->about);
	if (!h->view.failing)
		hook_events_end_pause(h->events); /* another one is configured by now */
	if (h->row++ == 0 || (other && now_ms - h->logged_ms >= AGAIN_MS)) {
		h->logged_ms = now_ms;
		log_warnx("hook", "%s; it was told of %s", why, h->about);
	}
}

static void
note_success(struct hook *h)
{
	h->view.ok++;
	hook_events_told(h->events);
	if (h->view.failing)
		log_notice("hook", "%s works again after %u failures", h->ran, h->row);
	h->view.failing = false;
	h->view.why[0] = '\0';
	h->row = 0;
}

static void
note_not_run(struct hook *h, int err, const char *what)
{
	char why[sizeof h->view.why];
	const char *hint = err == ENOENT || err == EACCES ? " (can c4d's user run it? of a script, its first line too)" :
	    err == EPERM && *what == '\0' ? " (can everybody write to it? chmod o-w)" : "";

	h->view.not_run++;
	snprintf(why, sizeof why, "cannot run %s: %s%s%s%s", h->ran, what, *what ? ": " : "", strerror(err), hint);
	note_failure(h, why);
}

static void
on_end(void *arg, const struct run_end *end)
{
	struct hook *h = arg;
	char why[sizeof h->view.why], line[160], limit[32];

	log_said("stdout", end->out, end->out_len);
	log_said("stderr", end->err, end->err_len);
	first_line(end, line);
	switch (end->how) {
	case RUN_EXITED:
		if (end->code == 0) {
			note_success(h);
			break;
		}
		h->view.failed++;
		snprintf(why, sizeof why, "%s: exit status %d%s%s", h->ran, end->code, line[0] ? ": " : "", line);
		note_failure(h, why);
		break;
	case RUN_SIGNAL:
		h->view.failed++;
		snprintf(why, sizeof why, "%s: ended by signal %d (%s)%s%s", h->ran, end->code, strsignal(end->code), line[0] ? ": " : "", line);
		note_failure(h, why);
		break;
	case RUN_LATE:
		h->view.late++;
		text_format_duration(h->timeout_ms, limit, sizeof limit);
		snprintf(why, sizeof why, "%s: ended by c4d: it took longer than notify_timeout (%s)%s%s", h->ran, limit, line[0] ? ": " : "",
		    line);
		note_failure(h, why);
		break;
	case RUN_NOT_RUN:
		note_not_run(h, end->code, "");
		break;
	}
	loop_timer_start(&h->next, 0);
}

/* ---- running ---- */

static void
wait_for_next(struct hook *h)
{
	int64_t due_ms = hook_events_due_ms(h->events, loop_now_ms(h->a->loop));

	if (due_ms >= 0)
		loop_timer_start(&h->next, due_ms);
}

static void
run_one(struct hook *h, const struct hook_event *ev)
{
	bool service = ev->kind == HOOK_SERVICE || ev->kind == HOOK_APPROVAL;
	char *argv[] = { h->path, NULL }, *envp[ENV_MAX], *line = hook_event_line(ev, h->host);
	const struct run_job job = { .argv = argv, .envp = envp, .input = line, .input_len = strlen(line), .timeout_ms = h->timeout_ms,
		.grace_ms = GRACE_MS, .session = true, .safe = true };
	const char *what;
	size_t n = 0;
	int err;

	envp[n++] = xstrdup("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	envp[n++] = xstrdup("LANG=C.UTF-8");
	envp[n++] = xasprintf("C4D_HOST=%s", h->host);
	envp[n++] = xasprintf("C4D_EVENT=%s", ev->event);
	envp[n++] = xasprintf("C4D_SERVICE=%s", service ? ev->name : "");
	envp[n++] = xasprintf("C4D_TARGET=%s", ev->kind == HOOK_TARGET ? ev->name : "");
	envp[n++] = xasprintf("C4D_REGISTRATION=%s", ev->kind == HOOK_REGISTRATION ? ev->name : "");
	envp[n++] = xasprintf("C4D_DETAIL=%s", ev->detail);
	envp[n++] = xasprintf("C4D_HINT=%s", ev->hint);
	envp[n++] = xasprintf("C4D_COUNT=%llu", (unsigned long long)ev->count);
	envp[n] = NULL;
	snprintf(h->about, sizeof h->about, "%s of %s", ev->event, ev->name);
	free(h->ran);
	h->ran = xstrdup(h->path);
	err = run_start(h->run, &job, &what);
	if (err != 0) {
		note_not_run(h, -err, what);
		wait_for_next(h);
	}
	while (n > 0)
		free(envp[--n]);
	free(line);
}

static void
on_next(void *arg)
{
	struct hook *h = arg;
	struct hook_event ev;

	if (h->path == NULL)
		return;
	if (run_is_busy(h->run)) /* its end comes here; one that is not dead yet does not say so */
		loop_timer_start(&h->next, BUSY_MS);
	else if (hook_events_next(h->events, loop_now_ms(h->a->loop), &ev))
		run_one(h, &ev);
	else
		wait_for_next(h);
}

static void
on_look(void *arg)
{
	struct hook *h = arg;

	if (h->path == NULL)
		return;
	hook_look(h->a, h->events);
	loop_timer_start(&h->look, TICK_MS);
	if (!run_is_busy(h->run))
		wait_for_next(h);
}

void
hook_look_soon(struct hook *h)
{
	if (h == NULL || h->path == NULL)
		return;
	if (!loop_timer_armed(&h->look) || h->look.due_ms - loop_now_ms(h->a->loop) > SOON_MS)
		loop_timer_start(&h->look, SOON_MS);
}

void
hook_approved(struct hook *h, const char *service, const char *who)
{
	char detail[256];
	struct hook_fact f = { HOOK_APPROVAL, service, HOOK_APPROVED, detail, "", 0 };

	if (h == NULL || h->path == NULL)
		return;
	f.generation = platform_generation(h->a->platform);
	snprintf(detail, sizeof detail, "c4ctl approve by %s: what was held is taken out, what was suppressed is let in", who);
	hook_events_happened(h->events, &f, loop_now_ms(h->a->loop), loop_wall_ms(h->a->loop));
	hook_look_soon(h);
}

/* ---- life ---- */

void
hook_set_conf(struct hook *h)
{
	const struct conf *c = h->a->conf;
	const char *path = c->notify != NULL && c->notify[0] != '\0' ? c->notify : NULL;

	if (path == NULL || h->path == NULL || strcmp(path, h->path) != 0) { /* another one has not failed yet */
		h->view.failing = false;
		h->row = 0;
	}
	hook_events_end_pause(h->events); /* it may be mended by now */
	free(h->path);
	h->path = xstrdup(path);
	h->timeout_ms = c->notify_timeout_ms;
	h->limits.interval_ms = c->notify_interval_ms;
	h->limits.per_minute = c->notify_rate;
	if (path == NULL) { /* what is told when there is one again begins anew */
		loop_timer_stop(&h->look);
		loop_timer_stop(&h->next);
		hook_events_free(h->events);
		h->events = hook_events_new(&h->limits);
	}
	hook_look_soon(h);
}

void
hook_new(struct hook **out, const struct app *a)
{
	struct hook *h = xcalloc(1, sizeof *h);

	h->a = a;
	if (gethostname(h->host, sizeof h->host - 1) != 0)
		snprintf(h->host, sizeof h->host, "localhost");
	h->events = hook_events_new(&h->limits);
	run_new(&h->run, a->loop, on_end, h);
	loop_timer_init(&h->look, a->loop, on_look, h);
	loop_timer_init(&h->next, a->loop, on_next, h);
	hook_set_conf(h);
	*out = h;
}

void
hook_free(struct hook *h)
{
	if (h == NULL)
		return;
	run_free(h->run);
	loop_timer_fini(&h->look);
	loop_timer_fini(&h->next);
	hook_events_free(h->events);
	free(h->path);
	free(h->ran);
	free(h);
}

void
hook_view(const struct hook *h, struct hook_view *v)
{
	memset(v, 0, sizeof *v);
	if (h == NULL)
		return;
	*v = h->view;
	v->on = h->path != NULL;
	v->dropped = hook_events_dropped(h->events);
	v->waiting = hook_events_waiting(h->events);
}
