/* What c4ctl shows of rtpengine's nodes, domains and trusted addresses. */
#include <stdio.h>
#include <string.h>

#include "base/jsonx.h"
#include "control/control.h"
#include "reconcile/table.h"

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

/* ---- show rtpengine, domains, permissions ---- */

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
