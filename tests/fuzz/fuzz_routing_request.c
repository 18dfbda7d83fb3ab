/*
 * fuzz_routing_request: any bytes as a body of Kamailio's routing question, against a fixed document. What is refused has its JSON;
 * what is answered is JSON, leads to places of the data only, and nothing in it can leave its place in a SIP header.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "fuzz_routing.h"
#include "routing/flat.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);

#define T "\"tenant_uuid\":\"2c34c282-433e-4bb8-8d56-fec14ff7e1e9\""
static const char document[] =
    "{\"tenants\":[{\"uuid\":\"2c34c282-433e-4bb8-8d56-fec14ff7e1e9\",\"name\":\"t\"}],\"domains\":[{\"id\":1," T ",\"domain\":\"a.example\"}],"
    "\"carriers\":[{\"id\":1," T ",\"name\":\"c\"}],\"normalization_profiles\":[{\"id\":1," T ",\"name\":\"n\",\"always_intl_prefix_plus\":true}],"
    "\"normalization_rules\":[{\"id\":1,\"profile_id\":1,\"rule_type\":1,\"match_regex\":\"^0(.*)$\",\"replace_regex\":\"39\\\\1\"},"
    "{\"id\":2,\"profile_id\":1,\"rule_type\":2,\"match_regex\":\"9\",\"replace_regex\":\"99\"}],"
    "\"ipbxs\":[{\"id\":1," T ",\"domain_id\":1,\"ip_fqdn\":\"10.0.0.1\",\"ip_address\":\"10.0.0.1\",\"username\":\"u\",\"password\":\"p\",\"realm\":\"r\",\"normalization_profile_id\":1},"
    "{\"id\":2," T ",\"domain_id\":1,\"ip_fqdn\":\"2001:db8::1\"},{\"id\":3," T ",\"domain_id\":1,\"ip_fqdn\":\"service:pbx\"}],"
    "\"carrier_trunks\":[{\"id\":1," T ",\"carrier_id\":1,\"name\":\"t\",\"sip_proxy\":\"10.9.0.1\",\"ip_address\":\"10.9.0.1\",\"normalization_profile_id\":1}],"
    "\"dids\":[{\"id\":1," T ",\"ipbx_id\":1,\"did_regex\":\"^39040\"},{\"id\":2," T ",\"ipbx_id\":2,\"did_regex\":\"^3[0-8]+$\"},{\"id\":3," T ",\"ipbx_id\":3,\"did_regex\":\"^7\"}],"
    "\"routing_rules\":[{\"id\":1,\"prefix\":\"1\",\"carrier_trunk_id\":1,\"ipbx_id\":2},{\"id\":2,\"prefix\":\"\",\"destination\":\"service:pbx\"}],"
    "\"routing_groups\":[{\"id\":1," T ",\"routing_rule_id\":2}]}"; /* a row in each table */

static struct rt_data *data;
static struct rt_decision decision;

static bool
dead(void *arg, const char *host, uint16_t port)
{
	(void)arg;
	return port == 5060 && strcmp(host, "10.1.0.1") == 0;
}

static void
wrong(void *arg, const char *path, const char *text)
{
	(void)arg;
	fprintf(stderr, "%s: %s\n", path, text);
	abort();
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	must(rt_document_parse(&data, document, sizeof document - 1, NULL, NULL, wrong, NULL) == 0);
	return 0;
}

static void
check_route(const json_t *route)
{
	static const char *const places[] = { "sip:10.0.0.1:5060", "sip:[2001:db8::1]:5060", "sip:10.1.0.1:5060", "sip:[2001:db8::2]:5060", "sip:10.9.0.1:5060" };
	const char *dst = text_of(route, "dst_uri");
	const json_t *headers = json_object_get(route, "headers");
	size_t i;

	for (i = 0; i < sizeof places / sizeof places[0] && strcmp(places[i], dst) != 0; i++)
		;
	must(i < sizeof places / sizeof places[0]);
	check_address(json_object_get(headers, "from"));
	check_address(json_object_get(headers, "to"));
	check_extra(text_of(headers, "extra"));
}

static void
check_answer(const struct rt_request *rq, const char *text, size_t len)
{
	json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL), *rtjson, *routes;
	size_t i;

	must(json != NULL);
	must(json_is_object(json_object_get(json, "auth")) == rq->auth);
	rtjson = json_object_get(json, "rtjson");
	routes = json_object_get(rtjson, "routes");
	must(json_is_true(json_object_get(rtjson, "success")) == (json_array_size(routes) > 0));
	for (i = 0; i < json_array_size(routes); i++)
		check_route(json_array_get(routes, i));
	/* known to be dead: never first, but alone */
	if (json_array_size(routes) > 1)
		must(strcmp(text_of(json_array_get(routes, 0), "dst_uri"), "sip:10.1.0.1:5060") != 0);
	json_decref(json);
}

static void
ask(const char *body, size_t size)
{
	struct rt_env env = { .now_s = 1795435200, .random = draw, .expand = expand, .dead = dead, .trace = say, .fr_timer_ms = 5000, .fr_inv_timer_ms = 30000 };
	struct buf out = { 0 };
	struct rt_request rq;
	struct rt_detail detail;
	json_t *keep;
	size_t first;

	if (rt_request_parse(&rq, RT_ASK_ROUTING, body, size, &keep, &detail) != 0) {
		must(detail.status == 422 ? json_array_size(detail.detail) > 0 : detail.status == 400 && json_is_string(detail.detail));
		json_decref(detail.detail);
		return;
	}
	rt_decide(data, &rq, &env, &decision);
	rt_answer_routing(data, &rq, &decision, &env, &out);
	check_answer(&rq, out.s, out.len);
	/* who listens changes nothing */
	first = decision.n;
	env.trace = NULL;
	rt_decide(data, &rq, &env, &decision);
	must(decision.n == first);
	buf_free(&out);
	json_decref(keep);
}

static void
ask_auth(const char *body, size_t size)
{
	struct rt_walk walk = { 0, false };
	struct buf out = { 0 };
	struct rt_request rq;
	struct rt_detail detail;
	struct rt_auth auth;
	const char *stored = NULL;
	json_t *keep, *json;
	size_t asked = 0;

	if (rt_request_parse(&rq, RT_ASK_AUTH, body, size, &keep, &detail) != 0) {
		json_decref(detail.detail);
		return;
	}
	while (rt_authenticate(data, &rq, &walk, false, &auth, &stored) == -EAGAIN)
		must(stored != NULL && asked++ < 3);
	rt_answer_auth(data, &rq, &auth, &out);
	json = json_loadb(out.s, out.len, JSON_REJECT_DUPLICATES, NULL);
	must(json_is_boolean(json_object_get(json, "success")));
	json_decref(json);
	json_decref(keep);
	buf_free(&out);
}

/* What is read without jansson is what jansson reads. */
static void
check_flat(const char *body, size_t size)
{
	json_t *copy = json_stringn_nocheck(body, size), *json;
	struct flat_value ours, theirs;
	struct flat *f = calloc(1, sizeof *f);
	size_t i;

	must(copy != NULL && f != NULL);
	if (flat_read(f, (char *)(uintptr_t)json_string_value(copy), size)) {
		json = json_loadb(body, size, JSON_REJECT_DUPLICATES, NULL);
		must(json_is_object(json) && json_object_size(json) == f->n);
		for (i = 0; i < f->n; i++) {
			flat_get(f, f->members[i].key, &ours);
			flat_of_json(json_object_getn(json, f->members[i].key, f->members[i].len), &theirs);
			must(ours.kind == theirs.kind && strlen(f->members[i].key) == f->members[i].len);
			if (ours.kind == FLAT_TEXT)
				must(ours.len == theirs.len && memcmp(ours.s, theirs.s, ours.len + 1) == 0);
			else if (ours.kind != FLAT_NULL)
				must(ours.i == theirs.i);
		}
		json_decref(json);
	}
	free(f);
	json_decref(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	ask((const char *)bytes, size);
	ask_auth((const char *)bytes, size);
	check_flat((const char *)bytes, size);
	return 0;
}
