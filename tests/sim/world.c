/* world: builds c4d as daemon.c does, without its control socket, and knows what must hold between its parts. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim.h"

struct c4d c4d;
static char *dir; /* the store's: LMDB is real, and wants real files */

static void
remove_dir(void)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char *path;

	while (d != NULL && (e = readdir(d)) != NULL) {
		path = xasprintf("%s/%s", dir, e->d_name);
		(void)unlink(path);
		free(path);
	}
	if (d != NULL)
		closedir(d);
	(void)rmdir(dir);
	free(dir);
	dir = NULL;
}

static void
make_dir(void)
{
	const char *base = getenv("TMPDIR");

	/* LMDB syncs with every commit: a disk of memory spares a real one thousands of them */
	dir = xasprintf("%s/c4d-sim-XXXXXX", base != NULL ? base : access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (mkdtemp(dir) == NULL) {
		fprintf(stderr, "sim: cannot make %s: %s (set TMPDIR)\n", dir, strerror(errno));
		exit(2);
	}
}

void
world_reset(void)
{
	if (c4d.loop != NULL)
		world_stop(true);
	conf_free(c4d.conf);
	memset(&c4d, 0, sizeof c4d);
	kamailio_reset();
	tables_reset();
	rtpengine_reset();
	dns_reset();
	http_reset();
	disk_reset();
	clock_reset();
	trace_reset();
	if (dir != NULL)
		remove_dir();
}

struct report {
	char *text;
	size_t size;
};

static void
report(void *arg, const char *text)
{
	struct report *r = arg;

	if (r->text[0] == '\0')
		snprintf(r->text, r->size, "%s", text);
}

bool
world_conf(const char *text, char *why, size_t size)
{
	struct report r = { why, size };
	struct conf *conf;
	size_t i;

	why[0] = '\0';
	if (c4d.loop != NULL) {
		snprintf(why, size, "c4d runs: stop it first");
		return false;
	}
	if (conf_load_text(&conf, "conf", text, strlen(text), report, &r) != 0)
		return false;
	conf_free(c4d.conf);
	c4d.conf = conf;
	for (i = 0; i < conf->n_kamailios; i++)
		(void)kamailio_add(conf->kamailios[i]->name, conf->kamailios[i]->list_file,
		    conf->kamailios[i]->reload_delta_ms);
	return true;
}

/* ---- what connects the floors, as in daemon.c ---- */

static void
on_round(void *arg, const char *service, const struct round *round, const char *server)
{
	platform_round(c4d.platform, service, round, server);
}

static void
on_woken(void *arg, const char *service, const char *name)
{
	watch_wake(c4d.watch, service, name);
}

static void
on_changed(void *arg)
{
	size_t i;

	for (i = 0; i < c4d.n_hosts; i++)
		kamhost_kick(c4d.hosts[i]);
}

static void
on_target(void *arg)
{
}

void
world_disk_error(int err)
{
	disk.err = err;
	if (c4d.store != NULL)
		store_fail_next(c4d.store, err, err ? 1000000 : 0);
}

static void
open_store(void)
{
	struct store_conf sc = {
		.dir = dir,
		.machine_id = "sim",
		.size_bytes = 16 << 20,
		.keep_ms = c4d.conf->history_keep_ms,
		.keep_max = c4d.conf->history_max,
	};
	pid_t holder;

	if (store_open(&c4d.store, c4d.loop, c4d.worker, &sc, &holder) != 0)
		sim_fail("the store cannot be opened");
	world_disk_error(disk.err);
}

void
world_start(void)
{
	struct target_deps deps;
	size_t i;

	if (dir == NULL)
		make_dir();
	trace("c4d starts");
	kamailio_forget_c4d();
	if (loop_new(&c4d.loop) != 0 || worker_new(&c4d.worker, c4d.loop) != 0)
		abort();
	open_store();
	if (c4d.store == NULL ||
	    platform_new(&c4d.platform, c4d.loop, c4d.store, c4d.conf, on_changed, NULL) != 0 ||
	    watch_new(&c4d.watch, c4d.loop, c4d.conf, on_round, NULL) != 0 ||
	    wake_new(&c4d.wake, c4d.loop, c4d.worker, c4d.conf, on_woken, NULL) != 0) {
		sim_fail("c4d does not start");
		return;
	}
	deps = (struct target_deps){
		.loop = c4d.loop, .worker = c4d.worker, .platform = c4d.platform, .store = c4d.store, .event = on_target,
	};
	c4d.hosts = xcalloc(c4d.conf->n_kamailios, sizeof *c4d.hosts);
	for (i = 0; i < c4d.conf->n_kamailios; i++)
		if (kamhost_new(&c4d.hosts[c4d.n_hosts++], &deps, c4d.conf->kamailios[i]) != 0)
			abort(); /* the fake kam takes any address */
	for (i = 0; i < c4d.n_hosts; i++)
		kamhost_start(c4d.hosts[i]);
	watch_start(c4d.watch);
	wake_start(c4d.wake);
}

/* A crash: what was under way on the disk never happens. */
void
world_stop(bool crash)
{
	struct conf *conf = c4d.conf;
	size_t i;

	trace("c4d %s", crash ? "crashes" : "stops");
	disk.lost = crash;
	wake_free(c4d.wake);
	watch_free(c4d.watch);
	for (i = 0; i < c4d.n_hosts; i++)
		kamhost_free(c4d.hosts[i]);
	free(c4d.hosts);
	if (!crash)
		store_flush(c4d.store);
	worker_free(c4d.worker);
	platform_free(c4d.platform);
	store_free(c4d.store);
	loop_free(c4d.loop);
	memset(&c4d, 0, sizeof c4d);
	c4d.conf = conf;
	disk.lost = false;
}

/* ---- what must hold ---- */

static void
check_set(const char *path, const struct ds_entries *e, int set, bool *any, bool *live)
{
	size_t i;

	*any = *live = false;
	for (i = 0; i < e->n; i++) {
		unsigned flags = e->v[i].flags;

		if (e->v[i].set != set || (flags & DS_DISABLED))
			continue;
		*any = true;
		*live |= !(flags & DS_INACTIVE);
		if ((flags & DS_INACTIVE) && !(flags & DS_PROBING))
			sim_fail("%s: %s is inactive, and nothing would bring it back", path, e->v[i].uri);
	}
}

void
world_check_file(const char *path, const char *was_text, const char *is_text)
{
	struct ds_entries was = { 0 }, is = { 0 };
	const char *why_was = was_text != NULL ? kamailio_parse(was_text, &was) : NULL;
	const char *why = kamailio_parse(is_text, &is);
	const struct kamailio *k = kamailio_find(NULL);
	bool any, live;
	size_t i;

	while (k != NULL && (k->list_path == NULL || strcmp(k->list_path, path) != 0))
		k = k->next;
	if (k == NULL) { /* a table */
		ds_entries_clear(&was);
		ds_entries_clear(&is);
		return;
	}
	if (why != NULL && why_was == NULL)
		sim_fail("%s: Kamailio would not read it: %s", path, why);
	for (i = 0; i < was.n && k != NULL && !k->may_empty; i++) {
		if (was.v[i].flags & DS_DISABLED)
			continue;
		check_set(path, &is, was.v[i].set, &any, &live);
		if (!any)
			sim_fail("%s: nothing in set %d would take calls after a restart", path, was.v[i].set);
	}
	for (i = 0; i < is.n; i++) {
		check_set(path, &is, is.v[i].set, &any, &live);
		if (any && !live)
			sim_fail("%s: set %d is inactive as a whole", path, is.v[i].set);
	}
	ds_entries_clear(&was);
	ds_entries_clear(&is);
}

/* NULL, or the first difference of what takes calls, or is kept out, in these sets. */
static char *
differs(const char *where, const struct ds_entries *want, const struct ds_entries *have)
{
	size_t i;

	for (i = 0; i < want->n; i++) {
		const struct ds_entry *w = &want->v[i], *h = dsp_find(have, w->set, w->uri);

		if (h == NULL)
			return xasprintf("%s: %d %s is not there", where, w->set, w->uri);
		if ((h->flags ^ w->flags) & DS_DISABLED)
			return xasprintf("%s: %d %s is %s", where, w->set, w->uri,
			    h->flags & DS_DISABLED ? "disabled" : "not disabled");
		if (h->priority != w->priority || strcmp(h->attrs ? h->attrs : "", w->attrs ? w->attrs : "") != 0)
			return xasprintf("%s: %d %s has another priority or attributes", where, w->set, w->uri);
	}
	for (i = 0; i < have->n; i++) {
		bool managed = false;
		size_t m;

		for (m = 0; m < want->n; m++)
			managed |= want->v[m].set == have->v[i].set;
		if (managed && dsp_find(want, have->v[i].set, have->v[i].uri) == NULL)
			return xasprintf("%s: %d %s is there", where, have->v[i].set, have->v[i].uri);
	}
	return NULL;
}

char *
world_differs(void)
{
	char *text = NULL;
	size_t i;

	for (i = 0; i < c4d.n_hosts && text == NULL; i++) {
		struct dispatcher *d = kamhost_dispatcher(c4d.hosts[i]);
		struct kamailio *k = kamailio_find(kamhost_conf(c4d.hosts[i])->name);
		struct ds_entries want = { 0 }, file = { 0 };
		const char *why;

		if (d == NULL)
			continue;
		dispatcher_desired(d, &want);
		why = want.n == 0 ? NULL : disk_get(k->list_path) == NULL ? "no file" :
		    kamailio_parse(disk_get(k->list_path), &file);
		if (why != NULL)
			text = xasprintf("%s: %s", k->list_path, why);
		if (text == NULL)
			text = differs(k->name, &want, &k->list);
		if (text == NULL)
			text = differs(k->list_path, &want, &file);
		ds_entries_clear(&want);
		ds_entries_clear(&file);
	}
	return text;
}
