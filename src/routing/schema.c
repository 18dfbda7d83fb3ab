#include "routing/schema.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define ID_MAX INT32_MAX               /* Kamailio's integers */
#define CDR_ID_MAX ((1LL << 53) - 1)   /* what any reader of JSON can hold */

/* ---- further rules of columns ---- */

static bool
check_ip(const char *value, struct buf *why)
{
	struct in6_addr in6;

	if (inet_pton(AF_INET, value, &in6) == 1 || inet_pton(AF_INET6, value, &in6) == 1)
		return true;
	buf_puts(why, "must be an IPv4 or IPv6 address");
	return false;
}

static bool
is_host(const char *value)
{
	size_t len = strlen(value);
	char inner[INET6_ADDRSTRLEN];
	struct in6_addr in6;

	if (strchr(value, ':') != NULL) {
		if (value[0] != '[')
			return inet_pton(AF_INET6, value, &in6) == 1;
		if (len < 4 || len - 2 >= sizeof inner || value[len - 1] != ']')
			return false;
		memcpy(inner, value + 1, len - 2);
		inner[len - 2] = '\0';
		return inet_pton(AF_INET6, inner, &in6) == 1;
	}
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)value[i]) && strchr("._-", value[i]) == NULL)
			return false;
	return isalnum((unsigned char)value[0]) || value[0] == '_';
}

static bool
check_host(const char *value, struct buf *why)
{
	if (is_host(value))
		return true;
	buf_puts(why, "must be a host name or an IP address, without a port");
	return false;
}

static bool
check_service(const char *value, struct buf *why)
{
	if (strncmp(value, "service:", 8) == 0 && text_is_name(value + 8))
		return true;
	buf_puts(why, "must be \"service:NAME\" with the name of a discovered service");
	return false;
}

static bool
check_destination(const char *value, struct buf *why)
{
	if (strncmp(value, "service:", 8) == 0)
		return check_service(value, why);
	if (is_host(value))
		return true;
	buf_puts(why, "must be a host name or an IP address, without a port, or \"service:NAME\"");
	return false;
}

/* What stands in a SIP URI, or quoted in a header. */
static bool
check_uri_text(const char *value, struct buf *why)
{
	if (text_is_printable(value, strlen(value)) && strpbrk(value, "\"<>\\") == NULL)
		return true;
	buf_puts(why, "must be ASCII without blanks, double quotes, \\, < and >");
	return false;
}

/* Quoted in a header, and never in a URI: blanks are fine. */
static bool
check_realm(const char *value, struct buf *why)
{
	for (; *value >= 0x20 && *value < 0x7f && strchr("\"<>\\", *value) == NULL; value++)
		;
	if (*value != '\0')
		buf_puts(why, "must be ASCII without double quotes, \\, < and >");
	return *value == '\0';
}

/* Kept as letters and digits: numbers are compared without all else. */
static bool
check_prefix(const char *value, struct buf *why)
{
	for (; *value != '\0'; value++) {
		if (isalnum((unsigned char)*value) || strchr("+-. ()/", *value) != NULL)
			continue;
		buf_puts(why, "must be what numbers begin with: letters, digits, + and separators");
		return false;
	}
	return true;
}

static bool
check_routing(const char *value, struct buf *why)
{
	if (strcmp(value, "serial") == 0 || strcmp(value, "parallel") == 0)
		return true;
	buf_puts(why, "must be \"serial\" or \"parallel\"");
	return false;
}

/* ---- the tables ---- */

#define KEY(what) { "id", RT_INT, RT_REQUIRED, 1, ID_MAX, NULL, -1, NULL, "number of the " what }
#define TENANT { "tenant_uuid", RT_UUID, RT_REQUIRED, 36, 36, NULL, RT_TENANTS, NULL, "the tenant it belongs to" }
#define REF(name, flags, table, help) { name, RT_INT, flags, 1, ID_MAX, NULL, table, NULL, help }
#define INT(name, flags, min, max, def, help) { name, RT_INT, flags, min, max, def, -1, NULL, help }
#define TEXT(name, flags, max, def, check, help) { name, RT_TEXT, flags, 0, max, def, -1, check, help }
#define BOOL(name, help) { name, RT_BOOL, 0, 0, 1, "false", -1, NULL, help }

static const struct rt_column tenants[] = {
	[TENANT_UUID] = { "uuid", RT_UUID, RT_REQUIRED, 36, 36, NULL, -1, NULL, "identifies the tenant" },
	[TENANT_NAME] = TEXT("name", RT_REQUIRED, 256, NULL, NULL, "name of the tenant"),
};

static const struct rt_column domains[] = {
	[DOMAIN_ID] = KEY("domain"),
	[DOMAIN_TENANT] = TENANT,
	[DOMAIN_DOMAIN] = TEXT("domain", RT_REQUIRED, 64, NULL, check_host, "host part of SIP URIs, in any case of letters"),
};

static const struct rt_column carriers[] = {
	[CARRIER_ID] = KEY("carrier"),
	[CARRIER_TENANT] = TENANT,
	[CARRIER_NAME] = TEXT("name", RT_REQUIRED, 256, NULL, NULL, "name of the carrier"),
};

static const struct rt_column trunks[] = {
	[TRUNK_ID] = KEY("trunk"),
	[TRUNK_TENANT] = TENANT,
	[TRUNK_CARRIER] = REF("carrier_id", RT_REQUIRED, RT_CARRIERS, "the carrier it belongs to"),
	[TRUNK_PROFILE] = REF("normalization_profile_id", 0, RT_PROFILES, "how numbers are rewritten from and to this trunk"),
	[TRUNK_NAME] = TEXT("name", RT_REQUIRED, 256, NULL, NULL, "name of the trunk"),
	[TRUNK_PROXY] = TEXT("sip_proxy", RT_REQUIRED, 128, NULL, check_destination, "where its calls go: a host, or \"service:NAME\""),
	[TRUNK_PROXY_PORT] = INT("sip_proxy_port", 0, 1, 65535, "5060", "port of sip_proxy"),
	[TRUNK_IP] = TEXT("ip_address", 0, 64, NULL, check_ip, "calls from this address are its; null: none are by their address"),
	[TRUNK_REGISTERED] = BOOL("registered", "Kamailio registers at this trunk"),
	[TRUNK_USERNAME] = TEXT("auth_username", 0, 35, NULL, check_uri_text, "user name at the carrier"),
	[TRUNK_PASSWORD] = TEXT("auth_password", RT_SECRET, 192, NULL, NULL, "password at the carrier; a hash is never sent"),
	[TRUNK_REALM] = TEXT("realm", 0, 64, NULL, check_realm, "realm of user name and password"),
	[TRUNK_REGISTRAR] = TEXT("registrar_proxy", 0, 128, NULL, check_uri_text, "where it registers, if not at sip_proxy"),
	[TRUNK_FROM_DOMAIN] = TEXT("from_domain", 0, 64, NULL, check_host, "domain of its registration"),
	[TRUNK_EXPIRE] = INT("expire_seconds", 0, 1, 604800, "3600", "a registration lasts so long"),
	[TRUNK_RETRY] = INT("retry_seconds", 0, 1, 604800, "30", "the next attempt after a failed registration"),
};

static const struct rt_column ipbxs[] = {
	[IPBX_ID] = KEY("IPBX"),
	[IPBX_TENANT] = TENANT,
	[IPBX_DOMAIN] = REF("domain_id", RT_REQUIRED, RT_DOMAINS, "calls to this domain go there"),
	[IPBX_PROFILE] = REF("normalization_profile_id", 0, RT_PROFILES, "how numbers are rewritten from and to this IPBX"),
	[IPBX_CUSTOMER] = TEXT("customer", RT_NUMBER, 256, NULL, NULL, "whose it is, for people"),
	[IPBX_FQDN] = TEXT("ip_fqdn", RT_REQUIRED, 256, NULL, check_destination, "where its calls go: a host, or \"service:NAME\""),
	[IPBX_IP] = TEXT("ip_address", 0, 64, NULL, check_ip, "calls from this address are its; null: none are by their address"),
	[IPBX_PORT] = INT("port", 0, 1, 65535, "5060", "port of ip_fqdn"),
	[IPBX_REGISTERED] = BOOL("registered", "the IPBX registers"),
	[IPBX_USERNAME] = TEXT("username", 0, 50, NULL, check_uri_text, "user name with which it authenticates"),
	[IPBX_PASSWORD] = TEXT("password", RT_SECRET, 192, NULL, NULL, "plain text, or a salted PBKDF2-SHA512 hash (which is never sent)"),
	[IPBX_HA1] = TEXT("password_ha1", RT_SECRET, 64, NULL, check_uri_text, "md5(username:domain:password), when password is a hash"),
	[IPBX_REALM] = TEXT("realm", 0, 64, NULL, check_realm, "realm of user name and password"),
};

static const struct rt_column dids[] = {
	[DID_ID] = KEY("DID"),
	[DID_TENANT] = TENANT,
	[DID_IPBX] = REF("ipbx_id", 0, RT_IPBXS, "where the calls go; null: nowhere"),
	[DID_TRUNK] = REF("carrier_trunk_id", 0, RT_TRUNKS, "the trunk that the number is from"),
	[DID_REGEX] = TEXT("did_regex", RT_REQUIRED, 256, NULL, NULL, "regular expression of the numbers, from their beginning"),
	[DID_PREFIX] = TEXT("did_prefix", RT_DERIVED, 128, NULL, NULL, "what all numbers of did_regex begin with"),
};

static const struct rt_column profiles[] = {
	[PROFILE_ID] = KEY("profile"),
	[PROFILE_TENANT] = TENANT,
	[PROFILE_NAME] = TEXT("name", RT_REQUIRED, 256, NULL, NULL, "name of the profile"),
	[PROFILE_COUNTRY] = TEXT("country_code", 0, 64, NULL, NULL, "changes no number by itself"),
	[PROFILE_AREA] = TEXT("area_code", 0, 64, NULL, NULL, "changes no number by itself"),
	[PROFILE_INTL] = TEXT("intl_prefix", 0, 64, NULL, NULL, "changes no number by itself"),
	[PROFILE_LD] = TEXT("ld_prefix", 0, 64, NULL, NULL, "changes no number by itself"),
	[PROFILE_ALWAYS_LD] = BOOL("always_ld", "changes no number by itself"),
	[PROFILE_ALWAYS_PLUS] = BOOL("always_intl_prefix_plus", "numbers that go out get a + in front"),
};

static const struct rt_column norm_rules[] = {
	[NORM_ID] = KEY("rule"),
	[NORM_PROFILE] = REF("profile_id", RT_REQUIRED, RT_PROFILES, "the profile it belongs to"),
	[NORM_TYPE] = INT("rule_type", RT_REQUIRED, 1, 2, NULL, "1: of numbers that come in, 2: that go out"),
	[NORM_PRIORITY] = INT("priority", 0, INT32_MIN, INT32_MAX, "0", "lowest first, then by id"),
	[NORM_REGEX] = TEXT("match_regex", RT_REQUIRED, 256, NULL, NULL, "what is replaced"),
	[NORM_PREFIX] = TEXT("match_prefix", RT_DERIVED, 128, NULL, NULL, "the rule is for numbers that begin with this"),
	[NORM_REPLACE] = TEXT("replace_regex", 0, 256, "", NULL, "by what; \\1 is the first group"),
};

static const struct rt_column rules[] = {
	[RULE_ID] = KEY("rule"),
	[RULE_PREFIX] = TEXT("prefix", 0, 128, "", check_prefix, "numbers that begin with this; the longest wins; kept without + and separators"),
	[RULE_TRUNK] = REF("carrier_trunk_id", 0, RT_TRUNKS, "the first destination"),
	[RULE_IPBX] = REF("ipbx_id", 0, RT_IPBXS, "a destination after the trunks"),
	[RULE_DID_REGEX] = TEXT("did_regex", 0, 256, NULL, NULL, "the number must match it too, from its beginning"),
	[RULE_TYPE] = TEXT("route_type", 0, 10, "pstn", NULL, "transit: for calls that a carrier trunk brings too; else it is for people"),
	[RULE_TENANT] = { "tenant_uuid", RT_UUID, RT_OURS, 36, 36, NULL, RT_TENANTS, NULL, "whose calls, unless routing groups say so" },
	[RULE_PRIORITY] = INT("priority", RT_OURS, INT32_MIN, INT32_MAX, "0", "among rules of the same prefix: lowest first"),
	[RULE_WEIGHT] = INT("weight", RT_OURS, 0, 65535, "1", "chance to be first among equal priorities; 0: only after the others"),
	[RULE_TRUNKS] = { "trunks", RT_IDS, RT_OURS, 0, 1024, NULL, RT_TRUNKS, NULL, "further trunks, tried in this order" },
	[RULE_DESTINATION] = TEXT("destination", RT_OURS, 128, NULL, check_service, "\"service:NAME\": living instances of a service"),
	[RULE_WINDOWS] = TEXT("time_windows", RT_OURS, 512, NULL, rt_windows_check, "when it holds: \"mon-fri 08:00-18:00, sat 09:00-12:30 utc\""),
	[RULE_ROUTING] = TEXT("routing", RT_OURS, 16, "serial", check_routing, "\"serial\", or \"parallel\" for all destinations at once"),
};

static const struct rt_column groups[] = {
	[GROUP_ID] = KEY("group"),
	[GROUP_TENANT] = TENANT,
	[GROUP_RULE] = REF("routing_rule_id", RT_REQUIRED, RT_RULES, "this rule is for calls of the tenant"),
};

/* What a CDR names may be gone since. */
static const struct rt_column cdrs[] = {
	[CDR_ID] = { "id", RT_INT, RT_REQUIRED, 1, CDR_ID_MAX, NULL, -1, NULL, "number of the record" },
	[CDR_TENANT] = { "tenant_uuid", RT_UUID, RT_REQUIRED, 36, 36, NULL, -1, NULL, "whose call" },
	[CDR_IPBX] = REF("ipbx_id", 0, -1, "the IPBX of the call"),
	[CDR_TRUNK] = REF("carrier_trunk_id", 0, -1, "the trunk of the call"),
	[CDR_SOURCE_IP] = TEXT("source_ip", 0, 64, NULL, check_ip, "where the call came from"),
	[CDR_SOURCE_PORT] = INT("source_port", 0, 0, 65535, NULL, "port of source_ip"),
	[CDR_FROM] = TEXT("from_uri", RT_REQUIRED, 512, NULL, NULL, "the caller"),
	[CDR_TO] = TEXT("to_uri", RT_REQUIRED, 512, NULL, NULL, "the called"),
	[CDR_CALL_ID] = TEXT("call_id", 0, 256, NULL, NULL, "Call-ID"),
	[CDR_START] = { "call_start", RT_TIME, 0, 0, 64, NULL, -1, NULL, "when it began, ISO 8601" },
	[CDR_DURATION] = INT("duration", 0, 0, INT32_MAX, NULL, "seconds"),
};

#define TABLE(cols) cols, NELEM(cols)
const struct rt_schema rt_schemas[RT_ALL] = {
	[RT_TENANTS] = { "tenants", "tenants", "Tenant", TABLE(tenants), { TENANT_NAME, -1 } },
	[RT_DOMAINS] = { "domains", "domains", "Domain", TABLE(domains), { DOMAIN_TENANT, DOMAIN_DOMAIN, -1 } },
	[RT_CARRIERS] = { "carriers", "carriers", "Carrier", TABLE(carriers), { CARRIER_TENANT, CARRIER_NAME, -1 } },
	[RT_TRUNKS] = { "carrier_trunks", "carrier_trunks", "Carrier Trunk", TABLE(trunks), { TRUNK_TENANT, TRUNK_CARRIER, TRUNK_NAME, -1 } },
	[RT_IPBXS] = { "ipbxs", "ipbxs", "IPBX", TABLE(ipbxs), { IPBX_TENANT, IPBX_DOMAIN, IPBX_USERNAME, -1 } },
	[RT_DIDS] = { "dids", "dids", "DID", TABLE(dids), { DID_TENANT, DID_REGEX, -1 } },
	[RT_PROFILES] = { "normalization_profiles", "normalization-profiles", "Normalization Profile", TABLE(profiles),
	    { PROFILE_TENANT, PROFILE_NAME, -1 } },
	[RT_NORM_RULES] = { "normalization_rules", "normalization-rules", "Normalization Rule", TABLE(norm_rules),
	    { NORM_PROFILE, NORM_REGEX, -1 } },
	[RT_RULES] = { "routing_rules", "routing-rules", "Routing Rule", TABLE(rules), { -1 } },
	[RT_GROUPS] = { "routing_groups", "routing-groups", "Routing Group", TABLE(groups), { -1 } },
	[RT_CDRS] = { "cdrs", "cdrs", "CDR", TABLE(cdrs), { -1 } },
};

int
rt_schema_find(const char *name)
{
	for (int t = 0; t < RT_ALL; t++)
		if (strcmp(rt_schemas[t].name, name) == 0)
			return t;
	return -1;
}

int
rt_column_find(const struct rt_schema *schema, const char *name)
{
	for (size_t i = 0; i < schema->n_cols; i++)
		if (strcmp(schema->cols[i].name, name) == 0)
			return (int)i;
	return -1;
}

/* ---- time windows ---- */

#define DAY_MINUTES 1440

struct window {
	unsigned days;  /* bit 0: sunday, as in tm_wday */
	int from, to;   /* minutes; to > from, else it is on the next day */
	bool utc;
};

static const char *
skip_blanks(const char *p)
{
	return p + strspn(p, " \t");
}

static bool
is_utc(const char *p)
{
	return strncasecmp(p, "utc", 3) == 0 && !isalnum((unsigned char)p[3]);
}

static int
read_day(const char **p)
{
	static const char *const names[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };

	for (size_t i = 0; i < NELEM(names); i++) {
		if (strncasecmp(*p, names[i], 3) != 0 || isalnum((unsigned char)(*p)[3]))
			continue;
		*p += 3;
		return (int)i;
	}
	return -1;
}

/* "mon-wed, fri": *p is at a letter. */
static const char *
read_days(const char **p, unsigned *days)
{
	int first, last;

	for (;;) {
		first = last = read_day(p);
		if (first >= 0 && *(*p = skip_blanks(*p)) == '-') {
			*p = skip_blanks(*p + 1);
			last = read_day(p);
		}
		if (first < 0 || last < 0)
			return "a day (mon tue wed thu fri sat sun)";
		*days |= 1u << last;
		for (int d = first; d != last; d = (d + 1) % 7)
			*days |= 1u << d;
		*p = skip_blanks(*p);
		if (**p != ',')
			return NULL;
		*p = skip_blanks(*p + 1);
	}
}

static int
read_clock(const char **p)
{
	const char *s = *p;
	int minutes;

	for (int i = 0; i < 5; i++)
		if (i == 2 ? s[i] != ':' : !isdigit((unsigned char)s[i]))
			return -1;
	minutes = ((s[0] - '0') * 10 + s[1] - '0') * 60 + (s[3] - '0') * 10 + s[4] - '0';
	if (s[3] > '5' || minutes > DAY_MINUTES || isdigit((unsigned char)s[5]))
		return -1;
	*p += 5;
	return minutes;
}

static const char *
read_hours(const char **p, struct window *w)
{
	w->from = read_clock(p);
	if (w->from < 0 || w->from == DAY_MINUTES || *(*p = skip_blanks(*p)) != '-')
		return "hours (HH:MM-HH:MM)";
	*p = skip_blanks(*p + 1);
	w->to = read_clock(p);
	*p = skip_blanks(*p);
	return w->to < 0 ? "hours (HH:MM-HH:MM)" : NULL;
}

/* NULL, or what was expected at *p. At the end *p is at NUL. */
static const char *
read_window(const char **p, struct window *w)
{
	const char *expected = NULL;
	bool hours;

	*w = (struct window){ .to = DAY_MINUTES };
	if (isalpha((unsigned char)**p) && !is_utc(*p))
		expected = read_days(p, &w->days);
	hours = isdigit((unsigned char)**p);
	if (expected == NULL && hours)
		expected = read_hours(p, w);
	if (expected != NULL)
		return expected;
	if (w->days == 0 && !hours)
		return "a day (mon tue wed thu fri sat sun) or hours (HH:MM-HH:MM)";
	if (w->days == 0)
		w->days = 0x7f;
	if (is_utc(*p)) {
		w->utc = true;
		*p = skip_blanks(*p + 3);
	}
	if (**p == '\0')
		return NULL;
	if (**p != ',' && **p != ';')
		return "\",\" and another window, or the end";
	*p = skip_blanks(*p + 1);
	return **p == '\0' ? "another window" : NULL;
}

bool
rt_windows_check(const char *text, struct buf *why)
{
	const char *p = skip_blanks(text), *expected;
	struct window w;

	while (*p != '\0') {
		expected = read_window(&p, &w);
		if (expected == NULL)
			continue;
		buf_printf(why, "must be like \"mon-fri 08:00-18:00, sat 09:00-12:30 utc\": %s expected ", expected);
		if (*p == '\0')
			buf_puts(why, "at its end");
		else
			buf_printf(why, "from byte %zu on", (size_t)(p - text) + 1);
		return false;
	}
	return true;
}

static bool
is_open(const struct window *w, const struct tm *tm)
{
	int minute = tm->tm_hour * 60 + tm->tm_min;
	bool today = w->days & 1u << tm->tm_wday;
	bool yesterday = w->days & 1u << (tm->tm_wday + 6) % 7;

	if (w->from < w->to)
		return today && minute >= w->from && minute < w->to;
	return (today && minute >= w->from) || (yesterday && minute < w->to);
}

bool
rt_windows_open(const char *windows, int64_t now_s)
{
	time_t now = (time_t)now_s;
	struct tm local, utc;
	struct window w;
	bool open = false;
	const char *p;

	if (windows == NULL || *(p = skip_blanks(windows)) == '\0')
		return true;
	if (localtime_r(&now, &local) == NULL || gmtime_r(&now, &utc) == NULL)
		return false;
	while (*p != '\0') {
		if (read_window(&p, &w) != NULL)
			return false;
		open = open || is_open(&w, w.utc ? &utc : &local);
	}
	return open;
}
