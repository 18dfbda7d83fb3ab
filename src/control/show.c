/* What c4ctl shows, as JSON: the daemon never prints. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "base/text.h"
#include "consul/kv.h"
#include "control/control.h"
#include "kamailio/dslist.h"

#define HISTORY_LIMIT 100
#define DRAIN_REMIND_MS (24 * 3600 * 1000)
#define LATE_MS 15000 /* a target that is pending for longer than this is a problem */

/* Monotonic to wall clock, for display. */
static int64_t
wall_of(const struct app *a, int64_t mono_ms)
{
	return mono_ms == 0 ? 0 : loop_wall_ms(a->loop) - (loop_now_ms(a->loop) - mono_ms);
}

static bool
wanted(struct control_req *r, const char *name)
{
	const char *only = control_arg(r, 0);

	return only == NULL || strcmp(only, name) == 0;
}

/* An array to show, or "no such X" (1) when it was narrowed to nothing. */
void
show_reply_rows(struct control_req *r, json_t *rows, bool found, const char *what)
{
	if (!found && control_arg(r, 0) != NULL) {
		json_decref(rows);
		control_end(r, EXIT_NO, "no %s %s", what, control_arg(r, 0));
		return;
	}
	control_data(r, rows);
	control_end(r, EXIT_DONE, NULL);
}

/* ---- instances, services ---- */

static void
name_view(const struct app *a, const char *service, unsigned index, struct judge_name_view *v)
{
	judge_name_view(platform_judge(a->platform, service), index, v);
}

/* No name of the service proved anything lately: what is shown is what was. */
static bool
is_stale(const struct app *a, const struct conf_service *c)
{
	struct judge_name_view v;
	unsigned i;

	for (i = 0; i < c->names.n; i++) {
		name_view(a, c->name, i, &v);
		if (v.last == EVIDENCE_COMPLETE || v.last == EVIDENCE_ABSENCE)
			return false;
	}
	return true;
}

json_t *
show_instance(const struct app *a, const char *service, const struct topo_instance *i)
{
	json_t *o = json_object(), *tags = json_array();
	struct judge_flap_view flap;
	const char *p = i->tags;
	char ip[TOPO_ADDR_TEXT];

	topo_addr_format_ip(&i->addr, ip);
	while (p != NULL && *p) {
		size_t n = strcspn(p, ",");

		json_array_append_new(tags, json_stringn(p, n));
		p += n + (p[n] == ',');
	}
	jsonx_set_text(o, "service", service);
	jsonx_set_text(o, "address", ip);
	jsonx_set_int(o, "port", i->addr.port);
	jsonx_set_int(o, "weight", i->weight);
	jsonx_set_int(o, "priority", i->priority);
	json_object_set_new(o, "tags", tags);
	jsonx_set_text(o, "state", topo_state_name(i->state));
	jsonx_set_text(o, "guard", i->guard ? topo_guard_name(i->guard) : NULL);
	jsonx_set_time(o, "since", i->since_ms);
	jsonx_set_int(o, "generation", (int64_t)i->generation);
	jsonx_set_text(o, "source", topo_source_name(i->source));
	jsonx_set_bool(o, "stale", is_stale(a, platform_conf(a->platform, service)));
	if (i->origin != NULL)
		jsonx_set_text(o, "line", i->origin);
	if (judge_flap_view(platform_judge(a->platform, service), &i->addr, loop_now_ms(a->loop), &flap))
		jsonx_set_int(o, "penalty", flap.penalty);
	if (i->drain_until_ms > 0)
		jsonx_set_time(o, "drain_until", i->drain_until_ms);
	return o;
}

void
ctl_show_instances(struct control_req *r)
{
	struct app *a = control_app(r);
	const struct topo *t = platform_now(a->platform);
	json_t *rows = json_array();
	bool found = false;
	size_t i, k;

	for (i = 0; i < t->n; i++) {
		const struct topo_service *s = &t->services[i];

		if (!wanted(r, s->name))
			continue;
		found = true;
		for (k = 0; k < s->n; k++)
			json_array_append_new(rows, show_instance(a, s->name, &s->inst[k]));
	}
	show_reply_rows(r, rows, found, "service");
}

json_t *
show_service(const struct app *a, const struct topo_service *s)
{
	const struct conf_service *c = platform_conf(a->platform, s->name);
	json_t *o = json_object(), *names = json_array();
	size_t count[5] = { 0 }, i;
	struct judge_view jv;
	struct judge_name_view v, worst = { .last = EVIDENCE_COMPLETE, .why = "" };
	int64_t proof = 0;
	bool first = true;
	char note[256] = "", addr[TOPO_ADDR_TEXT];

	for (i = 0; i < s->n; i++)
		count[s->inst[i].state]++;
	for (i = 0; i < c->names.n; i++) {
		json_t *n = json_object();

		name_view(a, s->name, (unsigned)i, &v);
		jsonx_set_text(n, "name", c->names.v[i]);
		jsonx_set_text(n, "evidence", evidence_name(v.last));
		jsonx_set_text(n, "why", v.why);
		jsonx_set_time(n, "proof", wall_of(a, v.proof_ms));
		jsonx_set_int(n, "listed", (int64_t)v.listed);
		json_array_append_new(names, n);
		if (first || v.last == EVIDENCE_NOTHING)
			worst = v;
		if (first || v.proof_ms < proof)
			proof = v.proof_ms;
		first = false;
	}
	judge_view(platform_judge(a->platform, s->name), loop_now_ms(a->loop), &jv);
	jsonx_set_text(o, "service", s->name);
	jsonx_set_bool(o, "known", s->known);
	jsonx_set_int(o, "up", (int64_t)count[TOPO_UP]);
	jsonx_set_int(o, "disabled", (int64_t)count[TOPO_DISABLED]);
	jsonx_set_int(o, "held", (int64_t)count[TOPO_HELD]);
	jsonx_set_int(o, "suppressed", (int64_t)count[TOPO_SUPPRESSED]);
	jsonx_set_int(o, "draining", (int64_t)count[TOPO_DRAINING]);
	jsonx_set_int(o, "min_instances", c->min_instances);
	jsonx_set_int(o, "base", jv.base);
	jsonx_set_int(o, "may_leave_at_once", jv.allowed);
	jsonx_set_bool(o, "frozen", s->frozen);
	jsonx_set_text(o, "evidence", evidence_name(worst.last));
	jsonx_set_text(o, "why", worst.why);
	jsonx_set_time(o, "proof", wall_of(a, proof));
	jsonx_set_bool(o, "stale", is_stale(a, c));
	jsonx_set_int(o, "refused", jv.refused);
	json_object_set_new(o, "names", names);
	if (!s->known)
		snprintf(note, sizeof note, "never had an instance: its targets are not touched");
	else if (jv.refused > 0) {
		topo_addr_format(&jv.refused_addr, addr);
		snprintf(note, sizeof note, "%u listed but not accepted, first %s: %s", jv.refused, addr, jv.refused_why);
	} else if (worst.last == EVIDENCE_NOTHING)
		snprintf(note, sizeof note, "%s", worst.why);
	jsonx_set_text(o, "note", note);
	return o;
}

void
ctl_show_services(struct control_req *r)
{
	struct app *a = control_app(r);
	const struct topo *t = platform_now(a->platform);
	json_t *rows = json_array();
	size_t i;

	for (i = 0; i < t->n; i++)
		if (wanted(r, t->services[i].name))
			json_array_append_new(rows, show_service(a, &t->services[i]));
	show_reply_rows(r, rows, json_array_size(rows) > 0, "service");
}

/* ---- DNS ---- */

void
ctl_show_dns(struct control_req *r)
{
	static const char *const kinds[] = { "nothing", "complete", "partial", "absence" };
	struct app *a = control_app(r);
	json_t *rows = json_array();
	struct watch_view w;
	struct wake_view wake;
	struct judge_name_view v;
	size_t i, k;

	for (i = 0; i < watch_count(a->watch); i++) {
		json_t *o, *counts;

		watch_view(a->watch, i, &w);
		if (!wanted(r, w.service))
			continue;
		name_view(a, w.service, w.index, &v);
		wake_view(a->wake, w.name, &wake);
		o = json_object();
		counts = json_object();
		jsonx_set_text(o, "service", w.service);
		jsonx_set_text(o, "name", w.name);
		jsonx_set_text(o, "canary", w.canary);
		jsonx_set_text(o, "server", w.server);
		jsonx_set_text(o, "evidence", evidence_name(v.last));
		jsonx_set_text(o, "why", v.why);
		jsonx_set_int(o, "listed", (int64_t)v.listed);
		jsonx_set_int(o, "srv", (int64_t)w.n_srv);
		jsonx_set_int(o, "bytes", (int64_t)w.size_bytes);
		jsonx_set_int(o, "took_us", w.took_us);
		jsonx_set_int(o, "interval_ms", w.interval_ms);
		jsonx_set_int(o, "failures", w.failures);
		jsonx_set_int(o, "absent_rounds", v.absent_rounds);
		jsonx_set_int(o, "absent_ms", v.absent_ms);
		jsonx_set_time(o, "last", wall_of(a, w.last_ms));
		jsonx_set_time(o, "proof", wall_of(a, v.proof_ms));
		for (k = 0; k < NELEM(kinds); k++)
			jsonx_set_int(counts, kinds[k], (int64_t)w.rounds[k]);
		json_object_set_new(o, "rounds", counts);
		jsonx_set_text(o, "wake", wake_state_name(wake.state));
		jsonx_set_text(o, "wake_why", wake.why);
		jsonx_set_int(o, "wake_queries", (int64_t)wake.queries);
		jsonx_set_int(o, "wakes", (int64_t)w.wakes);
		jsonx_set_int(o, "wake_rounds", (int64_t)w.wake_rounds);
		json_array_append_new(rows, o);
	}
	show_reply_rows(r, rows, json_array_size(rows) > 0, "service");
}

/* ---- configuration ---- */

void
ctl_show_config(struct control_req *r)
{
	const struct conf *c = control_app(r)->conf;
	const char *prefix = control_arg(r, 0);
	json_t *rows = json_array();
	size_t i;

	for (i = 0; i < c->n_items; i++) {
		json_t *o;

		if (prefix != NULL && strncmp(c->items[i].path, prefix, strlen(prefix)) != 0)
			continue;
		o = json_object();
		jsonx_set_text(o, "key", c->items[i].path);
		jsonx_set_text(o, "value", c->items[i].value);
		jsonx_set_text(o, "origin", c->items[i].origin);
		json_array_append_new(rows, o);
	}
	show_reply_rows(r, rows, json_array_size(rows) > 0, "key beginning with");
}

/* ---- status ---- */

static void add_problem(json_t *, const char *severity, const char *hint, const char *fmt, va_list) PRINTF(4, 0);

/* Those with severity "failure" stand first, in the order in which they are found. */
static void
add_problem(json_t *problems, const char *severity, const char *hint, const char *fmt, va_list ap)
{
	json_t *o = json_object();
	size_t at = json_array_size(problems);
	char text[768];

	vsnprintf(text, sizeof text, fmt, ap);
	jsonx_set_text(o, "problem", text);
	jsonx_set_text(o, "hint", hint);
	jsonx_set_text(o, "severity", severity);
	if (strcmp(severity, "failure") == 0)
		while (at > 0 && strcmp(jsonx_get_text(json_array_get(problems, at - 1), "severity"), "failure") != 0)
			at--;
	json_array_insert_new(problems, at, o);
}

void
show_problem(json_t *problems, const char *hint, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_problem(problems, "warning", hint, fmt, ap);
	va_end(ap);
}

void
show_failure(json_t *problems, const char *hint, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_problem(problems, "failure", hint, fmt, ap);
	va_end(ap);
}

static void
flap_problem(const struct app *a, const char *service, const struct topo_instance *i, json_t *list)
{
	char addr[TOPO_ADDR_TEXT], in[32], hint[160];
	struct judge_flap_view f;

	if (i->goings == 0 && i->penalty == 0 && i->state != TOPO_SUPPRESSED)
		return; /* it never went, as most: no need to look it up */
	if (!judge_flap_view(platform_judge(a->platform, service), &i->addr, loop_now_ms(a->loop), &f) ||
	    (i->state != TOPO_SUPPRESSED && f.kept_in == NULL))
		return;
	topo_addr_format(&i->addr, addr);
	text_format_duration((f.reuse_in_ms + 999) / 1000 * 1000, in, sizeof in);
	snprintf(hint, sizeof hint, "find out why; to let it in at once: c4ctl approve %s", service);
	if (f.kept_in != NULL)
		show_problem(list, hint, "flapping: %s %s went %u times (penalty %u) and takes calls all the same: %s", service, addr,
		    f.goings, f.penalty, f.kept_in);
	else
		show_problem(list, hint, "flapping: %s %s went %u times: kept out until its penalty %u is below %u, in about %s", service,
		    addr, f.goings, f.penalty, f.reuse, in);
}

static void
tag_problem(const struct conf_service *c, const struct topo_service *s, const struct topo_instance *i, json_t *list)
{
	char addr[TOPO_ADDR_TEXT], hint[160];

	if (c->drain_tag == NULL || !topo_is_active(i->state) || !topo_has_tag(i, c->drain_tag))
		return;
	topo_addr_format(&i->addr, addr);
	snprintf(hint, sizeof hint, s->frozen ? "c4ctl release %s" : "start another instance of %s first, or lower min_instances",
	    s->name);
	if (s->frozen)
		show_problem(list, hint, "%s: %s has the tag %s and takes calls all the same: the service is frozen", s->name, addr,
		    c->drain_tag);
	else
		show_problem(list, hint, "%s: %s has the tag %s and takes calls all the same: fewer than min_instances (%lld) would be left",
		    s->name, addr, c->drain_tag, (long long)c->min_instances);
}

/* Nothing is wrong with them; somebody may have forgotten them. */
static json_t *
reminders(const struct app *a)
{
	json_t *list = json_array();
	const struct store_drain *d;
	struct topo_addr addr;
	const char *service;
	char text[TOPO_ADDR_TEXT], since[32], hint[160];
	size_t i;

	for (i = 0; (d = platform_drain_at(a->platform, i, &service, &addr)) != NULL; i++) {
		if (loop_wall_ms(a->loop) - d->since_ms < DRAIN_REMIND_MS)
			continue;
		topo_addr_format(&addr, text);
		text_format_time(d->since_ms, since);
		snprintf(hint, sizeof hint, "if it may take calls again: c4ctl undrain %s", text);
		show_problem(list, hint, "%s of %s is drained since %s by %s%s", text, service, since, d->who ? d->who : "?",
		    topo_find_instance(topo_find(platform_now(a->platform), service), &addr) ? "" : "; it is not registered now");
	}
	return list;
}

static bool
takes_calls(const struct topo_service *s)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (topo_is_active(s->inst[i].state))
			return true;
	return false;
}

static void
service_problems(const struct app *a, const struct topo_service *s, json_t *list, size_t total[5])
{
	const struct conf_service *c = platform_conf(a->platform, s->name);
	size_t held[4] = { 0 }, i;
	struct judge_name_view v;
	struct judge_view jv;
	char hint[160], addr[TOPO_ADDR_TEXT];

	for (i = 0; i < s->n; i++) {
		total[s->inst[i].state]++;
		if (s->inst[i].state == TOPO_HELD)
			held[s->inst[i].guard]++;
		flap_problem(a, s->name, &s->inst[i], list);
		tag_problem(c, s, &s->inst[i], list);
	}
	snprintf(hint, sizeof hint, "if they are really gone: c4ctl approve %s", s->name);
	if (held[GUARD_EMPTY] > 0)
		show_problem(list, hint, "%s: %zu instances are held: fewer than min_instances (%lld) would be left", s->name,
		    held[GUARD_EMPTY], (long long)c->min_instances);
	if (held[GUARD_SHRINK] > 0)
		show_problem(list, hint, "%s: %zu instances are held: more than %lld%% left at once", s->name, held[GUARD_SHRINK],
		    (long long)c->max_shrink);
	snprintf(hint, sizeof hint, "c4ctl release %s", s->name);
	if (s->frozen)
		show_problem(list, hint, "%s is frozen by an operator", s->name);
	for (i = 0; i < c->names.n; i++) {
		name_view(a, s->name, (unsigned)i, &v);
		snprintf(hint, sizeof hint, "nothing is removed meanwhile; see c4ctl show dns %s", s->name);
		if (v.last == EVIDENCE_NOTHING)
			show_problem(list, hint, "%s: Consul's DNS says nothing about %s: %s", s->name, c->names.v[i], v.why);
		else if (v.last == EVIDENCE_ABSENCE && takes_calls(s))
			show_problem(list, hint, "%s: Consul lists no instance of %s any more, for %llds by now: all stay until it has said so for %llds",
			    s->name, c->names.v[i], (long long)(v.absent_ms / 1000), (long long)(c->empty_hold_ms / 1000));
		else if (v.last == EVIDENCE_PARTIAL)
			show_problem(list, hint, "%s: only a part of %s is known: %s", s->name, c->names.v[i], v.why);
	}
	if (!s->known)
		show_problem(list, "register one at Consul, or correct services in the configuration",
		    "%s never had an instance: its targets are not touched", s->name);
	judge_view(platform_judge(a->platform, s->name), loop_now_ms(a->loop), &jv);
	if (jv.refused > 0) {
		topo_addr_format(&jv.refused_addr, addr);
		show_problem(list, "correct the registration, or networks/max_instances", "%s: %u listed but not accepted, first %s: %s",
		    s->name, jv.refused, addr, jv.refused_why);
	}
}

/* DNS answers as if all were well then. `dc` "": the agent's own. */
static void
leader_problem(json_t *list, const char *dc, int64_t since_ms)
{
	char since[32];

	text_format_time(since_ms, since);
	show_failure(list, "start the servers that are down; consul operator raft list-peers -stale shows all of them",
	    "Consul%s%s has no leader since %s: too few of its servers reach each other; what it lists is as it was then, and changes wait",
	    dc[0] ? " in " : "", dc, since);
}

/* What those who ask Consul by HTTP found out: each datacenter once. */
static void
leader_problems(const struct app *a, json_t *list)
{
	struct wake_no_leader w, before;
	const struct kv *kv;
	struct kv_view v;
	char used_by[96];
	int64_t own_ms = 0;
	size_t i, k;

	for (i = 0; show_next_kv(a, &i, &kv, used_by);) {
		kv_view(kv, &v);
		if (v.no_leader_ms != 0 && (own_ms == 0 || v.no_leader_ms < own_ms))
			own_ms = v.no_leader_ms;
	}
	for (i = 0; wake_no_leader(a->wake, i, &w); i++) {
		for (k = 0; k < i && wake_no_leader(a->wake, k, &before) && strcmp(before.dc, w.dc) != 0; k++)
			;
		if (w.dc[0] == '\0')
			own_ms = own_ms == 0 || w.since_ms < own_ms ? w.since_ms : own_ms;
		else if (k == i)
			leader_problem(list, w.dc, w.since_ms);
	}
	if (own_ms != 0)
		leader_problem(list, "", own_ms);
}

static json_t *
status_targets(const struct app *a, json_t *list)
{
	json_t *o = json_object();
	struct target_walk w = { 0 };
	size_t count[5] = { 0 }, i;

	while (kamhost_walk(a->hosts, a->n_hosts, &w)) {
		const struct target_view *v = &w.view;
		bool late = loop_wall_ms(a->loop) - v->since_ms > LATE_MS + v->window_ms;

		count[v->state]++;
		if (v->state == TARGET_FAILED || v->state == TARGET_UNREACHABLE)
			show_failure(list, "tries again by itself; c4ctl diff shows what is missing", "%s %s: %s", v->name,
			    target_state_name(v->state), v->last_error);
		else if (v->state != TARGET_CONVERGED && late)
			show_problem(list, "c4ctl diff; c4ctl resync", "%s is %s for long%s%s", v->name, target_state_name(v->state),
			    v->last_error[0] ? ": " : "", v->last_error);
	}
	for (i = 0; i < NELEM(count); i++)
		jsonx_set_int(o, target_state_name((enum target_state)i), (int64_t)count[i]);
	return o;
}

static json_t *
status_kamailios(const struct app *a)
{
	json_t *rows = json_array();
	size_t i, k;

	for (i = 0; i < a->n_hosts; i++) {
		const struct kamhost *h = a->hosts[i];
		struct target_counts n = { 0 };
		json_t *o = json_object();

		for (k = 0; k < kamhost_targets(h); k++)
			kamhost_target(h, k)->ops->counts(kamhost_target(h, k), &n);
		jsonx_set_text(o, "name", kamhost_conf(h)->name);
		jsonx_set_text(o, "binrpc", kamhost_conf(h)->binrpc);
		jsonx_set_bool(o, "up", kamhost_is_up(h));
		jsonx_set_text(o, "why", kamhost_down_why(h));
		jsonx_set_text(o, "version", kamhost_ident(h)->version);
		jsonx_set_text(o, "up_since", kamhost_ident(h)->up_since);
		jsonx_set_int(o, "reloads", (int64_t)n.reloads);
		jsonx_set_int(o, "adds", (int64_t)n.adds);
		jsonx_set_int(o, "removes", (int64_t)n.removes);
		jsonx_set_int(o, "set_states", (int64_t)n.set_states);
		jsonx_set_int(o, "file_writes", (int64_t)n.file_writes);
		jsonx_set_int(o, "faults", (int64_t)n.faults);
		jsonx_set_int(o, "window_waits", (int64_t)n.window_waits);
		jsonx_set_int(o, "repairs", (int64_t)n.repairs);
		jsonx_set_int(o, "connections", (int64_t)kamhost_connections(h));
		json_array_append_new(rows, o);
	}
	return rows;
}

json_t *
show_status(const struct app *a)
{
	const struct topo *t = platform_now(a->platform);
	json_t *o = json_object(), *problems = json_array(), *reminded = reminders(a), *s = json_object(), *st = json_object(),
	       *lag = json_object();
	size_t total[5] = { 0 }, i;
	struct store_view sv;
	struct loop_lag ll;
	struct watch_view wv;
	struct judge_name_view nv;
	struct httpd_view hv;
	struct hook_view hook;
	int64_t proof = 0;

	store_view(a->store, &sv);
	if (sv.set_aside != NULL)
		show_problem(reminded, "c4d began a new one; if that file is wanted (drains, routing data, CDRs): stop c4d, put it back; else remove it",
		    "store: %s: it was set aside as %s", sv.set_aside_why, sv.set_aside);
	if (sv.failing)
		show_failure(problems, "c4d goes on from memory; a restart now would begin with what was stored before", "store: failing: %s",
		    sv.why);
	leader_problems(a, problems);
	for (i = 0; i < t->n; i++)
		service_problems(a, &t->services[i], problems, total);
	json_object_set_new(o, "targets", status_targets(a, problems));
	for (i = 0; i < a->n_hosts; i++)
		show_silent_nodes(a, a->hosts[i], problems);
	httpd_view(a->httpd, &hv);
	if (hv.why[0] != '\0')
		show_problem(problems, "tries again by itself; correct http.listen if it is wrong", "http: %s", hv.why);
	hook_view(a->hook, &hook);
	if (hook.failing)
		show_problem(problems, "correct the command, then c4ctl reload tells it again at once; c4ctl log debug hook, and the log has what it says", "notify: %s", hook.why);
	json_object_set_new(o, "registrations", show_registrar_status(a, problems, reminded));
	show_routing_status(a, problems);
	jsonx_set_bool(o, "healthy", json_array_size(problems) == 0);
	json_object_set_new(o, "problems", problems);
	json_object_set_new(o, "reminders", reminded);
	jsonx_set_text(o, "version", C4D_VERSION);
	jsonx_set_int(o, "pid", getpid());
	jsonx_set_time(o, "started", a->started_wall_ms);
	jsonx_set_int(o, "generation", (int64_t)t->generation);
	jsonx_set_time(o, "changed", platform_seen_ms(a->platform));
	jsonx_set_int(s, "count", (int64_t)t->n);
	jsonx_set_int(s, "up", (int64_t)total[TOPO_UP]);
	jsonx_set_int(s, "disabled", (int64_t)total[TOPO_DISABLED]);
	jsonx_set_int(s, "held", (int64_t)total[TOPO_HELD]);
	jsonx_set_int(s, "suppressed", (int64_t)total[TOPO_SUPPRESSED]);
	jsonx_set_int(s, "draining", (int64_t)total[TOPO_DRAINING]);
	json_object_set_new(o, "services", s);
	json_object_set_new(o, "kamailio", status_kamailios(a));
	for (i = 0; i < watch_count(a->watch); i++) {
		watch_view(a->watch, i, &wv);
		name_view(a, wv.service, wv.index, &nv);
		if (nv.proof_ms > proof)
			proof = nv.proof_ms;
	}
	jsonx_set_time(o, "last_proof", wall_of(a, proof));
	json_object_set_new(o, "stretch", json_real(watch_stretch(a->watch)));
	jsonx_set_text(st, "state", sv.failing ? "failing" : "ok");
	jsonx_set_text(st, "why", sv.failing ? sv.why : NULL);
	jsonx_set_int(st, "commits", (int64_t)sv.commits);
	jsonx_set_int(st, "used_bytes", sv.used_bytes);
	jsonx_set_int(st, "size_bytes", sv.size_bytes);
	jsonx_set_int(st, "pending", (int64_t)sv.pending);
	jsonx_set_text(st, "set_aside", sv.set_aside);
	jsonx_set_text(st, "set_aside_why", sv.set_aside ? sv.set_aside_why : NULL);
	json_object_set_new(o, "store", st);
	loop_lag_so_far(a->loop, &ll); /* the service manager's line is made of this too, which nobody may look at */
	jsonx_set_int(lag, "max_us", ll.max_us);
	jsonx_set_int(lag, "beats", (int64_t)ll.turns);
	jsonx_set_int(lag, "over_5ms", (int64_t)ll.over_5ms);
	json_object_set_new(o, "loop_lag", lag);
	return o;
}

void
ctl_status(struct control_req *r)
{
	struct loop_lag from_now_on;
	json_t *o = show_status(control_app(r));
	bool healthy = json_is_true(json_object_get(o, "healthy"));

	loop_lag(control_app(r)->loop, &from_now_on);
	control_data(r, o);
	control_end(r, healthy ? EXIT_DONE : EXIT_NO, NULL);
}

/* ---- topology ---- */

json_t *
show_topology(const struct app *a, const char *service)
{
	const struct topo *t = platform_now(a->platform);
	json_t *o = json_object(), *services = json_array(), *kamailios = json_array();
	size_t i, k;

	for (i = 0; i < a->n_hosts; i++) {
		json_t *host = json_object();

		jsonx_set_text(host, "name", kamhost_conf(a->hosts[i])->name);
		jsonx_set_bool(host, "up", kamhost_is_up(a->hosts[i]));
		jsonx_set_text(host, "why", kamhost_down_why(a->hosts[i]));
		json_array_append_new(kamailios, host);
	}
	for (i = 0; i < t->n; i++) {
		const struct topo_service *s = &t->services[i];
		json_t *so, *inst;

		if (service != NULL && strcmp(service, s->name) != 0)
			continue;
		so = show_service(a, s);
		inst = json_array();
		for (k = 0; k < s->n; k++)
			json_array_append_new(inst, show_instance(a, s->name, &s->inst[k]));
		json_object_set_new(so, "instances", inst);
		json_object_set_new(so, "targets", show_targets(a, s->name));
		json_array_append_new(services, so);
	}
	jsonx_set_int(o, "generation", (int64_t)t->generation);
	jsonx_set_time(o, "changed", platform_seen_ms(a->platform));
	json_object_set_new(o, "services", services);
	json_object_set_new(o, "kamailio", kamailios);
	return o;
}

void
ctl_show_topology(struct control_req *r)
{
	const char *only = control_arg(r, 0);
	json_t *o = show_topology(control_app(r), only);

	if (only != NULL && json_array_size(json_object_get(o, "services")) == 0) {
		json_decref(o);
		control_end(r, EXIT_NO, "no service %s", only);
		return;
	}
	control_data(r, o);
	control_end(r, EXIT_DONE, NULL);
}

/* ---- history, why: read by the worker ---- */

static void
on_history(void *arg, json_t *takes)
{
	struct control_req *r = arg;
	size_t n = json_array_size(takes);

	control_data(r, takes);
	control_end(r, n > 0 || control_arg(r, 0) == NULL ? EXIT_DONE : EXIT_NO, NULL);
}

void
ctl_history(struct control_req *r)
{
	struct app *a = control_app(r);

	store_history(a->store, control_arg(r, 0), NULL, HISTORY_LIMIT, on_history, r);
}

/* Which sets hold this address, desired and in fact. */
static json_t *
where_in_force(const struct app *a, const struct topo_addr *addr)
{
	json_t *out = json_array();
	size_t i, k;

	for (i = 0; i < a->n_hosts; i++) {
		json_t *rows = show_destinations(a->hosts[i]);

		for (k = 0; k < json_array_size(rows); k++) {
			json_t *row = json_array_get(rows, k);
			struct topo_addr ua;

			if (dslist_uri_addr(jsonx_get_text(row, "uri"), &ua) == 0 && topo_addr_cmp(&ua, addr) == 0)
				json_array_append(out, row);
		}
		json_decref(rows);
		show_places(a->hosts[i], addr, out);
	}
	return out;
}

/* What damping remembers of it, and who drains it: only where there is something. */
static void
show_reasons(const struct app *a, json_t *o, const char *service, const struct topo_instance *i)
{
	const struct store_drain *d = platform_drain_of(a->platform, service, &i->addr);
	struct judge_flap_view f;
	json_t *sub;

	if (judge_flap_view(platform_judge(a->platform, service), &i->addr, loop_now_ms(a->loop), &f)) {
		sub = json_object();
		jsonx_set_int(sub, "goings", f.goings);
		jsonx_set_int(sub, "suppress", f.suppress);
		jsonx_set_int(sub, "reuse", f.reuse);
		jsonx_set_int(sub, "reuse_in_ms", f.reuse_in_ms);
		jsonx_set_bool(sub, "damped", f.damped);
		jsonx_set_text(sub, "kept_in", f.kept_in);
		json_object_set_new(o, "flap", sub);
	}
	if (d != NULL) {
		sub = json_object();
		jsonx_set_text(sub, "by", d->who);
		jsonx_set_time(sub, "since", d->since_ms);
		jsonx_set_time(sub, "until", d->until_ms);
		json_object_set_new(o, "drain", sub);
	}
}

static void
on_why(void *arg, json_t *history)
{
	struct control_req *r = arg;
	struct app *a = control_app(r);
	const struct topo *t = platform_now(a->platform);
	json_t *o = json_object(), *found = json_array(), *ours;
	struct topo_addr addr;
	char text[TOPO_ADDR_TEXT];
	size_t i, k;

	if (topo_addr_parse(control_arg(r, 0), &addr) != 0)
		memset(&addr, 0, sizeof addr);
	topo_addr_format(&addr, text);
	for (i = 0; i < t->n; i++) {
		const struct topo_instance *inst = topo_find_instance(&t->services[i], &addr);
		const struct conf_service *c = platform_conf(a->platform, t->services[i].name);
		const struct judge *j = platform_judge(a->platform, t->services[i].name);
		json_t *io, *listed, *silent;
		int64_t missing = 0;
		unsigned mask;

		if (inst == NULL)
			continue;
		io = show_instance(a, t->services[i].name, inst);
		show_reasons(a, io, t->services[i].name, inst);
		listed = json_array();
		silent = json_array();
		mask = judge_listed_by(j, &addr, &missing);
		for (k = 0; k < c->names.n; k++) {
			struct judge_name_view v;
			json_t *n = json_object();

			judge_name_view(j, (unsigned)k, &v);
			jsonx_set_text(n, "name", c->names.v[k]);
			jsonx_set_text(n, "evidence", evidence_name(v.last));
			jsonx_set_text(n, "why", v.why);
			jsonx_set_time(n, "proof", wall_of(a, v.proof_ms));
			json_array_append_new(mask >> k & 1 ? listed : silent, n);
		}
		json_object_set_new(io, "listed_by", listed);
		json_object_set_new(io, "not_listed_by", silent);
		jsonx_set_int(io, "missing_ms", missing);
		jsonx_set_int(io, "shrink_hold_ms", c->shrink_hold_ms);
		jsonx_set_int(io, "remove_hold_ms", c->remove_hold_ms);
		json_array_append_new(found, io);
	}
	ours = show_registrations_at(a, &addr);
	k = json_array_size(found) + json_array_size(history) + json_array_size(ours);
	jsonx_set_text(o, "address", text);
	json_object_set_new(o, "instances", found);
	json_object_set_new(o, "destinations", where_in_force(a, &addr));
	json_object_set_new(o, "registrations", ours);
	json_object_set_new(o, "history", history);
	control_data(r, o);
	if (k == 0)
		control_end(r, EXIT_NO, "%s is no instance of any service and is not in the history", text);
	else
		control_end(r, EXIT_DONE, NULL);
}

void
ctl_why(struct control_req *r)
{
	struct topo_addr addr;
	char text[TOPO_ADDR_TEXT];

	if (topo_addr_parse(control_arg(r, 0), &addr) != 0) {
		control_end(r, EXIT_USAGE, "%s is not ADDRESS:PORT (IPv6 in brackets)", control_arg(r, 0));
		return;
	}
	topo_addr_format(&addr, text);
	store_history(control_app(r)->store, NULL, text, HISTORY_LIMIT, on_why, r);
}
