/*
 * watch: the names that a round asks besides the configured one: the canary of the same
 * datacenter, and the question for each tag.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "discovery/watch.h"

static void
the_canary_is_of_the_same_datacenter(void **state)
{
	static const struct {
		const char *name, *domain;
		const char *want;
	} rows[] = {
		{ "router.service.consul", "consul", "consul.service.consul" },
		{ "router.service.dc1.consul", "consul", "consul.service.dc1.consul" },
		{ "primary.router.service.dc1.consul", "consul", "consul.service.dc1.consul" },
		{ "_router._udp.service.consul", "consul", "consul.service.consul" },
		{ "_router._primary.service.dc2.consul", "consul", "consul.service.dc2.consul" },
		{ "router.query.consul", "consul", "consul.service.consul" },
		{ "router.query.dc2.consul", "consul", "consul.service.dc2.consul" },
		{ "router.service.dc1.dc.consul", "consul", "consul.service.dc1.dc.consul" },
		/* another domain, also of several labels */
		{ "router.service.c4.example", "c4.example", "consul.service.c4.example" },
		{ "router.service.dc1.c4.example", "c4.example", "consul.service.dc1.c4.example" },
		/* labels that only look like Consul's */
		{ "service.service.dc1.consul", "consul", "consul.service.dc1.consul" },
		{ "query.service.consul", "consul", "consul.service.consul" },
		{ "myservice.query.dc1.consul", "consul", "consul.service.dc1.consul" },
		/* names of another kind: the domain as a whole */
		{ "_sip._udp.example.org", "consul", "consul.service.consul" },
		{ "router.node.dc1.consul", "consul", "consul.service.consul" },
		{ "a", "consul", "consul.service.consul" },
		{ "", "consul", "consul.service.consul" },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		char *got = watch_canary_name(rows[i].name, rows[i].domain);

		if (strcmp(got, rows[i].want) != 0)
			fail_msg("%s: %s, want %s", rows[i].name, got, rows[i].want);
		free(got);
	}
}

static void
a_tag_is_asked_of_the_same_service(void **state)
{
	static const struct {
		const char *name, *tag;
		const char *want; /* NULL: can't be asked */
	} rows[] = {
		{ "router.service.consul", "primary", "_router._primary.service.consul" },
		{ "router.service.dc1.consul", "blue-1", "_router._blue-1.service.dc1.consul" },
		{ "green.router.service.dc1.consul", "blue", "_router._blue.service.dc1.consul" },
		{ "_router._udp.service.consul", "blue", "_router._blue.service.consul" },
		{ "_router._green.service.dc1.consul", "blue", "_router._blue.service.dc1.consul" },
		{ "service.service.consul", "a", "_service._a.service.consul" },
		{ "router.service.dc1.c4.example", "a", "_router._a.service.dc1.c4.example" },
		{ "router.query.consul", "blue", NULL },
		{ "_sip._udp.example.org", "blue", NULL },
		{ "a", "blue", NULL },
		{ "", "blue", NULL },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		char *got = watch_tag_name(rows[i].name, rows[i].tag, "consul");

		if ((got == NULL) != (rows[i].want == NULL) ||
		    (got != NULL && strcmp(got, rows[i].want) != 0))
			fail_msg("%s %s: %s, want %s", rows[i].name, rows[i].tag,
			    got ? got : "NULL", rows[i].want ? rows[i].want : "NULL");
		free(got);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_canary_is_of_the_same_datacenter),
		cmocka_unit_test(a_tag_is_asked_of_the_same_service),
	};

	return cmocka_run_group_tests_name("watch_names", tests, NULL, NULL);
}
