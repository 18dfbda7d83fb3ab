/* What c4ctl shows of rtpengine's nodes, domains, trusted addresses and carrier registrations. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/text.h"
#include "control/control.h"
#include "reconcile/table.h"
#include "routing/uacreg.h"

struct rows {
	const struct app *app;
	json_t *rows;
};

/*
 * "active", "disabled", "silent" (it never answered, so it has no row), "leaving" (it waits for the end of its sessions),
 * "adopted" (it was there), "foreign"; NULL: it is to go.
 */
static const char *
desired_name(const struct table_show *s)
{
	if (!s->desired)
		return NULL;
	if (s->unproven)
		return "silent";
	if (s->row->owner == ROW_THEIRS)
		return "foreign";
	if (s->row->owner == ROW_LEFT)
		return s->row->leaves ? "leaving" : "adopted";
	return s->row->disabled ? "disabled" : "active";
}

/* NULL: not there, or not known. */
static const char *
actual_name(const struct table_show *s)
{
	if (!s->was_read || s->actual == NULL)
		return NULL;
	return s->actual->disabled ? "disabled" : s->actual->asleep ? "asleep" : "active";
}

static void
add_node(void *arg, const struct table_show *s)
{
	struct rows *r = arg;
	json_t *o = json_object();
	const struct node_view *n = s->node;
	int64_t wall = loop_wall_ms(r->app->loop), mono = loop_now_ms(r->app->loop);

	jsonx_set_text(o, "target", s->target);
	jsonx_set_int(o, "set", s->row->set);
	jsonx_set_text(o, "url", s->row->item);
	jsonx_set_text(o, "desired", desired_name(s));
	jsonx_set_text(o, "actual", actual_name(s));
	jsonx_set_int(o, "weight", s->row->weight);
	jsonx_set_text(o, "ping", n ? node_state_name(n->state) : NULL);
	jsonx_set_int(o, "rtt_us", n ? n->rtt_us : 0);
	jsonx_set_time(o, "answer", n && n->answer_ms ? wall - (mono - n->answer_ms) : 0);
	if (n != NULL && n->sessions >= 0)
		jsonx_set_int(o, "sessions", n->sessions);
	else
		jsonx_set_text(o, "sessions", NULL);
	jsonx_set_text(o, "why", n && n->why[0] ? n->why : NULL);
	json_array_append_new(r->rows, o);
}

static void
add_domain(void *arg, const struct table_show *s)
{
	struct rows *r = arg;
	json_t *o = json_object();

	jsonx_set_text(o, "target", s->target);
	jsonx_set_text(o, "domain", s->row->item);
	jsonx_set_text(o, "desired", desired_name(s));
	jsonx_set_bool(o, "actual", s->was_read && s->actual != NULL);
	json_array_append_new(r->rows, o);
}

static void
add_address(void *arg, const struct table_show *s)
{
	struct rows *r = arg;
	json_t *o = json_object();

	jsonx_set_text(o, "target", s->target);
	jsonx_set_int(o, "group", s->row->set);
	jsonx_set_text(o, "address", s->row->item);
	jsonx_set_int(o, "mask", s->row->mask);
	jsonx_set_text(o, "tag", s->row->tag);
	jsonx_set_text(o, "desired", desired_name(s));
	jsonx_set_bool(o, "actual", s->was_read && s->actual != NULL);
	json_array_append_new(r->rows, o);
}

/* Of Kamailio's module uac (UAC_REG_...). */
static const char *
registration_name(unsigned flags)
{
	static const struct {
		unsigned flag;
		const char *name;
	} states[] = { { 1, "disabled" }, { 4, "registered" }, { 8, "authenticating" }, { 2, "trying" } };
	size_t i;

	for (i = 0; i < NELEM(states); i++)
		if (flags & states[i].flag)
			return states[i].name;
	return "waiting";
}

static void
add_cell(json_t *o, const char *key, const struct table_row *row, int col)
{
	char *text = table_uacreg_cell(row, col);

	jsonx_set_text(o, key, text);
	free(text);
}

/* Never a password. */
static void
add_registration(void *arg, const struct table_show *s)
{
	struct rows *r = arg;
	json_t *o = json_object();
	const struct table_row *have = s->was_read ? s->actual : NULL;

	jsonx_set_text(o, "target", s->target);
	jsonx_set_text(o, "l_uuid", s->row->item);
	add_cell(o, "username", s->row, UACREG_L_USERNAME);
	add_cell(o, "domain", s->row, UACREG_R_DOMAIN);
	add_cell(o, "proxy", s->row, UACREG_AUTH_PROXY);
	add_cell(o, "contact_addr", s->row, UACREG_CONTACT);
	jsonx_set_text(o, "desired", desired_name(s));
	jsonx_set_text(o, "actual", have ? registration_name(have->live_flags) : NULL);
	if (have != NULL && have->live_s > 0)
		jsonx_set_int(o, "expires_s", have->live_s);
	else
		jsonx_set_text(o, "expires_s", NULL);
	json_array_append_new(r->rows, o);
}

/* ---- nodes that do not answer ---- */

#define SILENT_FEW 3 /* more of them are one line: what is wrong besides must not be out of sight */

struct silent {
	const struct app *app;
	int set;
	size_t wanted; /* by Consul */
	size_t n;      /* of them those that do not answer */
	size_t used;   /* of those the ones that Kamailio uses all the same */
	bool unread;   /* what Kamailio does is not known */
	char target[TARGET_NAME_MAX];
	struct silent_node {
		char addr[TOPO_ADDR_TEXT];
		char why[256];
		int64_t ms; /* without an answer */
		bool never; /* since c4d began to ask */
		const char *state; /* what became of it; NULL: Kamailio uses it */
	} few[SILENT_FEW], longest;
};

static const char unread_text[] = "Kamailio can't be read, so who gets calls is not known";

static bool
is_used(const struct table_show *s)
{
	return s->was_read && s->actual != NULL && !s->actual->disabled && !s->actual->asleep;
}

/* What c4d did about it, and what it means for calls. */
static const char *
silent_state(const struct table_show *s)
{
	if (s->unproven)
		return "Kamailio does not know it and sends it no calls";
	if (!s->was_read)
		return unread_text;
	if (is_used(s))
		return NULL;
	if (s->actual == NULL)
		return "it is not in Kamailio and gets no calls";
	return s->actual->asleep ? "it is asleep in Kamailio and gets no calls" : "it is disabled in Kamailio and gets no calls";
}

static void
add_silent(void *arg, const struct table_show *s)
{
	struct silent *all = arg;
	const struct node_view *n = s->node;
	struct silent_node one = { .state = silent_state(s) };

	if (s->row->set != all->set || !s->wanted)
		return;
	all->wanted++;
	if (n == NULL || n->state != NODE_DEAD)
		return;
	one.never = n->answer_ms == 0;
	one.ms = one.never ? loop_wall_ms(all->app->loop) - n->since_ms : loop_now_ms(all->app->loop) - n->answer_ms;
	topo_addr_format(&n->addr, one.addr);
	snprintf(one.why, sizeof one.why, "%s", n->why);
	snprintf(all->target, sizeof all->target, "%s", s->target);
	if (all->n < SILENT_FEW)
		all->few[all->n] = one;
	if (all->n == 0 || one.ms > all->longest.ms)
		all->longest = one;
	all->n++;
	all->used += is_used(s);
	all->unread |= !s->was_read;
}

static void
silent_line(const struct silent *all, const struct silent_node *n, json_t *problems)
{
	const char *state = n->state;
	char since[32], hint[384];

	if (state == NULL)
		state = all->n == all->wanted ? "Kamailio goes on using it, since no node of the set answers" : "Kamailio uses it all the same";
	text_format_duration(n->ms / 1000 * 1000, since, sizeof since);
	snprintf(hint, sizeof hint, "%s; c4d asks on, and gives it calls again at its first answer", n->why);
	show_problem(problems, hint, n->never ? "%s: %s has not answered c4d's NG ping since it was first asked, %s ago: %s" :
	    "%s: %s has not answered c4d's NG ping for %s: %s", all->target, n->addr, since, state);
}

static void
silent_lines(const struct silent *all, json_t *problems)
{
	char since[32], hint[512], used[80] = "they get no calls";
	size_t i;

	if (all->n <= SILENT_FEW) {
		for (i = 0; i < all->n; i++)
			silent_line(all, &all->few[i], problems);
		return;
	}
	if (all->used > 0)
		snprintf(used, sizeof used, "%zu of them Kamailio uses all the same", all->used);
	else if (all->unread)
		snprintf(used, sizeof used, "%s", unread_text);
	text_format_duration(all->longest.ms / 1000 * 1000, since, sizeof since);
	snprintf(hint, sizeof hint, "c4ctl show rtpengine %s; of %s: %s", all->target, all->longest.addr, all->longest.why);
	show_problem(problems, hint, "%s: %zu of %zu nodes do not answer c4d's NG ping, %s for %s, the longest: %s", all->target, all->n,
	    all->wanted, all->longest.addr, since, used);
}

void
show_silent_nodes(const struct app *a, const struct kamhost *h, json_t *problems)
{
	const struct conf_kamailio *c = kamhost_conf(h);
	struct table *t = kamhost_rtpengine(h);
	size_t i;

	for (i = 0; t != NULL && i < c->n_rtpengines; i++) {
		struct silent all = { .app = a, .set = (int)c->rtpengines[i]->id };

		table_show(t, add_silent, &all);
		silent_lines(&all, problems);
	}
}

/* ---- where one address is ---- */

struct places {
	const struct topo_addr *addr;
	json_t *rows;
};

static void
add_place(void *arg, const struct table_show *s)
{
	const struct places *p = arg;
	const struct topo_addr *a = &s->row->addr;
	json_t *o;

	/* a node is an address and a port, domains and trusted addresses are the address alone */
	if (a->port != 0 ? topo_addr_cmp(a, p->addr) != 0 : !topo_addr_same_ip(a, p->addr))
		return;
	o = json_object();
	jsonx_set_text(o, "target", s->target);
	jsonx_set_text(o, "uri", s->row->item);
	jsonx_set_text(o, "desired", desired_name(s));
	jsonx_set_text(o, "actual", actual_name(s));
	json_array_append_new(p->rows, o);
}

void
show_places(const struct kamhost *h, const struct topo_addr *addr, json_t *rows)
{
	struct table *const tables[] = { kamhost_rtpengine(h), kamhost_domain(h), kamhost_permissions(h) };
	struct places p = { addr, rows };
	size_t i;

	for (i = 0; i < NELEM(tables); i++)
		if (tables[i] != NULL)
			table_show(tables[i], add_place, &p);
}

/* ---- show rtpengine, domains, permissions, uacreg ---- */

json_t *
show_nodes(const struct app *a)
{
	struct rows rows = { a, json_array() };
	size_t i;

	for (i = 0; i < a->n_hosts; i++)
		if (kamhost_rtpengine(a->hosts[i]) != NULL)
			table_show(kamhost_rtpengine(a->hosts[i]), add_node, &rows);
	return rows.rows;
}

static void
show(struct control_req *r, struct table *(*table)(const struct kamhost *), table_show_cb *cb, const char *what)
{
	struct app *a = control_app(r);
	struct rows rows = { a, json_array() };
	bool any = false;
	size_t i;

	for (i = 0; i < a->n_hosts; i++) {
		struct table *t = table(a->hosts[i]);

		if (t == NULL)
			continue;
		any = true;
		table_show(t, cb, &rows);
	}
	show_filter_targets(rows.rows, control_arg(r, 0));
	if (!any) {
		json_decref(rows.rows);
		control_end(r, EXIT_NO, "no Kamailio of the configuration has %s", what);
		return;
	}
	show_reply_rows(r, rows.rows, json_array_size(rows.rows) > 0, "target");
}

void
ctl_show_rtpengine(struct control_req *r)
{
	show(r, kamhost_rtpengine, add_node, "an rtpengine section");
}

void
ctl_show_domains(struct control_req *r)
{
	show(r, kamhost_domain, add_domain, "a domain section");
}

void
ctl_show_permissions(struct control_req *r)
{
	show(r, kamhost_permissions, add_address, "a permissions section");
}

void
ctl_show_uacreg(struct control_req *r)
{
	show(r, kamhost_uacreg, add_registration, "uacreg.enabled");
}
