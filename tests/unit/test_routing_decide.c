/*
 * decide: who is it, and where does the call go? Small documents, questions, and the answers that Kamailio gets.
 */
#include "routing_fx.h"

#include <time.h>

#include "routing/uri.h"

/* Two tenants, each with a domain, a carrier and IPBXs; A's first trunk has credentials. */
#define BASE                                                                                                              \
	"{'tenants':[{'uuid':'" TENANT_A "','name':'a'},{'uuid':'" TENANT_B "','name':'b'}],"                             \
	"'domains':[{'id':1,'tenant_uuid':'" TENANT_A "','domain':'a.example'},"                                          \
	"{'id':2,'tenant_uuid':'" TENANT_B "','domain':'b.example'}],"                                                    \
	"'carriers':[{'id':1,'tenant_uuid':'" TENANT_A "','name':'c1'},{'id':2,'tenant_uuid':'" TENANT_B "','name':'c2'}]," \
	"'ipbxs':[{'id':1,'tenant_uuid':'" TENANT_A "','domain_id':1,'ip_fqdn':'10.0.0.1','username':'alice','password':'pw-a','realm':'a.example'}," \
	"{'id':2,'tenant_uuid':'" TENANT_A "','domain_id':1,'ip_fqdn':'pbx.a.example','port':5070},"                      \
	"{'id':3,'tenant_uuid':'" TENANT_B "','domain_id':2,'ip_fqdn':'10.0.0.3','ip_address':'10.0.0.33','normalization_profile_id':1}]," \
	"'carrier_trunks':[{'id':1,'tenant_uuid':'" TENANT_A "','carrier_id':1,'name':'east','sip_proxy':'10.9.0.1','auth_username':'u1','auth_password':'pw-1','realm':'r1'}," \
	"{'id':2,'tenant_uuid':'" TENANT_A "','carrier_id':1,'name':'west','sip_proxy':'10.9.0.2','sip_proxy_port':5070}," \
	"{'id':3,'tenant_uuid':'" TENANT_B "','carrier_id':2,'name':'b','sip_proxy':'10.9.0.3','ip_address':'10.8.0.3','normalization_profile_id':1}]," \
	"'normalization_profiles':[{'id':1,'tenant_uuid':'" TENANT_B "','name':'it','always_intl_prefix_plus':true}],"    \
	"'normalization_rules':[{'id':1,'profile_id':1,'rule_type':1,'match_regex':'^0','replace_regex':'39'},"           \
	"{'id':2,'profile_id':1,'rule_type':2,'match_regex':'^39','replace_regex':''}]"
#define DIDS                                                                                                              \
	",'dids':[{'id':1,'tenant_uuid':'" TENANT_A "','ipbx_id':1,'did_regex':'^39040123456$'},"                         \
	"{'id':2,'tenant_uuid':'" TENANT_A "','ipbx_id':2,'did_regex':'^39040'},"                                         \
	"{'id':3,'tenant_uuid':'" TENANT_B "','ipbx_id':3,'did_regex':'^3904[0-9]{3}$'},"                                 \
	"{'id':4,'tenant_uuid':'" TENANT_A "','did_regex':'^555$'}]"

struct place_case {
	const char *to, *more, *want;
};

static void
run_places(const char *document, const struct place_case *cases, size_t n)
{
	struct fx *fx = fx_new(document);
	size_t i;

	for (i = 0; i < n; i++) {
		char *got = fx_places(fx, cases[i].to, cases[i].more);

		if (strcmp(got, cases[i].want) != 0)
			fail_msg("case %zu, to %s {%s}:\n got %s\nwant %s", i, cases[i].to, cases[i].more, got, cases[i].want);
		free(got);
	}
	fx_free(fx);
}
#define RUN_PLACES(document, cases) run_places((document), (cases), NELEM(cases))

/* ---- domain and DID ---- */

static void
test_domain_and_did(void **state)
{
	static const struct place_case cases[] = {
		/* the domain's lowest IPBX, in any case of letters, whatever the number; it goes before a DID */
		{ "sip:alice@a.example", "", "10.0.0.1:5060" },
		{ "sip:alice@A.Example:5080;transport=tcp", "", "10.0.0.1:5060" },
		{ "sip:39040123456@b.example", "", "10.0.0.3:5060" },
		/* DIDs: the longest literal prefix, then what matches at all */
		{ "sip:39040123456@other", "", "10.0.0.1:5060" },
		{ "sip:+39.040-123.456@other", "", "10.0.0.1:5060" },
		{ "sip:+39040123456;npdi@other", "", "10.0.0.1:5060" },
		{ "sip:%2B39040123456@other", "", "10.0.0.1:5060" },
		{ "sip:%2b3904012345%36@other", "", "10.0.0.1:5060" },
		{ "sip:39040123456%2@other", "", "pbx.a.example:5070" },
		{ "sip:390401234567@other", "", "pbx.a.example:5070" },
		{ "sip:39040@other", "", "pbx.a.example:5070" },
		{ "sip:3904111@other", "", "10.0.0.3:5060" },
		{ "sip:39041111@other", "", "" },
		{ "sip:139040123456@other", "", "" },
		/* nothing to match, and no IPBX */
		{ "sip:555@other", "", "" },
		{ "sip:other", "", "" },
		{ "tel:39040123456", "", "" },
		{ "", "", "" },
		{ "sip:39040123456@", "", "" },
		{ "sip:39040123456@a@b", "", "" },
		/* the authenticated tenant's only */
		{ "sip:39040123456@other", "'auth':1,'username':'alice'", "10.0.0.1:5060 10.9.0.1:5060" },
		{ "sip:39040123456@other", "'auth':1,'source_ip':'10.0.0.33'", "10.9.0.3:5060" },
		{ "sip:3904111@other", "'auth':1,'username':'alice'", "10.9.0.1:5060" },
		{ "sip:x@a.example", "'auth':1,'source_ip':'10.0.0.33'", "10.9.0.3:5060" },
		/* authentication that fails does not stop the routing */
		{ "sip:39040123456@other", "'auth':1,'username':'nobody'", "10.0.0.1:5060" },
	};

	RUN_PLACES(BASE DIDS "}", cases);
}

static void
test_whole_answer(void **state)
{
	struct fx *fx = fx_new(BASE DIDS "}");
	char *want;

	want = fx_quotes(
	    "{'auth':null,'rtjson':{'success':true,'version':'1.0','routing':'serial','routes':[{'dst_uri':'sip:10.0.0.1:5060','path':'','socket':'',"
	    "'headers':{'from':{'display':'Mario','uri':'sip:391@10.0.0.9'},'to':{'display':'','uri':'sip:39040123456@sbc'},"
	    "'extra':'P-Asserted-Identity: \\'Mario\\' <sip:391@10.0.0.9>\\r\\n'},'branch_flags':8,'fr_timer':5000,'fr_inv_timer':30000}],"
	    "'auth_username':'alice','auth_password':'pw-a','realm':'a.example'}}");
	fx_assert("did", fx_ask(fx, "sip:+39040123456@sbc:5060", "'from_name':'Mario','from_uri':'sip:+391@10.0.0.9:5062'"), want);
	free(want);
	want = fx_quotes("{'auth':null,'rtjson':{'success':false}}");
	fx_assert("none", fx_ask(fx, "sip:1@other", ""), want);
	free(want);
	want = fx_quotes("{'auth':{'success':false,'tenant_uuid':null,'tenant_id':0,'ipbx_id':0,'carrier_trunk_id':0,'domain':null,"
			 "'username':null,'password_ha1':null},'rtjson':{'success':false}}");
	fx_assert("nobody", fx_ask(fx, "sip:1@other", "'auth':'1'"), want);
	free(want);
	fx_free(fx);
}

/* ---- numbers ---- */

static void
test_numbers(void **state)
{
	struct fx *fx = fx_new(BASE DIDS "}");
	json_t *json;

	/* by the caller's profile, then by the destination's: B's takes 0 for 39, and gives 39 away, with a + */
	json = fx_ask_json(fx, "sip:0-04111@sbc:5080", "'auth':true,'source_ip':'10.8.0.3','from_uri':'sips:06-99@10.8.0.3:5070'");
	fx_assert_text(json, "rtjson.routes.0.dst_uri", "sip:10.0.0.3:5060");
	fx_assert_text(json, "rtjson.routes.0.headers.to.uri", "sip:+04111@sbc");
	fx_assert_text(json, "rtjson.routes.0.headers.from.uri", "sips:+699@10.8.0.3");
	fx_assert_text(json, "rtjson.routes.0.headers.extra", "P-Asserted-Identity: <sips:+699@10.8.0.3>\r\n");
	json_decref(json);
	fx_free(fx);
}

static void
test_ports_are_kept_for_trunks(void **state)
{
	struct fx *fx = fx_new(BASE "}");
	json_t *json;

	json = fx_ask_json(fx, "sip:0999@[2001:db8::1]:5080;x=y", "'source_ip':'10.0.0.3','from_uri':'0611@host:5070?x=y'");
	fx_assert_text(json, "rtjson.routes.0.dst_uri", "sip:10.9.0.3:5060");
	fx_assert_text(json, "rtjson.routes.0.headers.to.uri", "sip:+0999@[2001:db8::1]:5080");
	fx_assert_text(json, "rtjson.routes.0.headers.from.uri", "sip:+0611@host:5070");
	fx_assert_text(json, "rtjson.routes.0.headers.extra", "P-Asserted-Identity: <sip:+0611@host>\r\n");
	json_decref(json);
	fx_free(fx);
}

static void
test_long_numbers(void **state)
{
	struct fx *fx = fx_new(BASE ",'dids':[{'id':1,'tenant_uuid':'" TENANT_A "','ipbx_id':1,'did_regex':'^7'}]}");
	char to[300], want[300];
	size_t len;

	for (len = 126; len <= 140; len++) {
		snprintf(to, sizeof to, "sip:%0*d@other", (int)len, 0);
		memset(to + 4, '7', len);
		fx_assert_places(fx, to, "", len <= RT_NUMBER_MAX ? "10.0.0.1:5060" : "");
	}
	/* a domain's call goes on; its number is as it was */
	snprintf(to, sizeof to, "sip:%0200d@a.example", 7);
	fx_assert_places(fx, to, "", "10.0.0.1:5060");
	snprintf(want, sizeof want, "sip:%0200d@a.example", 7);
	assert_string_equal(fx->decision.routes[0].to_uri, want);
	/* only letters and digits count; what was escaped is escaped once; no number is called that is too long by one */
	for (len = RT_NUMBER_MAX; len <= RT_NUMBER_MAX + 1; len++) {
		snprintf(to, sizeof to, "sip:%%2B-%0*d@other", (int)len, 0);
		memset(to + 8, '7', len);
		fx_assert_places(fx, to, "", len <= RT_NUMBER_MAX ? "10.0.0.1:5060" : "");
		memset(to + 8, '8', len);
		fx_assert_places(fx, to, "'source_ip':'10.0.0.1'", len <= RT_NUMBER_MAX ? "10.9.0.1:5060" : "");
	}
	snprintf(to, sizeof to, "sip:%%2b%0200d%%40@a.example", 7);
	fx_assert_places(fx, to, "", "10.0.0.1:5060");
	snprintf(want, sizeof want, "sip:+%0200d%%40@a.example", 7);
	assert_string_equal(fx->decision.routes[0].to_uri, want);
	fx_free(fx);
}

static void
test_from_without_user(void **state)
{
	struct fx *fx = fx_new(BASE "}");
	json_t *json;

	json = fx_ask_json(fx, "sip:x@a.example", "'from_uri':'sip:anonymous.invalid','from_name':'Anonymous'");
	fx_assert_text(json, "rtjson.routes.0.headers.from.uri", "sip:anonymous.invalid");
	fx_assert_text(json, "rtjson.routes.0.headers.extra", "P-Asserted-Identity: \"Anonymous\" <sip:anonymous.invalid>\r\n");
	json_decref(json);
	json = fx_ask_json(fx, "sip:x@a.example", "'from_uri':'tel:+39040'");
	fx_assert_text(json, "rtjson.routes.0.headers.from.uri", "tel:+39040");
	fx_assert_text(json, "rtjson.routes.0.headers.extra", "P-Asserted-Identity: <tel:+39040>\r\n");
	json_decref(json);
	fx_free(fx);
}

static void
test_displays(void **state)
{
	static const struct {
		const char *name, *display, *pai;
	} cases[] = {
		{ "Mario", "Mario", "\"Mario\" " },
		{ "Mario Rossi-2", "Mario Rossi-2", "\"Mario Rossi-2\" " },
		{ "\"Mario\"", "\"Mario\"", "\"Mario\" " },
		{ "\"Ma\\\"rio\"", "\"Ma\\\"rio\"", "\"Ma\\\"rio\" " },
		{ "Rossi, Mario", "\"Rossi, Mario\"", "\"Rossi, Mario\" " },
		{ "a\"b", "\"a\\\"b\"", "\"a\\\"b\" " },
		{ "a\\", "\"a\\\\\"", "\"a\\\\\" " },
		{ "\"a\\\"", "\"\\\"a\\\\\\\"\"", "\"\\\"a\\\\\\\"\" " },
		{ "\"a\" <sip:evil@x>, \"b\"", "\"\\\"a\\\" <sip:evil@x>, \\\"b\\\"\"", "\"\\\"a\\\" <sip:evil@x>, \\\"b\\\"\" " },
		{ "\"", "\"\\\"\"", "\"\\\"\" " },
		{ "\"\"", "\"\"", "\"\" " },
		{ "M\xc3\xa0rio", "\"M\xc3\xa0rio\"", "\"M\xc3\xa0rio\" " },
		{ "", "", "" },
	};
	struct fx *fx = fx_new(BASE "}");
	char want[256];
	size_t i;

	for (i = 0; i < NELEM(cases); i++) {
		json_t *rq = json_pack("{s:s,s:s,s:s,s:s}", "from_name", cases[i].name, "to_name", cases[i].name, "from_uri", "sip:1@h", "to_uri",
		    "sip:2@a.example");
		char *text = json_dumps(rq, 0), *answer = fx_ask_raw(fx, text);
		json_t *json = json_loads(answer, 0, NULL);

		fx_assert_text(json, "rtjson.routes.0.headers.from.display", cases[i].display);
		fx_assert_text(json, "rtjson.routes.0.headers.to.display", cases[i].display);
		snprintf(want, sizeof want, "P-Asserted-Identity: %s<sip:1@h>\r\n", cases[i].pai);
		fx_assert_text(json, "rtjson.routes.0.headers.extra", want);
		json_decref(json);
		json_decref(rq);
		free(text);
		free(answer);
	}
	fx_free(fx);
}

/* ---- who ---- */

#define IPBX(id, more) "{'id':" #id ",'tenant_uuid':'" TENANT_A "','domain_id':1,'ip_fqdn':'h" #id "'" more "}"
#define WHO                                                                                                               \
	"{'tenants':[{'uuid':'" TENANT_A "','name':'a'}],'domains':[{'id':1,'tenant_uuid':'" TENANT_A "','domain':'a.example'}]," \
	"'carriers':[{'id':1,'tenant_uuid':'" TENANT_A "','name':'c1'}],'ipbxs':["                                         \
	IPBX(1, "") "," IPBX(2, ",'ip_address':'10.0.0.2'") "," IPBX(3, ",'username':'carl','password':'pw'") ","           \
	IPBX(4, ",'username':'dora','ip_address':'10.0.0.4'") "," IPBX(5, ",'ip_address':'2001:DB8:0::5'") ","             \
	IPBX(6, ",'ip_address':'10.0.0.2','username':'fay'") "," IPBX(7, ",'password_ha1':'0123456789abcdef0123456789abcdef'")             \
	"],'carrier_trunks':[{'id':1,'tenant_uuid':'" TENANT_A "','carrier_id':1,'name':'n','sip_proxy':'p1'},"            \
	"{'id':2,'tenant_uuid':'" TENANT_A "','carrier_id':1,'name':'a','sip_proxy':'p2','ip_address':'10.8.0.2'},"         \
	"{'id':3,'tenant_uuid':'" TENANT_A "','carrier_id':1,'name':'b','sip_proxy':'p3','ip_address':'10.8.0.2'}]}"

static void
test_who(void **state)
{
	static const struct {
		const char *more;
		int64_t ipbx, trunk;
	} cases[] = {
		{ "", 0, 0 },
		{ "'source_ip':'10.0.0.99'", 0, 0 },
		{ "'source_ip':'10.0.0.2'", 2, 0 },
		{ "'source_ip':'10.0.0.2','username':''", 2, 0 },
		{ "'source_ip':'10.0.0.2','domain':'A.example'", 2, 0 },
		{ "'source_ip':'10.0.0.2','domain':'other'", 0, 0 },
		{ "'source_ip':'10.0.0.2','username':'whoever'", 2, 0 }, /* known by its address; it has no user name */
		{ "'source_ip':'10.0.0.2','username':'fay'", 2, 0 },
		{ "'source_ip':'10.0.0.99','username':'carl'", 3, 0 },
		{ "'username':'carl','domain':'a.example'", 3, 0 },
		{ "'username':'carl','domain':'b.example'", 0, 0 },
		{ "'username':'Carl'", 0, 0 },
		{ "'username':'dora'", 4, 0 },
		{ "'source_ip':'10.0.0.4','username':'dora'", 4, 0 },
		{ "'source_ip':'10.0.0.99','username':'dora'", 0, 0 },
		{ "'source_ip':'10.0.0.4','username':'carl'", 3, 0 },
		{ "'source_ip':'2001:db8::5'", 5, 0 },
		{ "'source_ip':'[2001:db8:0:0::5]'", 5, 0 },
		{ "'source_ip':'10.8.0.2'", 0, 2 },
		{ "'source_ip':'10.8.0.2','username':'nobody','domain':'other'", 0, 2 },
	};
	struct fx *fx = fx_new(WHO);
	char more[256];
	size_t i;

	for (i = 0; i < NELEM(cases); i++) {
		json_t *json;

		snprintf(more, sizeof more, "'auth':true%s%s", cases[i].more[0] != '\0' ? "," : "", cases[i].more);
		json = fx_ask_json(fx, "sip:x@other", more);
		if (fx->decision.auth.ipbx_id != cases[i].ipbx || fx->decision.auth.carrier_trunk_id != cases[i].trunk)
			fail_msg("%s: IPBX %d, trunk %d", cases[i].more, (int)fx->decision.auth.ipbx_id, (int)fx->decision.auth.carrier_trunk_id);
		fx_assert_int(json, "auth.ipbx_id", cases[i].ipbx);
		fx_assert_int(json, "auth.carrier_trunk_id", cases[i].trunk);
		assert_int_equal(json_is_true(fx_at(json, "auth.success")), cases[i].ipbx + cases[i].trunk > 0);
		if (cases[i].ipbx + cases[i].trunk > 0) {
			fx_assert_text(json, "auth.tenant_uuid", TENANT_A);
			fx_assert_int(json, "auth.tenant_id", rt_index_tenant_number(fx->data->index, TENANT_A));
			assert_true(json_integer_value(fx_at(json, "auth.tenant_id")) > 0);
		}
		json_decref(json);
	}
	fx_free(fx);
}

/* The ids whose passwords are asked for, in their order, then who it is: "2 5 =5"; `right`: the id whose password is right. */
static char *
walk(struct fx *fx, struct rt_request *rq, int64_t right)
{
	struct rt_walk walk = { 0, false };
	struct buf b = { 0 };
	struct rt_auth auth;
	const char *stored;
	bool verdict = false;

	while (rt_authenticate(fx->data, rq, &walk, verdict, &auth, &stored) == -EAGAIN) {
		buf_printf(&b, "%d:%s ", (int)auth.ipbx->v[IPBX_ID].i, stored);
		verdict = auth.ipbx->v[IPBX_ID].i == right;
		assert_false(auth.success);
	}
	buf_printf(&b, "=%d/%d", (int)auth.ipbx_id, (int)auth.carrier_trunk_id);
	return buf_take(&b);
}

static void
test_passwords(void **state)
{
	struct fx *fx = fx_new("{'tenants':[{'uuid':'" TENANT_A "','name':'a'}],'domains':[{'id':1,'tenant_uuid':'" TENANT_A "','domain':'a.example'},"
			       "{'id':2,'tenant_uuid':'" TENANT_A "','domain':'b.example'}],'carriers':[{'id':1,'tenant_uuid':'" TENANT_A "','name':'c1'}],"
			       "'carrier_trunks':[{'id':9,'tenant_uuid':'" TENANT_A "','carrier_id':1,'name':'n','sip_proxy':'p1','ip_address':'10.0.0.3'}],"
			       "'ipbxs':[" IPBX(1, ",'username':'bob','password':'p1'") "," IPBX(2, ",'ip_address':'10.0.0.3','password':'p2'") ","
			       IPBX(3, ",'ip_address':'10.0.0.3'") ","
			       "{'id':4,'tenant_uuid':'" TENANT_A "','domain_id':2,'ip_fqdn':'h','username':'bob','password':'p4'}]}");
	struct rt_request rq = { .source_ip = "10.0.0.9", .domain = "", .username = "bob", .password = "x" };

	fx_assert("first", walk(fx, &rq, 1), "1:p1 =1/0");
	fx_assert("second", walk(fx, &rq, 4), "1:p1 4:p4 =4/0");
	fx_assert("none", walk(fx, &rq, 0), "1:p1 4:p4 =0/0");
	rq.domain = "B.example";
	fx_assert("domain", walk(fx, &rq, 4), "4:p4 =4/0");
	rq.domain = "";
	rq.source_ip = "10.0.0.3";
	fx_assert("address too, in the order of ids", walk(fx, &rq, 2), "1:p1 2:p2 =2/0");
	fx_assert("a trunk at last; without a password nothing is right", walk(fx, &rq, 0), "1:p1 2:p2 4:p4 =0/9");
	rq.password = NULL;
	fx_assert("no password", walk(fx, &rq, 0), "=1/0");
	fx_free(fx);
}

static void
test_auth_answer(void **state)
{
	struct fx *fx = fx_new(WHO);
	json_t *json = fx_ask_json(fx, "sip:x@other", "'auth':true,'username':'carl'");

	fx_assert_text(json, "auth.domain", "a.example");
	fx_assert_text(json, "auth.username", "carl");
	fx_assert_text(json, "auth.password_ha1", "aa11e0ce4a6065b4b56f6279462e50ab");
	json_decref(json);
	fx_free(fx);
}

/* Outbound it is the caller's, whoever's trunk it takes, or a service; that of the domain only if there is a way to it. */
static void
test_account_of_outbound_calls(void **state)
{
	static const struct {
		const char *to, *want;
	} cases[] = { { "sip:11@o", TENANT_A }, { "sip:22@o", TENANT_A }, { "sip:11@b.example", TENANT_B }, { "sip:11@c.example", TENANT_A } };
	struct fx *fx = fx_new("{'tenants':[{'uuid':'" TENANT_A "','name':'a'},{'uuid':'" TENANT_B "','name':'b'}],"
			       "'domains':[{'id':1,'tenant_uuid':'" TENANT_A "','domain':'a'},{'id':2,'tenant_uuid':'" TENANT_B "','domain':'b.example'},"
			       "{'id':3,'tenant_uuid':'" TENANT_B "','domain':'c.example'}],"
			       "'ipbxs':[{'id':1,'tenant_uuid':'" TENANT_A "','domain_id':1,'ip_fqdn':'10.0.0.1'},"
			       "{'id':2,'tenant_uuid':'" TENANT_B "','domain_id':2,'ip_fqdn':'10.0.0.2'},"
			       "{'id':3,'tenant_uuid':'" TENANT_B "','domain_id':3,'ip_fqdn':'service:none'}],"
			       "'carriers':[{'id':1,'tenant_uuid':'" TENANT_B "','name':'c'}],"
			       "'carrier_trunks':[{'id':1,'tenant_uuid':'" TENANT_B "','carrier_id':1,'name':'t','sip_proxy':'10.9.0.1'}],"
			       "'routing_rules':[{'id':1,'prefix':'1','carrier_trunk_id':1,'tenant_uuid':'" TENANT_A "'},"
			       "{'id':2,'prefix':'2','destination':'service:asterisk'}]}");
	size_t i;

	fx->service = "asterisk 10.1.0.1";
	for (i = 0; i < NELEM(cases); i++) {
		json_t *json = fx_ask_json(fx, cases[i].to, "'auth':1,'source_ip':'10.0.0.1'");

		fx_assert_text(json, "cdr.tenant_uuid", cases[i].want);
		fx_assert_int(json, "cdr.tenant_id", rt_index_tenant_number(fx->data->index, cases[i].want));
		json_decref(json);
	}
	fx_free(fx);
}

/* Whose the CDR of a call is that nobody known makes: not said in `auth`. */
static void
test_account_of_the_unknown(void **state)
{
	static const struct {
		const char *to, *more, *want;
	} cases[] = {
		{ "sip:39040123456@other", "'auth':1,'source_ip':'192.0.2.1'", TENANT_A },
		{ "sip:3904111@other", "'auth':1,'username':'nobody'", TENANT_B },
		{ "sip:x@a.example", "'auth':1", TENANT_A },
		{ "sip:111@other", "'auth':1,'source_ip':'10.0.0.3'", TENANT_B }, /* outbound: the IPBX's own */
		{ "sip:111@other", "'auth':1", NULL },
		{ "sip:x@a.example", "", NULL },
		{ "sip:x@a.example", "'auth':1,'username':'alice'", NULL },
	};
	struct fx *fx = fx_new(BASE DIDS "}");
	json_t *json;
	size_t i;

	for (i = 0; i < NELEM(cases); i++) {
		json = fx_ask_json(fx, cases[i].to, cases[i].more);
		if (cases[i].want == NULL) {
			assert_null(json_object_get(json, "cdr"));
		} else {
			fx_assert_text(json, "cdr.tenant_uuid", cases[i].want);
			assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "cdr"), "tenant_id")),
			    rt_index_tenant_number(fx->data->index, cases[i].want));
			assert_true(json_integer_value(json_object_get(json_object_get(json, "cdr"), "tenant_id")) > 0);
		}
		json_decref(json);
	}
	json = fx_ask_json(fx, "sip:39040123456@other", "'auth':1,'source_ip':'192.0.2.1'");
	assert_true(json_is_null(fx_at(json, "auth.tenant_uuid")));
	json_decref(json);
	fx_free(fx);
}

/* ---- outbound ---- */

static void
test_outbound_without_rules(void **state)
{
	static const struct place_case cases[] = {
		/* the first trunk of the tenant whose IPBX calls from its own address */
		{ "sip:111@other", "'source_ip':'10.0.0.1'", "10.9.0.1:5060" },
		{ "sip:111@other", "'source_ip':'10.0.0.3'", "10.9.0.3:5060" },
		{ "sip:111@other", "'source_ip':'10.0.0.99'", "" },
		{ "sip:111@other", "", "" },
		/* after what is inbound */
		{ "sip:39040123456@other", "'source_ip':'10.0.0.3'", "10.0.0.1:5060 10.9.0.3:5060" },
		/* who is authenticated is known; a trunk is no IPBX */
		{ "sip:111@other", "'auth':1,'username':'alice'", "10.9.0.1:5060" },
		{ "sip:111@other", "'auth':1,'source_ip':'10.8.0.3'", "" },
		/* the authenticated tenant's, not that of the address */
		{ "sip:111@other", "'auth':1,'username':'alice','source_ip':'10.0.0.3'", "10.9.0.1:5060" },
	};
	struct fx *fx;

	RUN_PLACES(BASE DIDS "}", cases);
	/* an IPBX and a trunk at one address: not back where it came from */
	fx = fx_new("{'tenants':[{'uuid':'" TENANT_A "','name':'a'}],'domains':[{'id':1,'tenant_uuid':'" TENANT_A "','domain':'a'}],"
		    "'carriers':[{'id':1,'tenant_uuid':'" TENANT_A "','name':'c'}],"
		    "'carrier_trunks':[{'id':1,'tenant_uuid':'" TENANT_A "','carrier_id':1,'name':'t','sip_proxy':'10.9.0.1','ip_address':'10.0.0.1'}],"
		    "'ipbxs':[{'id':1,'tenant_uuid':'" TENANT_A "','domain_id':1,'ip_fqdn':'10.0.0.1'}]}");
	fx->env.trace = fx_trace;
	fx_assert_places(fx, "sip:1@o", "'source_ip':'10.0.0.1'", "10.9.0.1:5060");
	fx_assert_places(fx, "sip:1@o", "'auth':1,'source_ip':'10.0.0.1'", "");
	assert_non_null(strstr(fx->trace.s, "trunk 1 t: not back to where it came from"));
	fx_free(fx);
	fx = fx_new(BASE DIDS "}");
	/* the trunk's credentials go before the IPBX's */
	json_t *json = fx_ask_json(fx, "sip:39040123456@other", "'auth':1,'username':'alice'");
	fx_assert_text(json, "rtjson.auth_username", "u1");
	fx_assert_text(json, "rtjson.auth_password", "pw-1");
	fx_assert_text(json, "rtjson.realm", "r1");
	fx_assert_text(json, "rtjson.routes.0.auth_username", "alice");
	assert_null(fx_at(json, "rtjson.routes.1.auth_username")); /* those at the top are its own */
	json_decref(json);
	fx_free(fx);
}

#define FROM_A "'source_ip':'10.0.0.1'"

static void
test_rules(void **state)
{
	static const struct place_case cases[] = {
		{ "sip:3911@o", FROM_A, "10.9.0.2:5070" },
		/* the longest prefix alone; by priority */
		{ "sip:39021@o", FROM_A, "10.9.0.1:5060 10.9.0.2:5070" },
		/* no rule, no route: not even the first trunk */
		{ "sip:4411@o", FROM_A, "" },
		/* its window is closed on a Monday: the next shorter prefix */
		{ "sip:39061@o", FROM_A, "10.9.0.2:5070" },
		/* its did_regex */
		{ "sip:39071@o", FROM_A, "10.9.0.2:5070" },
		{ "sip:39079@o", FROM_A, "10.9.0.1:5060" },
		/* carrier_trunk_id, trunks, ipbx_id, destination; none twice */
		{ "sip:77@o", FROM_A, "10.9.0.2:5070 10.9.0.1:5060 pbx.a.example:5070 10.1.0.1:5066 10.1.0.2:5066" },
		/* of another tenant */
		{ "sip:3911@o", "'source_ip':'10.0.0.3'", "10.9.0.3:5060" },
		{ "sip:881@o", FROM_A, "" },
		{ "sip:881@o", "'source_ip':'10.0.0.3'", "10.9.0.2:5070" },
		/* nobody's calls do not go out */
		{ "sip:3911@o", "", "" },
		{ "sip:3911@o", "'source_ip':'10.0.0.99'", "" },
		/* a carrier that is authenticated, of a tenant with rules: only by those for transit, and not back where it came from */
		{ "sip:3911@o", "'auth':1,'source_ip':'10.8.0.3'", "" },
		{ "sip:5511@o", "'auth':1,'source_ip':'10.8.0.3'", "10.9.0.2:5070" },
		{ "sip:5511@o", "'source_ip':'10.0.0.3'", "10.9.0.3:5060 10.9.0.2:5070" },
		/* all that say so, and nothing else */
		{ "sip:661@o", FROM_A, "parallel 10.9.0.1:5060 10.9.0.2:5070" },
		{ "sip:651@o", FROM_A, "10.9.0.1:5060 10.9.0.2:5070" },
		{ "sip:661@b.example", FROM_A, "10.0.0.3:5060 10.9.0.1:5060 10.9.0.2:5070" },
		/* a service that has no instance */
		{ "sip:671@o", FROM_A, "10.9.0.1:5060" },
	};
	static const char rules[] = BASE
	    ",'routing_rules':[{'id':1,'prefix':'39','carrier_trunk_id':2,'tenant_uuid':'" TENANT_A "'},"
	    "{'id':2,'prefix':'3902','carrier_trunk_id':2,'priority':5},"
	    "{'id':3,'prefix':'3902','carrier_trunk_id':1,'priority':2},"
	    "{'id':4,'prefix':'3906','carrier_trunk_id':1,'time_windows':'sat,sun 00:00-24:00 utc, tue 08:00-18:00 utc'},"
	    "{'id':5,'prefix':'3907','carrier_trunk_id':1,'did_regex':'^3907[89]'},"
	    "{'id':6,'prefix':'77','carrier_trunk_id':2,'trunks':[1,2],'ipbx_id':2,'destination':'service:asterisk'},"
	    "{'id':7,'prefix':'39','carrier_trunk_id':3},"
	    "{'id':8,'prefix':'88','carrier_trunk_id':2},"
	    "{'id':14,'prefix':'55','trunks':[3,2],'route_type':'transit','tenant_uuid':'" TENANT_B "'},"
	    "{'id':9,'prefix':'66','trunks':[1,2],'routing':'parallel'},"
	    "{'id':10,'prefix':'65','carrier_trunk_id':1,'routing':'parallel'},{'id':11,'prefix':'65','carrier_trunk_id':2,'priority':1},"
	    "{'id':12,'prefix':'67','destination':'service:none','tenant_uuid':'" TENANT_A "'},{'id':13,'prefix':'67','carrier_trunk_id':1,'priority':1}],"
	    "'routing_groups':[{'id':1,'tenant_uuid':'" TENANT_B "','routing_rule_id':8}]}";
	struct fx *fx = fx_new(rules);
	size_t i;

	fx->service = "asterisk 10.1.0.1 10.1.0.2";
	for (i = 0; i < NELEM(cases); i++)
		fx_assert_places(fx, cases[i].to, cases[i].more, cases[i].want);
	fx_free(fx);
}

static void
test_weights(void **state)
{
	struct fx *fx = fx_new(BASE ",'routing_rules':[{'id':1,'prefix':'1','carrier_trunk_id':1,'weight':3},"
				    "{'id':2,'prefix':'1','carrier_trunk_id':2,'weight':1},"
				    "{'id':3,'prefix':'1','ipbx_id':2,'weight':0}]}");
	int first = 0, i;

	for (i = 0; i < 10000; i++) {
		char *places = fx_places(fx, "sip:11@o", FROM_A);

		first += strncmp(places, "10.9.0.1", 8) == 0;
		assert_int_equal(fx->decision.n, 3);
		assert_string_equal(fx->decision.routes[2].dst_uri, "sip:pbx.a.example:5070");
		free(places);
	}
	/* 7500 expected, of a standard deviation of 43 */
	assert_in_range(first, 7300, 7700);
	fx_free(fx);
}

/* All three in an order drawn by weight without putting back: the second place too. */
static void
test_weights_of_the_second_place(void **state)
{
	struct fx *fx = fx_new(BASE ",'routing_rules':[{'id':1,'prefix':'1','carrier_trunk_id':1,'weight':2},"
				    "{'id':2,'prefix':'1','carrier_trunk_id':2,'weight':1},{'id':3,'prefix':'1','ipbx_id':2,'weight':1}]}");
	int second = 0, i;

	for (i = 0; i < 10000; i++) {
		free(fx_places(fx, "sip:11@o", FROM_A));
		second += strcmp(fx->decision.routes[1].dst_uri, "sip:10.9.0.1:5060") == 0;
	}
	/* 1/2 * 2/3 = 1/3: behind one of the others */
	assert_in_range(second, 3333 - 200, 3333 + 200);
	fx_free(fx);
}

/* ---- services, dead destinations, limits ---- */

static void
test_services(void **state)
{
	struct fx *fx = fx_new("{'tenants':[{'uuid':'" TENANT_A "','name':'a'}],'domains':[{'id':1,'tenant_uuid':'" TENANT_A "','domain':'a.example'}],"
			       "'carriers':[{'id':1,'tenant_uuid':'" TENANT_A "','name':'c'}],"
			       "'carrier_trunks':[{'id':1,'tenant_uuid':'" TENANT_A "','carrier_id':1,'name':'t','sip_proxy':'service:gw'}],"
			       "'ipbxs':[{'id':1,'tenant_uuid':'" TENANT_A "','domain_id':1,'ip_fqdn':'service:asterisk'}]}");

	fx->service = "asterisk 10.1.0.2 [2001:db8::1] 10.1.0.2";
	fx_assert_places(fx, "sip:x@a.example", "", "10.1.0.2:5066 [2001:db8::1]:5066");
	fx->service = "gw 10.2.0.1";
	fx_assert_places(fx, "sip:x@a.example", "", "");
	fx->dead = " 10.1.0.1 ";
	fx->service = "asterisk 10.1.0.1 10.1.0.2";
	fx_assert_places(fx, "sip:x@a.example", "", "10.1.0.2:5066 10.1.0.1:5066");
	fx_free(fx);
}

static void
test_ipv6(void **state)
{
	struct fx *fx = fx_new("{'tenants':[{'uuid':'" TENANT_A "','name':'a'}],'domains':[{'id':1,'tenant_uuid':'" TENANT_A "','domain':'a'}],"
			       "'carriers':[{'id':1,'tenant_uuid':'" TENANT_A "','name':'c'}],"
			       "'carrier_trunks':[{'id':1,'tenant_uuid':'" TENANT_A "','carrier_id':1,'name':'t','sip_proxy':'[2001:db8::9]','sip_proxy_port':5070}],"
			       "'ipbxs':[{'id':1,'tenant_uuid':'" TENANT_A "','domain_id':1,'ip_fqdn':'2001:db8::1'}]}");

	fx_assert_places(fx, "sip:1@a", "'source_ip':'2001:DB8:0::1'", "[2001:db8::1]:5060 [2001:db8::9]:5070");
	fx_free(fx);
}

static void
test_dead_go_last(void **state)
{
	struct fx *fx = fx_new(BASE ",'routing_rules':[{'id':1,'prefix':'1','trunks':[1,2,3],'ipbx_id':2}]}");

	fx->dead = " 10.9.0.1 10.9.0.3 ";
	fx_assert_places(fx, "sip:11@o", FROM_A, "10.9.0.2:5070 pbx.a.example:5070 10.9.0.1:5060 10.9.0.3:5060");
	assert_true(fx->decision.routes[3].dead && !fx->decision.routes[1].dead);
	fx->dead = " 10.9.0.1 10.9.0.2 10.9.0.3 pbx.a.example ";
	fx_assert_places(fx, "sip:11@o", FROM_A, "10.9.0.1:5060 10.9.0.2:5070 10.9.0.3:5060 pbx.a.example:5070");
	fx_free(fx);
}

static void
test_same_place_other_account(void **state)
{
	struct fx *fx = fx_new("{'tenants':[{'uuid':'" TENANT_A "','name':'a'}],'domains':[{'id':1,'tenant_uuid':'" TENANT_A "','domain':'a'}],"
			       "'carriers':[{'id':1,'tenant_uuid':'" TENANT_A "','name':'c'}],"
			       "'carrier_trunks':[{'id':1,'tenant_uuid':'" TENANT_A "','carrier_id':1,'name':'t1','sip_proxy':'P','auth_username':'u1','auth_password':'p','realm':'r'},"
			       "{'id':2,'tenant_uuid':'" TENANT_A "','carrier_id':1,'name':'t2','sip_proxy':'P','auth_username':'u2','auth_password':'p','realm':'r'},"
			       "{'id':3,'tenant_uuid':'" TENANT_A "','carrier_id':1,'name':'t3','sip_proxy':'p','auth_username':'u1','auth_password':'p','realm':'r'}],"
			       "'ipbxs':[{'id':1,'tenant_uuid':'" TENANT_A "','domain_id':1,'ip_fqdn':'10.0.0.1'}],"
			       "'routing_rules':[{'id':1,'prefix':'','trunks':[1,2,3]}]}");

	fx_assert_places(fx, "sip:1@o", FROM_A, "P:5060 P:5060");
	assert_string_equal(fx->decision.routes[1].auth_username, "u2");
	fx_free(fx);
}

/* Sixteen routes; and what the space does not hold is left out as a whole. */
static void
test_limits(void **state)
{
	struct buf doc = { 0 }, rq = { 0 };
	struct fx *fx;
	char *answer;
	size_t i, n;

	buf_puts(&doc, "{'tenants':[{'uuid':'" TENANT_A "','name':'a'}],'domains':[{'id':1,'tenant_uuid':'" TENANT_A "','domain':'a'}],"
		       "'carriers':[{'id':1,'tenant_uuid':'" TENANT_A "','name':'c'}],"
		       "'ipbxs':[{'id':1,'tenant_uuid':'" TENANT_A "','domain_id':1,'ip_fqdn':'10.0.0.1'}],'carrier_trunks':[");
	for (i = 1; i <= 80; i++)
		buf_printf(&doc, "%s{'id':%zu,'tenant_uuid':'" TENANT_A "','carrier_id':1,'name':'t%zu','sip_proxy':'10.7.0.%zu'}", i > 1 ? "," : "", i, i, i);
	buf_puts(&doc, "],'routing_rules':[");
	for (i = 1; i <= 80; i++)
		buf_printf(&doc, "%s{'id':%zu,'prefix':'1','carrier_trunk_id':%zu}", i > 1 ? "," : "", i, i);
	buf_puts(&doc, "]}");
	fx = fx_new(doc.s);
	fx->env.random = NULL;
	fx->env.trace = fx_trace;
	free(fx_ask(fx, "sip:11@o", FROM_A));
	assert_int_equal(fx->decision.n, RT_ROUTES_MAX);
	assert_string_equal(fx->decision.routes[15].dst_uri, "sip:10.7.0.16:5060");
	assert_non_null(strstr(fx->trace.s, "10.7.0.17:5060 left out"));
	/* a name of quotes, which doubles, and hosts of 253 bytes */
	buf_puts(&rq, "{\"source_ip\":\"10.0.0.1\",\"from_name\":\"");
	for (i = 0; i < 256; i++)
		buf_puts(&rq, "\\\"");
	buf_printf(&rq, "\",\"from_uri\":\"sip:%0250d@%0250d\",\"to_uri\":\"sip:1%0120d@%0250d\"}", 1, 2, 3, 4);
	answer = fx_ask_raw(fx, rq.s);
	n = fx->decision.n;
	assert_in_range(n, 4, RT_ROUTES_MAX - 1);
	for (i = 0; i < n; i++) {
		const struct rt_route *r = &fx->decision.routes[i];

		assert_int_equal(strlen(r->from_uri), 4 + 250 + 1 + 250);
		assert_int_equal(strlen(r->to_uri), 4 + 121 + 1 + 250);
		assert_int_equal(strlen(r->extra), strlen("P-Asserted-Identity: \"\" <>\r\n") + 512 + 505);
	}
	assert_non_null(strstr(fx->trace.s, "left out: the answer would be too long"));
	free(answer);
	buf_free(&doc);
	buf_free(&rq);
	fx_free(fx);
}

/* ---- explanations ---- */

static void
assert_said(const struct fx *fx, const char *want)
{
	if (fx->trace.s == NULL || strstr(fx->trace.s, want) == NULL)
		fail_msg("not said: %s\n--- but:\n%s", want, fx->trace.s);
}

static void
test_explanations(void **state)
{
	struct fx *fx = fx_new(BASE DIDS ",'routing_rules':[{'id':5,'prefix':'39040','carrier_trunk_id':1,'time_windows':'mon-fri 08:00-11:00 utc'},"
				    "{'id':6,'prefix':'39','carrier_trunk_id':3},{'id':7,'prefix':'390','carrier_trunk_id':2},"
				    "{'id':8,'prefix':'3','carrier_trunk_id':2},{'id':9,'prefix':'3904','carrier_trunk_id':2,'did_regex':'^39049'}]}");

	setenv("TZ", "UTC", 1);
	tzset();
	free(fx_ask(fx, "sip:39040123456@other", "'auth':1,'username':'alice','source_ip':'10.0.0.1'"));
	assert_null(fx->trace.s);
	fx->env.trace = fx_trace;
	fx->dead = " 10.9.0.2 ";
	free(fx_ask(fx, "sip:+39040-123456@other", "'auth':1,'username':'alice','source_ip':'10.0.0.1'"));
	assert_said(fx, "IPBX 1 10.0.0.1, by its user name: tenant " TENANT_A);
	assert_said(fx, "To +39040-123456 -> 39040123456");
	assert_said(fx, "4 domain other");
	assert_said(fx, "DID 1 ^39040123456$ -> IPBX 1 10.0.0.1:5060");
	assert_said(fx, "DID 2 ^39040: another one is before it");
	assert_said(fx, "DID 3 ^3904[0-9]{3}$: it does not match");
	assert_said(fx, "rule 5 prefix 39040: its window mon-fri 08:00-11:00 utc is closed (mon 12:00; mon 12:00 utc)");
	assert_said(fx, "rule 6 prefix 39: not for tenant " TENANT_A);
	assert_said(fx, "rule 7 prefix 390: priority 0, weight 1");
	assert_said(fx, "-> trunk 2 west");
	assert_said(fx, "rule 8 prefix 3: a rule with a longer prefix is there");
	assert_said(fx, "rule 9 prefix 3904: its did_regex does not match");
	assert_said(fx, "8 answer: 2 routes, serial");
	assert_true(fx->decision.routes[1].dead);
	assert_null(strstr(fx->trace.s, "pw-"));
	free(fx_ask(fx, "sip:1@other", ""));
	assert_said(fx, "7 outbound: no, the caller is nobody's");
	assert_said(fx, "8 answer: not found");
	fx_free(fx);
}

/* ---- URIs ---- */

static void
test_uris(void **state)
{
	static const struct {
		const char *uri, *want; /* scheme|user|host|port; "-": not split */
	} cases[] = {
		{ "sip:1@h", "sip:|1|h|" },
		{ "1@h", "|1|h|" },
		{ "sips:a.b@h.example:5061", "sips:|a.b|h.example|:5061" },
		{ "sip:1:pw@h", "sip:|1|h|" },
		{ "sip:+1;npdi;rn=2@h;user=phone?x=y", "sip:|+1|h|" },
		{ "sip:1@[::1]:5060", "sip:|1|[::1]|:5060" },
		{ "sip:1@[::1];x", "sip:|1|[::1]|" },
		{ "sip:1@10.0.0.1:", "-" },
		{ "sip:1@h:5060x", "-" },
		{ "sip:1@h:65536", "-" },
		{ "sip:1@h:5060:5", "-" },
		{ "sip:1@[::1", "-" },
		{ "sip:1@[1]", "-" },
		{ "sip:1@[]", "-" },
		{ "sip:1@::1", "-" },
		{ "sip:@h", "-" },
		{ "sip:;x@h", "-" },
		{ "sip:1@", "-" },
		{ "sip:1@;x", "-" },
		{ "sip:1@a@b", "-" },
		{ "sip:1@a%20b", "-" },
		{ "sip:1@a<b", "-" },
		{ "sip:h", "-" },
		{ "", "-" },
	};
	struct rt_uri u;
	char got[256];
	size_t i;

	for (i = 0; i < NELEM(cases); i++) {
		snprintf(got, sizeof got, "-");
		if (rt_uri_split(cases[i].uri, &u))
			snprintf(got, sizeof got, "%.*s|%.*s|%.*s|%.*s", (int)u.scheme.len, u.scheme.s, (int)u.user.len, u.user.s, (int)u.host.len,
			    u.host.s, (int)u.port.len, u.port.s);
		if (strcmp(got, cases[i].want) != 0)
			fail_msg("%s: %s, not %s", cases[i].uri, got, cases[i].want);
	}
}

static void
test_users_are_escaped(void **state)
{
	char space[64];
	size_t used = 0;
	struct pen p;

	pen_begin(&p, space, sizeof space, &used);
	pen_uri(&p, (struct rt_slice){ "", 0 }, (struct rt_slice){ "#31# a@", 7 }, (struct rt_slice){ "h", 1 }, (struct rt_slice){ ":5", 2 });
	assert_string_equal(pen_end(&p), "sip:%2331%23%20a%40@h:5");
	/* what does not fit leaves nothing behind */
	for (size_t before = used; used < sizeof space; used = ++before) {
		pen_begin(&p, space, sizeof space, &used);
		pen_puts(&p, "0123456789");
		if (sizeof space - before < 11)
			assert_null(pen_end(&p));
		else
			assert_string_equal(pen_end(&p), "0123456789");
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_domain_and_did),
		cmocka_unit_test(test_whole_answer),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_ports_are_kept_for_trunks),
		cmocka_unit_test(test_long_numbers),
		cmocka_unit_test(test_from_without_user),
		cmocka_unit_test(test_displays),
		cmocka_unit_test(test_who),
		cmocka_unit_test(test_passwords),
		cmocka_unit_test(test_auth_answer),
		cmocka_unit_test(test_account_of_the_unknown),
		cmocka_unit_test(test_account_of_outbound_calls),
		cmocka_unit_test(test_outbound_without_rules),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_weights),
		cmocka_unit_test(test_weights_of_the_second_place),
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_dead_go_last),
		cmocka_unit_test(test_same_place_other_account),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_explanations),
		cmocka_unit_test(test_uris),
		cmocka_unit_test(test_users_are_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
