#include "reconcile/table_plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "reconcile/dispatcher_plan.h"

/* ---- rows ---- */

struct table_row *
table_rows_add(struct table_rows *r, int set, const char *item)
{
	struct table_row *row;

	r->v = xgrow(r->v, r->n, &r->cap, sizeof *r->v);
	row = &r->v[r->n++];
	memset(row, 0, sizeof *row);
	row->set = set;
	row->item = xstrdup(item);
	return row;
}

static void
row_clear(struct table_row *row)
{
	free(row->item);
	free(row->tag);
}

void
table_rows_remove(struct table_rows *r, size_t i)
{
	row_clear(&r->v[i]);
	memmove(&r->v[i], &r->v[i + 1], (--r->n - i) * sizeof *r->v);
}

void
table_rows_clear(struct table_rows *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		row_clear(&r->v[i]);
	free(r->v);
	memset(r, 0, sizeof *r);
}

void
table_rows_copy(struct table_rows *to, const struct table_rows *from)
{
	size_t i;

	table_rows_clear(to);
	for (i = 0; i < from->n; i++) {
		struct table_row *row = table_rows_add(to, from->v[i].set, from->v[i].item);
		char *item = row->item;

		*row = from->v[i];
		row->item = item;
		row->tag = xstrdup(from->v[i].tag);
	}
}

static int
item_cmp(const char *a, const char *b)
{
	struct topo_addr x, y;
	bool ip_a = table_url_addr(a, &x) == 0 || topo_addr_parse_ip(a, &x) == 0;
	bool ip_b = table_url_addr(b, &y) == 0 || topo_addr_parse_ip(b, &y) == 0;
	int c;

	if (ip_a != ip_b)
		return ip_a ? -1 : 1;
	c = ip_a ? topo_addr_cmp(&x, &y) : 0;
	return c != 0 ? c : strcmp(a, b);
}

static int
row_cmp(const void *a, const void *b)
{
	const struct table_row *x = a, *y = b;
	int c;

	if (x->set != y->set)
		return x->set < y->set ? -1 : 1;
	c = item_cmp(x->item, y->item);
	if (c != 0)
		return c;
	if (x->mask != y->mask)
		return x->mask < y->mask ? -1 : 1;
	return x->port == y->port ? 0 : x->port < y->port ? -1 : 1;
}

void
table_rows_sort(struct table_rows *r)
{
	if (r->n > 1)
		qsort(r->v, r->n, sizeof *r->v, row_cmp);
}

struct table_row *
table_find(const struct table_rows *r, const struct table_row *key)
{
	return r->n == 0 ? NULL : bsearch(key, r->v, r->n, sizeof *r->v, row_cmp);
}

static bool
same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

bool
table_rows_equal(const struct table_rows *a, const struct table_rows *b)
{
	size_t i;

	if (a->n != b->n)
		return false;
	for (i = 0; i < a->n; i++)
		if (row_cmp(&a->v[i], &b->v[i]) != 0 || a->v[i].weight != b->v[i].weight ||
		    a->v[i].disabled != b->v[i].disabled || !same_text(a->v[i].tag, b->v[i].tag))
			return false;
	return true;
}

/* Two that are the same row are one: in use as long as one of them is. */
static void
drop_twins(struct table_rows *r)
{
	size_t i;

	table_rows_sort(r);
	for (i = 1; i < r->n;) {
		if (row_cmp(&r->v[i - 1], &r->v[i]) != 0) {
			i++;
			continue;
		}
		r->v[i - 1].disabled &= r->v[i].disabled;
		table_rows_remove(r, i);
	}
}

int
table_url_addr(const char *url, struct topo_addr *out)
{
	if (strncmp(url, "udp:", 4) == 0)
		return topo_addr_parse(url + 4, out);
	if (strncmp(url, "udp6:", 5) == 0)
		return topo_addr_parse(url + 5, out);
	return -EINVAL;
}

/* ---- what is desired ---- */

const struct table_scope *
table_scope_find(const struct table_scopes *s, int set)
{
	size_t i;

	for (i = 0; i < s->n; i++)
		if (s->v[i].set == set)
			return &s->v[i];
	return NULL;
}

static struct table_scope *
add_scope(struct table_scopes *s, int64_t set, bool exclusive)
{
	struct table_scope *scope;

	s->v = xrealloc(s->v, s->n + 1, sizeof *s->v);
	scope = &s->v[s->n++];
	*scope = (struct table_scope){ .set = (int)set, .known = true, .exclusive = exclusive };
	return scope;
}

static const struct conf_rtpengine *
find_rtpengine(const struct conf_kamailio *kam, int set)
{
	size_t i;

	for (i = 0; i < kam->n_rtpengines; i++)
		if (kam->rtpengines[i]->id == set)
			return kam->rtpengines[i];
	return NULL;
}

const char *
table_service_rtpengine(const struct conf_kamailio *kam, int set, size_t i)
{
	const struct conf_rtpengine *c = find_rtpengine(kam, set);

	return c != NULL && i == 0 ? c->service : NULL;
}

const char *
table_service_domain(const struct conf_kamailio *kam, int set, size_t i)
{
	return i < kam->domain_services.n ? kam->domain_services.v[i] : NULL;
}

const char *
table_service_permissions(const struct conf_kamailio *kam, int set, size_t i)
{
	size_t k;

	for (k = 0; k < kam->n_permissions; k++)
		if (kam->permissions[k]->id == set && i < kam->permissions[k]->services.n)
			return kam->permissions[k]->services.v[i];
	return NULL;
}

/* Kamailio's rtpengine module wants "udp6:" for IPv6. */
static char *
expand_url(const char *template, const struct topo_instance *i)
{
	char *url = dsp_expand(template, i), *six;

	if (i->addr.family != 6 || strncmp(url, "udp:", 4) != 0)
		return url;
	six = xasprintf("udp6:%s", url + 4);
	free(url);
	return six;
}

void
table_desire_rtpengine(const struct conf_kamailio *kam, const struct topo *topo, struct table_rows *out,
    struct table_scopes *scopes)
{
	size_t i, k;

	for (i = 0; i < kam->n_rtpengines; i++) {
		const struct conf_rtpengine *set = kam->rtpengines[i];
		const struct topo_service *s = topo_find(topo, set->service);

		if (s == NULL || !s->known)
			continue;
		(void)add_scope(scopes, set->id, set->exclusive);
		for (k = 0; k < s->n; k++) {
			struct table_row *row;
			char *url;

			if (s->inst[k].addr.family == 0)
				continue;
			url = expand_url(set->url, &s->inst[k]);
			row = table_rows_add(out, (int)set->id, url);
			row->weight = (int)set->weight;
			row->disabled = !topo_is_active(s->inst[k].state);
			free(url);
		}
	}
	drop_twins(out);
}

/* The IP of every instance, whatever its state; `bracket`: IPv6 as a SIP URI's host has it. */
static void
add_addresses(struct table_rows *out, const struct topo_service *s, int set, bool bracket, const char *tag)
{
	char ip[TOPO_ADDR_TEXT], text[TOPO_ADDR_TEXT + 2];
	size_t i;

	for (i = 0; s != NULL && i < s->n; i++) {
		struct table_row *row;
		bool six = s->inst[i].addr.family == 6;

		if (s->inst[i].addr.family == 0)
			continue;
		topo_addr_format_ip(&s->inst[i].addr, ip);
		snprintf(text, sizeof text, six && bracket ? "[%s]" : "%s", ip);
		row = table_rows_add(out, set, text);
		row->tag = xstrdup(tag);
		if (!bracket)
			row->mask = six ? 128 : 32;
	}
}

void
table_desire_domain(const struct conf_kamailio *kam, const struct topo *topo, struct table_rows *out,
    struct table_scopes *scopes)
{
	struct table_scope *scope = add_scope(scopes, 0, kam->domain_exclusive);
	size_t i;

	for (i = 0; i < kam->domain_names.n; i++)
		(void)table_rows_add(out, 0, kam->domain_names.v[i]);
	for (i = 0; i < kam->domain_services.n; i++) {
		const struct topo_service *s = topo_find(topo, kam->domain_services.v[i]);

		scope->known &= s != NULL && s->known;
		add_addresses(out, s, 0, true, NULL);
	}
	drop_twins(out);
}

void
table_desire_permissions(const struct conf_kamailio *kam, const struct topo *topo, struct table_rows *out,
    struct table_scopes *scopes)
{
	size_t i, k;

	for (i = 0; i < kam->n_permissions; i++) {
		const struct conf_permissions *g = kam->permissions[i];
		struct table_scope *scope = add_scope(scopes, g->id, g->exclusive);

		for (k = 0; k < g->networks.n; k++) {
			char *ip = xstrndup(g->networks.v[k], strcspn(g->networks.v[k], "/"));
			struct topo_prefix prefix;
			struct table_row *row = table_rows_add(out, (int)g->id, ip);

			free(ip);
			if (topo_prefix_parse(g->networks.v[k], &prefix) == 0)
				row->mask = prefix.bits;
			row->tag = xstrdup(g->tag);
		}
		for (k = 0; k < g->services.n; k++) {
			const struct topo_service *s = topo_find(topo, g->services.v[k]);

			scope->known &= s != NULL && s->known;
			add_addresses(out, s, (int)g->id, false, g->tag);
		}
	}
	drop_twins(out);
}

/* ---- the plan ---- */

const char *
table_op_name(enum table_op op)
{
	static const char *const names[] = {
		[TABLE_ADD] = "add", [TABLE_REMOVE] = "remove", [TABLE_CHANGE] = "change", [TABLE_TWICE] = "duplicate",
		[TABLE_DISABLE] = "disable", [TABLE_ENABLE] = "enable", [TABLE_WAKE] = "wake",
	};
	return names[op];
}

bool
table_op_is_structural(enum table_op op)
{
	return op != TABLE_DISABLE && op != TABLE_ENABLE && op != TABLE_WAKE;
}

static void
step(struct table_plan *p, enum table_op op, const struct table_row *row, char *detail)
{
	struct table_step *s;

	p->v = xgrow(p->v, p->n, &p->cap, sizeof *p->v);
	s = &p->v[p->n++];
	s->op = op;
	s->set = row->set;
	s->item = row->mask > 0 && row->mask != 32 && row->mask != 128 ? xasprintf("%s/%d", row->item, row->mask) :
	    xstrdup(row->item);
	s->detail = detail;
	p->structural += table_op_is_structural(op);
}

void
table_plan_clear(struct table_plan *p)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		free(p->v[i].item);
		free(p->v[i].detail);
	}
	free(p->v);
	memset(p, 0, sizeof *p);
}

static void
compare(struct table_plan *p, const struct table_row *want, const struct table_row *have)
{
	if (want->weight != have->weight)
		step(p, TABLE_CHANGE, want, xasprintf("weight %d -> %d", have->weight, want->weight));
	else if (!same_text(want->tag, have->tag))
		step(p, TABLE_CHANGE, want, xasprintf("tag \"%s\" -> \"%s\"", have->tag ? have->tag : "", want->tag ? want->tag : ""));
	if (want->disabled && !have->disabled)
		step(p, TABLE_DISABLE, want, NULL);
	else if (!want->disabled && have->disabled)
		step(p, TABLE_ENABLE, want, NULL);
	else if (!want->disabled && have->asleep)
		step(p, TABLE_WAKE, want, xstrdup("Kamailio put it to sleep, but it answers"));
}

/* Who comes back goes before who leaves, so that no set is empty in between. */
static void
enable_first(struct table_plan *p)
{
	struct table_step *v = xcalloc(p->n, sizeof *v);
	size_t i, n = 0;
	int last;

	for (last = 0; last <= 1; last++)
		for (i = 0; i < p->n; i++)
			if ((p->v[i].op == TABLE_DISABLE) == last)
				v[n++] = p->v[i];
	free(p->v);
	p->v = v;
	p->cap = p->n;
}

void
table_make_plan(const struct table_rows *desired, const struct table_rows *actual, const struct table_scopes *scopes,
    struct table_plan *out)
{
	size_t i;

	for (i = 0; i < desired->n; i++) {
		const struct table_row *have = table_find(actual, &desired->v[i]);

		if (have == NULL)
			step(out, TABLE_ADD, &desired->v[i], NULL);
		else
			compare(out, &desired->v[i], have);
	}
	for (i = 0; i < actual->n; i++) {
		if (table_scope_find(scopes, actual->v[i].set) == NULL)
			continue;
		if (i > 0 && row_cmp(&actual->v[i - 1], &actual->v[i]) == 0)
			step(out, TABLE_TWICE, &actual->v[i], NULL);
		else if (table_find(desired, &actual->v[i]) == NULL)
			step(out, TABLE_REMOVE, &actual->v[i], NULL);
	}
	enable_first(out);
}
