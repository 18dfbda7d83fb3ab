/*
 * check: what has to be right among the rows of all tables: keys, references, unique columns, patterns. Pure.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/worker.h"
#include "routing/data_int.h"
#include "routing/pattern.h"
#include "routing/value.h"

#define PATH_MAX_BYTES 192

/* Ends with -1. */
static const int regexes[RT_TABLES][2] = {
	[RT_TENANTS] = { -1 }, [RT_DOMAINS] = { -1 }, [RT_CARRIERS] = { -1 }, [RT_TRUNKS] = { -1 }, [RT_IPBXS] = { -1 },
	[RT_DIDS] = { DID_REGEX, -1 }, [RT_PROFILES] = { -1 }, [RT_NORM_RULES] = { NORM_REGEX, -1 }, [RT_RULES] = { RULE_DID_REGEX, -1 },
	[RT_GROUPS] = { -1 },
};

static void
report(const struct data_report *to, const struct rt_row *row, int column, const char *text)
{
	char path[PATH_MAX_BYTES];
	size_t len;

	to->path_of(to->arg, row, path, sizeof path);
	len = strlen(path);
	snprintf(path + len, sizeof path - len, ".%s", rt_schemas[row->table].cols[column].name);
	to->cb(to->arg, path, text);
}

/* ---- keys ---- */

static bool
check_keys(const struct rt_list *l, const struct data_report *to)
{
	bool fine = true;
	char text[PATH_MAX_BYTES + 64], first[PATH_MAX_BYTES];

	for (size_t i = 1; i < l->n; i++) {
		if (rt_row_cmp(l->v[i - 1], l->v[i]) != 0)
			continue;
		to->path_of(to->arg, l->v[i - 1], first, sizeof first);
		snprintf(text, sizeof text, "is taken: %s has it too", first);
		report(to, l->v[i], 0, text);
		fine = false;
	}
	return fine;
}

/* ---- references ---- */

static bool
leads_somewhere(const struct rt_data *d, const struct rt_column *c, union rt_value v)
{
	return c->type == RT_UUID ? rt_data_find_tenant(d, v.s) != NULL : rt_data_find(d, c->ref, v.i) != NULL;
}

/* Says why a reference leads nowhere; true: it does not. */
static bool
is_dangling(const struct rt_data *d, const struct rt_column *c, union rt_value v, struct buf *why)
{
	const char *ids = v.s;
	union rt_value id;

	if (value_is_null(c, v))
		return false;
	if (c->type == RT_IDS) {
		while (value_next_id(&ids, &id.i)) {
			if (rt_data_find(d, c->ref, id.i) != NULL)
				continue;
			buf_printf(why, "there is no %s with id %" PRId64, rt_schemas[c->ref].title, id.i);
			return true;
		}
		return false;
	}
	if (leads_somewhere(d, c, v))
		return false;
	if (c->type == RT_UUID)
		buf_printf(why, "there is no %s with uuid %s", rt_schemas[c->ref].title, v.s);
	else
		buf_printf(why, "there is no %s with id %" PRId64, rt_schemas[c->ref].title, v.i);
	return true;
}

int
check_row_refs(const struct rt_data *d, const struct rt_row *row, struct buf *why)
{
	const struct rt_schema *schema = &rt_schemas[row->table];

	for (size_t i = 0; i < schema->n_cols; i++)
		if (schema->cols[i].ref >= 0 && is_dangling(d, &schema->cols[i], row->v[i], why))
			return (int)i;
	return -1;
}

static bool
check_refs(const struct rt_data *d, enum rt_table table, unsigned broken, const struct data_report *to)
{
	const struct rt_schema *schema = &rt_schemas[table];
	const struct rt_list *l = &d->t[table];
	struct buf why = { 0 };
	bool fine = true;

	for (size_t c = 0; c < schema->n_cols; c++) {
		if (schema->cols[c].ref < 0 || (broken & 1u << schema->cols[c].ref))
			continue;
		for (size_t i = 0; i < l->n; i++) {
			if (!is_dangling(d, &schema->cols[c], l->v[i]->v[c], &why))
				continue;
			report(to, l->v[i], (int)c, why.s);
			buf_free(&why);
			fine = false;
		}
	}
	return fine;
}

static bool
refers_to(const struct rt_column *c, union rt_value v, const struct rt_row *row)
{
	const char *ids = v.s;
	int64_t id;

	if (value_is_null(c, v))
		return false;
	if (c->type == RT_UUID)
		return strcmp(v.s, row->v[0].s) == 0;
	if (c->type == RT_INT)
		return v.i == row->v[0].i;
	while (value_next_id(&ids, &id))
		if (id == row->v[0].i)
			return true;
	return false;
}

const struct rt_row *
check_user_of(const struct rt_data *d, const struct rt_row *row, int *column)
{
	for (int t = 0; t < RT_TABLES; t++) {
		for (size_t c = 0; c < rt_schemas[t].n_cols; c++) {
			const struct rt_column *col = &rt_schemas[t].cols[c];

			for (size_t i = 0; col->ref == row->table && i < d->t[t].n; i++) {
				if (!refers_to(col, d->t[t].v[i]->v[c], row))
					continue;
				*column = (int)c;
				return d->t[t].v[i];
			}
		}
	}
	return NULL;
}

/* ---- unique columns ---- */

/* Domains are the same in any case of letters. */
static bool
any_case(enum rt_table table, int column)
{
	return table == RT_DOMAINS && column == DOMAIN_DOMAIN;
}

static bool
same_value(enum rt_table table, int column, union rt_value a, union rt_value b)
{
	const struct rt_column *c = &rt_schemas[table].cols[column];

	if (value_is_null(c, a) || value_is_null(c, b))
		return false;
	if (value_is_number(c))
		return a.i == b.i;
	return (any_case(table, column) ? strcasecmp : strcmp)(a.s, b.s) == 0;
}

/* From the last column, which differs most. */
bool
check_same_unique(const struct rt_row *a, const struct rt_row *b)
{
	const int *unique = rt_schemas[a->table].unique;
	int n = 0;

	while (unique[n] >= 0)
		n++;
	for (int i = n - 1; i >= 0; i--)
		if (!same_value(a->table, unique[i], a->v[unique[i]], b->v[unique[i]]))
			return false;
	return n > 0;
}

/* 0: it has a null, and collides with none. */
static uint64_t
unique_hash(const struct rt_row *row)
{
	const struct rt_schema *schema = &rt_schemas[row->table];
	uint64_t h = 14695981039346656037u;

	for (const int *u = schema->unique; *u >= 0; u++) {
		union rt_value v = row->v[*u];

		if (value_is_null(&schema->cols[*u], v))
			return 0;
		if (value_is_number(&schema->cols[*u])) {
			h = (h ^ (uint64_t)v.i) * 0x9e3779b97f4a7c15u;
			continue;
		}
		for (const char *p = v.s; *p != '\0'; p++)
			h = (h ^ (unsigned char)(any_case(row->table, *u) ? tolower((unsigned char)*p) : *p)) * 1099511628211u;
	}
	h ^= h >> 32;
	return h != 0 ? h : 1;
}

static void
report_taken(const struct data_report *to, const struct rt_row *row, const struct rt_row *first)
{
	const struct rt_schema *schema = &rt_schemas[row->table];
	char path[PATH_MAX_BYTES];
	struct buf text = { 0 };
	int last = 0;

	while (schema->unique[last + 1] >= 0)
		last++;
	to->path_of(to->arg, first, path, sizeof path);
	buf_printf(&text, "is taken: %s has the same", path);
	for (int i = 0; i <= last; i++)
		buf_printf(&text, "%s%s", i == 0 ? " " : i < last ? ", " : " and ", schema->cols[schema->unique[i]].name);
	report(to, row, schema->unique[last], text.s);
	buf_free(&text);
}

static bool
check_unique(const struct rt_list *l, const struct data_report *to)
{
	size_t size = 16, at;
	uint32_t *slots; /* index + 1; 0: free */
	bool fine = true;

	if (l->n < 2 || rt_schemas[l->v[0]->table].unique[0] < 0)
		return true;
	while (size < l->n * 2)
		size *= 2;
	slots = xcalloc(size, sizeof *slots);
	for (size_t i = 0; i < l->n; i++) {
		uint64_t h = unique_hash(l->v[i]);

		if (h == 0)
			continue;
		for (at = h & (size - 1); slots[at] != 0; at = (at + 1) & (size - 1))
			if (check_same_unique(l->v[i], l->v[slots[at] - 1]))
				break;
		if (slots[at] == 0) {
			slots[at] = (uint32_t)i + 1;
			continue;
		}
		report_taken(to, l->v[i], l->v[slots[at] - 1]);
		fine = false;
	}
	free(slots);
	return fine;
}

bool
check_data(const struct rt_data *d, unsigned broken, const struct data_report *to)
{
	bool fine = true;

	for (int t = 0; t < RT_TABLES; t++) {
		fine = check_keys(&d->t[t], to) && fine;
		worker_breathe();
		fine = check_refs(d, t, broken, to) && fine;
		worker_breathe();
		fine = check_unique(&d->t[t], to) && fine;
		worker_breathe();
	}
	return fine;
}

/* ---- patterns ---- */

static bool
check_pattern(const char *regex, struct buf *why)
{
	struct pattern_shape shape;
	struct pattern *p;
	char text[160] = "";

	pattern_shape(regex, &shape);
	if (shape.literal)
		return true;
	if (pattern_new(&p, regex, text, sizeof text) == 0) {
		pattern_free(p);
		return true;
	}
	buf_printf(why, "is no regular expression: %s", text);
	return false;
}

/* Without a backslash any text is right. */
static bool
check_replacement(const struct rt_row *row, struct buf *why)
{
	const char *replacement = row->v[NORM_REPLACE].s;
	char text[160] = "";
	struct pattern *p = NULL;
	bool fine;

	if (replacement == NULL)
		return true;
	if (strchr(replacement, '\\') != NULL && pattern_new(&p, row->v[NORM_REGEX].s, text, sizeof text) != 0)
		return true; /* told elsewhere */
	fine = pattern_check_replacement(p, replacement, text, sizeof text);
	pattern_free(p);
	if (!fine)
		buf_printf(why, "can't replace what match_regex matches: %s", text);
	return fine;
}

bool
check_row_patterns(const struct rt_row *row, int *column, struct buf *why)
{
	for (const int *c = regexes[row->table]; *c >= 0; c++) {
		*column = *c;
		if (row->v[*c].s != NULL && !check_pattern(row->v[*c].s, why))
			return false;
	}
	*column = NORM_REPLACE;
	return row->table != RT_NORM_RULES || check_replacement(row, why);
}

bool
check_patterns(const struct rt_data *d, const struct data_report *to)
{
	struct buf why = { 0 };
	bool fine = true;

	for (int t = 0; t < RT_TABLES; t++) {
		for (size_t i = 0; regexes[t][0] >= 0 && i < d->t[t].n; i++) {
			const char *regex = d->t[t].v[i]->v[regexes[t][0]].s;

			worker_breathe();
			if (regex == NULL || check_pattern(regex, &why))
				continue;
			report(to, d->t[t].v[i], regexes[t][0], why.s);
			buf_free(&why);
			fine = false;
		}
	}
	return fine;
}

bool
check_replacements(const struct rt_data *d, const struct data_report *to)
{
	const struct rt_list *l = &d->t[RT_NORM_RULES];
	struct buf why = { 0 };
	bool fine = true;

	for (size_t i = 0; i < l->n; i++) {
		if (check_replacement(l->v[i], &why))
			continue;
		report(to, l->v[i], NORM_REPLACE, why.s);
		buf_free(&why);
		fine = false;
	}
	return fine;
}
