/*
 * index: the routing data, compiled for decisions: each question is a few probes of hash tables, whatever the number of rows. Belongs
 * to its rt_data and lives as long. Pure; used by the loop thread, made and freed by the worker.
 */
#ifndef ROUTING_INDEX_H
#define ROUTING_INDEX_H

#include "routing/data.h"

#define RT_NUMBER_MAX 128 /* bytes of a number; longer ones match nothing and are not rewritten */

struct rt_index;

/* Of data whose references are checked. -EINVAL: a regular expression (reported). */
MUST_USE int rt_index_new(struct rt_index **out, const struct rt_data *, rt_path_cb *, rt_report_cb *, void *arg);
void rt_index_free(struct rt_index *);
size_t rt_index_bytes(const struct rt_index *); /* memory, roughly */

/*
 * Rows by what they are known by, in the order of their ids; the array is the index's. Hosts and domains in any case of letters.
 */
struct rt_rows {
	const struct rt_row *const *v;
	size_t n;
};
struct rt_rows rt_index_ipbxs_by_domain(const struct rt_index *, const char *domain, size_t len);
struct rt_rows rt_index_ipbxs_by_ip(const struct rt_index *, const char *ip);         /* ip_address */
struct rt_rows rt_index_ipbxs_by_fqdn(const struct rt_index *, const char *host);     /* ip_fqdn */
struct rt_rows rt_index_ipbxs_by_username(const struct rt_index *, const char *username);
struct rt_rows rt_index_trunks_by_ip(const struct rt_index *, const char *ip);
struct rt_rows rt_index_trunks_of_tenant(const struct rt_index *, const char *uuid);  /* by their carrier's tenant, as confd joins them */

/*
 * DIDs that match the number: the longest literal prefix first, then the order of their IPBXs' ids, then their own. `take` says whether this is the one
 * (false: go on, when it is another tenant's). NULL: none.
 */
typedef bool rt_take_cb(void *arg, const struct rt_row *);
const struct rt_row *rt_index_did(const struct rt_index *, const char *number, size_t len, rt_take_cb *take, void *arg);

/*
 * Routing rules that apply to the tenant (or to all; with a tenant of NULL, only those), whose prefix the number begins with, and whose did_regex
 * (if any) matches it: longest prefix first; among equals by priority (lowest first), then id. `take` false: go on.
 */
void rt_index_rules(const struct rt_index *, const char *tenant_uuid, const char *number, size_t len, rt_take_cb *take, void *arg);
bool rt_index_rule_for(const struct rt_index *, const struct rt_row *rule, const char *tenant_uuid); /* does it apply to that tenant? */
bool rt_index_has_rules(const struct rt_index *, const char *tenant_uuid);            /* any that applies; NULL: any for all */
/* Its carrier_trunk_id, then its trunks, none twice. How many. */
size_t rt_index_rule_trunks(const struct rt_index *, const struct rt_row *rule, const struct rt_row **out, size_t max);

/*
 * The number without what is no letter or digit (0 and "" when none is left, or more than RT_NUMBER_MAX), then all rules of that profile (a row of RT_PROFILES; NULL: none) and type whose prefix it begins with, one after the other;
 * of type RT_NORM_OUT a '+' in front, if the profile says so and none is there. Returns the length; `out` has RT_NUMBER_MAX + 2 bytes.
 */
enum { RT_NORM_IN = 1, RT_NORM_OUT = 2 };
size_t rt_index_normalize(const struct rt_index *, const struct rt_row *profile, int type, const char *number, size_t len, char *out);

/* The number that stands for a tenant where only a number fits: positive, the same for the same uuid unless two collide. 0: no such. */
int64_t rt_index_tenant_number(const struct rt_index *, const char *uuid);
const struct rt_row *rt_index_tenant_by_number(const struct rt_index *, int64_t number);
/* password_ha1, else md5(username:domain:password) when password is plain text; NULL: none. */
const char *rt_index_ha1(const struct rt_index *, const struct rt_row *ipbx);

#endif
