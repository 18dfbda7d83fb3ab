/*
 * request: bodies as Kamailios send them, and as nobody should: what is taken, and what is said about what is wrong.
 */
#include "routing_fx.h"

/* The request of a wazo Kamailio, as it was seen on the wire. */
static const char seen[] = "{\"event\":\"sip-routing\",\"auth\":\"1\",\"source_ip\":\"10.0.0.9\",\"source_port\":5062,\"domain\":\"a.example\",\"username\":\"\","
			   "\"call_id\":\"c1@h\",\"from_name\":\"\\\"Mario\\\"\",\"from_uri\":\"sip:100@a.example:5062\",\"from_tag\":\"t\","
			   "\"to_uri\":\"sip:200@a.example\",\"to_name\":\"\",\"to_tag\":\"\"}";

/* "" or the status and detail. */
static char *
parse(enum rt_request_kind kind, const char *body, size_t len, struct rt_request *rq, json_t **keep)
{
	char *exact = malloc(len ? len : 1), *text, *out;
	struct rt_detail detail;
	int err;

	assert_non_null(exact);
	memcpy(exact, body, len);
	*keep = NULL;
	err = rt_request_parse(rq, kind, exact, len, keep, &detail);
	free(exact);
	if (err == 0) {
		assert_non_null(*keep);
		return strdup("");
	}
	assert_int_equal(err, -EINVAL);
	assert_true(detail.status == 400 || detail.status == 422);
	assert_true(detail.status == 422 ? json_is_array(detail.detail) : json_is_string(detail.detail));
	text = json_dumps(detail.detail, JSON_COMPACT | JSON_ENCODE_ANY);
	if (asprintf(&out, "%d %s", detail.status, text) < 0)
		fail();
	free(text);
	json_decref(detail.detail);
	return out;
}

static void
test_seen(void **state)
{
	struct rt_request rq;
	json_t *keep;

	fx_assert("seen", parse(RT_ASK_ROUTING, seen, strlen(seen), &rq, &keep), "");
	assert_true(rq.auth);
	assert_string_equal(rq.source_ip, "10.0.0.9");
	assert_int_equal(rq.source_port, 5062);
	assert_string_equal(rq.domain, "a.example");
	assert_string_equal(rq.username, "");
	assert_null(rq.password);
	assert_string_equal(rq.call_id, "c1@h");
	assert_string_equal(rq.from_name, "\"Mario\"");
	assert_string_equal(rq.from_uri, "sip:100@a.example:5062");
	assert_string_equal(rq.from_tag, "t");
	assert_string_equal(rq.to_uri, "sip:200@a.example");
	json_decref(keep);
}

/* Members behind those that are mandatory, and what is said of them: "" when it is taken. */
static void
assert_members(const char *members, const char *want)
{
	struct rt_request rq;
	char *body, *quoted = fx_quotes(members), *got;
	json_t *keep;

	if (asprintf(&body, "{\"from_name\":null%s%s}", members[0] != '\0' ? "," : "", quoted) < 0)
		fail();
	got = parse(RT_ASK_ROUTING, body, strlen(body), &rq, &keep);
	if (want[0] == '\0' ? got[0] != '\0' : strstr(got, want) == NULL)
		fail_msg("%s: %s", members, got);
	json_decref(keep);
	free(got);
	free(body);
	free(quoted);
}

#define URIS "'from_uri':'sip:1@h','to_uri':'sip:2@h'"

static void
test_members(void **state)
{
	static const struct {
		const char *members, *want;
	} cases[] = {
		{ URIS, "" },
		{ URIS ",'auth':0", "" },
		{ URIS ",'auth':false", "" },
		{ URIS ",'auth':'0'", "" },
		{ URIS ",'auth':'true'", "" },
		{ URIS ",'auth':null", "" },
		{ URIS ",'auth':2", "{\"loc\":[\"body\",\"auth\"],\"msg\":\"value could not be parsed to a boolean\",\"type\":\"type_error.bool\"}" },
		{ URIS ",'auth':{}", "type_error.bool" },
		{ URIS ",'auth':'maybe'", "type_error.bool" },
		{ URIS ",'source_port':'5060'", "" },
		{ URIS ",'source_port':null", "" },
		{ URIS ",'source_port':''", "" },
		{ URIS ",'source_port':'x'", "422 [{\"loc\":[\"body\",\"source_port\"],\"msg\":\"value is not a valid integer\",\"type\":\"type_error.integer\"}]" },
		{ URIS ",'source_port':1.5", "type_error.integer" },
		{ URIS ",'source_port':[5060]", "type_error.integer" },
		{ URIS ",'source_port':65536", "value_error" },
		{ URIS ",'source_port':-1", "value_error" },
		{ URIS ",'source_port':'99999999999999999999'", "422" },
		{ URIS ",'source_port':99999999999999999999", "400" },
		{ URIS ",'source_ip':''", "" },
		{ URIS ",'source_ip':null", "" },
		{ URIS ",'source_ip':'::1'", "" },
		{ URIS ",'source_ip':'10.0.0.256'", "422" },
		{ URIS ",'source_ip':'host'", "422" },
		{ URIS ",'source_ip':7", "type_error.str" },
		{ URIS ",'call_id':7", "type_error.str" },
		{ URIS ",'event':7,'whatever':{'a':[1,2,{'b':null}]}", "" },
		{ URIS ",'password':7", "" }, /* not of this question */
		{ "'to_uri':'sip:2@h'", "422 [{\"loc\":[\"body\",\"from_uri\"],\"msg\":\"field required\",\"type\":\"value_error.missing\"}]" },
		{ "'from_uri':'sip:2@h'", "422 [{\"loc\":[\"body\",\"to_uri\"],\"msg\":\"field required\",\"type\":\"value_error.missing\"}]" },
		{ "", "from_uri" },
		{ "", "to_uri" },
		{ "'from_uri':null,'to_uri':'sip:2@h'", "\"none is not an allowed value\",\"type\":\"type_error.none.not_allowed\"" },
		{ "'from_uri':'sip:2@h','to_uri':['sip:2@h']", "{\"loc\":[\"body\",\"to_uri\"],\"msg\":\"str type expected\",\"type\":\"type_error.str\"}" },
		{ "'from_uri':'sip:2@h','to_uri':''", "" },
		{ "'from_uri':'','to_uri':'sip:2@h'", "422" },
		/* what can't stand in a header */
		{ "'from_uri':'sip:1@h\\r\\nX: y','to_uri':'sip:2@h'", "has control characters" },
		{ "'from_uri':'sip:1@h','to_uri':'sip:2\\n@h'", "has control characters" },
		{ "'from_uri':'sip:1@h','to_uri':'sip:2\\u007f@h'", "has control characters" },
		{ "'from_uri':'sip:1%0d%0aX@h','to_uri':'sip:2@h'", "may not stand in a SIP URI" },
		{ "'from_uri':'sip:1@h','to_uri':'sip:2%0D%0Ax@h'", "may not stand in a SIP URI" },
		{ "'from_uri':'sip:1@h>,<sip:2@x','to_uri':'sip:2@h'", "may not stand in a SIP URI" },
		{ "'from_uri':'sip:+1 2 3@h','to_uri':'sip:2 3@h'", "" }, /* only the digits count */
		{ "'from_uri':'sip:1@h','to_uri':'sip:2@h 3'", "may not stand in a SIP URI" },
		{ "'from_uri':'sip:1@h','to_uri':' sip:2@h'", "may not stand in a SIP URI" },
		{ "'from_uri':'1 2@h','to_uri':'sip:2@h'", "may not stand in a SIP URI" },
		{ URIS ",'auth':''", "" },
		{ "'from_uri':'sip:1@h\\\\','to_uri':'sip:2@h'", "may not stand in a SIP URI" },
		{ "'from_uri':'sip:1\\\"@h','to_uri':'sip:2@h'", "may not stand in a SIP URI" },
		{ "'from_uri':'sip:1@h%41','to_uri':'sip:2@h'", "is not a SIP URI" },
		{ "'from_uri':'sip:1@[::1','to_uri':'sip:2@h'", "is not a SIP URI" },
		{ "'from_uri':'sip:1@h:x','to_uri':'sip:2@h'", "is not a SIP URI" },
		{ "'from_uri':'sip:1@2@h','to_uri':'sip:2@h'", "is not a SIP URI" },
		{ "'from_uri':'sip:h\xc3\xa0','to_uri':'sip:2@h'", "is not a SIP URI" },
		{ "'from_uri':'sip:','to_uri':'sip:2@h'", "is not a SIP URI" },
		{ "'from_uri':'sip:1@h','to_uri':'sip:2@h%41'", "" }, /* matches nothing */
		{ URIS ",'to_name':'a\\u0000b'", "400" },
		{ URIS ",'to_name':'a\\u0001b'", "422" },
		{ URIS ",'domain':'a\\rb'", "422" },
		{ URIS ",'username':'a\\tb'", "422" },
		{ URIS ",'call_id':'a\\nb'", "422" },
		/* twice */
		{ URIS ",'to_uri':'sip:2@h'", "400" },
		{ URIS ",'x':1,'x':1", "400" },
	};
	size_t i;

	for (i = 0; i < NELEM(cases); i++)
		assert_members(cases[i].members, cases[i].want);
}

static void
test_no_name_is_said_with_its_key(void **state)
{
	static const char without[] = "{\"from_uri\":\"sip:1@h\",\"to_uri\":\"sip:2@h\"}";
	struct rt_request rq;
	json_t *keep;

	fx_assert("no from_name", parse(RT_ASK_ROUTING, without, strlen(without), &rq, &keep),
	    "422 [{\"loc\":[\"body\",\"from_name\"],\"msg\":\"field required\",\"type\":\"value_error.missing\"}]");
}

static void
test_lengths(void **state)
{
	static const struct {
		const char *key;
		size_t max;
	} cases[] = { { "from_name", 256 }, { "to_name", 256 }, { "username", 256 }, { "call_id", 256 }, { "domain", 253 }, { "to_uri", 512 } };
	struct rt_request rq;
	size_t i, len;
	json_t *keep;

	for (i = 0; i < NELEM(cases); i++)
		for (len = cases[i].max - 1; len <= cases[i].max + 1; len++) {
			json_t *body = json_pack("{s:s,s:s,s:s}", "from_uri", "sip:1@h", "to_uri", "sip:1@h", "from_name", "");
			char *value = malloc(len + 1), *text, *got;

			memset(value, 'x', len);
			value[len] = '\0';
			json_object_set_new(body, cases[i].key, json_string(value));
			text = json_dumps(body, 0);
			got = parse(RT_ASK_ROUTING, text, strlen(text), &rq, &keep);
			if ((got[0] == '\0') != (len <= cases[i].max))
				fail_msg("%s of %zu bytes: %s", cases[i].key, len, got);
			if (got[0] != '\0')
				assert_non_null(strstr(got, "422 [{\"loc\""));
			json_decref(keep);
			json_decref(body);
			free(value);
			free(text);
			free(got);
		}
}

static void
test_bad_bodies(void **state)
{
	static const char *const bodies[] = {
		"", " ", "{", "[]", "null", "7", "\"x\"", "{\"a\":1}x", "{\"a\":1}{}", "{'a':1}", "{\"a\":\"\xff\"}", "{\"a\":\"\xc0\xaf\"}", "{\"a\":\"\xed\xa0\x80\"}",
		"{\"a\":\"\\ud800\"}", "{\"a\":\"\n\"}", "{\"a\":1,}", "{\"\\u0000\":1}", "{\"a\":1e999}", "[[[[[[[[[[[[[[[[[[[[[",
	};
	struct rt_request rq;
	char *got, deep[300];
	size_t i, n;
	json_t *keep;

	for (i = 0; i < NELEM(bodies); i++) {
		got = parse(RT_ASK_ROUTING, bodies[i], strlen(bodies[i]), &rq, &keep);
		if (strncmp(got, "400 \"", 5) != 0)
			fail_msg("%s: %s", bodies[i], got);
		free(got);
	}
	got = parse(RT_ASK_ROUTING, "{\"a\":\"b\0\"}", 10, &rq, &keep);
	assert_memory_equal(got, "400 ", 4);
	free(got);
	/* sixteen levels, of which the object is one */
	for (n = 15; n <= 16; n++) {
		snprintf(deep, sizeof deep, "{\"from_name\":\"\",\"from_uri\":\"sip:1@h\",\"to_uri\":\"\",\"x\":%.*s%.*s}", (int)n, "[[[[[[[[[[[[[[[[", (int)n,
		    "]]]]]]]]]]]]]]]]");
		fx_assert(deep, parse(RT_ASK_ROUTING, deep, strlen(deep), &rq, &keep), n == 15 ? "" : "400 \"nested more than 16 deep\"");
		json_decref(keep);
	}
}

/* What is wrong is said without what was sent: a password may be in it. */
static void
test_no_secret_in_detail(void **state)
{
	static const char *const bodies[] = {
		"{\"password\":\"secret\" \"x\":1}", "{\"password\":secret}", "{\"password\":\"secret", "{\"x\":1,\"password\":\"secret\",}",
		"{\"password\":\"se\\u0001cret\",\"username\":7}", "{\"password\":[\"secret\"]}",
	};
	struct rt_request rq;
	size_t i;
	json_t *keep;

	for (i = 0; i < NELEM(bodies); i++) {
		char *got = parse(RT_ASK_AUTH, bodies[i], strlen(bodies[i]), &rq, &keep);

		assert_string_not_equal(got, "");
		if (strstr(got, "cret") != NULL)
			fail_msg("%s: %s", bodies[i], got);
		free(got);
	}
}

static void
test_auth_question(void **state)
{
	static const char body[] = "{\"source_ip\":\"[2001:DB8::0:1]\",\"username\":\"u\",\"password\":\"p\",\"from_uri\":7,\"auth\":7}";
	struct rt_request rq;
	json_t *keep;

	fx_assert("auth", parse(RT_ASK_AUTH, body, strlen(body), &rq, &keep), "");
	assert_string_equal(rq.password, "p");
	assert_string_equal(rq.username, "u");
	assert_string_equal(rq.source_ip, "2001:db8::1");
	assert_int_equal(rq.source_port, 5060);
	json_decref(keep);
	fx_assert("empty", parse(RT_ASK_AUTH, "{}", 2, &rq, &keep), "");
	assert_null(rq.password);
	json_decref(keep);
	fx_assert("no password", parse(RT_ASK_AUTH, "{\"password\":\"\"}", 15, &rq, &keep), "");
	assert_null(rq.password);
	json_decref(keep);
}

static void
test_json_text(void **state)
{
	struct buf b = { 0 };
	char *got;

	rt_json_text(&b, "a\"b\\c/\r\n\t\x01\x7f \xc3\xa0");
	rt_json_text(&b, NULL);
	rt_json_text(&b, "");
	got = buf_take(&b);
	assert_string_equal(got, "\"a\\\"b\\\\c/\\r\\n\\u0009\\u0001\x7f \xc3\xa0\"null\"\"");
	free(got);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seen),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_no_name_is_said_with_its_key),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_bad_bodies),
		cmocka_unit_test(test_no_secret_in_detail),
		cmocka_unit_test(test_auth_question),
		cmocka_unit_test(test_json_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
