/*
 * routing/index: what is found, in which order; DIDs and normalization against a plain walk through all rows.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "routing/index.h"
#include "routing/pattern.h"
#include "rtdata_fx.h"

#define TENANTS "'tenants':[{'uuid':'" T1 "','name':'one'},{'uuid':'" T2 "','name':'two'}],"
#define DOMAINS                                                                                                                  \
	"'domains':[{'id':1,'tenant_uuid':'" T1 "','domain':'One.example'},{'id':2,'tenant_uuid':'" T2 "','domain':'two.example'},"   \
	"{'id':3,'tenant_uuid':'" T2 "','domain':'one.example'},{'id':4,'tenant_uuid':'" T2 "','domain':'[2001:db8::5]'}],"
#define IPBX(id, tenant, domain, more)                                                                                           \
	"{'id':" #id ",'tenant_uuid':'" tenant "','domain_id':" #domain ",'ip_fqdn':'10.0.0." #id "'" more "}"

/* "3,1": the ids, in their order. */
static const char *
ids_of(struct rt_rows rows)
{
	static char s[256];
	size_t i, n = 0;

	s[0] = '\0';
	for (i = 0; i < rows.n; i++)
		n += (size_t)snprintf(s + n, sizeof s - n, "%s%lld", i > 0 ? "," : "", (long long)rt_row_id(rows.v[i]));
	return s;
}

/* ---- addresses, names ---- */

static void
ipbxs_are_found(void **state)
{
	struct rt_data *d = data_of("{" TENANTS DOMAINS "'ipbxs':["
	    IPBX(9, T1, 1, ",'username':'bob','ip_address':'192.0.2.1'") ","
	    IPBX(3, T2, 2, ",'username':'bob','ip_address':'192.0.2.1'") ","
	    IPBX(4, T2, 3, ",'username':'Bob','ip_address':'2001:DB8:0::1'") ","
	    IPBX(5, T2, 4, "") "]}");
	const struct rt_index *ix = d->index;

	assert_string_equal(ids_of(rt_index_ipbxs_by_domain(ix, "ONE.EXAMPLE", 11)), "4,9");
	assert_string_equal(ids_of(rt_index_ipbxs_by_domain(ix, "two.example:5060", 11)), "3");
	assert_string_equal(ids_of(rt_index_ipbxs_by_domain(ix, "wo.example", 10)), "");
	assert_string_equal(ids_of(rt_index_ipbxs_by_domain(ix, "two.exampl", 10)), "");
	assert_string_equal(ids_of(rt_index_ipbxs_by_domain(ix, "", 0)), "");
	assert_string_equal(ids_of(rt_index_ipbxs_by_domain(ix, "[2001:db8:0:0::5]", 17)), "5");
	assert_string_equal(ids_of(rt_index_ipbxs_by_ip(ix, "192.0.2.1")), "3,9");
	assert_string_equal(ids_of(rt_index_ipbxs_by_ip(ix, "2001:db8::1")), "4");
	assert_string_equal(ids_of(rt_index_ipbxs_by_ip(ix, "[2001:db8:0:0:0:0:0:1]")), "4");
	assert_string_equal(ids_of(rt_index_ipbxs_by_ip(ix, "192.0.2.2")), "");
	assert_string_equal(ids_of(rt_index_ipbxs_by_ip(ix, "")), ""); /* 5 has none, and is nobody's by that */
	assert_string_equal(ids_of(rt_index_ipbxs_by_fqdn(ix, "10.0.0.9")), "9");
	assert_string_equal(ids_of(rt_index_ipbxs_by_username(ix, "bob")), "3,9");
	assert_string_equal(ids_of(rt_index_ipbxs_by_username(ix, "Bob")), "4");
	assert_string_equal(ids_of(rt_index_ipbxs_by_username(ix, "")), "");
	rt_data_unref(d);
}

static void
trunks_are_found(void **state)
{
	/* Trunk 2 is T2's, but of a carrier of T1: as confd joins them, it is T1's. */
	struct rt_data *d = data_of("{" TENANTS "'carriers':[{'id':1,'tenant_uuid':'" T1 "','name':'a'},{'id':2,'tenant_uuid':'" T2 "','name':'b'}],"
	    "'carrier_trunks':[{'id':7,'tenant_uuid':'" T1 "','carrier_id':1,'name':'x','sip_proxy':'a','ip_address':'192.0.2.7'},"
	    "{'id':2,'tenant_uuid':'" T2 "','carrier_id':1,'name':'y','sip_proxy':'b','ip_address':'192.0.2.7'},"
	    "{'id':3,'tenant_uuid':'" T2 "','carrier_id':2,'name':'z','sip_proxy':'c'}]}");

	assert_string_equal(ids_of(rt_index_trunks_by_ip(d->index, "192.0.2.7")), "2,7");
	assert_string_equal(ids_of(rt_index_trunks_by_ip(d->index, "")), "");
	assert_string_equal(ids_of(rt_index_trunks_of_tenant(d->index, T1)), "2,7");
	assert_string_equal(ids_of(rt_index_trunks_of_tenant(d->index, T2)), "3");
	assert_string_equal(ids_of(rt_index_trunks_of_tenant(d->index, "33333333-3333-4333-8333-333333333333")), "");
	rt_data_unref(d);
}

static void
tenants_have_numbers(void **state)
{
	struct rt_data *d = data_of("{" TENANTS "'dids':[]}"), *other = data_of("{'tenants':[{'uuid':'" T2 "','name':'two'}]}");
	int64_t one = rt_index_tenant_number(d->index, T1), two = rt_index_tenant_number(d->index, T2);

	assert_true(one > 0 && one <= INT32_MAX && two > 0 && two <= INT32_MAX && one != two);
	assert_int_equal(rt_index_tenant_number(other->index, T2), two);
	assert_int_equal(rt_index_tenant_number(other->index, T1), 0);
	assert_string_equal(rt_index_tenant_by_number(d->index, one)->v[TENANT_UUID].s, T1);
	assert_string_equal(rt_index_tenant_by_number(d->index, two)->v[TENANT_UUID].s, T2);
	assert_null(rt_index_tenant_by_number(d->index, 0));
	assert_null(rt_index_tenant_by_number(other->index, one));
	rt_data_unref(d);
	rt_data_unref(other);
}

#define HA1_ALICE "488d9a686b3f14e9e2b1b98484040ff5" /* md5("alice:One.example:secret") */
#define HASH64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void
ha1_is_made_of_plain_passwords(void **state)
{
	struct rt_data *d = data_of("{" TENANTS DOMAINS "'ipbxs':["
	    IPBX(1, T1, 1, ",'username':'alice','password':'secret'") ","
	    IPBX(2, T2, 2, ",'username':'bob','password':'" HASH64 HASH64 HASH64 "','password_ha1':'given'") ","
	    IPBX(3, T2, 3, ",'username':'carol'") "]}");

	assert_string_equal(rt_index_ha1(d->index, rt_data_find(d, RT_IPBXS, 1)), HA1_ALICE);
	assert_string_equal(rt_index_ha1(d->index, rt_data_find(d, RT_IPBXS, 2)), "given");
	assert_null(rt_index_ha1(d->index, rt_data_find(d, RT_IPBXS, 3)));
	rt_data_unref(d);
}

/* ---- DIDs ---- */

static bool
take_of_tenant(void *arg, const struct rt_row *did)
{
	return strcmp(did->v[DID_TENANT].s, arg) == 0;
}

static long long
did_of(const struct rt_data *d, const char *number, const char *tenant)
{
	const struct rt_row *row = rt_index_did(d->index, number, strlen(number), tenant != NULL ? take_of_tenant : NULL, (void *)(uintptr_t)tenant);

	return row != NULL ? (long long)rt_row_id(row) : 0;
}

#define DID(id, tenant, ipbx, regex) "{'id':" #id ",'tenant_uuid':'" tenant "','ipbx_id':" #ipbx ",'did_regex':'" regex "'}"

static void
dids_are_found(void **state)
{
	static const struct {
		const char *number, *tenant;
		long long want;
	} rows[] = {
		{ "39040123456", NULL, 10 },   /* defect 4: a literal prefix of 10 digits and more */
		{ "390401234567", NULL, 12 },  /* '$' */
		{ "3904012345", NULL, 12 },    /* re.match: a beginning */
		{ "3904099", NULL, 12 },
		{ "39050", NULL, 15 },         /* the IPBX's id before the DID's */
		{ "39050", T1, 14 },
		{ "39050", T2, 15 },
		{ "3905512", NULL, 16 },
		{ "39055123", NULL, 11 },
		{ "390", NULL, 11 },
		{ "39", NULL, 11 },
		{ "3", NULL, 18 },
		{ "", NULL, 18 },
		{ "41123", NULL, 18 },
		{ "4112", NULL, 19 },
		{ "39040123456", T2, 18 },
		{ "777", NULL, 18 },           /* a DID without an IPBX is none */
		{ "0049", NULL, 20 },
	};
	struct rt_data *d = data_of("{" TENANTS DOMAINS "'ipbxs':[" IPBX(1, T1, 1, "") "," IPBX(2, T2, 2, "") "," IPBX(3, T1, 1, ",'username':'u'") "],"
	    "'dids':[" DID(10, T1, 1, "^39040123456$") "," DID(11, T1, 1, "^39") "," DID(12, T1, 1, "^39040[0-9]*") ","
	    DID(14, T1, 3, "^39050$") "," DID(15, T2, 2, "39050$") "," DID(16, T1, 1, "^39055[0-9]{2}$") ","
	    DID(18, T2, 2, "^") "," DID(19, T2, 1, "(40|41)[0-9]{2}$") "," DID(20, T1, 3, "^00(49|43)") ","
	    "{'id':21,'tenant_uuid':'" T1 "','did_regex':'^777$'}]}");
	size_t i;

	for (i = 0; i < NELEM(rows); i++)
		if (did_of(d, rows[i].number, rows[i].tenant) != rows[i].want)
			fail_msg("%s: %lld", rows[i].number, did_of(d, rows[i].number, rows[i].tenant));
	rt_data_unref(d);
}

static void
too_long_numbers_match_nothing(void **state)
{
	struct rt_data *d = data_of("{" TENANTS DOMAINS "'ipbxs':[" IPBX(1, T1, 1, "") "],'dids':[" DID(1, T1, 1, "^3") "]}");
	char number[RT_NUMBER_MAX + 2], out[RT_NUMBER_MAX + 2];

	memset(number, '3', sizeof number);
	assert_non_null(rt_index_did(d->index, number, RT_NUMBER_MAX, NULL, NULL));
	assert_null(rt_index_did(d->index, number, RT_NUMBER_MAX + 1, NULL, NULL));
	assert_int_equal(rt_index_normalize(d->index, NULL, RT_NORM_IN, number, RT_NUMBER_MAX, out), RT_NUMBER_MAX);
	assert_int_equal(rt_index_normalize(d->index, NULL, RT_NORM_IN, number, RT_NUMBER_MAX + 1, out), 0);
	assert_string_equal(out, "");
	rt_data_unref(d);
}

static unsigned
chance(unsigned n)
{
	static uint32_t x = 4711;

	x = x * 1664525u + 1013904223u;
	return (x >> 8) % n;
}

static void
random_digits(char *out, unsigned digits, unsigned of)
{
	unsigned i;

	for (i = 0; i < digits; i++)
		out[i] = (char)('1' + chance(of));
	out[digits] = '\0';
}

/* The best of all DIDs that match, each asked by itself. */
static long long
slow_did(const struct rt_data *d, const char *number)
{
	const struct rt_list *l = &d->t[RT_DIDS];
	struct pattern_shape shape;
	long long best = 0, best_ipbx = 0;
	size_t i, best_len = 0;

	for (i = 0; i < l->n; i++) {
		const union rt_value *v = l->v[i]->v;
		struct pattern *p = NULL;
		char why[128];
		bool is;

		assert_int_equal(pattern_new(&p, v[DID_REGEX].s, why, sizeof why), 0);
		is = pattern_match(p, number, strlen(number));
		pattern_free(p);
		pattern_shape(v[DID_REGEX].s, &shape);
		if (!is || (best != 0 && (shape.len < best_len || (shape.len == best_len && v[DID_IPBX].i >= best_ipbx))))
			continue;
		best = v[DID_ID].i;
		best_ipbx = v[DID_IPBX].i;
		best_len = shape.len;
	}
	return best;
}

static void
dids_are_those_of_a_slow_walk(void **state)
{
	static const char *const tails[] = { "$", "", "[1-3]$", "[12]{2}$", ".*", "1?2", "(1|22)$", "3+$" };
	struct buf b = { 0 };
	struct rt_data *d;
	unsigned i, found = 0;
	char number[16];

	buf_puts(&b, "{" TENANTS DOMAINS "'ipbxs':[" IPBX(1, T1, 1, "") "," IPBX(2, T2, 2, "") "," IPBX(3, T1, 1, ",'username':'u'") "],'dids':[");
	for (i = 1; i <= 400; i++) {
		random_digits(number, 2 + chance(5), 3);
		/* two tenants, and an IPBX each of three, may have the same expression: a comment keeps them apart */
		buf_printf(&b, "%s{'id':%u,'tenant_uuid':'" T1 "','ipbx_id':%u,'did_regex':'%s%s%s(?:){%u}'}", i > 1 ? "," : "", i, 1 + chance(3),
		    chance(4) ? "^" : "", number, tails[chance(NELEM(tails))], i);
	}
	for (; i <= 800; i++) {
		random_digits(number, 4 + i % 5, 3);
		if (strstr(b.s, number) == NULL)
			buf_printf(&b, ",{'id':%u,'tenant_uuid':'" T2 "','ipbx_id':%u,'did_regex':'^%s$'}", i, 1 + chance(3), number);
	}
	buf_puts(&b, "]}");
	d = data_of(b.s);
	buf_free(&b);
	for (i = 0; i < 300; i++) {
		long long want;

		random_digits(number, chance(9), 3);
		want = slow_did(d, number);
		found += want != 0;
		if (did_of(d, number, NULL) != want)
			fail_msg("%s: %lld instead of %lld", number, did_of(d, number, NULL), want);
	}
	assert_true(found > 100 && found < 300);
	rt_data_unref(d);
}

/* ---- normalization ---- */

static const char *
normalized(const struct rt_data *d, int64_t profile, int type, const char *number)
{
	static char out[RT_NUMBER_MAX + 2];
	size_t n = rt_index_normalize(d->index, profile > 0 ? rt_data_find(d, RT_PROFILES, profile) : NULL, type, number, strlen(number), out);

	assert_int_equal(n, strlen(out));
	return out;
}

#define PROFILES                                                                                                                 \
	"'normalization_profiles':[{'id':1,'tenant_uuid':'" T1 "','name':'a'},{'id':2,'tenant_uuid':'" T1 "','name':'b',"             \
	"'always_intl_prefix_plus':true},{'id':3,'tenant_uuid':'" T1 "','name':'c'}],"
#define NORM(id, profile, type, priority, regex, by)                                                                             \
	"{'id':" #id ",'profile_id':" #profile ",'rule_type':" #type ",'priority':" #priority ",'match_regex':'" regex "','replace_regex':'" by "'}"

static void
numbers_are_normalized(void **state)
{
	static const struct {
		int64_t profile;
		int type;
		const char *number, *want;
	} rows[] = {
		{ 0, 1, "+39 040-12.34(5)", "3904012345" },
		{ 0, 1, "alice_1", "alice1" },
		{ 0, 2, "+", "" },
		{ 1, 1, "0039040", "39040" },
		{ 1, 1, "+0039 040", "39040" },
		{ 1, 1, "040123", "39040123" },
		/* cumulative, in the order of priority; but prefixes are those of the number before the first rule */
		{ 1, 1, "77123", "88123" },
		{ 1, 1, "88123", "99123" },
		{ 1, 1, "55", "6666" },    /* a rule without '^' replaces everywhere */
		{ 1, 1, "5565", "6666666" },
		{ 1, 1, "2212", "2122" },
		{ 1, 2, "0039040", "0039040" },
		{ 1, 2, "39040", "040" },
		{ 2, 2, "39040", "+39040" },
		{ 2, 2, "0039", "+39" },    /* no second one */
		{ 2, 1, "39040", "39040" },
		{ 2, 2, "", "" },
		{ 3, 1, "0039", "0039" },
	};
	struct rt_data *d = data_of("{" TENANTS PROFILES "'normalization_rules':["
	    NORM(1, 1, 1, 10, "^00", "") "," NORM(2, 1, 1, 20, "^0([1-9])", "390\\\\1") "," NORM(3, 1, 2, 0, "^39", "") ","
	    NORM(4, 1, 1, 2, "^88", "99") "," NORM(5, 1, 1, 1, "^77", "88") "," NORM(6, 1, 1, 0, "5", "66") ","
	    NORM(7, 1, 1, 0, "^22(.)(.)", "2\\\\g<1>2\\\\2") "," NORM(8, 2, 2, 0, "^00", "+") "]}");
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		const char *got = normalized(d, rows[i].profile, rows[i].type, rows[i].number);

		if (strcmp(got, rows[i].want) != 0)
			fail_msg("%lld %d %s: %s", (long long)rows[i].profile, rows[i].type, rows[i].number, got);
	}
	rt_data_unref(d);
}

/* Rules in their order, each asked whether the first number begins with its prefix. */
static void
slow_normalize(const struct rt_data *d, const char *number, char *out)
{
	const struct rt_list *l = &d->t[RT_NORM_RULES];
	struct pattern_shape shape;
	char now[RT_NUMBER_MAX + 1];
	int64_t priority;
	size_t i;

	snprintf(now, sizeof now, "%s", number);
	for (priority = 0; priority < 5; priority++) {
		for (i = 0; i < l->n; i++) {
			const union rt_value *v = l->v[i]->v;
			struct pattern *p = NULL;
			char why[128];

			pattern_shape(v[NORM_REGEX].s, &shape);
			if (v[NORM_PRIORITY].i != priority || strncmp(number, shape.prefix, shape.len) != 0)
				continue;
			assert_int_equal(pattern_new(&p, v[NORM_REGEX].s, why, sizeof why), 0);
			pattern_sub(p, v[NORM_REPLACE].s, now, strlen(now), out, RT_NUMBER_MAX + 1);
			pattern_free(p);
			memcpy(now, out, strlen(out) + 1);
		}
	}
	memcpy(out, now, strlen(now) + 1);
}

static void
normalization_is_that_of_a_slow_walk(void **state)
{
	static const char *const tails[] = { "", "$", "(.)", "[12]", "", "2?" };
	static const char *const by[] = { "", "12", "+", "\\\\g<0>1", "3" };
	struct buf b = { 0 };
	struct rt_data *d;
	unsigned i, changed = 0;
	char number[16], regex[40], want[RT_NUMBER_MAX + 2];

	buf_puts(&b, "{" TENANTS PROFILES "'normalization_rules':[");
	for (i = 1; i <= 120; i++) {
		random_digits(number, chance(5), 3);
		snprintf(regex, sizeof regex, "'%s%s%s'", chance(5) ? "^" : "", number, tails[chance(NELEM(tails))]);
		if (strstr(b.s, regex) == NULL) /* the same twice is refused */
			buf_printf(&b, "%s{'id':%u,'profile_id':1,'rule_type':1,'priority':%u,'match_regex':%s,'replace_regex':'%s'}",
			    b.s[b.len - 1] == '}' ? "," : "", i, chance(5), regex, by[chance(NELEM(by))]);
	}
	buf_puts(&b, "]}");
	d = data_of(b.s);
	buf_free(&b);
	for (i = 0; i < 300; i++) {
		random_digits(number, chance(9), 3);
		slow_normalize(d, number, want);
		changed += strcmp(want, number) != 0;
		if (strcmp(normalized(d, 1, RT_NORM_IN, number), want) != 0)
			fail_msg("%s: %s instead of %s", number, normalized(d, 1, RT_NORM_IN, number), want);
	}
	assert_true(changed > 100);
	rt_data_unref(d);
}

/* ---- routing rules ---- */

struct taken {
	char s[256];
	size_t stop; /* after so many */
	size_t n;
};

static bool
take_rule(void *arg, const struct rt_row *rule)
{
	struct taken *t = arg;
	size_t len = strlen(t->s);

	snprintf(t->s + len, sizeof t->s - len, "%s%lld", len > 0 ? "," : "", (long long)rt_row_id(rule));
	return ++t->n == t->stop;
}

static const char *
rules_of(const struct rt_data *d, const char *tenant, const char *number, size_t stop)
{
	static struct taken t;

	t = (struct taken){ .stop = stop };
	rt_index_rules(d->index, tenant, number, strlen(number), take_rule, &t);
	return t.s;
}

#define T3 "33333333-3333-4333-8333-333333333333"
#define RULES_DOCUMENT                                                                                                           \
	"{" TENANTS DOMAINS "'carriers':[{'id':1,'tenant_uuid':'" T1 "','name':'a'}],"                                                \
	"'carrier_trunks':[{'id':1,'tenant_uuid':'" T1 "','carrier_id':1,'name':'x','sip_proxy':'a'},"                                 \
	"{'id':2,'tenant_uuid':'" T1 "','carrier_id':1,'name':'y','sip_proxy':'b'},"                                                   \
	"{'id':3,'tenant_uuid':'" T2 "','carrier_id':1,'name':'z','sip_proxy':'c'}],"                                                  \
	"'ipbxs':[" IPBX(1, T2, 2, "") "],'routing_rules':["                                                                          \
	"{'id':1,'prefix':'39','tenant_uuid':'" T1 "','priority':5},"                                                                  \
	"{'id':2,'prefix':'39','tenant_uuid':'" T1 "','priority':1},"                                                                  \
	"{'id':3,'prefix':'39','tenant_uuid':'" T2 "'},"                                                                               \
	"{'id':4,'prefix':'39','destination':'service:x','priority':5},"   /* for all */                                              \
	"{'id':5,'tenant_uuid':'" T1 "','trunks':[3,2,1],'carrier_trunk_id':2},"                                                     \
	"{'id':6,'prefix':'3904','trunks':[1,3]},"                         /* T1 and T2, by their trunks */                           \
	"{'id':7,'prefix':'3904','tenant_uuid':'" T1 "'},"                 /* but T2's, by its group */                               \
	"{'id':8,'prefix':'390','ipbx_id':1},"                             /* T2's, by its IPBX */                                    \
	"{'id':9,'prefix':'41','tenant_uuid':'" T1 "','did_regex':'^41[0-4]'},"                                                        \
	"{'id':10,'prefix':'41','tenant_uuid':'" T1 "','did_regex':'^4123$'}],"                                                        \
	"'routing_groups':[{'id':1,'tenant_uuid':'" T2 "','routing_rule_id':7},{'id':2,'tenant_uuid':'" T2 "','routing_rule_id':7}]}"

static void
rules_are_found(void **state)
{
	static const struct {
		const char *tenant, *number, *want;
		size_t stop;
	} rows[] = {
		{ T1, "39040", "6,2,1,4,5", 0 },
		{ T2, "39040", "6,7,8,3,4", 0 },
		{ NULL, "39040", "4", 0 },
		{ T3, "39040", "4", 0 },
		{ T1, "39", "2,1,4,5", 0 },
		{ T1, "39", "2,1", 2 },
		{ T1, "3", "5", 0 },
		{ T1, "", "5", 0 },
		{ T2, "3", "", 0 },
		{ T1, "4109", "9,5", 0 },
		{ T1, "4123", "9,10,5", 0 },
		{ T1, "41234", "9,5", 0 },
		{ T1, "417", "5", 0 },
	};
	struct rt_data *d = data_of(RULES_DOCUMENT);
	const struct rt_row *trunks[8];
	size_t i;

	for (i = 0; i < NELEM(rows); i++)
		if (strcmp(rules_of(d, rows[i].tenant, rows[i].number, rows[i].stop), rows[i].want) != 0)
			fail_msg("%s %s: %s", rows[i].tenant, rows[i].number, rules_of(d, rows[i].tenant, rows[i].number, rows[i].stop));
	assert_int_equal(rt_index_rule_trunks(d->index, rt_data_find(d, RT_RULES, 5), trunks, NELEM(trunks)), 3);
	assert_string_equal(ids_of((struct rt_rows){ trunks, 3 }), "2,3,1");
	assert_int_equal(rt_index_rule_trunks(d->index, rt_data_find(d, RT_RULES, 5), trunks, 2), 2);
	assert_int_equal(rt_index_rule_trunks(d->index, rt_data_find(d, RT_RULES, 4), trunks, NELEM(trunks)), 0);
	rt_data_unref(d);
}

static void
rules_apply_to_tenants(void **state)
{
	static const struct {
		int64_t rule;
		bool one, two, none;
	} rows[] = {
		{ 1, true, false, false }, { 4, true, true, true }, { 6, true, true, false }, { 7, false, true, false }, { 8, false, true, false },
	};
	struct rt_data *d = data_of(RULES_DOCUMENT);
	struct rt_data *few = data_of("{" TENANTS "'routing_rules':[{'id':1,'tenant_uuid':'" T2 "'}]}");
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		const struct rt_row *rule = rt_data_find(d, RT_RULES, rows[i].rule);

		assert_int_equal(rt_index_rule_for(d->index, rule, T1), rows[i].one);
		assert_int_equal(rt_index_rule_for(d->index, rule, T2), rows[i].two);
		assert_int_equal(rt_index_rule_for(d->index, rule, NULL), rows[i].none);
		assert_int_equal(rt_index_rule_for(d->index, rule, T3), rows[i].none);
	}
	assert_true(rt_index_has_rules(d->index, T3)); /* those for all */
	assert_true(rt_index_has_rules(few->index, T2));
	assert_false(rt_index_has_rules(few->index, T1));
	assert_false(rt_index_has_rules(few->index, NULL));
	rt_data_unref(d);
	rt_data_unref(few);
}

/* ---- what is wrong, what is large ---- */

static void
all_wrong_patterns_are_reported(void **state)
{
	static const char *const says[] = { "dids[0].did_regex: ", "dids[2].did_regex: ", "normalization_rules[0].match_regex: ",
		"routing_rules[0].did_regex: ", "at character" };
	static const char *const replaced[] = { "normalization_rules[0].replace_regex: ", "normalization_rules[1].replace_regex: " };
	struct buf notes = { 0 };
	struct rt_data *d = NULL;
	size_t i;

	assert_int_equal(parse_document(&d, "{" TENANTS DOMAINS PROFILES "'ipbxs':[" IPBX(1, T1, 1, "") "],"
	    "'dids':[" DID(1, T1, 1, "^39[") "," DID(2, T1, 1, "^39$") ",{'id':3,'tenant_uuid':'" T1 "','did_regex':'(1'}],"
	    "'normalization_rules':[" NORM(1, 1, 1, 0, "(", "") "],'routing_rules':[{'id':1,'did_regex':'*'}]}", &notes), -EINVAL);
	assert_null(d);
	for (i = 0; i < NELEM(says); i++)
		if (strstr(notes.s, says[i]) == NULL)
			fail_msg("%s is not in\n%s", says[i], notes.s);
	assert_null(strstr(notes.s, "dids[1]"));
	buf_free(&notes);
	/* What would break a SIP URI or a header. */
	assert_int_equal(parse_document(&d, "{" TENANTS PROFILES "'normalization_rules':[" NORM(1, 1, 1, 0, "^1", "@evil.example;") ","
	    NORM(2, 1, 1, 0, "^2.", ">") "," NORM(3, 1, 1, 0, "^3", "+3") "]}", &notes), -EINVAL);
	for (i = 0; i < NELEM(replaced); i++)
		if (strstr(notes.s, replaced[i]) == NULL)
			fail_msg("%s is not in\n%s", replaced[i], notes.s);
	assert_null(strstr(notes.s, "rules[2]"));
	buf_free(&notes);
}

/* A hundred hostile DIDs cost as much as eight. */
static void
hostile_patterns_do_not_add_up(void **state)
{
	struct buf b = { 0 };
	struct rt_data *d;
	uint64_t before;
	unsigned i;

	buf_puts(&b, "{" TENANTS DOMAINS PROFILES "'ipbxs':[" IPBX(1, T1, 1, "") "],'dids':[");
	for (i = 1; i <= 100; i++)
		buf_printf(&b, "%s{'id':%u,'tenant_uuid':'" T1 "','ipbx_id':1,'did_regex':'([0-9]+)+[a-z]%u'}", i > 1 ? "," : "", i, i);
	buf_puts(&b, "],'normalization_rules':[");
	for (i = 1; i <= 100; i++)
		buf_printf(&b, "%s{'id':%u,'profile_id':1,'rule_type':1,'match_regex':'([0-9]+)+[a-z]%u'}", i > 1 ? "," : "", i, i);
	buf_puts(&b, "]}");
	d = data_of(b.s);
	buf_free(&b);
	before = pattern_limited();
	assert_int_equal(did_of(d, "12345678901234567890123456789012345678901234", NULL), 0);
	assert_int_equal(pattern_limited(), before + 8);
	assert_string_equal(normalized(d, 1, 1, "12345678901234567890123456789012345678901234"), "12345678901234567890123456789012345678901234");
	assert_int_equal(pattern_limited(), before + 16);
	rt_data_unref(d);
}

static void
no_data_is_fine(void **state)
{
	struct rt_data *d = data_of("{}");

	assert_int_equal(did_of(d, "1", NULL), 0);
	assert_string_equal(rules_of(d, T1, "1", 0), "");
	assert_false(rt_index_has_rules(d->index, T1));
	assert_string_equal(ids_of(rt_index_ipbxs_by_ip(d->index, "192.0.2.1")), "");
	assert_int_equal(rt_index_tenant_number(d->index, T1), 0);
	assert_string_equal(normalized(d, 0, RT_NORM_IN, "+1"), "1");
	assert_true(rt_index_bytes(d->index) > 0);
	rt_data_unref(d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipbxs_are_found),
		cmocka_unit_test(trunks_are_found),
		cmocka_unit_test(tenants_have_numbers),
		cmocka_unit_test(ha1_is_made_of_plain_passwords),
		cmocka_unit_test(dids_are_found),
		cmocka_unit_test(too_long_numbers_match_nothing),
		cmocka_unit_test(dids_are_those_of_a_slow_walk),
		cmocka_unit_test(numbers_are_normalized),
		cmocka_unit_test(normalization_is_that_of_a_slow_walk),
		cmocka_unit_test(rules_are_found),
		cmocka_unit_test(rules_apply_to_tenants),
		cmocka_unit_test(all_wrong_patterns_are_reported),
		cmocka_unit_test(hostile_patterns_do_not_add_up),
		cmocka_unit_test(no_data_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
