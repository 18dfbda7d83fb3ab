/*
 * defects: what wazo-router-confd does wrong, and c4d must not. The numbers are those of the list of thirteen that the routing API was
 * made from; here are those that a decision shows: 1, 2, 4 to 9. (3 and 10: the HTTP server's; 11: uacreg; 12 and 13: the platform's.)
 */
#include "routing_fx.h"

#include "routing/cdr.h"

#define HASH64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define TENANTS "{'tenants':[{'uuid':'" TENANT_A "','name':'a'},{'uuid':'" TENANT_B "','name':'b'}],"                     \
	"'domains':[{'id':1,'tenant_uuid':'" TENANT_A "','domain':'a.example'},{'id':2,'tenant_uuid':'" TENANT_B "','domain':'b.example'}]," \
	"'carriers':[{'id':1,'tenant_uuid':'" TENANT_A "','name':'c'},{'id':2,'tenant_uuid':'" TENANT_B "','name':'c'}]"
#define A "'tenant_uuid':'" TENANT_A "'"
#define B "'tenant_uuid':'" TENANT_B "'"

/* 1: rules of a profile apply, in and out, whether or not it names a country. */
static void
test_defect_01_normalization_rules_apply(void **state)
{
	struct fx *fx = fx_new(TENANTS ",'normalization_profiles':[{'id':1," A ",'name':'no country'},{'id':2," A ",'name':'it','country_code':'39'}],"
				       "'normalization_rules':[{'id':1,'profile_id':1,'rule_type':1,'match_regex':'^00','replace_regex':''},"
				       "{'id':2,'profile_id':1,'rule_type':1,'priority':1,'match_regex':'^0','replace_regex':'39'},"
				       "{'id':3,'profile_id':2,'rule_type':2,'match_regex':'^39(.*)$','replace_regex':'0\\\\1'}],"
				       "'carrier_trunks':[{'id':1," A ",'carrier_id':1,'name':'t','sip_proxy':'10.9.0.1','ip_address':'10.8.0.1','normalization_profile_id':1}],"
				       "'ipbxs':[{'id':1," A ",'domain_id':1,'ip_fqdn':'10.0.0.1','normalization_profile_id':2}],"
				       "'dids':[{'id':1," A ",'ipbx_id':1,'did_regex':'^39401$'}]}");
	json_t *json = fx_ask_json(fx, "sip:0401@sbc", "'auth':1,'source_ip':'10.8.0.1','from_uri':'sip:0039777@h'");

	fx_assert_text(json, "rtjson.routes.0.dst_uri", "sip:10.0.0.1:5060");
	fx_assert_text(json, "rtjson.routes.0.headers.to.uri", "sip:0401@sbc");
	fx_assert_text(json, "rtjson.routes.0.headers.from.uri", "sip:0777@h");
	json_decref(json);
	fx_free(fx);
}

/* 2: an answer is that of its own request: From, name and authentication of another one are not in it. */
static void
test_defect_02_no_answer_of_another_caller(void **state)
{
	struct fx *fx = fx_new(TENANTS ",'ipbxs':[{'id':1," A ",'domain_id':1,'ip_fqdn':'10.0.0.1'}]}");
	json_t *json;

	free(fx_ask(fx, "sip:1@a.example", "'source_ip':'10.0.0.9','from_name':'Mario','from_uri':'sip:100@h'"));
	json = fx_ask_json(fx, "sip:1@a.example", "'source_ip':'10.0.0.9','from_name':'Luigi','from_uri':'sip:200@h','auth':1");
	fx_assert_text(json, "rtjson.routes.0.headers.from.uri", "sip:200@h");
	fx_assert_text(json, "rtjson.routes.0.headers.from.display", "Luigi");
	fx_assert_text(json, "rtjson.routes.0.headers.extra", "P-Asserted-Identity: \"Luigi\" <sip:200@h>\r\n");
	assert_true(json_is_object(fx_at(json, "auth")));
	json_decref(json);
	fx_free(fx);
}

/* 4: a literal of any length is found, and the longest one wins, whatever the order of ids. */
static void
test_defect_04_long_dids_and_the_longest_prefix(void **state)
{
	struct fx *fx = fx_new(TENANTS ",'ipbxs':[{'id':1," A ",'domain_id':1,'ip_fqdn':'10.0.0.1'},{'id':2," A ",'domain_id':1,'ip_fqdn':'10.0.0.2'},"
				       "{'id':3," A ",'domain_id':1,'ip_fqdn':'10.0.0.3'}],"
				       "'dids':[{'id':1," A ",'ipbx_id':1,'did_regex':'^39040'},{'id':2," A ",'ipbx_id':2,'did_regex':'^390401234567890$'},"
				       "{'id':3," A ",'ipbx_id':3,'did_regex':'^3904012345678[0-9]+$'}]}");

	fx_assert_places(fx, "sip:390401234567890@h", "", "10.0.0.2:5060");
	fx_assert_places(fx, "sip:39040123456789@h", "", "10.0.0.3:5060");
	fx_assert_places(fx, "sip:39040123456@h", "", "10.0.0.1:5060");
	fx_free(fx);
}

/* 5: "Name" <sip:user@host>, and not the name in the place of a user. */
static void
test_defect_05_p_asserted_identity(void **state)
{
	struct fx *fx = fx_new(TENANTS ",'ipbxs':[{'id':1," A ",'domain_id':1,'ip_fqdn':'10.0.0.1'}]}");
	json_t *json = fx_ask_json(fx, "sip:1@a.example", "'from_name':'Mario','from_uri':'sip:100@h:5062'");

	fx_assert_text(json, "rtjson.routes.0.headers.extra", "P-Asserted-Identity: \"Mario\" <sip:100@h>\r\n");
	json_decref(json);
	json = fx_ask_json(fx, "sip:1@a.example", "'from_name':null,'from_uri':'sip:100@h'");
	fx_assert_text(json, "rtjson.routes.0.headers.extra", "P-Asserted-Identity: <sip:100@h>\r\n");
	json_decref(json);
	fx_free(fx);
}

/* 6: routing rules decide: by prefix, for the tenants of their groups, with more than two routes, by priority and time. */
static void
test_defect_06_routing_rules_are_used(void **state)
{
	struct fx *fx = fx_new(TENANTS ",'ipbxs':[{'id':1," A ",'domain_id':1,'ip_fqdn':'10.0.0.1'},{'id':2," B ",'domain_id':2,'ip_fqdn':'10.0.0.2'}],"
				       "'carrier_trunks':[{'id':1," A ",'carrier_id':1,'name':'1','sip_proxy':'t1'},{'id':2," A ",'carrier_id':1,'name':'2','sip_proxy':'t2'},"
				       "{'id':3," A ",'carrier_id':1,'name':'3','sip_proxy':'t3'},{'id':4," A ",'carrier_id':1,'name':'4','sip_proxy':'t4'}],"
				       "'routing_rules':[{'id':1,'prefix':'39','trunks':[4,3,2]},{'id':2,'prefix':'39','carrier_trunk_id':1,'priority':1},"
				       "{'id':3,'prefix':'3933','carrier_trunk_id':1,'priority':9},{'id':4,'prefix':'393','carrier_trunk_id':4},"
				       "{'id':5,'prefix':'44','carrier_trunk_id':2}],'routing_groups':[{'id':1," B ",'routing_rule_id':5}]}");

	fx_assert_places(fx, "sip:3906@o", "'source_ip':'10.0.0.1'", "t4:5060 t3:5060 t2:5060 t1:5060");
	fx_assert_places(fx, "sip:39333@o", "'source_ip':'10.0.0.1'", "t1:5060");
	fx_assert_places(fx, "sip:441@o", "'source_ip':'10.0.0.1'", "");
	fx_assert_places(fx, "sip:441@o", "'source_ip':'10.0.0.2'", "t2:5060");
	fx_free(fx);
}

/* 7: the number that the answer gives for the tenant is what a CDR may name it by. */
static void
test_defect_07_tenant_id_of_the_answer_is_taken_by_cdr(void **state)
{
	struct fx *fx = fx_new(TENANTS ",'ipbxs':[{'id':1," B ",'domain_id':2,'ip_fqdn':'10.0.0.1','ip_address':'10.0.0.1'}]}");
	json_t *json = fx_ask_json(fx, "sip:1@b.example", "'auth':'1','source_ip':'10.0.0.1'");
	struct rt_detail detail;
	struct rt_row *row;
	char *body;
	int64_t id;

	fx_assert_text(json, "auth.tenant_uuid", TENANT_B);
	id = json_integer_value(fx_at(json, "auth.tenant_id"));
	assert_in_range(id, 1, INT32_MAX);
	if (asprintf(&body, "{\"tenant_id\":%d,\"event\":\"sip-routing\",\"source_ip\":\"10.0.0.1\",\"source_port\":5060,\"call_id\":\"c\","
	        "\"from_uri\":\"sip:1@h\",\"to_uri\":\"sip:2@h\",\"call_start\":\"2026-11-21T03:40:00\",\"duration\":1}", (int)id) < 0)
		fail();
	assert_int_equal(cdr_parse(&row, fx->data, body, strlen(body), &detail), 0);
	assert_string_equal(row->v[CDR_TENANT].s, TENANT_B);
	rt_row_unref(row);
	json_decref(json);
	free(body);
	fx_free(fx);
}

/* 8: a password that was stored as a hash is not sent as one; a plain one is, and so the digest works. */
static void
test_defect_08_no_hash_as_password(void **state)
{
	struct fx *fx = fx_new(TENANTS ",'ipbxs':[{'id':1," A ",'domain_id':1,'ip_fqdn':'10.0.0.1','username':'u','password':'" HASH64 HASH64 HASH64 "','realm':'r'},"
				       "{'id':2," B ",'domain_id':2,'ip_fqdn':'10.0.0.2','username':'u2','password':'plain','realm':'r2'}],"
				       "'carrier_trunks':[{'id':1," A ",'carrier_id':1,'name':'t','sip_proxy':'t1','auth_username':'u','auth_password':'" HASH64 HASH64 HASH64 "','realm':'r'},"
				       "{'id':2," B ",'carrier_id':2,'name':'t','sip_proxy':'t2','auth_username':'u3','auth_password':'plain3','realm':'r3'}]}");
	char *answer = fx_ask(fx, "sip:1@a.example", "'source_ip':'10.0.0.1'");
	json_t *json;

	assert_int_equal(fx->decision.n, 2);
	assert_null(strstr(answer, HASH64));
	assert_null(strstr(answer, "auth_password"));
	assert_null(strstr(answer, "auth_username"));
	free(answer);
	json = fx_ask_json(fx, "sip:1@b.example", "'source_ip':'10.0.0.2'");
	fx_assert_text(json, "rtjson.routes.0.auth_password", "plain");
	fx_assert_text(json, "rtjson.auth_password", "plain3");
	json_decref(json);
	/* why there are none is explained, without what is stored */
	fx->env.trace = fx_trace;
	free(fx_ask(fx, "sip:1@a.example", ""));
	assert_non_null(strstr(fx->trace.s, "stored as a hash"));
	assert_null(strstr(fx->trace.s, HASH64));
	fx_free(fx);
}

/* 9: without an address a row is nobody's, wherever the call comes from; nor is a call without one. */
static void
test_defect_09_no_address_is_not_any_address(void **state)
{
	struct fx *fx = fx_new(TENANTS ",'ipbxs':[{'id':1," A ",'domain_id':1,'ip_fqdn':'10.0.0.1'}],"
				       "'carrier_trunks':[{'id':1," A ",'carrier_id':1,'name':'t','sip_proxy':'10.9.0.1'}]}");
	static const char *const sources[] = { "'source_ip':'10.0.0.1'", "'source_ip':'10.9.0.1'", "'source_ip':''", "'source_ip':'203.0.113.7','username':''",
		"'source_ip':'203.0.113.7','username':'x'", "'source_ip':null,'domain':'a.example'" };
	char more[128];
	size_t i;

	for (i = 0; i < NELEM(sources); i++) {
		json_t *json;

		snprintf(more, sizeof more, "'auth':1,%s", sources[i]);
		json = fx_ask_json(fx, "sip:39040@o", more);
		assert_true(json_is_false(fx_at(json, "auth.success")));
		assert_true(json_is_null(fx_at(json, "auth.tenant_uuid")));
		json_decref(json);
	}
	/* and no way out for strangers */
	fx_assert_places(fx, "sip:39040@o", "'source_ip':'203.0.113.7'", "");
	fx_assert_places(fx, "sip:39040@o", "'source_ip':'203.0.113.7','auth':1", "");
	fx_free(fx);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defect_01_normalization_rules_apply),
		cmocka_unit_test(test_defect_02_no_answer_of_another_caller),
		cmocka_unit_test(test_defect_04_long_dids_and_the_longest_prefix),
		cmocka_unit_test(test_defect_05_p_asserted_identity),
		cmocka_unit_test(test_defect_06_routing_rules_are_used),
		cmocka_unit_test(test_defect_07_tenant_id_of_the_answer_is_taken_by_cdr),
		cmocka_unit_test(test_defect_08_no_hash_as_password),
		cmocka_unit_test(test_defect_09_no_address_is_not_any_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
