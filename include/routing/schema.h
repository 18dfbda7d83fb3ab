/*
 * schema: the tables of the routing data, their columns and their rules. These rows feed the document, its check, the store's
 * records, REST, the OpenAPI document and what is shown: nothing about a column is said anywhere else. Pure.
 * Names, limits and defaults are those of wazo-router-confd; columns marked RT_OURS are c4d's.
 */
#ifndef ROUTING_SCHEMA_H
#define ROUTING_SCHEMA_H

#include "base/text.h"

enum rt_table {
	RT_TENANTS,
	RT_DOMAINS,
	RT_CARRIERS,
	RT_TRUNKS,
	RT_IPBXS,
	RT_DIDS,
	RT_PROFILES,
	RT_NORM_RULES,
	RT_RULES,
	RT_GROUPS,
	RT_TABLES,           /* so many are routing data; */
	RT_CDRS = RT_TABLES, /* CDRs are not, but have columns too */
	RT_ALL
};

/* The first column is the key: a number, but of tenants a uuid. */
enum { TENANT_UUID, TENANT_NAME, TENANT_COLS };
enum { DOMAIN_ID, DOMAIN_TENANT, DOMAIN_DOMAIN, DOMAIN_COLS };
enum { CARRIER_ID, CARRIER_TENANT, CARRIER_NAME, CARRIER_COLS };
enum {
	TRUNK_ID, TRUNK_TENANT, TRUNK_CARRIER, TRUNK_PROFILE, TRUNK_NAME, TRUNK_PROXY, TRUNK_PROXY_PORT, TRUNK_IP, TRUNK_REGISTERED,
	TRUNK_USERNAME, TRUNK_PASSWORD, TRUNK_REALM, TRUNK_REGISTRAR, TRUNK_FROM_DOMAIN, TRUNK_EXPIRE, TRUNK_RETRY, TRUNK_COLS
};
enum {
	IPBX_ID, IPBX_TENANT, IPBX_DOMAIN, IPBX_PROFILE, IPBX_CUSTOMER, IPBX_FQDN, IPBX_IP, IPBX_PORT, IPBX_REGISTERED, IPBX_USERNAME,
	IPBX_PASSWORD, IPBX_HA1, IPBX_REALM, IPBX_COLS
};
enum { DID_ID, DID_TENANT, DID_IPBX, DID_TRUNK, DID_REGEX, DID_PREFIX, DID_COLS };
enum {
	PROFILE_ID, PROFILE_TENANT, PROFILE_NAME, PROFILE_COUNTRY, PROFILE_AREA, PROFILE_INTL, PROFILE_LD, PROFILE_ALWAYS_LD,
	PROFILE_ALWAYS_PLUS, PROFILE_COLS
};
enum { NORM_ID, NORM_PROFILE, NORM_TYPE, NORM_PRIORITY, NORM_REGEX, NORM_PREFIX, NORM_REPLACE, NORM_COLS };
/*
 * A rule applies to the tenants of its routing_groups; without any, to its tenant_uuid; without that, to the tenants of its trunks and its
 * IPBX; and when it names none of these either, to all. Destinations, in this order: carrier_trunk_id, trunks, ipbx_id,
 * destination ("service:NAME").
 */
enum {
	RULE_ID, RULE_PREFIX, RULE_TRUNK, RULE_IPBX, RULE_DID_REGEX, RULE_TYPE,
	/* ours */
	RULE_TENANT, RULE_PRIORITY, RULE_WEIGHT, RULE_TRUNKS, RULE_DESTINATION, RULE_WINDOWS, RULE_ROUTING, RULE_COLS
};
enum { GROUP_ID, GROUP_TENANT, GROUP_RULE, GROUP_COLS };
enum {
	CDR_ID, CDR_TENANT, CDR_IPBX, CDR_TRUNK, CDR_SOURCE_IP, CDR_SOURCE_PORT, CDR_FROM, CDR_TO, CDR_CALL_ID, CDR_START, CDR_DURATION,
	CDR_COLS
};
#define RT_COLS_MAX 16

enum rt_type {
	RT_INT,
	RT_TEXT,
	RT_BOOL,
	RT_UUID, /* text, 8-4-4-4-12 hex digits, kept in lower case */
	RT_TIME, /* text, ISO 8601; without an offset it is UTC; kept as "2026-11-21T03:40:00+00:00", with a fraction only if there was one */
	RT_IDS,  /* array of ids; kept as text "3,1,2" */
};

enum {
	RT_REQUIRED = 1, /* not null */
	RT_SECRET = 2,   /* never shown, nor answered by REST */
	RT_DERIVED = 4,  /* computed from others; what a document says is ignored */
	RT_OURS = 8,
	RT_NUMBER = 16,  /* of a text: a number is fine too, and given back as one */
};

struct rt_column {
	const char *name;
	enum rt_type type;
	unsigned flags;
	int64_t min, max; /* of numbers; of texts the bytes */
	const char *def;  /* as in the document, without quotes; NULL: null */
	int ref;          /* the table whose row it names; -1: none */
	/* Further rules; true when fine, else `why`. NULL: none. */
	bool (*check)(const char *value, struct buf *why);
	const char *help;
};

struct rt_schema {
	const char *name;  /* in the document: "carrier_trunks" */
	const char *path;  /* in REST: "carrier_trunks", "normalization-profiles" */
	const char *title; /* "Carrier Trunk": "... not found" */
	const struct rt_column *cols;
	size_t n_cols;
	int unique[4]; /* columns that together occur once (a null never collides); ends with -1 */
};

extern const struct rt_schema rt_schemas[RT_ALL];

int rt_schema_find(const char *name);                         /* by `name`; -1 */
int rt_column_find(const struct rt_schema *, const char *name); /* -1 */
/*
 * Time windows: WINDOW[, WINDOW...], each [DAYS] [HH:MM-HH:MM] [utc], in any case of letters. DAYS are "mon", "mon-fri" (or "sat-mon"), or several of them
 * with ',' between: "mon,wed 10:00-11:00"; none: every day. Without hours it is the whole day, and if another window follows, ';' has to
 * stand between them, as ',' would only go on with the days: "sun; mon 08:00-12:00". The end is exclusive and may be 24:00; one
 * that is not after the beginning is on the next day: "fri 22:00-06:00" is open until saturday 06:00. Days and hours are those of the
 * machine (TZ), with utc those of UTC. E. g. "mon-fri 08:00-18:00, sat 09:00-12:30 utc". Blank: always open.
 */
bool rt_windows_check(const char *, struct buf *why);
bool rt_windows_open(const char *windows, int64_t now_s); /* NULL: true; what does not pass the check above is closed */

#endif
