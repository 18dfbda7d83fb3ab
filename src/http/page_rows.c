/* What the status page shows: the rows that c4ctl has, and nothing that those would not show. */
#include <stdio.h>

#include "base/jsonx.h"
#include "control/control.h"
#include "http/page.h"

#define FRESH_MS 15000 /* evidence that is not older is new: its age is no news each second */

/* Whether its evidence is new, and how a change of it becomes known. */
static void
set_sources(const struct app *a, json_t *service)
{
	const struct judge *judge = platform_judge(a->platform, jsonx_get_text(service, "service"));
	const json_t *names = json_object_get(service, "names"), *n;
	int64_t now_ms = loop_now_ms(a->loop);
	struct judge_name_view nv;
	struct wake_view wv;
	bool waits = false, lost = false, fresh = true;
	size_t i;

	json_array_foreach(names, i, n) {
		wake_view(a->wake, jsonx_get_text(n, "name"), &wv);
		waits |= wv.state == WAKE_WAITING;
		lost |= wv.state == WAKE_LOST;
		judge_name_view(judge, (unsigned)i, &nv);
		fresh &= nv.proof_ms != 0 && now_ms - nv.proof_ms < FRESH_MS;
	}
	jsonx_set_text(service, "wake", lost ? "lost" : waits ? "index" : "dns");
	jsonx_set_bool(service, "fresh", fresh);
}

/* Of many those that are not up, then others. */
static json_t *
instance_rows(const struct app *a, const struct topo_service *s)
{
	json_t *rows = json_array();
	bool all = s->n <= PAGE_INSTANCES_MAX;
	size_t pass, i;

	for (pass = 0; pass < (all ? 1 : 2); pass++)
		for (i = 0; i < s->n && json_array_size(rows) < PAGE_INSTANCES_MAX; i++)
			if (all || (s->inst[i].state == TOPO_UP) == (pass == 1))
				json_array_append_new(rows, show_instance(a, s->name, &s->inst[i]));
	return rows;
}

/* The names of those that are made of it. */
static json_t *
target_names(const struct app *a, const char *service)
{
	json_t *rows = json_array(), *o;
	struct target_walk w = { 0 };

	while (kamhost_walk(a->hosts, a->n_hosts, &w))
		if (w.target->ops->holds(w.target, w.row, service)) {
			o = json_object();
			jsonx_set_text(o, "target", w.view.name);
			json_array_append_new(rows, o);
		}
	return rows;
}

static json_t *
topology_rows(const struct app *a)
{
	const struct topo *t = platform_now(a->platform);
	json_t *services = json_array(), *kamailios = json_array(), *o;
	size_t i;

	for (i = 0; i < a->n_hosts; i++) {
		o = json_object();
		jsonx_set_text(o, "name", kamhost_conf(a->hosts[i])->name);
		jsonx_set_bool(o, "up", kamhost_is_up(a->hosts[i]));
		json_array_append_new(kamailios, o);
	}
	for (i = 0; i < t->n; i++) {
		o = show_service(a, &t->services[i]);
		set_sources(a, o);
		json_object_set_new(o, "instances", instance_rows(a, &t->services[i]));
		json_object_set_new(o, "targets", target_names(a, t->services[i].name));
		json_array_append_new(services, o);
	}
	o = json_object();
	json_object_set_new(o, "services", services);
	json_object_set_new(o, "kamailio", kamailios);
	return o;
}

/* Not the checks' outputs: they are of others, and long. */
static json_t *
registration_rows(const struct app *a)
{
	json_t *rows = json_array(), *o, *checks, *c;
	struct registration_view v;
	struct check_view cv;
	size_t i, k;

	for (i = 0; i < registrar_count(a->registrar); i++) {
		registrar_view(a->registrar, i, &v);
		o = show_registration(&v);
		checks = json_array();
		for (k = 0; k < registrar_checks(a->registrar, i); k++) {
			registrar_check_view(a->registrar, i, k, &cv);
			c = json_object();
			jsonx_set_text(c, "check", cv.name);
			jsonx_set_text(c, "status", cv.off ? "off" : agent_status_name(cv.ours ? cv.status : cv.agent));
			json_array_append_new(checks, c);
		}
		json_object_set_new(o, "checks", checks);
		json_array_append_new(rows, o);
	}
	return rows;
}

static json_t *
routing_row(const struct app *a)
{
	struct routing_view v;
	struct kamapi_view k;
	json_t *o = json_object();

	routing_view(a->routing, &v);
	kamapi_view(a->kamapi, &k);
	jsonx_set_bool(o, "served", routing_data(a->routing) != NULL);
	jsonx_set_text(o, "source", v.source);
	jsonx_set_time(o, "loaded", v.loaded_ms);
	jsonx_set_int(o, "version", (int64_t)v.version);
	jsonx_set_int(o, "decisions", (int64_t)k.decisions);
	jsonx_set_int(o, "unrouted", (int64_t)k.unrouted);
	jsonx_set_int(o, "auths", (int64_t)k.auths);
	jsonx_set_int(o, "cdrs", (int64_t)k.cdrs);
	jsonx_set_int(o, "refused", (int64_t)k.refused);
	jsonx_set_int(o, "mean_us", k.took.count > 0 ? k.took.sum_us / (int64_t)k.took.count : 0);
	return o;
}

void
page_trim(json_t *history)
{
	json_t *g, *changes;
	size_t i;

	json_array_foreach(history, i, g) {
		changes = json_object_get(g, "changes");
		jsonx_set_int(g, "n_changes", (int64_t)json_array_size(changes));
		while (json_array_size(changes) > PAGE_CHANGES_MAX)
			json_array_remove(changes, json_array_size(changes) - 1);
	}
}

json_t *
page_rows(const struct app *a, const json_t *history)
{
	json_t *o = json_object();

	json_object_set_new(o, "status", show_status(a));
	json_object_set_new(o, "topology", topology_rows(a));
	json_object_set_new(o, "targets", show_targets(a, NULL));
	json_object_set_new(o, "nodes", show_nodes(a));
	json_object_set_new(o, "registrations", registration_rows(a));
	json_object_set_new(o, "routing", routing_row(a));
	if (history != NULL)
		json_object_set(o, "history", (json_t *)(uintptr_t)history);
	return o;
}
