/*
 * index_int: what the index's files share: its parts, and what they are built with.
 */
#ifndef ROUTING_INDEX_INT_H
#define ROUTING_INDEX_INT_H

#include "routing/index.h"
#include "routing/map.h"
#include "routing/pattern.h"

/* After so many matches that ran into their limits, a call asks no further patterns. */
#define LIMITED_MAX 8

/* Lengths of prefixes in use, 0 to RT_NUMBER_MAX, a bit each: no others are looked up. */
struct lengths {
	uint64_t bits[RT_NUMBER_MAX / 64 + 1];
};
void lengths_set(struct lengths *, size_t len);
int lengths_longest(const struct lengths *, int max); /* at most `max`; -1: none */

/* Of each prefix of a number; hash[0] of the empty one. */
struct prefix_hashes {
	uint64_t hash[RT_NUMBER_MAX + 1];
};
void prefix_hashes(struct prefix_hashes *, uint64_t scope, const char *number, size_t len);

struct rule_info {
	const struct rt_row **rows; /* first the trunks, then the tenants that it applies to */
	size_t n_trunks, n_tenants;  /* no tenants: all */
	struct pattern *pattern;     /* of did_regex; NULL: none, or a literal one */
};

struct tenant_info {
	int32_t number;
	bool has_rules;
	struct lengths rules; /* of its own; those for all are in rt_index */
};

struct profile_info {
	struct lengths lengths[2]; /* by type - 1 */
};

struct rt_index {
	const struct rt_data *data;
	/* by address, name, ... */
	struct map ipbx_domain, ipbx_ip, ipbx_fqdn, ipbx_username, trunk_ip, trunk_tenant;
	char **texts; /* keys that are in no row */
	size_t n_texts, cap_texts;
	/* a row's position in its table, which is that of the info beside */
	struct map ipbx_ids, rule_ids, profile_ids, tenant_uuids;
	char (*ha1)[33]; /* "": none */
	struct rule_info *rule;
	size_t n_ipbxs, n_rules;
	struct profile_info *profile;
	struct tenant_info *tenant;
	struct map tenant_numbers; /* by scope */

	struct map dids; /* by prefix */
	struct lengths did_lengths;
	struct map norms; /* by norm_scope() and prefix */
	struct map rules; /* by rule_scope() and prefix */
	struct lengths all_lengths; /* of rules for all */
	bool all_rules;
};

struct builder {
	struct rt_index *ix;
	const struct rt_data *data;
	rt_path_cb *path_of;
	rt_report_cb *report;
	void *arg;
	bool wrong;
};
PRINTF(4, 5) void build_report(struct builder *, const struct rt_row *, int column, const char *fmt, ...);
/* NULL in *out: none is needed, as it is only literal. False: it was wrong, and reported. */
bool build_pattern(struct builder *, const struct rt_row *, int column, struct pattern **out);
/* -ENOMEM. What is wrong is reported. */
int build_dids(struct builder *);
int build_norms(struct builder *);
int build_rules(struct builder *);
void rules_fini(struct rt_index *);

/* A regular expression that is only literal, as pattern_match(). */
bool literal_match(const char *regex, const char *number, size_t len);
int tenant_position(const struct rt_index *, const char *uuid); /* -1 */

#endif
