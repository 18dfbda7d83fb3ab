#include "scope.h"

#include <stdlib.h>
#include <string.h>

static const char *
tenant_of(const struct rt_data *data, const struct rt_row *row)
{
	if (row->table == RT_TENANTS)
		return row->v[TENANT_UUID].s;
	if (row->table == RT_CDRS)
		return row->v[CDR_TENANT].s;
	return data != NULL ? rt_data_tenant_of(data, row) : NULL;
}

/* Whose the trunks and the IPBX of a rule are. */
struct owners {
	const struct principal *p;
	const struct rt_data *data;
	bool mine, others;
};

static void
add_owner(struct owners *o, enum rt_table table, int64_t id)
{
	const struct rt_row *row = o->data != NULL && id != RT_NULL ? rt_data_find(o->data, table, id) : NULL;

	if (row != NULL && principal_has(o->p, tenant_of(o->data, row)))
		o->mine = true;
	else if (row != NULL)
		o->others = true;
}

/*
 * A rule that names no tenant is for those of its trunks and its IPBX. Groups that say otherwise make no owner: with the last of
 * them gone, a rule that names nothing is for all.
 */
static enum scope
scope_of_rule(const struct principal *p, const struct rt_data *data, const struct rt_row *rule)
{
	struct owners o = { .p = p, .data = data };
	const char *ids = rule->v[RULE_TRUNKS].s, *tenant = tenant_of(data, rule);

	if (rule->v[RULE_TENANT].s != NULL)
		return principal_has(p, rule->v[RULE_TENANT].s) ? SCOPE_WRITE : SCOPE_NONE;
	add_owner(&o, RT_TRUNKS, rule->v[RULE_TRUNK].i);
	add_owner(&o, RT_IPBXS, rule->v[RULE_IPBX].i);
	for (; ids != NULL && *ids != '\0'; ids += strcspn(ids, ","), ids += *ids == ',')
		add_owner(&o, RT_TRUNKS, strtoll(ids, NULL, 10));
	if (o.mine)
		return o.others ? SCOPE_READ : SCOPE_WRITE;
	return !o.others && (tenant == NULL || principal_has(p, tenant)) ? SCOPE_READ : SCOPE_NONE;
}

/* A group changes whom its rule is for. */
static enum scope
scope_of_group(const struct principal *p, const struct rt_data *data, const struct rt_row *group)
{
	const struct rt_row *rule = data != NULL ? rt_data_find(data, RT_RULES, group->v[GROUP_RULE].i) : NULL;

	if (!principal_has(p, group->v[GROUP_TENANT].s))
		return SCOPE_NONE;
	return rule == NULL || scope_of_rule(p, data, rule) == SCOPE_WRITE ? SCOPE_WRITE : SCOPE_READ;
}

enum scope
scope_of(const struct principal *p, const struct rt_data *data, const struct rt_row *row)
{
	const char *tenant;

	if (!p->limited)
		return SCOPE_WRITE;
	if (row->table == RT_RULES)
		return scope_of_rule(p, data, row);
	if (row->table == RT_GROUPS)
		return scope_of_group(p, data, row);
	tenant = tenant_of(data, row);
	return tenant == NULL ? SCOPE_READ : principal_has(p, tenant) ? SCOPE_WRITE : SCOPE_NONE;
}

static bool
is_foreign(const struct principal *p, const struct rt_data *data, enum rt_table table, int64_t id)
{
	const struct rt_row *row = rt_data_find(data, table, id);

	return row != NULL && scope_of(p, data, row) != SCOPE_WRITE;
}

/* "3,1,2" */
static bool
has_foreign(const struct principal *p, const struct rt_data *data, enum rt_table table, const char *ids)
{
	for (; ids != NULL && *ids != '\0'; ids += strcspn(ids, ","), ids += *ids == ',')
		if (is_foreign(p, data, table, strtoll(ids, NULL, 10)))
			return true;
	return false;
}

int
scope_foreign(const struct principal *p, const struct rt_data *data, const struct rt_row *row)
{
	const struct rt_schema *schema = &rt_schemas[row->table];
	size_t i;

	for (i = 0; p->limited && i < schema->n_cols; i++) {
		const struct rt_column *c = &schema->cols[i];
		bool foreign = false;

		if (c->type == RT_UUID && c->ref == RT_TENANTS)
			foreign = row->v[i].s != NULL && !principal_has(p, row->v[i].s);
		else if (data != NULL && c->type == RT_IDS && c->ref >= 0)
			foreign = has_foreign(p, data, (enum rt_table)c->ref, row->v[i].s);
		else if (data != NULL && c->type == RT_INT && c->ref >= 0 && row->v[i].i != RT_NULL)
			foreign = is_foreign(p, data, (enum rt_table)c->ref, row->v[i].i);
		if (foreign)
			return (int)i;
	}
	return -1;
}

void
principal_copy(struct principal *out, const struct principal *p)
{
	char(*tenants)[37] = xcalloc(p->n + 1, sizeof *tenants);

	if (p->n > 0)
		memcpy(tenants, p->tenants, p->n * sizeof *tenants);
	*out = *p;
	out->tenants = (const char(*)[37])tenants;
}

void
principal_clear(struct principal *p)
{
	free((void *)(uintptr_t)p->tenants);
	p->tenants = NULL;
	p->n = 0;
}
