/*
 * What c4ctl shows of what this machine offers at Consul (register), and of what it reads from Consul's KV.
 *
 * The keys of their JSON, which stay:
 *   show registrations: registration (the section), id, service, address, port, state ("waiting" "pending" "registered"
 *     "maintenance" "failed" "unreachable" "leaving"), agent (the worst of its checks there: "passing" "warning" "critical"; null:
 *     the agent does not have it), catalog (the same words, "missing" "unknown"), dns ("listed" "missing" "hidden" "unknown" "off"),
 *     since (of the state), why (null: all is well), note, maintenance (by c4d's operator), foreign_maintenance (by somebody else
 *     at Consul), maintenance_at_agent (the agent has one on), reason, who, eid, asserted (the last time that the agent accepted it), puts, forgotten, failures
 *   show checks: registration, check, check_id, type, ours (c4d makes it), off (c4ctl check off), status (by c4d's own word: the
 *     statuses, "off", or null), agent (at the agent, or null), output, since (of the status), checked (c4d's last result)
 *   show kv: prefix, used_by, keys, index, changed, answered, known, empty (since when Consul says so), held (and the last value is
 *     kept), why (null: all is well), note
 *   status, registrations: count, and how many are in each state
 */
#include <stdio.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/text.h"
#include "consul/kv.h"
#include "control/control.h"

#define REMIND_MS (24 * 3600 * 1000)

static const char *
or_null(const char *text)
{
	return text != NULL && *text ? text : NULL;
}

/* ---- registrations ---- */

static void
maintenance_note(const struct registration_view *v, char *out, size_t size)
{
	int len = 0;

	out[0] = '\0';
	if (v->maintenance)
		len = snprintf(out, size, "maintenance by %s%s%s%s; it ends by: c4ctl maintenance off %s", v->who, *v->reason ? ": " : "",
		    v->reason, v->maintenance_at_agent ? "" : ", which Consul's agent does not have yet", v->name);
	else if (v->maintenance_at_agent && !v->foreign_maintenance)
		len = snprintf(out, size, "c4d's maintenance is over, and Consul's agent still has it");
	if (v->foreign_maintenance && (size_t)len < size)
		snprintf(out + len, size - (size_t)len, "%smaintenance by somebody else at Consul%s%s; it ends by: consul maint -disable "
		    "-service=%s", len > 0 ? "; " : "", !v->maintenance && *v->reason ? ": " : "", v->maintenance ? "" : v->reason, v->id);
}

json_t *
show_registration(const struct registration_view *v)
{
	json_t *o = json_object();
	char note[1024];

	maintenance_note(v, note, sizeof note);
	jsonx_set_text(o, "registration", v->name);
	jsonx_set_text(o, "id", or_null(v->id));
	jsonx_set_text(o, "service", or_null(v->service));
	jsonx_set_text(o, "address", or_null(v->address));
	jsonx_set_int(o, "port", v->port);
	jsonx_set_text(o, "state", registration_state_name(v->state));
	jsonx_set_text(o, "agent", or_null(agent_status_name(v->agent)));
	jsonx_set_text(o, "catalog", v->catalog);
	jsonx_set_text(o, "dns", v->dns);
	jsonx_set_time(o, "since", v->since_ms);
	jsonx_set_text(o, "why", or_null(v->why));
	jsonx_set_text(o, "note", note);
	jsonx_set_bool(o, "maintenance", v->maintenance);
	jsonx_set_bool(o, "foreign_maintenance", v->foreign_maintenance);
	jsonx_set_bool(o, "maintenance_at_agent", v->maintenance_at_agent);
	jsonx_set_text(o, "reason", or_null(v->reason));
	jsonx_set_text(o, "who", or_null(v->who));
	jsonx_set_text(o, "eid", or_null(v->eid));
	jsonx_set_time(o, "asserted", v->asserted_ms);
	jsonx_set_int(o, "puts", (int64_t)v->puts);
	jsonx_set_int(o, "forgotten", (int64_t)v->forgotten);
	jsonx_set_int(o, "failures", (int64_t)v->failures);
	return o;
}

bool
show_registration_named(const struct registration_view *v, const char *name)
{
	return name == NULL || strcmp(v->name, name) == 0 || strcmp(v->id, name) == 0;
}

void
ctl_show_registrations(struct control_req *r)
{
	const struct registrar *reg = control_app(r)->registrar;
	json_t *rows = json_array();
	struct registration_view v;
	size_t i;

	for (i = 0; i < registrar_count(reg); i++) {
		registrar_view(reg, i, &v);
		if (show_registration_named(&v, control_arg(r, 0)))
			json_array_append_new(rows, show_registration(&v));
	}
	show_reply_rows(r, rows, json_array_size(rows) > 0, "registration");
}

json_t *
show_registrations_at(const struct app *a, const struct topo_addr *addr)
{
	json_t *rows = json_array();
	struct registration_view v;
	struct topo_addr own;
	size_t i;

	for (i = 0; i < registrar_count(a->registrar); i++) {
		registrar_view(a->registrar, i, &v);
		if (topo_addr_parse_ip(v.address, &own) != 0) /* a host's name, or Consul's own */
			continue;
		own.port = v.port;
		if (topo_addr_cmp(&own, addr) == 0)
			json_array_append_new(rows, show_registration(&v));
	}
	return rows;
}

/* ---- checks ---- */

/* What Consul and scripts say may have lines: one, for people and for jsonl alike. */
static void
set_output(json_t *o, const char *output)
{
	char *text = xstrdup(output), *p;
	size_t len = strlen(text);

	while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
		text[--len] = '\0';
	for (p = text; *p; p++)
		if (*p == '\n' || *p == '\r' || *p == '\t')
			*p = ' ';
	jsonx_set_text(o, "output", or_null(text));
	free(text);
}

static json_t *
show_check(const struct check_view *v)
{
	json_t *o = json_object();

	jsonx_set_text(o, "registration", v->registration);
	jsonx_set_text(o, "check", v->name);
	jsonx_set_text(o, "check_id", or_null(v->check_id));
	jsonx_set_text(o, "type", v->type);
	jsonx_set_bool(o, "ours", v->ours);
	jsonx_set_bool(o, "off", v->off);
	jsonx_set_text(o, "status", v->off ? "off" : v->ours ? or_null(agent_status_name(v->status)) : NULL);
	jsonx_set_text(o, "agent", or_null(agent_status_name(v->agent)));
	set_output(o, v->output);
	jsonx_set_time(o, "since", v->since_ms);
	jsonx_set_time(o, "checked", v->checked_ms);
	return o;
}

void
ctl_show_checks(struct control_req *r)
{
	const struct registrar *reg = control_app(r)->registrar;
	const char *only = control_arg(r, 0);
	json_t *rows = json_array();
	struct registration_view rv;
	struct check_view v;
	bool found = false;
	size_t i, k;

	for (i = 0; i < registrar_count(reg); i++) {
		registrar_view(reg, i, &rv);
		if (!show_registration_named(&rv, only))
			continue;
		found = true;
		for (k = 0; k < registrar_checks(reg, i); k++) {
			registrar_check_view(reg, i, k, &v);
			json_array_append_new(rows, show_check(&v));
		}
	}
	show_reply_rows(r, rows, found, "registration");
}

/* ---- KV ---- */

static void
held_note(const struct app *a, const struct kv_view *v, char *out, size_t size)
{
	char since[32];

	out[0] = '\0';
	if (v->empty_ms == 0)
		return;
	text_format_duration((loop_wall_ms(a->loop) - v->empty_ms) / 1000 * 1000, since, sizeof since);
	if (v->held)
		snprintf(out, size, "empty at Consul for %s: its last %zu keys are kept until that is proven", since, v->n);
	else
		snprintf(out, size, "empty at Consul for %s", since);
}

bool
show_next_kv(const struct app *a, size_t *i, const struct kv **out, char used_by[96])
{
	struct routing_view v;

	for (; *i < a->n_hosts; (*i)++) {
		*out = kamhost_kv(a->hosts[*i]);
		if (*out == NULL)
			continue;
		snprintf(used_by, 96, "%s/domain", kamhost_conf(a->hosts[*i])->name);
		(*i)++;
		return true;
	}
	if (*i > a->n_hosts)
		return false;
	(*i)++;
	routing_view(a->routing, &v);
	*out = v.kv;
	snprintf(used_by, 96, "routing");
	return v.kv != NULL;
}

static json_t *
show_kv_row(const struct app *a, const struct kv_view *v, const char *used_by)
{
	json_t *o = json_object();
	char note[160];

	held_note(a, v, note, sizeof note);
	jsonx_set_text(o, "prefix", v->prefix);
	jsonx_set_text(o, "used_by", used_by);
	jsonx_set_int(o, "keys", (int64_t)v->n);
	jsonx_set_int(o, "index", (int64_t)v->index);
	jsonx_set_time(o, "changed", v->changed_ms);
	jsonx_set_time(o, "answered", v->answered_ms);
	jsonx_set_bool(o, "known", v->known);
	jsonx_set_time(o, "empty", v->empty_ms);
	jsonx_set_bool(o, "held", v->held);
	jsonx_set_text(o, "why", or_null(v->why));
	jsonx_set_text(o, "note", note);
	return o;
}

void
ctl_show_kv(struct control_req *r)
{
	const struct app *a = control_app(r);
	json_t *rows = json_array();
	const struct kv *kv;
	struct kv_view v;
	char used_by[96];
	size_t i = 0;

	while (show_next_kv(a, &i, &kv, used_by)) {
		kv_view(kv, &v);
		if (control_arg(r, 0) == NULL || strcmp(control_arg(r, 0), v.prefix) == 0)
			json_array_append_new(rows, show_kv_row(a, &v, used_by));
	}
	show_reply_rows(r, rows, json_array_size(rows) > 0, "KV prefix");
}

static void
kv_problems(const struct app *a, json_t *problems)
{
	const struct kv *kv;
	struct kv_view v;
	char note[160], used_by[96];
	size_t i = 0;

	while (show_next_kv(a, &i, &kv, used_by)) {
		kv_view(kv, &v);
		held_note(a, &v, note, sizeof note);
		if (v.why[0])
			show_problem(problems, "what was read last is kept; tries again by itself; c4ctl show kv", "kv %s: %s", v.prefix, v.why);
		else if (v.held)
			show_problem(problems, "put the keys back, or wait if they shall go", "kv %s: %s", v.prefix, note);
	}
}

/* ---- status ---- */

static void
add_problem(void *arg, const char *text)
{
	show_problem(arg, "tries again by itself; see c4ctl show registrations and c4ctl show checks", "%s", text);
}

static void
remind_of_maintenance(const struct app *a, const struct registration_view *v, json_t *reminders)
{
	char since[32], hint[640];

	if ((!v->maintenance && !v->foreign_maintenance) || loop_wall_ms(a->loop) - v->since_ms < REMIND_MS)
		return;
	text_format_time(v->since_ms, since);
	snprintf(hint, sizeof hint, v->maintenance ? "if it may take calls again: c4ctl maintenance off %s" :
	    "if it may take calls again: consul maint -disable -service=%s", v->maintenance ? v->name : v->id);
	show_problem(reminders, hint, "registration %s is in maintenance since %s%s%s%s%s", v->name, since, *v->who ? " by " : "", v->who,
	    *v->reason ? ": " : "", v->reason);
}

static void
remind_of_check(const struct check_view *v, json_t *reminders)
{
	char hint[256];

	if (!v->off)
		return;
	snprintf(hint, sizeof hint, "c4ctl check on %s %s", v->registration, v->name);
	show_problem(reminders, hint, "check %s of registration %s is switched off", v->name, v->registration);
}

json_t *
show_registrar_status(const struct app *a, json_t *problems, json_t *reminders)
{
	json_t *o = json_object();
	size_t count[REG_LEAVING + 1] = { 0 }, i, k, n = registrar_count(a->registrar);
	struct registration_view v;
	struct check_view c;

	for (i = 0; i < n; i++) {
		registrar_view(a->registrar, i, &v);
		count[v.state]++;
		remind_of_maintenance(a, &v, reminders);
	}
	for (i = 0; i < n; i++)
		for (k = 0; k < registrar_checks(a->registrar, i); k++) {
			registrar_check_view(a->registrar, i, k, &c);
			remind_of_check(&c, reminders);
		}
	registrar_problems(a->registrar, add_problem, problems);
	kv_problems(a, problems);
	jsonx_set_int(o, "count", (int64_t)n);
	for (i = 0; i < NELEM(count); i++)
		jsonx_set_int(o, registration_state_name((enum registration_state)i), (int64_t)count[i]);
	return o;
}
