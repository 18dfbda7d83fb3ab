/* `c4d plan`: what c4d would change if it were started now. It writes nothing, anywhere. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "control/control.h"
#include "daemon.h"

#define GRACE_MS 1000 /* on top of the time-outs for DNS and Kamailio */

struct plan {
	struct app app;
	struct loop_timer tick;
	int64_t deadline_ms;
	bool asking; /* Kamailio was read, or can't be; now DNS */
};

static void
on_round(void *arg, const char *service, const struct round *round, const char *server)
{
	struct plan *p = arg;

	platform_round(p->app.platform, service, round, server);
}

static void
on_changed(void *arg)
{
}

static void
on_target(void *arg, struct dispatcher *d)
{
}

/* What is there must be adopted before DNS is asked, as at a first start. */
static bool
all_read(const struct plan *p)
{
	size_t i;

	for (i = 0; i < p->app.n_dispatchers; i++) {
		const struct dispatcher *d = p->app.dispatchers[i];

		if (dispatcher_passes(d) == 0 ||
		    (!dispatcher_was_read(d) && (dispatcher_is_up(d) || strcmp(dispatcher_down_why(d), "not connected yet") == 0)))
			return false;
	}
	return true;
}

static void
on_tick(void *arg)
{
	struct plan *p = arg;
	bool late = loop_now_ms(p->app.loop) >= p->deadline_ms;

	if (!p->asking && (all_read(p) || late)) {
		p->asking = true;
		p->deadline_ms = loop_now_ms(p->app.loop) + p->app.conf->dns_timeout_ms + GRACE_MS;
		watch_start(p->app.watch);
		late = false;
	}
	if (p->asking && (late || watch_answered(p->app.watch) == watch_count(p->app.watch)))
		loop_stop(p->app.loop);
	else
		loop_timer_start(&p->tick, 10);
}

static int
report(struct plan *p, const char *format)
{
	struct app *a = &p->app;
	const struct topo *t = platform_now(a->platform);
	json_t *rows = json_array(), *some;
	size_t i, silent = 0, n;
	struct judge_name_view v;
	struct watch_view w;

	for (i = 0; i < watch_count(a->watch); i++) {
		watch_view(a->watch, i, &w);
		judge_name_view(platform_judge(a->platform, w.service), w.index, &v);
		if (v.last != EVIDENCE_NOTHING)
			continue;
		silent++;
		fprintf(stderr, "c4d: %s at %s proves nothing: %s\n", w.name, w.server, v.why);
	}
	for (i = 0; i < t->n; i++)
		if (!t->services[i].known)
			fprintf(stderr, "c4d: service %s has no instance: its sets would not be touched\n", t->services[i].name);
	for (i = 0; i < a->n_dispatchers; i++) {
		const struct dispatcher *d = a->dispatchers[i];

		if (!dispatcher_was_read(d))
			fprintf(stderr, "c4d: kamailio %s can't be read: %s; only its list file is compared\n", dispatcher_conf(d)->name,
			    dispatcher_down_why(d));
		some = show_diff(d, true);
		json_array_extend(rows, some);
		json_decref(some);
	}
	n = json_array_size(rows);
	if (strcmp(format, "json") == 0) {
		json_dumpf(rows, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		render_diff(rows, 0);
	}
	json_decref(rows);
	if (watch_count(a->watch) > 0 && silent == watch_count(a->watch))
		return EXIT_UNREACHABLE;
	return n > 0 ? EXIT_NO : EXIT_DONE;
}

int
plan_run(const char *file, const char *format)
{
	struct plan p = { 0 };
	struct app *a = &p.app;
	struct dispatcher_deps deps = { .dry = true, .event = on_target, .arg = &p };
	size_t i;
	int rc;

	signal(SIGPIPE, SIG_IGN);
	log_init(LOG_L_ERROR);
	rc = daemon_load(&a->conf, file);
	if (rc != EXIT_DONE)
		return rc;
	rc = EXIT_NO;
	if (loop_new(&a->loop) != 0 || worker_new(&a->worker, a->loop) != 0 ||
	    platform_new(&a->platform, a->loop, NULL, a->conf, on_changed, &p) != 0 ||
	    watch_new(&a->watch, a->loop, a->conf, on_round, &p) != 0)
		goto out;
	deps.loop = a->loop;
	deps.worker = a->worker;
	deps.platform = a->platform;
	a->dispatchers = xcalloc(a->conf->n_kamailios, sizeof *a->dispatchers);
	p.deadline_ms = loop_now_ms(a->loop) + GRACE_MS;
	for (i = 0; i < a->conf->n_kamailios; i++) {
		if (a->conf->kamailios[i]->n_sets == 0)
			continue;
		if (dispatcher_new(&a->dispatchers[a->n_dispatchers], &deps, a->conf->kamailios[i]) != 0)
			goto out;
		dispatcher_start(a->dispatchers[a->n_dispatchers++]);
		if (p.deadline_ms < loop_now_ms(a->loop) + GRACE_MS + a->conf->kamailios[i]->timeout_ms)
			p.deadline_ms = loop_now_ms(a->loop) + GRACE_MS + a->conf->kamailios[i]->timeout_ms;
	}
	loop_timer_init(&p.tick, a->loop, on_tick, &p);
	loop_timer_start(&p.tick, 0);
	if (loop_run(a->loop) == 0)
		rc = report(&p, format);
out:
	loop_timer_fini(&p.tick);
	watch_free(a->watch);
	for (i = 0; i < a->n_dispatchers; i++)
		dispatcher_free(a->dispatchers[i]);
	free(a->dispatchers);
	worker_free(a->worker);
	platform_free(a->platform);
	loop_free(a->loop);
	conf_free(a->conf);
	return rc;
}
