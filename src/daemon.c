#include "daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/notify.h"
#include "control/control.h"
#include "control/headline.h"
#include "http/feed.h"
#include "http/pages.h"

#define SETTLE_MS 2000 /* a stop waits so long for the commit of CDRs that were taken */
#define SAY_MS 200     /* the service manager's line of status follows a change after so long, */
#define SAY_MAX_MS 30000 /* and what nothing tells of after this */
#define TRIM_MS 10000  /* what changes left free in the heap goes back to the system after so long */

struct daemon {
	struct app app; /* what the control floor sees */
	struct control *control;
	struct notify *notify;
	struct loop_timer say, trim;
	char *file;
	bool reloading, leaving, restarting, stopping, say_due, settle;
	char machine_id[64];
};

/* A reload: the files are read and checked by the worker. */
struct reload_job {
	struct worker_job job;
	struct daemon *d;
	struct conf *fresh;
	int err;
	json_t *messages;
	void (*done)(void *arg, int err, json_t *messages);
	void *arg;
};

static void
report_stderr(void *arg, const char *text)
{
	fprintf(stderr, "%s\n", text);
}

int
daemon_load(struct conf **out, const char *file)
{
	return conf_load(out, file, report_stderr, NULL) == 0 ? EXIT_DONE : EXIT_CONFIG;
}

/* ---- what connects the floors ---- */

static void
on_round(void *arg, const char *service, const struct round *round, const char *server)
{
	struct app *a = arg;

	platform_round(a->platform, service, round, server);
}

static void
on_woken(void *arg, const char *service, const char *name)
{
	struct app *a = arg;

	watch_wake(a->watch, service, name);
}

static void
on_say(void *arg)
{
	struct daemon *d = arg;
	json_t *status;
	char *line;

	d->say_due = false;
	if (d->leaving)
		return;
	status = show_status(&d->app);
	line = headline_new(status);
	notify_status(d->notify, line);
	free(line);
	json_decref(status);
	loop_timer_start(&d->say, SAY_MAX_MS);
}

static void
say_soon(struct daemon *d)
{
	if (d->notify != NULL && notify_is_on(d->notify) && !d->say_due) {
		d->say_due = true;
		loop_timer_start(&d->say, SAY_MS);
	}
}

static void
on_trim(void *arg)
{
	struct daemon *d = arg;

	worker_trim(d->app.worker);
	if (d->settle)
		mem_forget_code();
	d->settle = false;
}

/* A while after a start or a reload. */
static void
settle_later(struct daemon *d)
{
	d->settle = true;
	loop_timer_start(&d->trim, TRIM_MS);
}

static void
on_changed(void *arg)
{
	struct app *a = arg;
	struct daemon *d = CONTAINER_OF(a, struct daemon, app);
	size_t i;

	say_soon(d);
	if (!loop_timer_armed(&d->trim))
		loop_timer_start(&d->trim, TRIM_MS);
	feed_changed(a->feed);
	hook_look_soon(a->hook);
	living_stale(a->living);
	for (i = 0; i < a->n_hosts; i++)
		kamhost_kick(a->hosts[i]);
}

static void
on_routing(void *arg)
{
	struct app *a = arg;
	size_t i;

	feed_changed(a->feed);
	for (i = 0; i < a->n_hosts; i++)
		kamhost_kick(a->hosts[i]);
}

static void
on_target(void *arg)
{
	struct daemon *d = arg;

	say_soon(d);
	feed_changed(d->app.feed);
	hook_look_soon(d->app.hook);
	living_stale(d->app.living);
	control_event(d->control);
}

static void
on_settled(void *arg)
{
	struct daemon *d = arg;

	loop_stop(d->app.loop);
}

/* A CDR that is committed is answered so: else Kamailio would send it again. */
static void
on_left(void *arg)
{
	struct daemon *d = arg;

	cdrs_settle(routing_cdrs(d->app.routing), SETTLE_MS, on_settled, d);
}

/* Once more: at once. */
static void
on_stop(void *arg)
{
	struct daemon *d = arg;

	if (!d->leaving) {
		d->restarting = notify_is_restart(d->notify);
		log_notice("c4d", "stopping%s; Kamailio's lists stay as they are", d->restarting ? " to be started again: registrations stay" : "");
		notify_status(d->notify, d->restarting ? "stopping to be started again" : "stopping; registrations leave as their on_stop says");
		notify_stopping(d->notify);
	}
	d->leaving = true;
	if (d->restarting)
		on_left(d);
	else
		registrar_stop(d->app.registrar, on_left, d);
}

/* ---- configuration ---- */

/* Kamailios of this configuration: those whose section did not change are taken over from `old`. */
static int
make_hosts(struct daemon *d, const struct conf *conf, struct kamhost **old, size_t n_old, struct kamhost ***out, size_t *n_out)
{
	const struct target_deps deps = {
		.loop = d->app.loop,
		.worker = d->app.worker,
		.platform = d->app.platform,
		.store = d->app.store,
		.routing = d->app.routing,
		.event = on_target,
		.arg = d,
	};
	struct kamhost **v = xcalloc(conf->n_kamailios, sizeof *v);
	size_t i, k, n = 0;
	int err = 0;

	for (i = 0; i < conf->n_kamailios && err == 0; i++) {
		const struct conf_kamailio *c = conf->kamailios[i];

		for (k = 0; k < n_old; k++)
			if (old[k] != NULL && conf_kamailio_same(kamhost_conf(old[k]), c))
				break;
		if (k < n_old) {
			v[n++] = old[k];
			old[k] = NULL;
			kamhost_set_conf(v[n - 1], c);
			continue;
		}
		for (k = 0; k < n_old; k++) /* its locks on the files must be free for the new one */
			if (old[k] != NULL && strcmp(kamhost_conf(old[k])->name, c->name) == 0) {
				kamhost_free(old[k]);
				old[k] = NULL;
			}
		err = kamhost_new(&v[n], &deps, c);
		if (err == 0)
			n++;
	}
	*out = v;
	*n_out = n;
	return err;
}

static void
collect(void *arg, const char *text)
{
	json_array_append_new(arg, jsonx_text(text));
}

static void
log_messages(const json_t *messages, bool error)
{
	const json_t *v;
	size_t i;

	json_array_foreach(messages, i, v)
		if (error)
			log_error("conf", "%s", json_string_value(v));
		else
			log_warnx("conf", "%s", json_string_value(v));
}

/* Nothing is touched before everything that can fail has succeeded. */
static int
take_over(struct daemon *d, struct conf *fresh, json_t *messages)
{
	struct app *a = &d->app;
	struct conf *old = a->conf;
	struct watch *watch = NULL;
	struct wake *wake = NULL;
	struct kamhost **hosts, **old_hosts = a->hosts;
	size_t i, n, n_old = a->n_hosts;

	if (d->leaving)
		return -ECANCELED;
	if (watch_new(&watch, a->loop, fresh, on_round, a) != 0)
		return -EINVAL;
	if (wake_new(&wake, a->loop, a->worker, fresh, on_woken, a) != 0) {
		watch_free(watch);
		return -EINVAL;
	}
	if (registrar_set_conf(a->registrar, fresh) != 0 || routing_set_conf(a->routing, fresh) != 0 ||
	    access_set_conf(a->access, fresh) != 0) {
		wake_free(wake);
		watch_free(watch);
		return -EINVAL;
	}
	conf_restart_keys(old, fresh, collect, messages);
	log_messages(messages, false);
	wake_free(a->wake);
	a->wake = wake;
	watch_free(a->watch);
	a->watch = watch;
	a->n_hosts = 0;
	living_set_hosts(a->living, NULL, 0);
	platform_set_conf(a->platform, fresh);
	(void)make_hosts(d, fresh, old_hosts, n_old, &hosts, &n);
	a->conf = fresh;
	a->hosts = hosts;
	a->n_hosts = n;
	living_set_hosts(a->living, hosts, n);
	for (i = 0; i < n_old; i++) {
		if (old_hosts[i] != NULL)
			log_notice("kam", "%s: no longer configured; its lists stay as they are", kamhost_conf(old_hosts[i])->name);
		kamhost_free(old_hosts[i]);
	}
	free(old_hosts);
	for (i = 0; i < n; i++)
		kamhost_start(hosts[i]); /* for those that run it is a kick */
	watch_start(watch);
	wake_start(wake);
	httpd_set_conf(a->httpd, fresh);
	hook_set_conf(a->hook);
	if (strcmp(old->log, fresh->log) != 0) /* else what c4ctl log said stays */
		log_init((enum log_level)log_level_parse(fresh->log));
	conf_free(old);
	return 0;
}

static void
reload_run(struct worker_job *wj)
{
	struct reload_job *job = CONTAINER_OF(wj, struct reload_job, job);

	job->err = conf_load(&job->fresh, job->d->file, collect, job->messages);
}

static void
reload_done(struct worker_job *wj)
{
	struct reload_job *job = CONTAINER_OF(wj, struct reload_job, job);
	struct daemon *d = job->d;

	d->reloading = false;
	notify_ready(d->notify);
	say_soon(d);
	if (d->stopping) /* there is nothing left to hand it to */
		job->err = -ECANCELED;
	if (job->err == 0)
		job->err = take_over(d, job->fresh, job->messages);
	if (job->err == 0) {
		log_notice("conf", "reloaded %s", d->file);
		settle_later(d);
	} else {
		log_messages(job->messages, true);
		log_error("conf", "reload refused: nothing was changed");
		conf_free(job->fresh);
	}
	job->done(job->arg, job->err, job->messages);
	free(job);
}

static void
reload(struct app *a, void (*done)(void *arg, int err, json_t *messages), void *arg)
{
	struct daemon *d = CONTAINER_OF(a, struct daemon, app);
	struct reload_job *job;

	if (d->reloading) {
		done(arg, -EALREADY, json_array());
		return;
	}
	d->reloading = true;
	notify_reloading(d->notify);
	job = xcalloc(1, sizeof *job);
	job->job.run = reload_run;
	job->job.done = reload_done;
	job->d = d;
	job->messages = json_array();
	job->done = done;
	job->arg = arg;
	worker_submit(a->worker, WORKER_URGENT, &job->job);
}

static void
on_hup_done(void *arg, int err, json_t *messages)
{
	json_decref(messages);
}

static void
on_hup(void *arg)
{
	struct daemon *d = arg;

	reload(&d->app, on_hup_done, d);
}

/* ---- run ---- */

static int
open_store(struct daemon *d)
{
	struct app *a = &d->app;
	struct store_conf sc = {
		.dir = a->conf->state,
		.size_bytes = a->conf->store_size,
		.keep_ms = a->conf->history_keep_ms,
		.keep_max = a->conf->history_max,
	};
	pid_t holder = 0;
	int err;

	file_machine_id(d->machine_id);
	sc.machine_id = d->machine_id;
	err = store_open(&a->store, a->loop, a->worker, &sc, &holder);
	if (err == -EWOULDBLOCK)
		log_error("store", "%s is used by another c4d, pid %ld: stop it, or give this one its own `state` directory",
		    a->conf->state, (long)holder);
	return err;
}

static int
build(struct daemon *d)
{
	struct app *a = &d->app;
	size_t i;

	/* notify before there is a second thread: it takes variables out of the environment */
	if (loop_new(&a->loop) != 0 || notify_new(&d->notify, a->loop) != 0 || worker_new(&a->worker, a->loop) != 0) {
		log_error("c4d", "cannot start: out of memory or of descriptors");
		return EXIT_NO;
	}
	loop_timer_init(&d->say, a->loop, on_say, d);
	loop_timer_init(&d->trim, a->loop, on_trim, d);
	/* What stands behind the loop's handlers: a second SIGTERM while we tear down must not end us half-way. */
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (loop_signal(a->loop, SIGTERM, on_stop, d) != 0 || loop_signal(a->loop, SIGINT, on_stop, d) != 0 ||
	    loop_signal(a->loop, SIGHUP, on_hup, d) != 0)
		return EXIT_NO;
	if (open_store(d) != 0)
		return EXIT_REFUSED;
	if (platform_new(&a->platform, a->loop, a->store, a->conf, on_changed, a) != 0)
		return EXIT_CONFIG;
	a->living = living_new(a->loop, a->platform);
	feed_new(&a->feed, a->loop, a);
	if (watch_new(&a->watch, a->loop, a->conf, on_round, a) != 0 ||
	    wake_new(&a->wake, a->loop, a->worker, a->conf, on_woken, a) != 0 ||
	    registrar_new(&a->registrar, a->loop, a->worker, a->store, a->conf, d->machine_id) != 0 ||
	    routing_new(&a->routing, a->loop, a->worker, a->store, a->conf, on_routing, a) != 0 ||
	    kamapi_new(&a->kamapi, a->loop, a->worker) != 0 || access_new(&a->access, a->loop, a->worker, a->conf) != 0 ||
	    httpd_new(&a->httpd, a->loop, a->conf, pages_routes(), a) != 0)
		return EXIT_CONFIG;
	if (make_hosts(d, a->conf, NULL, 0, &a->hosts, &a->n_hosts) != 0)
		return EXIT_CONFIG;
	living_set_hosts(a->living, a->hosts, a->n_hosts);
	switch (control_new(&d->control, a, a->conf->control_socket, a->conf->control_group)) {
	case 0:
		break;
	case -EADDRINUSE:
		return EXIT_REFUSED;
	default:
		return EXIT_NO;
	}
	hook_new(&a->hook, a);
	for (i = 0; i < a->n_hosts; i++)
		kamhost_start(a->hosts[i]);
	watch_start(a->watch);
	wake_start(a->wake);
	registrar_start(a->registrar);
	return EXIT_DONE;
}

static void
tear_down(struct daemon *d)
{
	struct app *a = &d->app;
	size_t i;

	d->stopping = true;
	hook_free(a->hook); /* before what it looks at */
	a->hook = NULL;
	routing_free(a->routing); /* who waits for a CDR or a change is answered */
	kamapi_free(a->kamapi);
	access_free(a->access);
	feed_free(a->feed);
	httpd_free(a->httpd);
	living_free(a->living);
	registrar_free(a->registrar);
	wake_free(a->wake);
	watch_free(a->watch);
	for (i = 0; i < a->n_hosts; i++)
		kamhost_free(a->hosts[i]);
	free(a->hosts);
	a->n_hosts = 0;
	store_flush(a->store);
	worker_free(a->worker); /* every job ends, so that nothing that was decided is lost */
	control_free(d->control);
	platform_free(a->platform);
	store_free(a->store);
	loop_timer_fini(&d->say);
	loop_timer_fini(&d->trim);
	notify_free(d->notify);
	loop_free(a->loop);
	conf_free(a->conf);
	free(d->file);
}

int
daemon_run(const char *file, bool debug)
{
	struct daemon d = { .file = xstrdup(file) };
	int rc;

	signal(SIGPIPE, SIG_IGN);
	json_object_seed(0);
	log_init(LOG_L_INFO);
	rc = daemon_load(&d.app.conf, file);
	if (rc != EXIT_DONE) {
		free(d.file);
		return rc;
	}
	log_init(debug ? LOG_L_DEBUG : (enum log_level)log_level_parse(d.app.conf->log));
	d.app.reload = reload;
	rc = build(&d);
	if (rc == EXIT_DONE) {
		d.app.started_wall_ms = loop_wall_ms(d.app.loop);
		log_notice("c4d", "c4d %s runs: pid=%ld config=%s generation=%llu services=%zu kamailios=%zu", C4D_VERSION,
		    (long)getpid(), file, (unsigned long long)platform_generation(d.app.platform), d.app.conf->n_services,
		    d.app.n_hosts);
		notify_ready(d.notify);
		say_soon(&d);
		settle_later(&d);
		if (loop_run(d.app.loop) != 0)
			rc = EXIT_NO;
	}
	tear_down(&d);
	return rc;
}
