/*
 * row: rows of JSON, what is wrong with them in words, partial changes, and the store's records.
 */
#include <inttypes.h>

#include "rtdata_fx.h"

static void
defaults_stand_for_what_is_missing(void **state)
{
	struct rt_row *row = row_of(RT_TRUNKS, "{'id':1,'tenant_uuid':'" T1 "','carrier_id':2,'name':'x','sip_proxy':'h','retry_seconds':null}", 0);

	assert_row(row, RT_ROW_SECRETS,
	    "{'id':1,'tenant_uuid':'" T1 "','carrier_id':2,'normalization_profile_id':null,'name':'x','sip_proxy':'h','sip_proxy_port':5060,"
	    "'ip_address':null,'registered':false,'auth_username':null,'auth_password':null,'realm':null,'registrar_proxy':null,"
	    "'from_domain':null,'expire_seconds':3600,'retry_seconds':30}");
	rt_row_unref(row);
	row = row_of(RT_RULES, "{'id':1}", 0);
	assert_row(row, 0,
	    "{'id':1,'prefix':'','carrier_trunk_id':null,'ipbx_id':null,'did_regex':null,'route_type':'pstn','tenant_uuid':null,'priority':0,"
	    "'weight':1,'trunks':null,'destination':null,'time_windows':null,'routing':'serial'}");
	rt_row_unref(row);
}

static void
values_are_kept_in_one_form(void **state)
{
	struct rt_row *row = row_of(RT_IPBXS,
	    "{'id':'4','tenant_uuid':'ABCDEF00-1111-4111-8111-111111111111','domain_id':2,'ip_fqdn':'[2001:db8::1]','port':'5080',"
	    "'registered':1,'username':'','password':'pw','password_ha1':'aa','realm':'r'}", 0);

	assert_row(row, 0,
	    "{'id':4,'tenant_uuid':'abcdef00-1111-4111-8111-111111111111','domain_id':2,'normalization_profile_id':null,'customer':null,"
	    "'ip_fqdn':'[2001:db8::1]','ip_address':null,'port':5080,'registered':true,'username':null,'realm':'r'}");
	rt_row_unref(row);
	row = row_of(RT_RULES, "{'id':1,'prefix':'+39 (040)','trunks':[3,1,2],'did_regex':''}", 0);
	assert_string_equal(row->v[RULE_TRUNKS].s, "3,1,2");
	assert_string_equal(row->v[RULE_PREFIX].s, "39040");
	assert_null(row->v[RULE_DID_REGEX].s);
	rt_row_unref(row);
}

static void
prefixes_are_derived(void **state)
{
	struct rt_row *row = row_of(RT_DIDS, "{'id':1,'tenant_uuid':'" T1 "','did_regex':'^39040[0-9]+$','did_prefix':7}", 0);

	assert_string_equal(row->v[DID_PREFIX].s, "39040");
	rt_row_unref(row);
	row = row_of(RT_NORM_RULES, "{'id':1,'profile_id':1,'rule_type':2,'match_regex':'^00','match_prefix':'x'}", 0);
	assert_string_equal(row->v[NORM_PREFIX].s, "00");
	assert_string_equal(row->v[NORM_REPLACE].s, "");
	rt_row_unref(row);
}

static void
times(void **state)
{
	static const struct {
		const char *json, *want; /* NULL: refused */
	} cases[] = {
		{ "'2026-11-21T03:40:00'", "2026-11-21T03:40:00+00:00" },
		{ "'2026-11-21 03:40'", "2026-11-21T03:40:00+00:00" },
		{ "'2026-11-21T03:40:00Z'", "2026-11-21T03:40:00+00:00" },
		{ "'2026-11-21T03:40:00+02:00'", "2026-11-21T01:40:00+00:00" },
		{ "'2026-12-31T23:40:00-0130'", "2027-01-01T01:10:00+00:00" },
		{ "'2026-11-21T03:40:00.5+00:00'", "2026-11-21T03:40:00.500000+00:00" },
		{ "'2026-11-21T03:40:00.000'", "2026-11-21T03:40:00+00:00" },
		{ "'2024-02-29T00:00:00'", "2024-02-29T00:00:00+00:00" },
		{ "1795232400", "2026-11-21T03:40:00+00:00" },
		{ "'1795232400'", "2026-11-21T03:40:00+00:00" },
		{ "'0001-01-01T00:00:00'", "0001-01-01T00:00:00+00:00" },
		{ "'2026-02-29T00:00:00'", NULL },
		{ "'2026-13-01T00:00:00'", NULL },
		{ "'2026-11-21T24:00:00'", NULL },
		{ "'2026-11-21T03:40:00+2:00'", NULL },
		{ "'2026-11-21T03:40:00 CET'", NULL },
		{ "'2026-11-21'", NULL },
		{ "'0001-01-01T00:00:00+01:00'", NULL },
		{ "'9999-12-31T23:59:59-01:00'", NULL },
		{ "'yesterday'", NULL },
		{ "99999999999999", NULL },
		{ "-99999999999999", NULL },
		{ "true", NULL },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		char *text = xasprintf("{'id':1,'tenant_uuid':'" T1 "','from_uri':'a','to_uri':'b','call_start':%s}", cases[i].json);
		char *json = json_of(text);
		json_t *obj = json_loads(json, 0, NULL);
		struct rt_row *row = NULL;
		struct buf notes = { 0 };
		int err = rt_row_parse(&row, RT_CDRS, obj, NULL, 0, "", note, &notes);

		if ((err == 0) != (cases[i].want != NULL))
			fail_msg("%s: %d", cases[i].json, err);
		if (err == 0)
			assert_string_equal(row->v[CDR_START].s, cases[i].want);
		else
			assert_memory_equal(notes.s, "call_start: must be a time", 26);
		rt_row_unref(row);
		buf_free(&notes);
		json_decref(obj);
		free(json);
		free(text);
	}
}

static void
what_is_wrong_is_told_in_words(void **state)
{
	static const struct {
		enum rt_table table;
		const char *json, *want;
	} cases[] = {
		{ RT_DIDS, "[]", "x: must be an object\n" },
		{ RT_TENANTS, "{}", "x.uuid: is missing\nx.name: is missing\n" },
		{ RT_TENANTS, "{'uuid':'" T1 "0','name':''}",
		    "x.uuid: must be a UUID (hexadecimal digits: 8-4-4-4-12), is '" T1 "0'\nx.name: must not be empty, is ''\n" },
		{ RT_TENANTS, "{'uuid':'" T1 "','name':'x','nick':1}",
		    "x.nick: tenants have no column 'nick'; they have uuid name\n" },
		{ RT_TENANTS, "{'uuid':'" T1 "','name':'x','a b\\n':1}",
		    "x: tenants have no column 'a b?'; they have uuid name\n" },
		{ RT_IPBXS, "{'id':1,'tenant_uuid':'" T1 "','domain_id':1,'ip_fqdn':'h','port':'5o60'}",
		    "x.port: must be a whole number from 1 to 65535, is '5o60'\n" },
		{ RT_IPBXS, "{'id':0,'tenant_uuid':'" T1 "','domain_id':1.5,'ip_fqdn':'h','port':70000,'registered':'yes'}",
		    "x.id: must be a whole number from 1 to 2147483647, is 0\n"
		    "x.domain_id: must be a whole number from 1 to 2147483647, is 1.5\n"
		    "x.port: must be a whole number from 1 to 65535, is 70000\n"
		    "x.registered: must be true or false, is 'yes'\n" },
		{ RT_IPBXS, "{'id':1,'tenant_uuid':'" T1 "','domain_id':1,'ip_fqdn':'h:5060','ip_address':'10.0.0','username':'a b','realm':'<r>'}",
		    "x.ip_fqdn: must be a host name or an IP address, without a port, or 'service:NAME', is 'h:5060'\n"
		    "x.ip_address: must be an IPv4 or IPv6 address, is '10.0.0'\n"
		    "x.username: must be ASCII without blanks, double quotes, \\, < and >, is 'a b'\n"
		    "x.realm: must be ASCII without double quotes, \\, < and >, is '<r>'\n" },
		{ RT_DOMAINS, "{'id':1,'tenant_uuid':'" T1 "','domain':'a\\r\\nX: y'}",
		    "x.domain: must be without control characters, is 'a??X: y'\n" },
		{ RT_DOMAINS, "{'id':1,'tenant_uuid':'" T1 "','domain':'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}",
		    "x.domain: must be a text of at most 64 bytes, has 65, is 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa...'\n" },
		{ RT_DOMAINS, "{'id':1,'tenant_uuid':'" T1 "','domain':['a']}", "x.domain: must be a text, is an array\n" },
		/* never a secret */
		{ RT_TRUNKS, "{'id':1,'tenant_uuid':'" T1 "','carrier_id':1,'name':'n','sip_proxy':'h','auth_password':'s3c\\nret'}",
		    "x.auth_password: must be without control characters, is a text\n" },
		{ RT_TRUNKS, "{'id':1,'tenant_uuid':'" T1 "','carrier_id':1,'name':'n','sip_proxy':'service:','auth_password':12345}",
		    "x.sip_proxy: must be 'service:NAME' with the name of a discovered service, is 'service:'\n"
		    "x.auth_password: must be a text, is a number\n" },
		{ RT_RULES, "{'id':1,'prefix':'39*','trunks':[1,'2'],'destination':'h','time_windows':'noon','routing':'both','weight':-1}",
		    "x.prefix: must be what numbers begin with: letters, digits, + and separators, is '39*'\n"
		    "x.weight: must be a whole number from 0 to 65535, is -1\n"
		    "x.trunks: must be an array of at most 64 ids, each a whole number, none twice\n"
		    "x.destination: must be 'service:NAME' with the name of a discovered service, is 'h'\n"
		    "x.time_windows: must be like 'mon-fri 08:00-18:00, sat 09:00-12:30 utc': a day (mon tue wed thu fri sat sun) expected from byte 1 on, is 'noon'\n"
		    "x.routing: must be 'serial' or 'parallel', is 'both'\n" },
		{ RT_RULES, "{'id':1,'trunks':'1,2'}", "x.trunks: must be an array of at most 64 ids, each a whole number, none twice, is '1,2'\n" },
		{ RT_RULES, "{'id':1,'trunks':[1,2,1]}", "x.trunks: must be an array of at most 64 ids, each a whole number, none twice\n" },
		{ RT_NORM_RULES, "{'id':1,'profile_id':1,'rule_type':3,'match_regex':'x'}",
		    "x.rule_type: must be a whole number from 1 to 2, is 3\n" },
	};

	for (size_t i = 0; i < NELEM(cases); i++) {
		char *json = json_of(cases[i].json), *want = json_of(cases[i].want);
		json_t *obj = json_loads(json, 0, NULL);
		struct rt_row *row = NULL;
		struct buf notes = { 0 };

		assert_non_null(obj);
		assert_int_equal(rt_row_parse(&row, cases[i].table, obj, NULL, 0, "x", note, &notes), -EINVAL);
		assert_null(row);
		assert_string_equal(notes.s, want);
		assert_int_equal(rt_row_parse(&row, cases[i].table, obj, NULL, 0, "x", NULL, NULL), -EINVAL);
		buf_free(&notes);
		json_decref(obj);
		free(json);
		free(want);
	}
}

static int
put(struct rt_row **out, const struct rt_row *base, const char *text, struct buf *notes)
{
	char *json = json_of(text);
	json_t *obj = json_loads(json, 0, NULL);
	int err = rt_row_parse(out, base->table, obj, base, 0, "", note, notes);

	json_decref(obj);
	free(json);
	return err;
}

static void
a_partial_row_keeps_the_rest(void **state)
{
	struct rt_row *base = row_of(RT_IPBXS, "{'id':4,'tenant_uuid':'" T1 "','domain_id':2,'ip_fqdn':'h','port':5080,'customer':'c','password':'pw'}", 0);
	struct rt_row *row = NULL;
	struct buf notes = { 0 };
	json_t *json;

	/* wazo's customers are numbers; others' are names */
	row = row_of(RT_IPBXS, "{'id':4,'tenant_uuid':'" T1 "','domain_id':2,'ip_fqdn':'h','customer':17}", 0);
	json = rt_row_json(row, 0);
	assert_int_equal(json_integer_value(json_object_get(json, "customer")), 17);
	json_decref(json);
	rt_row_unref(row);
	assert_int_equal(put(&row, base, "{'ip_fqdn':'other','customer':null,'port':null}", &notes), 0);
	assert_row(row, RT_ROW_SECRETS,
	    "{'id':4,'tenant_uuid':'" T1 "','domain_id':2,'normalization_profile_id':null,'customer':null,'ip_fqdn':'other','ip_address':null,"
	    "'port':5060,'registered':false,'username':null,'password':'pw','password_ha1':null,'realm':null}");
	rt_row_unref(base);
	assert_string_equal(row->v[IPBX_PASSWORD].s, "pw"); /* its own copy */
	base = row;
	assert_int_equal(put(&row, base, "{'id':4}", &notes), 0);
	rt_row_unref(row);
	assert_int_equal(put(&row, base, "{'id':5}", &notes), -EINVAL);
	assert_string_equal(notes.s, "id: must be left out, or 4: a row keeps its key\n");
	buf_free(&notes);
	rt_row_unref(base);
}

static void
an_id_may_come_later(void **state)
{
	struct rt_row *row = row_of(RT_CARRIERS, "{'tenant_uuid':'" T1 "','name':'n'}", RT_ROW_NO_ID), *other;

	assert_true(rt_row_id(row) == RT_NULL);
	other = rt_row_with_id(row, 9);
	rt_row_unref(row);
	assert_row(other, 0, "{'id':9,'tenant_uuid':'" T1 "','name':'n'}");
	rt_row_unref(rt_row_ref(other));
	rt_row_unref(other);
	rt_row_unref(NULL);
}

/* ---- records ---- */

static uint32_t seed = 1;

static uint32_t
chance(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

/* Any value that the column takes. */
static json_t *
random_value(const struct rt_column *c, enum rt_table t)
{
	static const char *const hosts[] = { "a.example", "10.0.0.1", "::1" };
	static const char *const words[] = { "x", "Zürich", "a b", "\xe2\x82\xac\"'\\" };
	char text[128];

	if (!(c->flags & RT_REQUIRED) && chance(4) == 0)
		return chance(2) ? json_null() : NULL;
	switch (c->type) {
	case RT_INT:
		return json_integer(chance(8) == 0 ? c->min : chance(8) == 0 ? c->max : c->min + chance((uint32_t)(c->max - c->min < 1000 ? c->max - c->min + 1 : 1000)));
	case RT_BOOL:
		return json_boolean(chance(2));
	case RT_UUID:
		snprintf(text, sizeof text, "%08x-0000-4000-8000-%012x", chance(1u << 24), chance(1u << 24));
		return json_string(text);
	case RT_TIME:
		return json_integer(chance(1u << 24) * 100);
	case RT_IDS:
		return json_pack("[iii]", 7, (int)chance(5) + 1, 100);
	case RT_TEXT:
		if (c->check == NULL)
			return json_string(c->max > 10 ? words[chance(NELEM(words))] : "pstn");
		if (strcmp(c->name, "time_windows") == 0)
			return json_string("mon 08:00-09:00");
		if (strcmp(c->name, "routing") == 0)
			return json_string("parallel");
		if (strcmp(c->name, "destination") == 0)
			return json_string("service:asterisk");
		if (strcmp(c->name, "ip_address") == 0 || strcmp(c->name, "source_ip") == 0)
			return json_string(hosts[1 + chance(2)]);
		if (strcmp(c->name, "prefix") == 0)
			return json_string(chance(2) ? "39040" : "");
		return json_string(hosts[chance(3)]);
	}
	return NULL;
}

static struct rt_row *
random_row(enum rt_table t)
{
	const struct rt_schema *s = &rt_schemas[t];
	json_t *obj = json_object();
	struct buf notes = { 0 };
	struct rt_row *row = NULL;

	for (size_t c = 0; c < s->n_cols; c++) {
		json_t *v = s->cols[c].flags & RT_DERIVED ? NULL : random_value(&s->cols[c], t);

		if (v != NULL)
			json_object_set_new(obj, s->cols[c].name, v);
	}
	if (rt_row_parse(&row, t, obj, NULL, 0, "", note, &notes) != 0)
		fail_msg("%s:\n%s", s->name, notes.s);
	json_decref(obj);
	return row;
}

static int
decode_exact(struct rt_row **out, const struct buf *key, const struct buf *val, size_t vlen)
{
	char *k = exact_copy(key->s, key->len), *v = exact_copy(val->s, vlen);
	int err = rt_row_decode(out, k, key->len, v, vlen);

	free(k);
	free(v);
	return err;
}

static void
assert_same(const struct rt_row *a, const struct rt_row *b)
{
	json_t *ja = rt_row_json(a, RT_ROW_SECRETS), *jb = rt_row_json(b, RT_ROW_SECRETS);

	assert_true(json_equal(ja, jb));
	assert_int_equal(a->table, b->table);
	assert_int_equal(rt_row_cmp(a, b), 0);
	json_decref(ja);
	json_decref(jb);
}

/* Lists are written without trees; the same comes out. */
static void
assert_written_alike(const struct rt_row *row, unsigned flags)
{
	json_t *json = rt_row_json(row, flags), *read;
	struct buf text = { 0 };

	rt_row_write(row, flags, &text);
	read = json_loadb(text.s, text.len, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(read);
	if (!json_equal(json, read))
		fail_msg("%s", text.s);
	buf_free(&text);
	json_decref(read);
	json_decref(json);
}

static void
records_come_back_as_they_were(void **state)
{
	for (int i = 0; i < 200 * RT_ALL; i++) {
		struct rt_row *row = random_row(i % RT_ALL), *again = NULL;
		struct buf key = { 0 }, val = { 0 };
		json_t *json;

		rt_row_encode(row, &key, &val);
		assert_int_equal(decode_exact(&again, &key, &val, val.len), 0);
		assert_same(row, again);
		rt_row_unref(again);
		assert_written_alike(row, 0);
		assert_written_alike(row, RT_ROW_SECRETS);
		/* and from JSON */
		json = rt_row_json(row, RT_ROW_SECRETS);
		assert_int_equal(rt_row_parse(&again, i % RT_ALL, json, NULL, 0, "", note, NULL), 0);
		assert_same(row, again);
		json_decref(json);
		rt_row_unref(again);
		again = NULL;
		/* truncated anywhere, or with something behind it, it is none */
		for (size_t len = 0; len < val.len; len++)
			assert_int_equal(decode_exact(&again, &key, &val, len), -EBADMSG);
		buf_add(&val, "", 1);
		assert_int_equal(decode_exact(&again, &key, &val, val.len), -EBADMSG);
		assert_null(again);
		rt_row_unref(row);
		buf_free(&key);
		buf_free(&val);
	}
}

static void
records_of_other_versions(void **state)
{
	struct rt_row *row = row_of(RT_NORM_RULES, "{'id':9,'profile_id':1,'rule_type':1,'priority':5,'match_regex':'^00','replace_regex':'x'}", 0), *got = NULL;
	struct buf key = { 0 }, val = { 0 }, old = { 0 };

	rt_row_encode(row, &key, &val);
	assert_memory_equal(key.s, "\x07\0\0\0\0\0\0\0\x09", 9);
	/* a later version's has two more columns, a number and a text */
	val.s[1] = (char)(val.s[1] + 2);
	buf_add(&val, "\1\0\0\0\0\0\0\0\7", 9);
	buf_add(&val, "\2\0\3abc", 6);
	assert_int_equal(decode_exact(&got, &key, &val, val.len), 0);
	assert_same(row, got);
	rt_row_unref(got);
	/* an earlier one's ends before replace_regex: its default */
	buf_add(&old, val.s, val.len - 15 - 4);
	old.s[1] = (char)(old.s[1] - 3);
	assert_int_equal(decode_exact(&got, &key, &old, old.len), 0);
	assert_string_equal(got->v[NORM_REPLACE].s, "");
	assert_int_equal(got->v[NORM_PRIORITY].i, 5);
	assert_string_equal(got->v[NORM_PREFIX].s, "00"); /* derived anew */
	rt_row_unref(got);
	got = NULL;
	/* not before what is required; not another format; not under another key */
	old.s[1] = 2;
	assert_int_equal(decode_exact(&got, &key, &old, 2 + 9 + 9), -EBADMSG);
	val.s[0] = 2;
	assert_int_equal(decode_exact(&got, &key, &val, val.len), -EBADMSG);
	val.s[0] = 1;
	key.s[8] = 8;
	assert_int_equal(decode_exact(&got, &key, &val, val.len), -EBADMSG);
	key.s[0] = (char)0xff;
	assert_int_equal(decode_exact(&got, &key, &val, val.len), -EBADMSG);
	assert_null(got);
	buf_free(&key);
	buf_free(&val);
	buf_free(&old);
	rt_row_unref(row);
}

static void
keys(void **state)
{
	struct rt_row *tenant = row_of(RT_TENANTS, "{'uuid':'" T1 "','name':'n'}", 0), *did = random_row(RT_DIDS);
	struct buf key = { 0 }, val = { 0 }, same = { 0 };

	rt_row_encode(tenant, &key, &val);
	rt_row_encode_key(RT_TENANTS, 0, T1, &same);
	assert_int_equal(key.len, 37);
	assert_memory_equal(key.s, same.s, 37);
	buf_free(&key);
	buf_free(&same);
	buf_free(&val);
	rt_row_encode(did, &key, &val);
	rt_row_encode_key(RT_DIDS, rt_row_id(did), NULL, &same);
	assert_int_equal(key.len, 9);
	assert_memory_equal(key.s, same.s, 9);
	assert_true(rt_row_cmp(tenant, did) < 0 && rt_row_cmp(did, tenant) > 0);
	buf_free(&key);
	buf_free(&same);
	buf_free(&val);
	rt_row_unref(tenant);
	rt_row_unref(did);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_stand_for_what_is_missing),
		cmocka_unit_test(values_are_kept_in_one_form),
		cmocka_unit_test(prefixes_are_derived),
		cmocka_unit_test(times),
		cmocka_unit_test(what_is_wrong_is_told_in_words),
		cmocka_unit_test(a_partial_row_keeps_the_rest),
		cmocka_unit_test(an_id_may_come_later),
		cmocka_unit_test(records_come_back_as_they_were),
		cmocka_unit_test(records_of_other_versions),
		cmocka_unit_test(keys),
	};

	return cmocka_run_group_tests_name("routing_row", tests, NULL, NULL);
}
