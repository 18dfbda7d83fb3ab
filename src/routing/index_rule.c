/*
 * index_rule: routing rules by tenant and prefix.
 */
#include "routing/index_int.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Of a tenant, by where its row is; of all tenants NULL. */
static uint64_t
rule_scope(const struct rt_row *tenant)
{
	return (uint64_t)(uintptr_t)tenant;
}

static int
cmp_rows(const struct rt_row *x, const struct rt_row *y)
{
	if (x->v[RULE_PRIORITY].i != y->v[RULE_PRIORITY].i)
		return x->v[RULE_PRIORITY].i < y->v[RULE_PRIORITY].i ? -1 : 1;
	return x->v[RULE_ID].i < y->v[RULE_ID].i ? -1 : 1;
}

static int
cmp_rules(const void *a, const void *b)
{
	return cmp_rows(((const struct map_value *)a)->row, ((const struct map_value *)b)->row);
}

static const char *
prefix_of(const struct rt_row *rule)
{
	return rule->v[RULE_PREFIX].s != NULL ? rule->v[RULE_PREFIX].s : "";
}

/* ---- building ---- */

struct rows {
	const struct rt_row **v;
	size_t n, cap;
};

/* NULL, and what is behind `from` already, is not added. */
static void
add_row(struct rows *rows, size_t from, const struct rt_row *row)
{
	size_t i;

	for (i = from; i < rows->n; i++)
		if (rows->v[i] == row)
			return;
	if (row == NULL)
		return;
	rows->v = xgrow(rows->v, rows->n, &rows->cap, sizeof *rows->v);
	rows->v[rows->n++] = row;
}

static void
add_trunks(const struct rt_data *d, const struct rt_row *rule, struct rows *rows)
{
	const char *p = rule->v[RULE_TRUNKS].s;
	char *end;

	if (rule->v[RULE_TRUNK].i != RT_NULL)
		add_row(rows, 0, rt_data_find(d, RT_TRUNKS, rule->v[RULE_TRUNK].i));
	for (; p != NULL && *p != '\0'; p = *end == ',' ? end + 1 : end) {
		add_row(rows, 0, rt_data_find(d, RT_TRUNKS, strtoll(p, &end, 10)));
		if (end == p)
			return;
	}
}

/* schema.h says whose rule it is. */
static void
add_tenants(const struct rt_data *d, const struct map *groups, const struct rt_row *rule, struct rows *rows)
{
	struct map_values of = map_find(groups, (uint64_t)rule->v[RULE_ID].i, "", 0);
	const struct rt_row *ipbx;
	const size_t from = rows->n;
	size_t i;

	for (i = 0; i < of.n; i++)
		add_row(rows, from, rt_data_find_tenant(d, of.rows[i]->v[GROUP_TENANT].s));
	if (of.n > 0)
		return;
	if (rule->v[RULE_TENANT].s != NULL) {
		add_row(rows, from, rt_data_find_tenant(d, rule->v[RULE_TENANT].s));
		return;
	}
	for (i = 0; i < from; i++)
		add_row(rows, from, rt_data_find_tenant(d, rows->v[i]->v[TRUNK_TENANT].s));
	ipbx = rule->v[RULE_IPBX].i != RT_NULL ? rt_data_find(d, RT_IPBXS, rule->v[RULE_IPBX].i) : NULL;
	if (ipbx != NULL)
		add_row(rows, from, rt_data_find_tenant(d, ipbx->v[IPBX_TENANT].s));
}

static int
group_rules(const struct rt_data *d, struct map *groups)
{
	const struct rt_list *list = &d->t[RT_GROUPS];
	size_t i;

	if (map_init(groups, list->n, false) != 0)
		return -ENOMEM;
	for (i = 0; i < list->n; i++)
		map_add(groups, (uint64_t)list->v[i]->v[GROUP_RULE].i, "", 0, (struct map_value){ .row = list->v[i] });
	return map_done(groups, NULL);
}

/* How many entries the rules need: one for each tenant, or one for all. */
static size_t
resolve_rules(struct builder *b, const struct map *groups)
{
	const struct rt_list *list = &b->data->t[RT_RULES];
	struct rule_info *info;
	struct rows rows;
	size_t i, n = 0;

	for (i = 0; i < list->n; i++) {
		info = &b->ix->rule[i];
		if (list->v[i]->v[RULE_DID_REGEX].s != NULL)
			build_pattern(b, list->v[i], RULE_DID_REGEX, &info->pattern);
		rows = (struct rows){ .n = 0 };
		add_trunks(b->data, list->v[i], &rows);
		info->n_trunks = rows.n;
		add_tenants(b->data, groups, list->v[i], &rows);
		info->n_tenants = rows.n - info->n_trunks;
		info->rows = rows.v;
		n += info->n_tenants > 0 ? info->n_tenants : 1;
	}
	return n;
}

static void
add_rule(struct rt_index *ix, const struct rt_row *rule, const struct rt_row *tenant)
{
	const size_t len = strlen(prefix_of(rule));
	int at;

	if (tenant == NULL) {
		ix->all_rules = true;
		lengths_set(&ix->all_lengths, len);
	} else {
		at = tenant_position(ix, tenant->v[TENANT_UUID].s);
		if (at < 0)
			return;
		ix->tenant[at].has_rules = true;
		lengths_set(&ix->tenant[at].rules, len);
	}
	map_add(&ix->rules, rule_scope(tenant), prefix_of(rule), len, (struct map_value){ .row = rule });
}

int
build_rules(struct builder *b)
{
	const struct rt_list *list = &b->data->t[RT_RULES];
	struct rt_index *ix = b->ix;
	struct map groups = { 0 };
	const struct rule_info *info;
	size_t i, j;
	int err;

	ix->rule = xcalloc(list->n + 1, sizeof *ix->rule);
	err = group_rules(b->data, &groups);
	if (err == 0)
		err = map_init(&ix->rules, resolve_rules(b, &groups), false);
	for (i = 0; err == 0 && i < list->n; i++) {
		info = &ix->rule[i];
		for (j = 0; j < info->n_tenants; j++)
			add_rule(ix, list->v[i], info->rows[info->n_trunks + j]);
		if (info->n_tenants == 0)
			add_rule(ix, list->v[i], NULL);
	}
	if (err == 0)
		err = map_done(&ix->rules, cmp_rules);
	map_fini(&groups);
	return err;
}

void
rules_fini(struct rt_index *ix)
{
	size_t i;

	for (i = 0; ix->rule != NULL && i < ix->n_rules; i++) {
		free(ix->rule[i].rows);
		pattern_free(ix->rule[i].pattern);
	}
	free(ix->rule);
}

/* ---- use ---- */

static const struct rule_info *
info_of(const struct rt_index *ix, const struct rt_row *rule)
{
	int at = map_position(&ix->rule_ids, (uint64_t)rule->v[RULE_ID].i, "", 0);

	return at >= 0 ? &ix->rule[at] : NULL;
}

static bool
rule_matches(const struct rt_index *ix, const struct rt_row *rule, const char *number, size_t len)
{
	const struct rule_info *info;

	if (rule->v[RULE_DID_REGEX].s == NULL)
		return true;
	info = info_of(ix, rule);
	if (info != NULL && info->pattern != NULL)
		return pattern_match(info->pattern, number, len);
	return literal_match(rule->v[RULE_DID_REGEX].s, number, len);
}

/* The next of two runs, each in order; NULL: none is left. */
static const struct rt_row *
next_rule(struct map_values *own, struct map_values *all)
{
	struct map_values *from = own;

	if (own->n == 0 || (all->n > 0 && cmp_rows(all->rows[0], own->rows[0]) < 0))
		from = all;
	if (from->n == 0)
		return NULL;
	from->n--;
	return *from->rows++;
}

void
rt_index_rules(const struct rt_index *ix, const char *tenant_uuid, const char *number, size_t len, rt_take_cb *take, void *arg)
{
	struct prefix_hashes own_hashes, all_hashes;
	struct lengths lengths = ix->all_lengths;
	const uint64_t limit = pattern_limited() + LIMITED_MAX;
	struct map_values own = { .n = 0 }, all;
	const struct rt_row *rule;
	uint64_t scope = 0;
	int at, n;

	if (len > RT_NUMBER_MAX)
		return;
	at = tenant_uuid != NULL ? tenant_position(ix, tenant_uuid) : -1;
	if (at >= 0) {
		for (size_t i = 0; i < NELEM(lengths.bits); i++)
			lengths.bits[i] |= ix->tenant[at].rules.bits[i];
		scope = rule_scope(ix->data->t[RT_TENANTS].v[at]);
		prefix_hashes(&own_hashes, scope, number, len);
	}
	prefix_hashes(&all_hashes, 0, number, len);
	for (n = lengths_longest(&lengths, (int)len); n >= 0; n = lengths_longest(&lengths, n - 1)) {
		all = map_find_hash(&ix->rules, all_hashes.hash[n], 0, number, (size_t)n);
		if (at >= 0)
			own = map_find_hash(&ix->rules, own_hashes.hash[n], scope, number, (size_t)n);
		while ((rule = next_rule(&own, &all)) != NULL) {
			if (pattern_limited() >= limit || (rule_matches(ix, rule, number, len) && take(arg, rule)))
				return;
		}
	}
}

bool
rt_index_rule_for(const struct rt_index *ix, const struct rt_row *rule, const char *tenant_uuid)
{
	const struct rule_info *info = info_of(ix, rule);
	const struct rt_row *tenant;
	size_t i;
	int at;

	if (info == NULL || info->n_tenants == 0)
		return info != NULL;
	at = tenant_uuid != NULL ? tenant_position(ix, tenant_uuid) : -1;
	tenant = at >= 0 ? ix->data->t[RT_TENANTS].v[at] : NULL;
	for (i = 0; tenant != NULL && i < info->n_tenants; i++)
		if (info->rows[info->n_trunks + i] == tenant)
			return true;
	return false;
}

bool
rt_index_has_rules(const struct rt_index *ix, const char *tenant_uuid)
{
	int at = tenant_uuid != NULL ? tenant_position(ix, tenant_uuid) : -1;

	return ix->all_rules || (at >= 0 && ix->tenant[at].has_rules);
}

size_t
rt_index_rule_trunks(const struct rt_index *ix, const struct rt_row *rule, const struct rt_row **out, size_t max)
{
	const struct rule_info *info = info_of(ix, rule);
	size_t n = info == NULL ? 0 : info->n_trunks < max ? info->n_trunks : max;

	if (n > 0)
		memcpy(out, info->rows, n * sizeof *out);
	return n;
}
