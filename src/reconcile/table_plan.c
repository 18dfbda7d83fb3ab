#include "reconcile/table_plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "reconcile/dispatcher_plan.h"

/* ---- rows ---- */

int
table_url_addr(const char *url, struct topo_addr *out)
{
	if (strncmp(url, "udp:", 4) == 0)
		return topo_addr_parse(url + 4, out);
	if (strncmp(url, "udp6:", 5) == 0)
		return topo_addr_parse(url + 5, out);
	return -EINVAL;
}

struct table_row *
table_rows_add(struct table_rows *r, int set, const char *item)
{
	struct table_row *row;

	r->v = xgrow(r->v, r->n, &r->cap, sizeof *r->v);
	row = &r->v[r->n++];
	memset(row, 0, sizeof *row);
	row->set = set;
	row->item = xstrdup(item);
	if (table_url_addr(item, &row->addr) != 0 && topo_addr_parse_ip(item, &row->addr) != 0)
		memset(&row->addr, 0, sizeof row->addr);
	return row;
}

struct table_row *
table_rows_add_copy(struct table_rows *r, const struct table_row *from)
{
	struct table_row *row;

	r->v = xgrow(r->v, r->n, &r->cap, sizeof *r->v);
	row = &r->v[r->n++];
	*row = *from;
	row->item = xstrdup(from->item);
	row->tag = xstrdup(from->tag);
	return row;
}

void
table_rows_remove(struct table_rows *r, size_t i)
{
	free(r->v[i].item);
	free(r->v[i].tag);
	memmove(&r->v[i], &r->v[i + 1], (--r->n - i) * sizeof *r->v);
}

void
table_rows_clear(struct table_rows *r)
{
	size_t i;

	for (i = 0; i < r->n; i++) {
		free(r->v[i].item);
		free(r->v[i].tag);
	}
	free(r->v);
	memset(r, 0, sizeof *r);
}

void
table_rows_copy(struct table_rows *to, const struct table_rows *from)
{
	size_t i;

	table_rows_clear(to);
	for (i = 0; i < from->n; i++)
		(void)table_rows_add_copy(to, &from->v[i]);
}

static int
number_cmp(int a, int b)
{
	return a < b ? -1 : a > b;
}

int
table_row_cmp(const void *a, const void *b)
{
	const struct table_row *x = a, *y = b;
	bool ip_x = x->addr.family != 0, ip_y = y->addr.family != 0;
	int c = number_cmp(x->set, y->set);

	if (c == 0)
		c = number_cmp(ip_y, ip_x);
	if (c == 0 && ip_x)
		c = topo_addr_cmp(&x->addr, &y->addr);
	if (c == 0)
		c = strcmp(x->item, y->item);
	if (c == 0)
		c = number_cmp(x->mask, y->mask);
	return c != 0 ? c : number_cmp(x->port, y->port);
}

void
table_rows_sort(struct table_rows *r)
{
	if (r->n > 1)
		qsort(r->v, r->n, sizeof *r->v, table_row_cmp);
}

struct table_row *
table_find(const struct table_rows *r, const struct table_row *key)
{
	return r->n == 0 ? NULL : bsearch(key, r->v, r->n, sizeof *r->v, table_row_cmp);
}

/* Kamailio dumps "NULL" where there is no tag. */
static const char *
tag_text(const struct table_row *row)
{
	return row->tag == NULL || strcmp(row->tag, "NULL") == 0 ? "" : row->tag;
}

bool
table_row_same(const struct table_row *a, const struct table_row *b)
{
	return table_row_cmp(a, b) == 0 && a->weight == b->weight && a->disabled == b->disabled &&
	    strcmp(tag_text(a), tag_text(b)) == 0;
}

/* The next row from *i on that is of the scopes; NULL: none. */
static const struct table_row *
next_of(const struct table_rows *r, size_t *i, const struct table_scopes *scopes)
{
	while (*i < r->n && table_scope_find(scopes, r->v[*i].set) == NULL)
		(*i)++;
	return *i < r->n ? &r->v[(*i)++] : NULL;
}

bool
table_rows_same(const struct table_rows *a, const struct table_rows *b, const struct table_scopes *scopes)
{
	const struct table_row *x, *y;
	size_t i = 0, k = 0;

	do {
		x = next_of(a, &i, scopes);
		y = next_of(b, &k, scopes);
	} while (x != NULL && y != NULL && table_row_same(x, y));
	return x == NULL && y == NULL;
}

bool
table_file_is_right(const struct table_rows *filed, const struct table_rows *desired, const struct table_scopes *scopes)
{
	const struct table_row *row, *want;
	size_t i = 0, found = 0;

	while ((row = next_of(filed, &i, scopes)) != NULL) {
		bool twin = i > 1 && table_row_cmp(row - 1, row) == 0;

		want = table_find(desired, row);
		if (want == NULL || (want->owner != ROW_THEIRS && (twin || !table_row_same(want, row))))
			return false;
		found += !twin;
	}
	return found == desired->n;
}

uint64_t
table_rows_hash(const struct table_rows *r)
{
	uint64_t h = 14695981039346656037ull;
	struct buf b = { 0 };
	size_t i, k;

	for (i = 0; i < r->n; i++) {
		const struct table_row *row = &r->v[i];

		b.len = 0;
		buf_printf(&b, "%d %s %d %d %d %d %s", row->set, row->item, row->mask, row->port, row->weight, row->disabled,
		    tag_text(row));
		for (k = 0; k <= b.len; k++)
			h = (h ^ (uint8_t)b.s[k]) * 1099511628211ull;
	}
	buf_free(&b);
	return h ? h : 1;
}

/* Two that are the same row are one: in use as long as one of them is. */
static void
drop_twins(struct table_rows *r)
{
	size_t i, n = 0;

	table_rows_sort(r);
	for (i = 0; i < r->n; i++) {
		if (n == 0 || table_row_cmp(&r->v[n - 1], &r->v[i]) != 0) {
			r->v[n++] = r->v[i];
			continue;
		}
		r->v[n - 1].disabled &= r->v[i].disabled;
		free(r->v[i].item);
		free(r->v[i].tag);
	}
	r->n = n;
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

const struct conf_rtpengine *
table_rtpengine_find(const struct conf_kamailio *kam, int set)
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
	const struct conf_rtpengine *c = table_rtpengine_find(kam, set);

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
			row->until_ms = s->inst[k].drain_until_ms;
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
table_desire_names(const struct strlist *names, bool known, struct table_rows *out, struct table_scopes *scopes)
{
	size_t i;

	for (i = 0; i < names->n; i++)
		(void)table_rows_add(out, 0, names->v[i]);
	for (i = 0; i < scopes->n; i++)
		scopes->v[i].known &= known;
	drop_twins(out);
}

static void
add_prefix(struct table_rows *out, const struct conf_permissions *g, struct topo_prefix p)
{
	struct topo_addr a = { .family = p.family };
	char ip[TOPO_ADDR_TEXT];
	struct table_row *row;

	memcpy(a.ip, p.ip, sizeof a.ip);
	topo_addr_format_ip(&a, ip);
	row = table_rows_add(out, (int)g->id, ip);
	row->mask = p.bits;
	row->tag = xstrdup(g->tag);
}

/* The file can't say a mask of 0: the whole is its two halves. */
static void
add_network(struct table_rows *out, const struct conf_permissions *g, const char *text)
{
	struct topo_prefix p;

	if (topo_prefix_parse(text, &p) != 0)
		return; /* the configuration was checked */
	if (p.bits == 0) {
		p.bits = 1;
		p.ip[0] = 0x80;
		add_prefix(out, g, p);
		p.ip[0] = 0;
	}
	add_prefix(out, g, p);
}

void
table_desire_permissions(const struct conf_kamailio *kam, const struct topo *topo, struct table_rows *out,
    struct table_scopes *scopes)
{
	size_t i, k;

	for (i = 0; i < kam->n_permissions; i++) {
		const struct conf_permissions *g = kam->permissions[i];
		struct table_scope *scope = add_scope(scopes, g->id, g->exclusive);

		for (k = 0; k < g->networks.n; k++)
			add_network(out, g, g->networks.v[k]);
		for (k = 0; k < g->services.n; k++) {
			const struct topo_service *s = topo_find(topo, g->services.v[k]);

			scope->known &= s != NULL && s->known;
			add_addresses(out, s, (int)g->id, false, g->tag);
		}
	}
	drop_twins(out);
}

/* The rows come from the routing data: table_desire_trunks(). */
void
table_desire_uacreg(const struct conf_kamailio *kam, const struct topo *topo, struct table_rows *out, struct table_scopes *scopes)
{
	(void)add_scope(scopes, 0, kam->uacreg_exclusive);
}

/* ---- the plan ---- */

const char *
table_op_name(enum table_op op)
{
	static const char *const names[] = {
		[TABLE_ADD] = "add", [TABLE_REMOVE] = "remove", [TABLE_CHANGE] = "change", [TABLE_DISABLE] = "disable",
		[TABLE_ENABLE] = "enable", [TABLE_WAKE] = "wake", [TABLE_SLEEP] = "put to sleep",
	};
	return names[op];
}

bool
table_op_is_structural(enum table_op op)
{
	return op == TABLE_ADD || op == TABLE_REMOVE || op == TABLE_CHANGE;
}

static void
step(struct table_plan *p, enum table_op op, struct table_row *row, char *detail)
{
	bool net = row->mask > 0 && row->mask != (row->addr.family == 6 ? 128 : 32);

	p->v = xgrow(p->v, p->n, &p->cap, sizeof *p->v);
	p->v[p->n++] = (struct table_step){
		.op = op,
		.row = row,
		.text = net ? xasprintf("%s/%d", row->item, row->mask) : xstrdup(row->item),
		.detail = detail,
	};
}

void
table_plan_clear(struct table_plan *p)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		free(p->v[i].text);
		free(p->v[i].detail);
	}
	free(p->v);
	memset(p, 0, sizeof *p);
}

/* Another set has this url, and in another state: rtpengine.enable would change it there too. */
static bool
is_shared(const struct table_rows *desired, const struct table_rows *actual, const struct table_row *row)
{
	size_t i;

	for (i = 0; i < actual->n; i++) {
		const struct table_row *other = &actual->v[i], *want;

		if (other->set == row->set || strcmp(other->item, row->item) != 0)
			continue;
		want = table_find(desired, other);
		if (want == NULL || want->owner == ROW_THEIRS)
			want = other;
		if (want->disabled != row->disabled)
			return true;
	}
	return false;
}

static void
compare(struct table_plan *p, const struct table_rows *desired, const struct table_rows *actual, struct table_row *want)
{
	const struct table_row *have = table_find(actual, want);
	bool in = have != NULL && !have->disabled, out = want->disabled;

	if (want->owner == ROW_THEIRS || (have == NULL && want->owner == ROW_LEFT))
		return;
	if (have == NULL)
		step(p, TABLE_ADD, want, NULL);
	else if (want->owner == ROW_WANTED && want->weight != have->weight)
		step(p, TABLE_CHANGE, want, xasprintf("weight %d -> %d", have->weight, want->weight));
	else if (want->owner == ROW_WANTED && strcmp(tag_text(want), tag_text(have)) != 0)
		step(p, TABLE_CHANGE, want, want->secret ? table_uacreg_changes(have, want) :
		    xasprintf("tag \"%s\" -> \"%s\"", tag_text(have), tag_text(want)));
	if (have != NULL && want->dead && !have->asleep)
		step(p, TABLE_SLEEP, want, xstrdup("it does not answer"));
	if (have == NULL || want->dead || (in != out && !(in && have->asleep)))
		return;
	if (is_shared(desired, actual, want)) {
		if (in == out)
			step(p, TABLE_CHANGE, want, xasprintf("disabled %d -> %d, in this set alone", have->disabled, want->disabled));
	} else if (in != out) {
		step(p, TABLE_WAKE, want, xstrdup("Kamailio put it to sleep, but it answers"));
	} else {
		step(p, out ? TABLE_DISABLE : TABLE_ENABLE, want, NULL);
	}
}

static void
enable_first(struct table_plan *p)
{
	struct table_step *v = xcalloc(p->n, sizeof *v);
	size_t i, n = 0;
	int last;

	for (last = 0; last <= 1; last++)
		for (i = 0; i < p->n; i++)
			if ((p->v[i].op == TABLE_DISABLE || p->v[i].op == TABLE_SLEEP) == last)
				v[n++] = p->v[i];
	free(p->v);
	p->v = v;
	p->cap = p->n;
}

void
table_make_plan(const struct table_rows *desired, const struct table_rows *actual, const struct table_scopes *scopes,
    struct table_plan *out)
{
	const struct table_scope *scope;
	size_t i;

	for (i = 0; i < desired->n; i++)
		compare(out, desired, actual, &desired->v[i]);
	for (i = 0; i < actual->n; i++) {
		scope = table_scope_find(scopes, actual->v[i].set);
		if (scope == NULL || !scope->known || (i > 0 && table_row_cmp(&actual->v[i - 1], &actual->v[i]) == 0))
			continue;
		if (table_find(desired, &actual->v[i]) == NULL)
			step(out, TABLE_REMOVE, &actual->v[i], NULL);
	}
	enable_first(out);
}

bool
table_set_would_be_empty(const struct table_rows *desired, const struct table_rows *actual, int set)
{
	const struct table_row *have;
	bool any = false;
	size_t i;

	for (i = 0; i < desired->n; i++) {
		if (desired->v[i].set != set || desired->v[i].disabled)
			continue;
		any = true;
		have = table_find(actual, &desired->v[i]);
		if (have != NULL && !have->disabled && !have->asleep)
			return false;
	}
	return any;
}
