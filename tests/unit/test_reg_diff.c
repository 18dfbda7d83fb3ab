/*
 * reg_diff: a body, the agent's words, and what of them differs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "registrar/reg_diff.h"

#define BODY "{\"ID\":\"a\",\"Name\":\"sbc\",\"Tags\":[],\"Address\":\"10.0.0.1\",\"Port\":5060,\"Weights\":{\"Passing\":1,\"Warning\":1}," \
	"\"EnableTagOverride\":false,\"TaggedAddresses\":{},\"Meta\":{\"eid\":\"e\"},\"Checks\":[{\"CheckID\":\"a:x\"}]}"
#define SERVICE(address, more) "{\"ID\":\"a\",\"Service\":\"sbc\"," address "\"Port\":5060,\"Weights\":{\"Passing\":1,\"Warning\":1}" more "}"
#define AT "\"Address\":\"10.0.0.1\","
#define META ",\"Meta\":{\"eid\":\"e\"}"

static const struct {
	const char *body, *service, *diff; /* NULL: none */
} rows[] = {
	/* what Consul adds, and what it leaves out */
	{ BODY, SERVICE(AT, META), NULL },
	{ BODY, SERVICE(AT, META ",\"Tags\":null,\"EnableTagOverride\":false,\"Datacenter\":\"dc1\",\"ContentHash\":\"0\""), NULL },
	{ BODY, SERVICE(AT, META ",\"TaggedAddresses\":{\"lan_ipv4\":{\"Address\":\"10.0.0.1\",\"Port\":5060},\"wan_ipv4\":{}}"), NULL },
	{ "{\"Address\":\"2001:DB8::1\",\"Meta\":{},\"Tags\":[]}", "{\"Address\":\"2001:db8::1\",\"Meta\":null}", NULL },
	{ "{\"Name\":\"a\"}", "{\"Service\":\"a\",\"Address\":\"\",\"Port\":0}", NULL },
	{ "{\"TaggedAddresses\":{\"wan\":{\"address\":\"10.1.1.1\",\"port\":2}}}",
	    "{\"TaggedAddresses\":{\"wan\":{\"Address\":\"10.1.1.1\",\"Port\":2}}}", NULL },
	/* each of its parts */
	{ "{\"Name\":\"a\"}", "{\"Service\":\"b\"}", "name \"b\" becomes \"a\"" },
	{ BODY, SERVICE("\"Address\":\"10.0.0.2\",", META), "address \"10.0.0.2\" becomes \"10.0.0.1\"" },
	{ BODY, SERVICE("", META), "address none becomes \"10.0.0.1\"" },
	{ "{\"Port\":2}", "{\"Port\":1}", "port 1 becomes 2" },
	{ "{\"Port\":0}", "{\"Port\":1}", "port 1 becomes 0" },
	{ "{\"Tags\":[\"a\",\"b\"]}", "{\"Tags\":[\"b\",\"a\"]}", "tags [\"b\",\"a\"] becomes [\"a\",\"b\"]" },
	{ "{\"Weights\":{\"Passing\":2,\"Warning\":1}}", "{\"Weights\":{\"Passing\":1,\"Warning\":1}}", "weight Passing 1 becomes 2" },
	{ "{\"EnableTagOverride\":true}", "{}", "enable_tag_override none becomes true" },
	{ "{\"Meta\":{\"a\":\"1\",\"b\":\"2\"}}", "{\"Meta\":{\"b\":\"3\",\"c\":\"4\"}}",
	    "meta a none becomes \"1\"; meta b \"3\" becomes \"2\"; meta c \"4\" becomes none" },
	{ "{\"TaggedAddresses\":{\"wan\":{\"address\":\"10.1.1.1\",\"port\":2}}}", "{\"TaggedAddresses\":{\"lan\":{\"Address\":\"h\",\"Port\":2}}}",
	    "tagged address wan none becomes {\"address\":\"10.1.1.1\",\"port\":2}; tagged address lan {\"Address\":\"h\",\"Port\":2} becomes none" },
	{ "{\"TaggedAddresses\":{\"wan\":{\"address\":\"10.1.1.1\",\"port\":2}}}", "{\"TaggedAddresses\":{\"wan\":{\"Address\":\"10.1.1.1\",\"Port\":3}}}",
	    "tagged address wan {\"Address\":\"10.1.1.1\",\"Port\":3} becomes {\"address\":\"10.1.1.1\",\"port\":2}" },
	/* others' tags */
	{ "{\"EnableTagOverride\":true,\"Tags\":[\"a\"]}", "{\"EnableTagOverride\":true,\"Tags\":[\"b\"]}", NULL },
	{ "{\"EnableTagOverride\":false,\"Tags\":[\"a\"]}", "{\"EnableTagOverride\":true,\"Tags\":[\"b\"]}",
	    "tags [\"b\"] becomes [\"a\"]; enable_tag_override true becomes false" },
	/* what is not ASCII, and what is not what it should be */
	{ "{\"Meta\":{\"a\":\"1\"}}", "{\"Meta\":{\"a\":\"\xc3\xa4\\u001b\"}}", "meta a \"\\u00E4\\u001B\" becomes \"1\"" },
	{ "{\"Meta\":{\"a\":\"1\"},\"Tags\":[],\"Port\":5}", "{\"Meta\":[1],\"Tags\":{},\"Port\":\"5\",\"TaggedAddresses\":7}",
	    "port \"5\" becomes 5; meta a none becomes \"1\"" },
};

static void
test_diff(void **state)
{
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		json_t *body = json_loads(rows[i].body, 0, NULL), *service = json_loads(rows[i].service, 0, NULL);
		char *diff;

		assert_true(body != NULL && service != NULL);
		diff = reg_diff(body, service);
		if ((diff == NULL) != (rows[i].diff == NULL) || (diff != NULL && strcmp(diff, rows[i].diff) != 0))
			fail_msg("row %zu: %s\nbut wanted: %s", i, diff ? diff : "no difference", rows[i].diff ? rows[i].diff : "none");
		free(diff);
		json_decref(body);
		json_decref(service);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_diff),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
