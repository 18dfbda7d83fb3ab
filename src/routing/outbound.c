#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "deciding.h"

#define RULES_MAX 64   /* of one prefix that are open; sixteen routes are all that is answered */
#define EXPLAINED_MAX 100

/* "sat 03:12" */
static void
format_time(const struct tm *tm, char out[16])
{
	static const char days[] = "sunmontuewedthufrisat";

	snprintf(out, 16, "%.3s %02u:%02u", days + 3 * (tm->tm_wday % 7), (unsigned)tm->tm_hour % 24, (unsigned)tm->tm_min % 60);
}

/* The rules that are used: of the longest prefix that has any open. */
struct choice {
	struct deciding *c;
	const char *tenant;
	bool from_carrier; /* the caller is a trunk, and none of the tenant's IPBXs */
	const struct rt_row *rules[RULES_MAX];
	size_t n;
};

static const char *
prefix_of(const struct rt_row *rule)
{
	return rule->v[RULE_PREFIX].s != NULL ? rule->v[RULE_PREFIX].s : "";
}

static void
say_closed(const struct deciding *c, const struct rt_row *rule)
{
	const char *windows = rule->v[RULE_WINDOWS].s;
	time_t now = (time_t)c->env->now_s;
	char name[192], local[16] = "", utc[16] = "";
	struct tm tm;

	if (localtime_r(&now, &tm) != NULL)
		format_time(&tm, local);
	if (strcasestr(windows, "utc") != NULL && gmtime_r(&now, &tm) != NULL)
		format_time(&tm, utc);
	SAY(c->env, 1, "%s: its window %s is closed (%s%s%s%s)", deciding_name(rule, name), windows, local, utc[0] != '\0' ? "; " : "", utc,
	    utc[0] != '\0' ? " utc" : "");
}

/* A carrier's call goes to another carrier only where the operator says that it may: else whoever calls a wrong number calls at his cost. */
static bool
is_transit(const struct rt_row *rule)
{
	return rule->v[RULE_TYPE].s != NULL && strcmp(rule->v[RULE_TYPE].s, "transit") == 0;
}

static bool
take_open(void *arg, const struct rt_row *rule)
{
	struct choice *ch = arg;
	char name[192];

	if (ch->from_carrier && !is_transit(rule)) {
		SAY(ch->c->env, 1, "%s: not for a carrier's calls (its route_type is not transit)", deciding_name(rule, name));
		return false;
	}
	if (ch->n > 0 && strlen(prefix_of(rule)) < strlen(prefix_of(ch->rules[0])))
		return true;
	if (!rt_windows_open(rule->v[RULE_WINDOWS].s, ch->c->env->now_s)) {
		if (ch->c->env->trace != NULL)
			say_closed(ch->c, rule);
		return false;
	}
	ch->rules[ch->n++] = rule;
	return ch->n == RULES_MAX;
}

/* ---- the order of equals ---- */

static uint64_t
weight_of(const struct rt_row *rule)
{
	return rule->v[RULE_WEIGHT].i > 0 ? (uint64_t)rule->v[RULE_WEIGHT].i : 0;
}

/* Which of them comes next; those of weight 0 when no others are left. */
static size_t
draw(const struct deciding *c, const struct rt_row *const *rules, size_t n)
{
	uint64_t sum = 0, at;
	size_t i;

	for (i = 0; i < n; i++)
		sum += weight_of(rules[i]);
	if (sum == 0 || c->env->random == NULL)
		return 0;
	at = c->env->random(c->env->arg) % sum;
	for (i = 0; at >= weight_of(rules[i]); i++)
		at -= weight_of(rules[i]);
	return i;
}

static void
order_equals(const struct deciding *c, const struct rt_row **rules, size_t n)
{
	size_t i, k;

	for (i = 0; i + 1 < n; i++) {
		const struct rt_row *next;

		k = i + draw(c, rules + i, n - i);
		next = rules[k];
		memmove(rules + i + 1, rules + i, (k - i) * sizeof *rules);
		rules[i] = next;
	}
}

static void
order(struct choice *ch)
{
	size_t i, k;

	for (i = 0; i < ch->n; i = k) {
		for (k = i + 1; k < ch->n && ch->rules[k]->v[RULE_PRIORITY].i == ch->rules[i]->v[RULE_PRIORITY].i; k++)
			;
		order_equals(ch->c, ch->rules + i, k - i);
	}
}

/* ---- using them ---- */

static void
use_rule(struct deciding *c, const struct rt_row *rule)
{
	const struct rt_row *trunks[RT_ROUTES_MAX], *row;
	char name[192], to[192];
	size_t n, i;

	SAY(c->env, 1, "%s: priority %" PRId64 ", weight %" PRId64, deciding_name(rule, name), rule->v[RULE_PRIORITY].i,
	    rule->v[RULE_WEIGHT].i);
	n = rt_index_rule_trunks(c->d->index, rule, trunks, NELEM(trunks));
	for (i = 0; i < n; i++) {
		if (trunks[i] == c->out->auth.trunk) {
			SAY(c->env, 1, "  -> %s: not back to where it came from", deciding_name(trunks[i], to));
			continue;
		}
		SAY(c->env, 1, "  -> %s", deciding_name(trunks[i], to));
		deciding_add_trunk(c, trunks[i], rule);
	}
	if (rule->v[RULE_IPBX].i != RT_NULL && (row = rt_data_find(c->d, RT_IPBXS, rule->v[RULE_IPBX].i)) != NULL) {
		SAY(c->env, 1, "  -> %s", deciding_name(row, to));
		deciding_add_ipbx(c, row, rule);
	}
	if (is_given(rule->v[RULE_DESTINATION].s)) {
		SAY(c->env, 1, "  -> %s", rule->v[RULE_DESTINATION].s);
		deciding_add_destination(c, rule);
	}
}

static bool
is_parallel(const struct rt_row *rule)
{
	return rule->v[RULE_ROUTING].s != NULL && strcmp(rule->v[RULE_ROUTING].s, "parallel") == 0;
}

/* ---- why not the others ---- */

struct offered {
	const struct rt_row *rule;
	bool found;
};

static bool
take_this(void *arg, const struct rt_row *rule)
{
	struct offered *o = arg;

	return o->found = o->found || rule == o->rule;
}

static const char *
why_not(const struct choice *ch, const struct rt_row *rule)
{
	const struct deciding *c = ch->c;
	struct offered o = { rule, false };

	if (!rt_index_rule_for(c->d->index, rule, ch->tenant))
		return "not for tenant";
	if (ch->from_carrier && !is_transit(rule))
		return NULL; /* said already */
	rt_index_rules(c->d->index, ch->tenant, c->to_number.s, c->to_number.len, take_this, &o);
	if (!o.found)
		return "its did_regex does not match";
	if (ch->n > 0 && strlen(prefix_of(rule)) < strlen(prefix_of(ch->rules[0])))
		return "a rule with a longer prefix is there";
	return NULL;
}

/* All rules are looked at: for who explains, not for calls. */
static void
say_others(const struct choice *ch)
{
	const struct deciding *c = ch->c;
	const struct rt_list *rules = &c->d->t[RT_RULES];
	size_t i, said = 0;
	char name[192];

	for (i = 0; i < rules->n && said < EXPLAINED_MAX; i++) {
		const char *prefix = prefix_of(rules->v[i]), *why;
		size_t len = strlen(prefix);

		if (len > c->to_number.len || memcmp(prefix, c->to_number.s, len) != 0 || (why = why_not(ch, rules->v[i])) == NULL)
			continue;
		said++;
		SAY(c->env, 1, "%s: %s%s%s", deciding_name(rules->v[i], name), why, why[0] == 'n' ? " " : "", why[0] == 'n' ? ch->tenant : "");
	}
}

static void
by_rules(struct deciding *c, const char *tenant, bool from_carrier, bool *parallel)
{
	struct choice ch = { .c = c, .tenant = tenant, .from_carrier = from_carrier, .n = 0 };
	size_t i, before, first = c->out->n;

	SAY(c->env, 0, "7 outbound: the routing rules of tenant %s", tenant);
	rt_index_rules(c->d->index, tenant, c->to_number.s, c->to_number.len, take_open, &ch);
	if (c->env->trace != NULL)
		say_others(&ch);
	if (ch.n == 0)
		SAY(c->env, 1, "no rule for %.*s is open: not outbound", (int)c->to_number.len, c->to_number.s);
	order(&ch);
	*parallel = first == 0;
	for (i = 0; i < ch.n; i++) {
		before = c->out->n;
		use_rule(c, ch.rules[i]);
		if (c->out->n > before && !is_parallel(ch.rules[i]))
			*parallel = false;
	}
	*parallel = *parallel && c->out->n > 1;
}

static void
by_first_trunk(struct deciding *c, const char *tenant)
{
	struct rt_rows trunks = rt_index_trunks_of_tenant(c->d->index, tenant);
	char name[192];

	SAY(c->env, 0, "7 outbound: tenant %s has no routing rules: its first trunk", tenant);
	if (trunks.n == 0) {
		SAY(c->env, 1, "it has none");
		return;
	}
	if (trunks.v[0] == c->out->auth.trunk) {
		SAY(c->env, 1, "%s: not back to where it came from", deciding_name(trunks.v[0], name));
		return;
	}
	SAY(c->env, 1, "%s", deciding_name(trunks.v[0], name));
	deciding_add_trunk(c, trunks.v[0], NULL);
}

/* An IPBX that calls from its own address, of that tenant (NULL: any). */
static const struct rt_row *
find_caller(const struct deciding *c, const char *tenant)
{
	struct rt_rows rows;
	size_t i;

	if (!is_given(c->rq->source_ip))
		return NULL;
	rows = rt_index_ipbxs_by_fqdn(c->d->index, c->rq->source_ip);
	for (i = 0; i < rows.n; i++)
		if (tenant == NULL || strcmp(rows.v[i]->v[IPBX_TENANT].s, tenant) == 0)
			return rows.v[i];
	return NULL;
}

void
deciding_outbound(struct deciding *c, bool *parallel)
{
	const struct rt_auth *auth = &c->out->auth;
	const struct rt_row *caller = auth->ipbx != NULL ? auth->ipbx : find_caller(c, auth->tenant_uuid);
	const char *tenant = auth->success ? auth->tenant_uuid : caller != NULL ? caller->v[IPBX_TENANT].s : NULL;

	*parallel = false;
	if (c->out->account == NULL)
		c->out->account = tenant;
	if (tenant == NULL && !is_given(c->rq->source_ip))
		SAY(c->env, 0, "7 outbound: no, the caller is nobody's (neither a user name nor an address says who it is)");
	else if (tenant == NULL)
		SAY(c->env, 0, "7 outbound: no, the caller is nobody's (not authenticated, and no IPBX has ip_fqdn %s)", c->rq->source_ip);
	else if (c->to_number.len == 0 || c->to_number.len > RT_NUMBER_MAX)
		SAY(c->env, 0, "7 outbound: no, there is no number to call");
	else if (rt_index_has_rules(c->d->index, tenant))
		by_rules(c, tenant, caller == NULL, parallel);
	else if (caller == NULL)
		SAY(c->env, 0, "7 outbound: no, tenant %s has no routing rules, and the caller is none of its IPBXs", tenant);
	else
		by_first_trunk(c, tenant);
}
