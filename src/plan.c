/* `c4d plan`: what c4d would change if it were started now. It writes nothing, anywhere. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "consul/kv.h"
#include "control/control.h"
#include "daemon.h"
#include "plan_register.h"

#define GRACE_MS 1000 /* on top of the time-outs for DNS and Kamailio */

struct plan {
	struct app app;
	struct dry *dry;
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
on_target(void *arg)
{
}

static bool
kv_has_spoken(const struct kamhost *h)
{
	const struct kv *kv = kamhost_kv(h);
	struct kv_view v;

	if (kv == NULL)
		return true;
	kv_view(kv, &v);
	return v.answered_ms != 0 || v.why[0] != '\0';
}

/* What is there must be adopted before DNS is asked, as at a first start. */
static bool
all_read(const struct plan *p)
{
	size_t i, k;

	for (i = 0; i < p->app.n_hosts; i++) {
		const struct kamhost *h = p->app.hosts[i];

		for (k = 0; k < kamhost_targets(h); k++) {
			const struct target *t = kamhost_target(h, k);

			if (t->ops->passes(t) == 0 || (!t->ops->was_read(t) && (kamhost_is_up(h) || !kamhost_was_heard(h))))
				return false;
		}
		if (!kv_has_spoken(h))
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
	if (p->asking && (late || watch_answered(p->app.watch) == watch_count(p->app.watch)) && dry_done(p->dry))
		loop_stop(p->app.loop);
	else
		loop_timer_start(&p->tick, 10);
}

static int
report(struct plan *p, const char *format)
{
	struct app *a = &p->app;
	const struct topo *t = platform_now(a->platform);
	json_t *rows = json_array();
	size_t i, silent = 0, n;
	bool asked;
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
	for (i = 0; i < a->n_hosts; i++) {
		const struct kamhost *h = a->hosts[i];

		if (!kamhost_is_up(h))
			fprintf(stderr, "c4d: kamailio %s can't be read: %s; only its files are compared\n", kamhost_conf(h)->name,
			    kamhost_down_why(h));
		show_diff(h, rows);
	}
	n = json_array_size(rows);
	asked = plan_register_report(p->dry, a->conf, rows, &n);
	if (strcmp(format, "json") == 0) {
		json_dumpf(rows, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		if (n == 0 && json_array_size(rows) > 0)
			puts("no difference");
		render_diff(rows, 0);
	}
	json_decref(rows);
	if (!asked || (watch_count(a->watch) > 0 && silent == watch_count(a->watch)))
		return EXIT_UNREACHABLE;
	return n > 0 ? EXIT_NO : EXIT_DONE;
}

int
plan_run(const char *file, const char *format)
{
	struct plan p = { 0 };
	struct app *a = &p.app;
	struct target_deps deps = { .dry = true, .event = on_target, .arg = &p };
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
	    watch_new(&a->watch, a->loop, a->conf, on_round, &p) != 0 ||
	    plan_register_new(&p.dry, a->loop, a->worker, a->conf) != 0)
		goto out;
	deps.loop = a->loop;
	deps.worker = a->worker;
	deps.platform = a->platform;
	a->hosts = xcalloc(a->conf->n_kamailios, sizeof *a->hosts);
	p.deadline_ms = loop_now_ms(a->loop) + GRACE_MS;
	for (i = 0; i < a->conf->n_kamailios; i++) {
		if (kamhost_new(&a->hosts[a->n_hosts], &deps, a->conf->kamailios[i]) != 0)
			goto out;
		kamhost_start(a->hosts[a->n_hosts++]);
		if (p.deadline_ms < loop_now_ms(a->loop) + GRACE_MS + a->conf->kamailios[i]->timeout_ms)
			p.deadline_ms = loop_now_ms(a->loop) + GRACE_MS + a->conf->kamailios[i]->timeout_ms;
	}
	loop_timer_init(&p.tick, a->loop, on_tick, &p);
	loop_timer_start(&p.tick, 0);
	if (loop_run(a->loop) == 0)
		rc = report(&p, format);
out:
	loop_timer_fini(&p.tick);
	dry_free(p.dry);
	watch_free(a->watch);
	for (i = 0; i < a->n_hosts; i++)
		kamhost_free(a->hosts[i]);
	free(a->hosts);
	worker_free(a->worker);
	platform_free(a->platform);
	loop_free(a->loop);
	conf_free(a->conf);
	return rc;
}
