/*
 * agent: what is said to Consul's agent, byte for byte (the .json files of tests/data/agent, which a real agent takes: see
 * tests/integration/test_agent_bodies.py), and what it says (services.answer and checks.answer are a real one's).
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include <jansson.h>

#include "base/file.h"
#include "consul/agent.h"
#include "text_fx.h"

#define T(literal) ((char *)(uintptr_t)(literal))
#define LIST(...) { (char *[]){ __VA_ARGS__ }, sizeof((char *[]){ __VA_ARGS__ }) / sizeof(char *) }
#define PAIRS(n, k, v) { (char *[]) k, (char *[]) v, n }
#define P(...) { __VA_ARGS__ }
#define CHECKS(...) \
	.checks = (struct conf_check *[]){ __VA_ARGS__ }, .n_checks = sizeof((struct conf_check *[]){ __VA_ARGS__ }) / sizeof(void *)
#define TAGGED(...) \
	.tagged = (struct conf_tagged_address *[]){ __VA_ARGS__ }, \
	.n_tagged = sizeof((struct conf_tagged_address *[]){ __VA_ARGS__ }) / sizeof(void *)
#define UNTOLD { { .status = AGENT_NO_STATUS } }
#define NO_STATES ((struct agent_check_state[8])UNTOLD)

#define DATA "tests/data/agent/"

static const struct agent_places v4 = { "10.0.0.1", NULL, "vm1", "12:34:56:78:9a:bc", "00112233445566778899aabbccddeeff", 9600 };
static const struct agent_places v6 = { "fd00::1", NULL, "vm1", "12:34:56:78:9a:bc", "00112233445566778899aabbccddeeff", 9600 };

/* ---- sections ---- */

static struct conf_check http = { .name = T("xhttp"), .kind = CHECK_HTTP, .url = T("http://{address}:9601/status"),
	.method = T("GET"), .interval_ms = 10000, .timeout_ms = 1000, .status = T("passing"), .deregister_after_ms = 600000 };
static struct conf_check https = { .name = T("api"), .kind = CHECK_HTTP, .url = T("https://{address}:{port}/{name}/{id}"),
	.method = T("HEAD"), .headers = PAIRS(2, P(T("X-One"), T("Authorization")), P(T("a \"b\" c"), T("Basic dTpw"))),
	.tls_skip_verify = true, .interval_ms = 1500, .timeout_ms = 500, .status = T("warning") };
static struct conf_check tcp = { .name = T("tcp"), .kind = CHECK_TCP, .to = T("{address}:{port}"), .interval_ms = 90000,
	.timeout_ms = 2000, .status = T("critical"), .deregister_after_ms = 86400000 };
static struct conf_check ttl = { .name = T("theirs"), .kind = CHECK_TTL, .ttl_ms = 86400000, .interval_ms = 10000,
	.timeout_ms = 1000, .status = T("passing") };
static struct conf_check eid = { .name = T("eid"), .kind = CHECK_EID, .interval_ms = 15000, .timeout_ms = 3000,
	.status = T("critical"), .deregister_after_ms = 60000 };
static struct conf_check asterisk_eid = { .name = T("check-asterisk-eid"), .kind = CHECK_EID, .url = T("https://{address}:8089/"),
	.tls_skip_verify = true, .interval_ms = 15000, .timeout_ms = 3000, .status = T("passing") };
static struct conf_check sip = { .name = T("sip"), .kind = CHECK_SIP, .uri = T("sip:{address}:{port}"), .interval_ms = 5000,
	.timeout_ms = 1000, .status = T("passing"), .deregister_after_ms = 600000 };
static struct conf_check binrpc = { .name = T("binrpc"), .kind = CHECK_BINRPC, .to = T("sbc"), .interval_ms = 100, .timeout_ms = 50,
	.status = T("passing") };
static struct conf_check ng = { .name = T("ng"), .kind = CHECK_NG, .to = T("{address}:22222"), .interval_ms = 3600000,
	.timeout_ms = 400, .status = T("passing") };
static struct conf_check exec = { .name = T("exec"), .kind = CHECK_EXEC, .interval_ms = 3000, .timeout_ms = 1001,
	.status = T("passing") };

static struct conf_tagged_address lan = { T("lan_ipv6"), T("{address}"), 0 }, wan = { T("wan"), T("203.0.113.7"), 5080 },
				  named = { T("wan"), T("{hostname}.example.org"), 0 }, iface = { T("lan"), T("{ip:eth1}"), 0 };

#define NAMED(n, i, s) .name = T(n), .id = T(i), .service = T(s), .eid = T("machine")
#define WITH_ID(n, i) NAMED(n, i, n), .weight = 1, .weight_warning = 1
#define SECTION(n) WITH_ID(n, "{hostname}-{name}")

static const struct golden {
	const char *name;
	struct conf_register reg;
	const struct agent_places *places;
	struct agent_check_state states[5];
} goldens[] = {
	{ "http",
	    { NAMED("sbc", "{hostname}-{name}", "sbc"), .tags = LIST(T("sbc"), T("kamailio")), .port = 5060, .weight = 5,
		.weight_warning = 1, CHECKS(&http) },
	    &v4, UNTOLD },
	{ "https",
	    { NAMED("wazo-router-confd", "{hostname}-{name}", "wazo-router-confd"), .weight = 1,
		.tags = LIST(T("urlprefix-/"), T("a b, \"c\"")), .port = 9443, .weight_warning = 0, CHECKS(&https),
		TAGGED(&lan, &wan) },
	    &v6, UNTOLD },
	{ "tcp", { SECTION("router"), .port = 5060, .enable_tag_override = true, CHECKS(&tcp) }, &v4, UNTOLD },
	{ "tcp6", { SECTION("router"), .port = 5060, CHECKS(&tcp), TAGGED(&named) }, &v6, UNTOLD },
	{ "ttl", { SECTION("rtp"), .port = 22222, CHECKS(&ttl) }, &v4, UNTOLD },
	{ "eid", { SECTION("sbc"), .port = 5060, CHECKS(&eid) }, &v6, UNTOLD },
	{ "asterisk",
	    { WITH_ID("asterisk", "{eid}"), .tags = LIST(T("asterisk")), .port = 5060, CHECKS(&asterisk_eid),
		.meta = PAIRS(2, P(T("ari_port"), T("ari_scheme")), P(T("8088"), T("http"))),
		.dispatcher = PAIRS(5, P(T("group"), T("priority"), T("weight"), T("max_calls"), T("flags")),
		    P(T("{\"id\":1,\"name\":\"eu\"}"), T("10"), T("50"), T("unlimited"), T("16"))) },
	    &v4, UNTOLD },
	{ "ours", { SECTION("vm"), .port = 1, CHECKS(&sip, &binrpc, &ng, &exec, &ttl) }, &v4,
	    { { .status = AGENT_PASSING, .output = "SIP 200" }, { .status = AGENT_WARNING }, { .status = AGENT_CRITICAL },
		{ .status = AGENT_NO_STATUS }, { .status = AGENT_NO_STATUS } } },
	{ "off", { SECTION("vm"), .port = 1, CHECKS(&http, &sip, &tcp) }, &v4,
	    { { .off = true }, { .status = AGENT_PASSING }, { .off = true } } },
	{ "bare", { WITH_ID("rtp", "rtp-1") },
	    &(const struct agent_places){ .address = "", .hostname = "", .eid = "", .machine = "" }, UNTOLD },
	{ "places",
	    { NAMED("sbc", "{name}-{hostname}-{port}-{eid}", "edge"), .weight = 65535, .port = 65535,
		.meta = PAIRS(5, P(T("all"), T("alone"), T("json"), T("adjoining"), T("weight")),
		    P(T("{address} {port} {id} {name} {eid} {hostname} {adress} {"), T("{address}"),
			T("{\"a\":{\"b\":\"{port}\"}}"), T("{port}{port}{{port}}"), T("lost: dispatcher has it"))),
		.dispatcher = PAIRS(1, P(T("weight")), P(T("{port}"))) },
	    &v6, UNTOLD },
	{ "utf8",
	    { SECTION("sbc"),
		.tags = LIST(
		    T("Z\xc3\xbcrich \xe2\x82\xac \xf0\x9f\x93\x9e"), T("bad \xff\xc3 \xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80.")),
		.port = 5060, .meta = PAIRS(1, P(T("cut")), P(T("\xe2\x82"))) },
	    &(const struct agent_places){ "10.0.0.1", NULL, "vm\x80", "e\xfe", "m", 9600 }, UNTOLD },
};

/* ---- bodies ---- */

static char *
read_data(const char *name, const char *suffix, size_t *len)
{
	char *path = xasprintf(DATA "%s.%s", name, suffix), *text;
	int err = file_read(path, 1 << 20, &text, len);

	if (err != 0)
		fail_msg("%s: %s (unit tests run in the top directory)", path, strerror(-err));
	free(path);
	return text;
}

/* The files are indented for people; the order of the keys is theirs. */
static char *
read_golden(const char *name)
{
	json_error_t err;
	size_t len;
	char *text = read_data(name, "json", &len), *compact;
	json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &err);

	if (j == NULL)
		fail_msg("%s:%d: %s", name, err.line, err.text);
	compact = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	free(text);
	return compact;
}

static void
bodies_are_as_agreed(void **state)
{
	size_t i;

	for (i = 0; i < NELEM(goldens); i++) {
		const struct golden *g = &goldens[i];
		char *want = read_golden(g->name), *body = agent_register_body(&g->reg, g->places, g->states),
		     *again = agent_register_body(&g->reg, g->places, g->states);

		assert_non_null(body);
		assert_string_equal(body, again);
		assert_text(g->name, body, want);
		free(again);
		free(want);
	}
}

/* Each alone makes the whole impossible: nothing is registered with an empty place. */
static void
what_is_not_known_makes_no_body(void **state)
{
	static struct conf_check meta_less = {
		.name = T("h"), .kind = CHECK_HTTP, .url = T("http://{address}/"), .method = T("GET")
	};
	static struct conf_check eid_in_url = {
		.name = T("h"), .kind = CHECK_HTTP, .url = T("http://h/{eid}"), .method = T("GET")
	};
	const struct {
		const char *what;
		struct conf_register reg;
		struct agent_places places;
	} rows[] = {
		{ "address of a check", { SECTION("a"), .port = 1, CHECKS(&meta_less) }, { "", NULL, "h", "e", "m", 1 } },
		{ "address of a tcp check", { SECTION("a"), .port = 1, CHECKS(&tcp) }, { "", NULL, "h", "e", "m", 1 } },
		{ "port of a tcp check", { SECTION("a"), CHECKS(&tcp) }, { "a", NULL, "h", "e", "m", 1 } },
		{ "host name in the id", { SECTION("a") }, { "a", NULL, "", "e", "m", 1 } },
		{ "eid in the id", { WITH_ID("a", "{eid}") }, { "a", NULL, "h", "", "m", 1 } },
		{ "eid of the check", { SECTION("a"), CHECKS(&eid) }, { "a", NULL, "h", "", "m", 1 } },
		{ "eid of the check with a URL", { SECTION("a"), CHECKS(&asterisk_eid) }, { "a", NULL, "h", "", "m", 1 } },
		{ "address of the eid check", { SECTION("a"), CHECKS(&eid) }, { "", NULL, "h", "e", "m", 1 } },
		{ "c4d's port of the eid check", { SECTION("a"), CHECKS(&eid) }, { "a", NULL, "h", "e", "m", 0 } },
		{ "eid in a URL", { SECTION("a"), CHECKS(&eid_in_url) }, { "a", NULL, "h", "", "m", 1 } },
		{ "address in meta", { SECTION("a"), .meta = PAIRS(1, P(T("k")), P(T("{address}"))) },
		    { "", NULL, "h", "e", "m", 1 } },
		{ "the id in itself", { WITH_ID("a", "x{id}") }, { "a", NULL, "h", "e", "m", 1 } },
		{ "interface of a tagged address", { SECTION("a"), TAGGED(&iface) }, { "a", NULL, "h", "e", "m", 1 } },
		{ "tagged address", { SECTION("a"), TAGGED(&iface) }, { "a", (const char *[]){ "" }, "h", "e", "m", 1 } },
		{ "address of a tagged address", { SECTION("a"), TAGGED(&lan) }, { "", NULL, "h", "e", "m", 1 } },
	};
	struct agent_check_state off[2] = { { .off = true }, { .off = true } };
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		char *body = agent_register_body(&rows[i].reg, &rows[i].places, NO_STATES);

		if (body != NULL)
			fail_msg("%s is not known: %s", rows[i].what, body);
		if (rows[i].reg.n_checks == 0)
			continue;
		body = agent_register_body(&rows[i].reg, &rows[i].places, off); /* what is off needs nothing */
		if (body == NULL)
			fail_msg("%s: the check is off", rows[i].what);
		free(body);
	}
}

static void
tagged_addresses_of_interfaces_come_from_the_caller(void **state)
{
	struct conf_register reg = { SECTION("a"), .port = 5060, TAGGED(&iface, &wan) };
	struct agent_places places = v4;
	char *body;

	places.tagged = (const char *[]){ "10.1.0.1", "fd00::2" };
	body = agent_register_body(&reg, &places, NO_STATES);
	assert_non_null(body);
	assert_non_null(strstr(body, "\"TaggedAddresses\":{\"lan\":{\"address\":\"10.1.0.1\",\"port\":5060},"
				     "\"wan\":{\"address\":\"fd00::2\",\"port\":5080}}"));
	free(body);
}

static void
places_are_filled_in(void **state)
{
	static const struct {
		const char *text, *want4, *want6; /* NULL: as want4 */
	} rows[] = {
		{ "", "", NULL },
		{ "sip:{address}:{port}", "sip:10.0.0.1:5060", "sip:[fd00::1]:5060" },
		{ "http://{address}/", "http://10.0.0.1/", "http://[fd00::1]/" },
		{ "{address}", "10.0.0.1", "fd00::1" },
		{ "{address} ", "10.0.0.1 ", "[fd00::1] " },
		{ "{name}.{id}.{eid}@{hostname}", "sbc.vm1-sbc.12:34:56:78:9a:bc@vm1", NULL },
		{ "{Address}{}{address{port}", "{Address}{}{address5060", NULL },
		{ "{ip:eth0}", "{ip:eth0}", NULL },
		{ "%d{port}%s", "%d5060%s", NULL },
	};
	struct conf_register reg = { NAMED("sbc", "{hostname}-{name}", "edge"), .port = 5060 };
	struct agent_places host = v4;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		assert_text(rows[i].text, agent_expand(rows[i].text, &reg, &v4), rows[i].want4);
		assert_text(rows[i].text, agent_expand(rows[i].text, &reg, &v6), rows[i].want6 ? rows[i].want6 : rows[i].want4);
	}
	host.address = "sbc1.example.org";
	assert_text("a host name", agent_expand("{address}:{port}", &reg, &host), "sbc1.example.org:5060");
}

static void
eid_urls_take_the_question(void **state)
{
	static const struct {
		const char *url, *eid, *want;
	} rows[] = {
		{ NULL, "a", "http://10.0.0.1:9600/consul_check?expected_eid=a" },
		{ NULL, "a b&c=\"d\"/\xc3\xa9%",
		    "http://10.0.0.1:9600/consul_check?expected_eid=a%20b%26c%3D%22d%22%2F%C3%A9%25" },
		{ "http://{address}:8088", "a", "http://10.0.0.1:8088/consul_check?expected_eid=a" },
		{ "http://{address}:8088/", "a", "http://10.0.0.1:8088/consul_check?expected_eid=a" },
		{ "http://{address}:8088/res_discovery_consul/check_eid", "a",
		    "http://10.0.0.1:8088/res_discovery_consul/check_eid?expected_eid=a" },
		{ "http://{address}:8088/x?y=1", "a", "http://10.0.0.1:8088/x?y=1&expected_eid=a" },
		{ "http://{address}:8088?y=1", "a", "http://10.0.0.1:8088/consul_check?y=1&expected_eid=a" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct conf_check c = eid;
		struct conf_register reg = { SECTION("sbc"), .port = 1, CHECKS(&c) };
		struct agent_places places = v4;
		const json_t *check;
		char *body;
		json_t *j;

		c.url = T(rows[i].url);
		places.eid = rows[i].eid;
		body = agent_register_body(&reg, &places, NO_STATES);
		assert_non_null(body);
		j = json_loads(body, JSON_REJECT_DUPLICATES, NULL);
		check = json_array_get(json_object_get(j, "Checks"), 0);
		assert_string_equal(json_string_value(json_object_get(check, "HTTP")), rows[i].want);
		json_decref(j);
		free(body);
	}
}

static void
a_ttl_outlasts_what_may_be_late(void **state)
{
	static const struct {
		int64_t interval, timeout, want;
	} rows[] = { { 100, 50, 10000 }, { 3000, 999, 10000 }, { 3000, 1000, 10000 }, { 3000, 1001, 10001 },
		{ 5000, 1000, 16000 }, { 3600000, 3600000, 14400000 } };
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct conf_check c = { .kind = CHECK_SIP, .interval_ms = rows[i].interval, .timeout_ms = rows[i].timeout };

		assert_int_equal(agent_ttl_ms(&c), rows[i].want);
	}
}

static void
it_is_known_who_makes_a_check(void **state)
{
	static const struct {
		enum conf_check_type kind;
		bool ours;
	} rows[] = { { CHECK_HTTP, false }, { CHECK_TCP, false }, { CHECK_TTL, false }, { CHECK_EID, false },
		{ CHECK_SIP, true }, { CHECK_BINRPC, true }, { CHECK_NG, true }, { CHECK_EXEC, true } };
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct conf_check c = { .name = T("n"), .kind = rows[i].kind };

		assert_int_equal(agent_check_is_ours(&c), rows[i].ours);
		assert_text("id", agent_check_id("vm1-sbc", &c), "vm1-sbc:n");
	}
}

static void
statuses_have_names(void **state)
{
	static const char *const names[] = { "passing", "warning", "critical", "" };
	int s;

	for (s = AGENT_PASSING; s <= AGENT_NO_STATUS; s++) {
		assert_string_equal(agent_status_name((enum agent_status)s), names[s]);
		assert_int_equal(agent_status_parse(names[s]), s);
	}
	assert_int_equal(agent_status_parse(NULL), AGENT_NO_STATUS);
	assert_int_equal(agent_status_parse("Passing"), AGENT_NO_STATUS);
	assert_int_equal(agent_status_parse("maintenance"), AGENT_NO_STATUS);
}

/* Of a command's output nothing vanishes, whatever it is. */
static void
updates_carry_any_text(void **state)
{
	static const struct {
		enum agent_status status;
		const char *output, *want;
	} rows[] = {
		{ AGENT_PASSING, "SIP 200 from sip:10.0.0.1:5060",
		    "{\"Status\":\"passing\",\"Output\":\"SIP 200 from sip:10.0.0.1:5060\"}" },
		{ AGENT_WARNING, NULL, "{\"Status\":\"warning\",\"Output\":\"\"}" },
		{ AGENT_CRITICAL, "two\nlines\t\"\\\x01\x7f",
		    "{\"Status\":\"critical\",\"Output\":\"two\\nlines\\t\\\"\\\\\\u0001\x7f\"}" },
		{ AGENT_NO_STATUS, "", "{\"Status\":\"critical\",\"Output\":\"\"}" },
		{ AGENT_PASSING, "Z\xc3\xbcrich \xf0\x9f\x93\x9e",
		    "{\"Status\":\"passing\",\"Output\":\"Z\xc3\xbcrich \xf0\x9f\x93\x9e\"}" },
		{ AGENT_PASSING, "Z\xfcrich\xc3", "{\"Status\":\"passing\",\"Output\":\"Z\xef\xbf\xbdrich\xef\xbf\xbd\"}" },
		{ AGENT_PASSING, "\xe0\x80\x80.\xf0\x8f\xbf\xbf.\xf8.\x80.\xf4\x8f\xbf\xbf.\xed\x9f\xbf",
		    "{\"Status\":\"passing\",\"Output\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd."
		    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd."
		    "\xef\xbf\xbd.\xef\xbf\xbd.\xf4\x8f\xbf\xbf.\xed\x9f\xbf\"}" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++)
		assert_text("update", agent_update_body(rows[i].status, rows[i].output), rows[i].want);
}

/* ---- answers ---- */

/* "services: id name address:port machine eid; ... checks: service_id id status output|notes; ..." */
static char *
print_list(const struct agent_list *l)
{
	struct buf b = { 0 };
	size_t i;

	for (i = 0; i < l->n_services; i++) {
		const struct agent_service *s = &l->services[i];

		buf_printf(&b, "%s %s %s:%u %s %s\n", s->id, s->name, s->address, s->port, s->machine, s->eid);
	}
	for (i = 0; i < l->n_checks; i++) {
		const struct agent_check *c = &l->checks[i];

		buf_printf(&b, "[%s] %s %s %s|%s\n", c->service_id, c->id, agent_status_name(c->status), c->output, c->notes);
	}
	return buf_take(&b);
}

static int
parse(struct agent_list *l, const char *services, const char *checks)
{
	char *s = services ? exact_copy(services, strlen(services)) : NULL,
	     *c = checks ? exact_copy(checks, strlen(checks)) : NULL;
	int err = agent_list_parse(l, s, s ? strlen(services) : 0, c, c ? strlen(checks) : 0);

	free(s);
	free(c);
	return err;
}

static void
a_real_agents_answers_are_read(void **state)
{
	struct agent_list l = { 0 };
	size_t s_len, c_len;
	char *services = read_data("services", "answer", &s_len), *checks = read_data("checks", "answer", &c_len);
	const struct agent_service *s;
	const struct agent_check *c;

	assert_int_equal(agent_list_parse(&l, services, s_len, checks, c_len), 0);
	free(services);
	free(checks);
	assert_int_equal(l.n_services, 10);
	assert_int_equal(l.n_checks, 13);
	s = agent_find(&l, "vm1-sbc");
	assert_non_null(s);
	assert_string_equal(s->name, "sbc");
	assert_string_equal(s->address, "10.0.0.1");
	assert_int_equal(s->port, 5060);
	assert_string_equal(s->machine, "00112233445566778899aabbccddeeff");
	assert_string_equal(s->eid, "12:34:56:78:9a:bc");
	s = agent_find(&l, "rtp-1");
	assert_non_null(s);
	assert_string_equal(s->address, "");
	assert_int_equal(s->port, 0);
	assert_string_equal(s->machine, "");
	assert_string_equal(s->eid, "");
	/* somebody's with a port that there is not, and NULs in its id and output */
	s = agent_find(&l, "od?d");
	assert_non_null(s);
	assert_int_equal(s->port, 0);
	c = agent_find_check(&l, "od?d", "odd");
	assert_non_null(c);
	assert_string_equal(c->output, "a?b \xef\xbf\xbd\nc");
	assert_int_equal(c->status, AGENT_WARNING);
	assert_null(agent_find(&l, "vm1"));
	assert_null(agent_find(&l, "vm1-sbcx"));
	c = agent_find_check(&l, "vm1-sbc", "vm1-sbc:xhttp");
	assert_non_null(c);
	assert_null(agent_find_check(&l, "vm1-vm", "vm1-sbc:xhttp"));
	c = agent_find_check(&l, "vm1-rtp", "vm1-rtp:theirs");
	assert_non_null(c);
	assert_int_equal(c->status, AGENT_PASSING);
	c = agent_find_maintenance(&l, "vm1-router");
	assert_non_null(c);
	assert_int_equal(c->status, AGENT_CRITICAL);
	assert_string_equal(c->notes, "new disk in Z\xc3\xbcrich");
	assert_null(agent_find_maintenance(&l, "vm1-sbc"));
	assert_non_null(agent_find_check(&l, "", "_node_maintenance"));
	agent_list_clear(&l);
	assert_null(agent_find(&l, "vm1-sbc"));
	assert_null(agent_find_maintenance(&l, "vm1-router"));
	agent_list_clear(&l);
}

static void
a_list_is_sorted_and_replaced_in_parts(void **state)
{
	struct agent_list l = { 0 };

	assert_int_equal(parse(&l,
			     " { \"b\" : {\"ID\":\"b\",\"Service\":\"s\",\"Port\":1} , "
			     "\"a\":{\"ID\":\"a\",\"Meta\":{\"eid\":\"e\"}}\r\n}\n\t ",
			     "{\"1\":{\"CheckID\":\"z\",\"ServiceID\":\"a\",\"Status\":\"passing\"},\"2\":{\"CheckID\":\"y\","
			     "\"ServiceID\":\"a\",\"Status\":\"odd\"},"
			     "\"3\":{\"CheckID\":\"a\",\"ServiceID\":\"b\",\"Status\":\"critical\",\"Output\":\"o\",\"Notes\":"
			     "null},\"4\":{\"CheckID\":\"n\",\"ServiceID\":\"\"}}"),
	    0);
	assert_text("both", print_list(&l), "a  :0  e\nb s :1  \n[] n  |\n[a] y  |\n[a] z passing |\n[b] a critical o|\n");
	assert_int_equal(parse(&l, NULL, "{\"x\":{\"CheckID\":\"x\"}}"), 0);
	assert_text("checks", print_list(&l), "a  :0  e\nb s :1  \n[] x  |\n");
	assert_int_equal(parse(&l, "{\"c\":{\"ID\":\"c\"}}", NULL), 0);
	assert_text("services", print_list(&l), "c  :0  \n[] x  |\n");
	assert_int_equal(parse(&l, NULL, NULL), 0);
	assert_text("neither", print_list(&l), "c  :0  \n[] x  |\n");
	assert_int_equal(parse(&l, "{}", "{ }"), 0);
	assert_text("empty", print_list(&l), "");
	agent_list_clear(&l);
}

static void
what_is_no_answer_changes_nothing(void **state)
{
	static const char *const services[] = { "", " ", "[]", "null", "{", "{}}", "{},", "{} x", "{\"a\"}",
		"{\"a\":", "{\"a\":{}", "{\"a\":{}}", "{\"a\":null}", "{\"a\":[]}", "{\"a\":1}", "{1:{\"ID\":\"a\"}}",
		"{\"a\":{\"ID\":\"\"}}", "{\"a\":{\"ID\":1}}", "{\"a\":{\"ID\":null}}", "{\"a\":{\"ID\":\"a\",\"Port\":\"1\"}}",
		"{\"a\":{\"ID\":\"a\",\"Port\":1.5}}", "{\"a\":{\"ID\":\"a\",\"Port\":99999999999999999999}}",
		"{\"a\":{\"ID\":\"a\",\"Service\":[]}}", "{\"a\":{\"ID\":\"a\",\"Address\":{}}}",
		"{\"a\":{\"ID\":\"a\",\"Meta\":{\"eid\":1}}}", "{\"a\":{\"ID\":\"a\",\"Meta\":{\"c4d-machine\":true}}}",
		"{\"a\":{\"ID\":\"a\",\"ID\":\"b\"}}", "{\"a\":{\"ID\":\"a\"},\"b\":{\"ID\":\"a\"}}", "{\"a\":{\"ID\":\"a\"},}",
		"{\"a\":{\"ID\":\"a\"}\"b\":{\"ID\":\"b\"}}", "{,\"a\":{\"ID\":\"a\"}}", "{\"a\":{\"ID\":\"a\xff\"}}",
		"{\"a\":{\"ID\":\"a\"}}}", "<html>502</html>", "rpc error: No cluster leader", "{\"a\" {\"ID\":\"a\"}}",
		"{\"a\"::{\"ID\":\"a\"}}", "{\"a\":{\"ID\":\"\\ud800\"}}" };
	static const char *const checks[] = { "", "[]", "{\"a\":{}}", "{\"a\":{\"CheckID\":\"\"}}", "{\"a\":{\"CheckID\":[]}}",
		"{\"a\":{\"CheckID\":\"a\",\"ServiceID\":1}}", "{\"a\":{\"CheckID\":\"a\",\"Status\":1}}",
		"{\"a\":{\"CheckID\":\"a\",\"Output\":{}}}", "{\"a\":{\"CheckID\":\"a\",\"Notes\":false}}",
		"{\"a\":{\"CheckID\":\"a\",\"ServiceID\":\"s\"},\"b\":{\"CheckID\":\"a\",\"ServiceID\":\"s\"}}" };
	static const char *good = "{\"g\":{\"ID\":\"g\"}}", *good_check = "{\"g\":{\"CheckID\":\"g\"}}",
			  *want = "g  :0  \n[] g  |\n";
	struct agent_list l = { 0 };
	size_t i;

	assert_int_equal(parse(&l, good, good_check), 0);
	for (i = 0; i < NELEM(services); i++) {
		if (parse(&l, services[i], "{}") != -EBADMSG || parse(&l, services[i], NULL) != -EBADMSG)
			fail_msg("taken for services: %s", services[i]);
		assert_text(services[i], print_list(&l), want);
	}
	for (i = 0; i < NELEM(checks); i++) {
		if (parse(&l, "{\"n\":{\"ID\":\"n\"}}", checks[i]) != -EBADMSG || parse(&l, NULL, checks[i]) != -EBADMSG)
			fail_msg("taken for checks: %s", checks[i]);
		assert_text(checks[i], print_list(&l), want);
	}
	/* every beginning of a good answer */
	for (i = 0; i < strlen(good); i++) {
		char *cut = exact_copy(good, i);

		assert_int_equal(agent_list_parse(&l, cut, i, NULL, 0), -EBADMSG);
		free(cut);
	}
	assert_int_equal(agent_list_parse(&l, "{}\0", 3, NULL, 0), -EBADMSG);
	agent_list_clear(&l);
}

/* So many arrays in each other; the parser stops, and the stack holds. */
static void
a_deep_answer_is_refused(void **state)
{
	struct agent_list l = { 0 };
	struct buf b = { 0 };
	int i;

	buf_puts(&b, "{\"a\":{\"ID\":\"a\",\"x\":");
	for (i = 0; i < 500000; i++)
		buf_puts(&b, "[");
	assert_int_equal(agent_list_parse(&l, b.s, b.len, NULL, 0), -EBADMSG);
	buf_free(&b);
}

static double
cpu_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
a_hundred_thousand_services_are_read(void **state)
{
	struct agent_list l = { 0 };
	struct buf s = { 0 }, c = { 0 };
	size_t i, n = 100000;
	double began;
	char id[32];

	for (i = 0; i < n; i++) {
		size_t k = i * 7919 % n; /* in no order */

		buf_printf(&s,
		    "%s\"svc-%05zu\":{\"ID\":\"svc-%05zu\",\"Service\":\"load\",\"Tags\":[\"a\",\"b\"],\"Meta\":{\"eid\":\"e%"
		    "zu\"},\"Port\":%zu,"
		    "\"Address\":\"10.1.2.3\",\"TaggedAddresses\":{\"lan_ipv4\":{\"Address\":\"10.1.2.3\",\"Port\":5060}},"
		    "\"Weights\":{\"Passing\":1,\"Warning\":1},\"EnableTagOverride\":false}",
		    i ? "," : "{", k, k, k, k % 65535 + 1);
		buf_printf(&c,
		    "%s\"svc-%05zu:ttl\":{\"Node\":\"n\",\"CheckID\":\"svc-%05zu:ttl\",\"Name\":\"ttl\",\"Status\":\"passing\","
		    "\"Notes\":\"\","
		    "\"Output\":\"ok\",\"ServiceID\":\"svc-%05zu\",\"ServiceName\":\"load\",\"ServiceTags\":[\"a\",\"b\"],"
		    "\"Type\":\"ttl\",\"Definition\":{},"
		    "\"CreateIndex\":0,\"ModifyIndex\":0}",
		    i ? "," : "{", k, k, k);
	}
	buf_puts(&s, "}");
	buf_puts(&c, "}");
	began = cpu_s();
	assert_int_equal(agent_list_parse(&l, s.s, s.len, c.s, c.len), 0);
	printf("%zu services (%zu bytes) and as many checks (%zu bytes) in %.2f s\n", n, s.len, c.len, cpu_s() - began);
	assert_true(cpu_s() - began < 10);
	assert_int_equal(l.n_services, n);
	assert_int_equal(l.n_checks, n);
	for (i = 0; i < n; i += 997) {
		const struct agent_check *found;
		char *check;

		snprintf(id, sizeof id, "svc-%05zu", i);
		assert_int_equal(agent_find(&l, id)->port, i % 65535 + 1);
		check = xasprintf("%s:ttl", id);
		found = agent_find_check(&l, id, check);
		assert_non_null(found);
		assert_string_equal(found->service_id, id);
		free(check);
	}
	agent_list_clear(&l);
	buf_free(&s);
	buf_free(&c);
}

/* An answer, or one service in it, without end: refused before it takes memory. */
static void
huge_answers_are_refused(void **state)
{
	struct agent_list l = { 0 };
	struct buf b = { 0 };
	size_t i;

	buf_puts(&b, "{\"a\":{\"ID\":\"a\",\"x\":[");
	while (b.len < AGENT_ENTRY_MAX)
		buf_puts(&b, "[],[],[],[],");
	buf_puts(&b, "[]]}}");
	assert_int_equal(agent_list_parse(&l, b.s, b.len, NULL, 0), -EBADMSG);
	buf_free(&b);
	/* white space counts */
	buf_puts(&b, "{}");
	for (i = 0; b.len <= AGENT_BODY_MAX; i++)
		buf_puts(&b, "                                                                ");
	assert_int_equal(agent_list_parse(&l, b.s, b.len, NULL, 0), -EBADMSG);
	assert_int_equal(agent_list_parse(&l, b.s, AGENT_BODY_MAX, NULL, 0), 0);
	buf_free(&b);
	agent_list_clear(&l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_are_as_agreed),
		cmocka_unit_test(what_is_not_known_makes_no_body),
		cmocka_unit_test(tagged_addresses_of_interfaces_come_from_the_caller),
		cmocka_unit_test(places_are_filled_in),
		cmocka_unit_test(eid_urls_take_the_question),
		cmocka_unit_test(a_ttl_outlasts_what_may_be_late),
		cmocka_unit_test(it_is_known_who_makes_a_check),
		cmocka_unit_test(statuses_have_names),
		cmocka_unit_test(updates_carry_any_text),
		cmocka_unit_test(a_real_agents_answers_are_read),
		cmocka_unit_test(a_list_is_sorted_and_replaced_in_parts),
		cmocka_unit_test(what_is_no_answer_changes_nothing),
		cmocka_unit_test(a_deep_answer_is_refused),
		cmocka_unit_test(a_hundred_thousand_services_are_read),
		cmocka_unit_test(huge_answers_are_refused),
	};

	return cmocka_run_group_tests_name("agent", tests, NULL, NULL);
}
