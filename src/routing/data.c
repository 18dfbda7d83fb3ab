#include "routing/data.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "routing/data_int.h"
#include "routing/index.h"
#include "routing/value.h"

/* ---- lists: several rt_data share those of the tables in which they are the same ---- */

struct block {
	atomic_uint refs;
	size_t n;
	struct rt_row *v[];
};

struct rt_list
data_list_new(size_t n)
{
	/* one more: `v`, which is all that is kept of it, lies within the block also when there is no row */
	struct block *b = xrealloc(NULL, sizeof *b + (n + 1) * sizeof(struct rt_row *), 1);

	atomic_init(&b->refs, 1);
	b->n = n;
	return (struct rt_list){ b->v, n };
}

static struct rt_list
list_ref(struct rt_list l)
{
	struct block *b = CONTAINER_OF(l.v, struct block, v);

	atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	return l;
}

static void
list_unref(struct rt_list l)
{
	struct block *b;

	if (l.v == NULL)
		return;
	b = CONTAINER_OF(l.v, struct block, v);
	if (atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < l.n; i++)
		rt_row_unref(l.v[i]);
	free(b);
}

/* ---- life ---- */

static struct rt_data *
data_alloc(void)
{
	struct rt_data *d = xcalloc(1, sizeof *d);

	atomic_init(&d->refs, 1);
	return d;
}

struct rt_data *
rt_data_ref(struct rt_data *d)
{
	atomic_fetch_add_explicit(&d->refs, 1, memory_order_relaxed);
	return d;
}

void
rt_data_unref(struct rt_data *d)
{
	if (d == NULL || atomic_fetch_sub_explicit(&d->refs, 1, memory_order_acq_rel) != 1)
		return;
	rt_index_free(d->index);
	for (int t = 0; t < RT_TABLES; t++)
		list_unref(d->t[t]);
	free(d);
}

/* ---- made of rows ---- */

struct place {
	struct rt_row *row;
	size_t at; /* so that of two with the same key, the later one is reported */
};

static int
by_key(const void *a, const void *b)
{
	const struct place *pa = a, *pb = b;
	int c = rt_row_cmp(pa->row, pb->row);

	return c != 0 ? c : (pa->at > pb->at) - (pa->at < pb->at);
}

static void
sort_list(struct rt_list l)
{
	struct place *places;
	size_t i = 1;

	while (i < l.n && rt_row_cmp(l.v[i - 1], l.v[i]) < 0)
		i++;
	if (i >= l.n)
		return;
	places = xrealloc(NULL, l.n * sizeof *places, 1);
	for (i = 0; i < l.n; i++)
		places[i] = (struct place){ l.v[i], i };
	qsort(places, l.n, sizeof *places, by_key);
	for (i = 0; i < l.n; i++)
		l.v[i] = places[i].row;
	free(places);
}

static void
take_rows(struct rt_data *d, struct rt_row **rows, size_t n)
{
	size_t counts[RT_TABLES] = { 0 };

	for (size_t i = 0; i < n; i++)
		if (rows[i] != NULL && rows[i]->table < RT_TABLES)
			counts[rows[i]->table]++;
	for (int t = 0; t < RT_TABLES; t++) {
		d->t[t] = data_list_new(counts[t]);
		d->t[t].n = 0;
	}
	for (size_t i = 0; i < n; i++) {
		struct rt_list *l;

		if (rows[i] == NULL || rows[i]->table >= RT_TABLES) {
			rt_row_unref(rows[i]); /* CDRs are not routing data */
			continue;
		}
		l = &d->t[rows[i]->table];
		l->v[l->n++] = rows[i];
	}
	for (int t = 0; t < RT_TABLES; t++)
		sort_list(d->t[t]);
}

void
data_default_path(void *arg, const struct rt_row *row, char *out, size_t size)
{
	if (row->table == RT_TENANTS)
		snprintf(out, size, "%s[uuid %s]", rt_schemas[row->table].name, row->v[0].s);
	else
		snprintf(out, size, "%s[id %" PRId64 "]", rt_schemas[row->table].name, row->v[0].i);
}

static void
nobody(void *arg, const char *path, const char *text)
{
}

int
data_build(struct rt_data **out, struct rt_row **rows, size_t n, unsigned broken, const struct data_report *report)
{
	struct data_report to = *report;
	struct rt_data *d = data_alloc();
	int err = -EINVAL;
	bool fine;

	if (to.path_of == NULL)
		to.path_of = data_default_path;
	if (to.cb == NULL)
		to.cb = nobody;
	take_rows(d, rows, n);
	fine = check_data(d, broken, &to);
	fine = check_replacements(d, &to) && fine;
	if (fine && broken == 0)
		err = rt_index_new(&d->index, d, to.path_of, to.cb, to.arg);
	else
		(void)!check_patterns(d, &to); /* all that is wrong is told at once; the index could not be made of this */
	if (err != 0) {
		rt_data_unref(d);
		return err;
	}
	*out = d;
	return 0;
}

int
rt_data_new(struct rt_data **out, struct rt_row **rows, size_t n, rt_path_cb *path_of, rt_report_cb *report, void *arg)
{
	return data_build(out, rows, n, 0, &(struct data_report){ path_of, report, arg });
}

int
rt_data_compile(struct rt_data *d, rt_report_cb *report, void *arg)
{
	if (d->index != NULL)
		return 0;
	return rt_index_new(&d->index, d, data_default_path, report != NULL ? report : nobody, arg);
}

/* ---- looking up ---- */

size_t
rt_data_count(const struct rt_data *d)
{
	size_t n = 0;

	for (int t = 0; t < RT_TABLES; t++)
		n += d->t[t].n;
	return n;
}

/* Where it is, or would be. */
static size_t
place_of_id(const struct rt_list *l, int64_t id)
{
	size_t low = 0, high = l->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (l->v[mid]->v[0].i < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static size_t
place_of_uuid(const struct rt_list *l, const char *uuid)
{
	size_t low = 0, high = l->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcasecmp(l->v[mid]->v[0].s, uuid) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct rt_row *
rt_data_find(const struct rt_data *d, enum rt_table table, int64_t id)
{
	const struct rt_list *l = &d->t[table];
	size_t at = place_of_id(l, id);

	return at < l->n && l->v[at]->v[0].i == id ? l->v[at] : NULL;
}

const struct rt_row *
rt_data_find_tenant(const struct rt_data *d, const char *uuid)
{
	const struct rt_list *l = &d->t[RT_TENANTS];
	size_t at = place_of_uuid(l, uuid);

	return at < l->n && strcasecmp(l->v[at]->v[0].s, uuid) == 0 ? l->v[at] : NULL;
}

/* The tenant column of each table; -1: its rows belong to others'. */
static const int tenant_columns[RT_TABLES] = {
	[RT_TENANTS] = TENANT_UUID, [RT_DOMAINS] = DOMAIN_TENANT, [RT_CARRIERS] = CARRIER_TENANT, [RT_TRUNKS] = TRUNK_TENANT,
	[RT_IPBXS] = IPBX_TENANT, [RT_DIDS] = DID_TENANT, [RT_PROFILES] = PROFILE_TENANT, [RT_NORM_RULES] = -1, [RT_RULES] = RULE_TENANT,
	[RT_GROUPS] = GROUP_TENANT,
};

static const char *
tenant_of_id(const struct rt_data *d, enum rt_table table, int64_t id)
{
	const struct rt_row *row = id != RT_NULL ? rt_data_find(d, table, id) : NULL;

	return row != NULL ? row->v[tenant_columns[table]].s : NULL;
}

/* Without a tenant of its own: that of its groups, its trunks, its IPBX. */
static const char *
tenant_of_rule(const struct rt_data *d, const struct rt_row *rule)
{
	const struct rt_list *groups = &d->t[RT_GROUPS];
	const char *uuid = tenant_of_id(d, RT_TRUNKS, rule->v[RULE_TRUNK].i), *ids = rule->v[RULE_TRUNKS].s;
	int64_t id;

	if (uuid == NULL && value_next_id(&ids, &id))
		uuid = tenant_of_id(d, RT_TRUNKS, id);
	if (uuid == NULL)
		uuid = tenant_of_id(d, RT_IPBXS, rule->v[RULE_IPBX].i);
	for (size_t i = 0; uuid == NULL && i < groups->n; i++)
		if (groups->v[i]->v[GROUP_RULE].i == rule->v[RULE_ID].i)
			uuid = groups->v[i]->v[GROUP_TENANT].s;
	return uuid;
}

const char *
rt_data_tenant_of(const struct rt_data *d, const struct rt_row *row)
{
	if (row->table == RT_CDRS)
		return row->v[CDR_TENANT].s;
	if (row->table == RT_NORM_RULES)
		return tenant_of_id(d, RT_PROFILES, row->v[NORM_PROFILE].i);
	if (row->table == RT_RULES && row->v[RULE_TENANT].s == NULL)
		return tenant_of_rule(d, row);
	return row->v[tenant_columns[row->table]].s;
}

/* ---- changed ---- */

static int
refuse(struct rt_refusal *r, enum rt_conflict what, int column, const char *text)
{
	r->what = what;
	r->column = column;
	snprintf(r->text, sizeof r->text, "%s", text);
	return -EINVAL;
}

/* What is wrong with the row itself, among the others. */
static int
check_put(const struct rt_data *d, const struct rt_row *row, struct rt_refusal *refusal)
{
	const struct rt_schema *schema = &rt_schemas[row->table];
	struct buf why = { 0 };
	int column, err = 0;

	column = check_row_refs(d, row, &why);
	if (column >= 0)
		err = refuse(refusal, RT_DANGLING, column, why.s);
	else if (!check_row_patterns(row, &column, &why))
		err = refuse(refusal, RT_WRONG, column, why.s);
	buf_free(&why);
	if (err != 0 || schema->unique[0] < 0)
		return err;
	for (size_t i = 0; i < d->t[row->table].n; i++) {
		const struct rt_row *other = d->t[row->table].v[i];

		if (!check_same_unique(row, other) || rt_row_cmp(row, other) == 0)
			continue;
		for (column = 0; schema->unique[column + 1] >= 0; column++)
			;
		column = schema->unique[column];
		buf_puts(&why, "is taken: ");
		if (row->table == RT_TENANTS)
			buf_printf(&why, "tenant %s has it", other->v[0].s);
		else
			buf_printf(&why, "%s %" PRId64 " has it", schema->title, other->v[0].i);
		err = refuse(refusal, RT_TAKEN, column, why.s);
		buf_free(&why);
		return err;
	}
	return 0;
}

static int
check_delete(const struct rt_data *d, const struct rt_row *row, struct rt_refusal *refusal)
{
	const struct rt_row *user;
	char text[256];
	int column;

	user = check_user_of(d, row, &column);
	if (user == NULL)
		return 0;
	snprintf(text, sizeof text, "%s %" PRId64 " refers to it (%s): change or delete that first", rt_schemas[user->table].title,
	    user->v[0].i, rt_schemas[user->table].cols[column].name);
	return refuse(refusal, RT_IN_USE, -1, text);
}

/* The list with rows[at] replaced, left out (put NULL), or with one more before it. */
static struct rt_list
changed_list(struct rt_list old, size_t at, bool found, struct rt_row *put)
{
	struct rt_list l = data_list_new(old.n + (put != NULL) - found);
	size_t n = 0;

	for (size_t i = 0; i < at; i++)
		l.v[n++] = rt_row_ref(old.v[i]);
	if (put != NULL)
		l.v[n++] = rt_row_ref(put);
	for (size_t i = at + found; i < old.n; i++)
		l.v[n++] = rt_row_ref(old.v[i]);
	return l;
}

static struct rt_data *
with_list(const struct rt_data *d, enum rt_table table, struct rt_list takes)
{
	struct rt_data *next = data_alloc();

	for (int t = 0; t < RT_TABLES; t++)
		next->t[t] = t == (int)table ? takes : list_ref(d->t[t]);
	return next;
}

/* The row that is to be put, one reference; NULL: no number is left. */
static struct rt_row *
numbered(const struct rt_list *l, struct rt_row *put)
{
	const struct rt_column *id = &rt_schemas[put->table].cols[0];
	int64_t last = l->n > 0 && put->table != RT_TENANTS ? l->v[l->n - 1]->v[0].i : 0;

	if (put->table == RT_TENANTS || put->v[0].i != RT_NULL)
		return rt_row_ref(put);
	return last < id->max ? rt_row_with_id(put, last + 1) : NULL;
}

static int
key_conflict(const struct rt_change *c, bool found, struct rt_refusal *refusal)
{
	const struct rt_schema *schema = &rt_schemas[c->table];
	bool create = c->put != NULL && c->create;
	char text[128];

	if (found != create)
		return 0;
	snprintf(text, sizeof text, "%s %s", schema->title, create ? "with this key exists already" : "not found");
	return refuse(refusal, create ? RT_TAKEN : RT_NOT_FOUND, create ? 0 : -1, text);
}

int
rt_data_edit(struct rt_data **out, const struct rt_data *d, const struct rt_change *c, struct rt_row **row,
    struct rt_refusal *refusal)
{
	const struct rt_list *l = &d->t[c->table];
	struct rt_row *put = NULL;
	size_t at;
	bool found;
	int err;

	*refusal = (struct rt_refusal){ .what = RT_FINE, .column = -1 };
	if (c->put != NULL) {
		put = numbered(l, c->put);
		if (put == NULL)
			return refuse(refusal, RT_TAKEN, 0, "the highest number is taken: give an id");
	}
	if (c->table == RT_TENANTS) {
		at = place_of_uuid(l, put != NULL ? put->v[0].s : c->uuid);
		found = at < l->n && strcasecmp(l->v[at]->v[0].s, put != NULL ? put->v[0].s : c->uuid) == 0;
	} else {
		at = place_of_id(l, put != NULL ? put->v[0].i : c->id);
		found = at < l->n && l->v[at]->v[0].i == (put != NULL ? put->v[0].i : c->id);
	}
	err = key_conflict(c, found, refusal);
	if (err == 0)
		err = put != NULL ? check_put(d, put, refusal) : check_delete(d, l->v[at], refusal);
	if (err != 0) {
		rt_row_unref(put);
		return err;
	}
	*out = with_list(d, c->table, changed_list(*l, at, found, put));
	*row = put != NULL ? put : rt_row_ref(l->v[at]);
	return 0;
}


static void
keep_first(void *arg, const char *path, const char *text)
{
	struct rt_refusal *r = arg;

	if (r->what == RT_FINE)
		(void)!refuse(r, RT_WRONG, -1, text);
}

int
rt_data_change(struct rt_data **out, const struct rt_data *d, const struct rt_change *c, struct rt_row **row,
    struct rt_refusal *refusal)
{
	struct rt_data *next;
	int err = rt_data_edit(&next, d, c, row, refusal);

	if (err != 0)
		return err;
	err = rt_data_compile(next, keep_first, refusal);
	if (err != 0) {
		rt_row_unref(*row);
		*row = NULL;
		rt_data_unref(next);
		return err;
	}
	*out = next;
	return 0;
}
