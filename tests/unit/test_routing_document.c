/*
 * document: whole documents, one key per object, everything that is wrong with its place, and back to JSON.
 */
#include "rtdata_fx.h"

/* `want` has ' for ". */
static void
refused(const char *text, const char *want)
{
	struct rt_data *d = NULL;
	struct buf notes = { 0 };

	assert_int_equal(parse_document(&d, text, &notes), -EINVAL);
	assert_null(d);
	for (size_t i = 0; i < notes.len; i++)
		if (notes.s[i] == '"')
			notes.s[i] = '\'';
	if (notes.s == NULL || strcmp(notes.s, want) != 0)
		fail_msg("%s:\n got %s\nwant %s", text, notes.s, want);
	buf_free(&notes);
}

static void
nothing_need_be_there(void **state)
{
	static const char *const texts[] = { "{}", " {'dids':null,'tenants':[], 'cdrs':[]}\n" };

	for (size_t i = 0; i < NELEM(texts); i++) {
		struct rt_data *d = data_of(texts[i]);

		assert_int_equal(rt_data_count(d), 0);
		rt_data_unref(d);
	}
}

static void
what_is_dumped_is_loaded_again(void **state)
{
	struct rt_data *d = data_of(SMALL_DOCUMENT), *again;
	json_t *json = rt_document_json(d), *same;
	char *text = json_dumps(json, 0);

	assert_non_null(strstr(text, "s3cret")); /* a document is complete */
	again = data_of(text);
	same = rt_document_json(again);
	assert_true(json_equal(json, same));
	free(text);
	json_decref(json);
	json_decref(same);
	rt_data_unref(d);
	rt_data_unref(again);
}

static void
syntax(void **state)
{
	refused("", "line 1, column 1: '[' or '{' expected near end of file\n");
	refused("[]", ": must be an object of arrays: {'tenants': [...], ...}\n");
	refused("{'dids':\n  [}", "line 2, column 4: unexpected token\n");
	refused("{} x", "line 1, column 4: end of file expected\n");
	refused("{'dids':[],\n'dids':[]}", "line 2, column 6: duplicate object key near ''dids''\n");
	refused("{'dids':[{'id':1,'id':2}]}", "line 1, column 21: duplicate object key near ''id''\n");
	refused("{'tenants':[{'name':'\\u0000'}]}", "line 1, column 28: must be without \\u0000\n");
	refused("{'tenants':[{'name':'a\xff'}]}", "line 1, column 22: is not UTF-8: unable to decode byte 0xff\n");
	refused("{'x\x7f':0,\n'x\x7f':0}", "line 2, column 4: duplicate object key near ''x?''\n");
	refused("{'dids':[{'id':99999999999999999999}]}", "line 1, column 35: too big integer\n");
}

/* A message never has what stands near the place: it may be a password. */
static void
syntax_tells_no_secret(void **state)
{
	struct rt_data *d = NULL;
	struct buf notes = { 0 };

	assert_int_equal(parse_document(&d, "{'carrier_trunks':[{'auth_password':'hunter2' 'x':1}]}", &notes), -EINVAL);
	assert_null(strstr(notes.s, "hunter2"));
	buf_free(&notes);
	assert_int_equal(parse_document(&d, "{'carrier_trunks':[{'auth_password' 'hunter2'}]}", &notes), -EINVAL);
	assert_null(strstr(notes.s, "hunter2"));
	buf_free(&notes);
	assert_int_equal(parse_document(&d, "{'ipbxs':[{'password':'hunter2\\r','port':'hunter'}]}", &notes), -EINVAL);
	assert_null(strstr(notes.s, "hunter2"));
	buf_free(&notes);
}

static void
depth_has_a_limit(void **state)
{
	struct buf deep = { 0 };

	/* The object, the array, the row: 13 more are just a wrong type. */
	refused("{'dids':[{'id':[[[[[[[[[[[[[]]]]]]]]]]]]]}]}",
	    "dids[0].id: must be a whole number from 1 to 2147483647, is an array\n"
	    "dids[0].tenant_uuid: is missing\ndids[0].did_regex: is missing\n");
	refused("{'dids':[\n{'id':[[[[[[[[[[[[[[]]]]]]]]]]]]]]}]}", "line 2, column 20: is nested more than 16 deep\n");
	refused("{'a[[[[[[[[[[[[[[[[[[[[[[[[':[]}",
	    "a[[[[[[[[[[[[[[[[[[[[[[[[: there is no table 'a[[[[[[[[[[[[[[[[[[[[[[[['; there are tenants domains carriers carrier_trunks ipbxs dids "
	    "normalization_profiles normalization_rules routing_rules routing_groups cdrs\n");
	for (int i = 0; i < 1000000; i++)
		buf_add(&deep, "[", 1);
	refused(deep.s, "line 1, column 17: is nested more than 16 deep\n");
	buf_free(&deep);
}

static void
all_that_is_wrong_is_told_at_once(void **state)
{
	refused("{'trunks':[],'dids':{},'tenants':[7,{'uuid':'" T1 "','name':'x'}]}",
	    "trunks: there is no table 'trunks'; there are tenants domains carriers carrier_trunks ipbxs dids normalization_profiles "
	    "normalization_rules routing_rules routing_groups cdrs\n"
	    "dids: must be an array of objects\n"
	    "tenants[0]: must be an object\n");
	/* a row that can't be read is no reason to miss it, but the rest is checked */
	refused("{'ipbxs':[{'id':1}],'tenants':[{'uuid':'" T1 "','name':'x'}],"
		"'dids':[{'id':1,'tenant_uuid':'" T1 "','did_regex':'^1','ipbx_id':1,'carrier_trunk_id':4},"
		"{'id':1,'tenant_uuid':'" T2 "','did_regex':'^2'},{'id':3,'tenant_uuid':'" T1 "','did_regex':'^1'}],"
		"'normalization_rules':[{'id':1,'profile_id':1,'rule_type':1,'match_regex':'^1','replace_regex':'2'}]}",
	    "ipbxs[0].tenant_uuid: is missing\n"
	    "ipbxs[0].domain_id: is missing\n"
	    "ipbxs[0].ip_fqdn: is missing\n"
	    "dids[1].id: is taken: dids[0] has it too\n"
	    "dids[1].tenant_uuid: there is no Tenant with uuid " T2 "\n"
	    "dids[0].carrier_trunk_id: there is no Carrier Trunk with id 4\n"
	    "dids[2].did_regex: is taken: dids[0] has the same tenant_uuid and did_regex\n"
	    "normalization_rules[0].profile_id: there is no Normalization Profile with id 1\n");
}

static void
patterns_are_told_with_the_rest(void **state)
{
	struct rt_data *d = NULL;
	struct buf notes = { 0 };

	assert_int_equal(parse_document(&d,
	    "{'tenants':[{'uuid':'" T1 "','name':'x'}],'normalization_profiles':[{'id':1,'tenant_uuid':'" T1 "','name':'p'}],"
	    "'dids':[{'id':9,'tenant_uuid':'" T1 "','did_regex':'^1$'},{'id':2,'tenant_uuid':'" T1 "','did_regex':'^1(2'}],"
	    "'normalization_rules':[{'id':1,'profile_id':1,'rule_type':1,'match_regex':'^(1)','replace_regex':'\\\\2'}],"
	    "'routing_rules':[{'id':1,'did_regex':'[x'}]}", &notes), -EINVAL);
	assert_non_null(strstr(notes.s, "dids[1].did_regex: is no regular expression: "));
	assert_non_null(strstr(notes.s, "normalization_rules[0].replace_regex: can't replace what match_regex matches: "));
	assert_non_null(strstr(notes.s, "routing_rules[0].did_regex: is no regular expression: "));
	assert_null(strstr(notes.s, "dids[0]"));
	buf_free(&notes);
	/* alone: it is the index that reports them */
	assert_int_equal(parse_document(&d,
	    "{'tenants':[{'uuid':'" T1 "','name':'x'}],"
	    "'dids':[{'id':9,'tenant_uuid':'" T1 "','did_regex':'^1$'},{'id':2,'tenant_uuid':'" T1 "','did_regex':'^1(2'}]}", &notes), -EINVAL);
	assert_memory_equal(notes.s, "dids[1].did_regex: ", 19);
	assert_null(d);
	buf_free(&notes);
}

static void
only_so_much_is_told(void **state)
{
	struct buf text = { 0 }, notes = { 0 };
	struct rt_data *d = NULL;
	size_t lines = 0;

	buf_puts(&text, "{'dids':[0");
	for (int i = 1; i < 1100; i++)
		buf_puts(&text, ",0");
	/* and references, of rows far behind */
	buf_puts(&text, "],'routing_groups':[");
	for (int i = 0; i < 50; i++)
		buf_printf(&text, "%s{'id':%d,'tenant_uuid':'" T1 "','routing_rule_id':1}", i ? "," : "", i + 1);
	buf_puts(&text, "]}");
	assert_int_equal(parse_document(&d, text.s, &notes), -EINVAL);
	for (const char *p = notes.s; *p != '\0'; p++)
		lines += *p == '\n';
	assert_int_equal(lines, 1001);
	assert_string_equal(notes.s + notes.len - 15, ": and 200 more\n");
	buf_free(&text);
	buf_free(&notes);
}

static void
cdrs(void **state)
{
	static const char text[] = "{\"cdrs\":[{\"id\":2,\"tenant_uuid\":\"" T1 "\",\"from_uri\":\"a\",\"to_uri\":\"b\",\"duration\":3},"
				   "{\"id\":1,\"tenant_uuid\":\"" T1 "\",\"from_uri\":\"c\",\"to_uri\":\"d\",\"call_start\":\"2026-11-21T03:40:00\"}]}";
	static const char twice[] = "{\"cdrs\":[{\"id\":2,\"tenant_uuid\":\"" T1 "\",\"from_uri\":\"a\",\"to_uri\":\"b\"},0,"
				    "{\"id\":2,\"tenant_uuid\":\"" T1 "\",\"from_uri\":\"a\",\"to_uri\":\"b\"}]}";
	struct rt_row **rows = NULL;
	struct rt_data *d = NULL;
	struct buf notes = { 0 };
	size_t n = 0;

	assert_int_equal(rt_document_parse(&d, text, sizeof text - 1, &rows, &n, note, &notes), 0);
	assert_int_equal(n, 2);
	assert_int_equal(rt_row_id(rows[0]), 2);
	assert_string_equal(rows[1]->v[CDR_START].s, "2026-11-21T03:40:00+00:00");
	assert_int_equal(rt_data_count(d), 0);
	for (size_t i = 0; i < n; i++)
		rt_row_unref(rows[i]);
	free(rows);
	rt_data_unref(d);
	assert_int_equal(rt_document_parse(&d, twice, sizeof twice - 1, &rows, &n, note, &notes), -EINVAL);
	assert_string_equal(notes.s, "cdrs[1]: must be an object\ncdrs[2].id: is taken: cdrs[0] has it too\n");
	buf_free(&notes);
	assert_int_equal(rt_document_parse(&d, text, sizeof text - 1, NULL, NULL, note, &notes), -EINVAL);
	assert_string_equal(notes.s, "cdrs: can't be loaded from here: take them out of the document\n");
	buf_free(&notes);
}

static void
one_key_per_object(void **state)
{
	static const char tenant[] = "{\"name\":\"x\"}", did[] = "{\"id\":7,\"tenant_uuid\":\"" T1 "\",\"did_regex\":\"^1\"}", rule[] = "{}";
	const struct rt_pair pairs[] = {
		{ "", "", 0 },
		{ "dids/", "", 0 },
		{ "dids/7", did, sizeof did - 1 },
		{ "tenants/" T1, tenant, sizeof tenant - 1 },
		{ "routing_rules/12", rule, sizeof rule - 1 },
	};
	struct rt_data *d = NULL;
	struct buf notes = { 0 };

	assert_int_equal(rt_document_parse_pairs(&d, pairs, NELEM(pairs), note, &notes), 0);
	assert_null(notes.s);
	assert_int_equal(rt_data_count(d), 3);
	assert_non_null(rt_data_find(d, RT_RULES, 12));
	assert_non_null(rt_data_find(d, RT_DIDS, 7));
	assert_string_equal(rt_data_find_tenant(d, T1)->v[TENANT_NAME].s, "x");
	rt_data_unref(d);
	d = NULL;
	assert_int_equal(rt_document_parse_pairs(&d, NULL, 0, note, &notes), 0);
	assert_int_equal(rt_data_count(d), 0);
	rt_data_unref(d);
}

static void
keys_that_are_wrong(void **state)
{
	static const char did[] = "{\"id\":7,\"tenant_uuid\":\"" T1 "\",\"did_regex\":\"^1\",\"ipbx_id\":3}", empty[] = "{}", bad[] = "{\n,", list[] = "[]";
	const struct rt_pair pairs[] = {
		{ "dids/8", did, sizeof did - 1 },
		{ "dids/07", did, sizeof did - 1 },
		{ "dids/x", did, sizeof did - 1 },
		{ "dids/7", did, sizeof did - 1 },
		{ "did/8\x1b\xff", did, sizeof did - 1 },
		{ "dids", did, sizeof did - 1 },
		{ "cdrs/1", empty, 2 },
		{ "carriers/1", bad, sizeof bad - 1 },
		{ "ipbxs/1", list, 2 },
		{ "tenants/x", empty, 2 },
		{ "routing_groups/1", empty, 2 },
		{ "normalization_rules/1", "", 0 },
	};
	struct rt_data *d = NULL;
	struct buf notes = { 0 };

	assert_int_equal(rt_document_parse_pairs(&d, pairs, NELEM(pairs), note, &notes), -EINVAL);
	assert_string_equal(notes.s,
	    "dids/8.id: must be left out, or the same as in the key\n"
	    "dids/07.id: must be left out, or the same as in the key\n"
	    "dids/x: must end with a number: TABLE/ID\n"
	    "did/8??: must be TABLE/ID, such as dids/7, or tenants/UUID\n"
	    "dids: must be TABLE/ID, such as dids/7, or tenants/UUID\n"
	    "cdrs/1: must be TABLE/ID, such as dids/7, or tenants/UUID\n"
	    "carriers/1: line 2, column 1: string or '}' expected\n"
	    "ipbxs/1: must be an object\n"
	    "tenants/x.uuid: must be a UUID (hexadecimal digits: 8-4-4-4-12), is \"x\"\n"
	    "tenants/x.name: is missing\n"
	    "routing_groups/1.tenant_uuid: is missing\n"
	    "routing_groups/1.routing_rule_id: is missing\n"
	    "normalization_rules/1: line 1, column 1: '[' or '{' expected near end of file\n");
	assert_null(d);
	buf_free(&notes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_need_be_there),
		cmocka_unit_test(what_is_dumped_is_loaded_again),
		cmocka_unit_test(syntax),
		cmocka_unit_test(syntax_tells_no_secret),
		cmocka_unit_test(depth_has_a_limit),
		cmocka_unit_test(all_that_is_wrong_is_told_at_once),
		cmocka_unit_test(patterns_are_told_with_the_rest),
		cmocka_unit_test(only_so_much_is_told),
		cmocka_unit_test(cdrs),
		cmocka_unit_test(one_key_per_object),
		cmocka_unit_test(keys_that_are_wrong),
	};

	return cmocka_run_group_tests_name("routing_document", tests, NULL, NULL);
}
