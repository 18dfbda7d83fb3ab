#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kamailio/hint.h"

/* The reasons as Kamailio 5.6.3 and 6.0.1 give them. */
static void
faults(void **state)
{
	static const struct {
		const char *method;
		const char *reason;
		const char *hint;
	} cases[] = {
		{ "dispatcher.list", "Internal error creating dest",
		    " (more than 1024 destinations in a set need modparam(\"ctl\", \"binrpc_struct_max_body_size\", 128))" },
		{ "dispatcher.list", "Internal error creating set struct",
		    " (more than 1024 destinations in a set need modparam(\"ctl\", \"binrpc_struct_max_body_size\", 128))" },
		{ "core.echo", "Internal server error processing 's': buffer too small (overflow) (-2)",
		    " (the reply is too long: modparam(\"ctl\", \"binrpc_max_body_size\", 512))" },
		{ "permissions.addressDump", "No address table", " (modparam(\"permissions\", \"address_file\", ...) is not set)" },
		{ "dispatcher.list", "command dispatcher.list not found", " (is dispatcher.so loaded?)" },
		{ "rtpengine.show", "command rtpengine.show not found", " (is rtpengine.so loaded?)" },
		{ "dispatcher.list", "No Destination Sets", "" },
		{ "dispatcher.reload", "Ongoing reload", "" },
		{ "rtpengine.enable", "Instance not found", "" },
		{ "x", "", "" },
	};
	char out[HINT_BYTES];
	size_t i;

	for (i = 0; i < NELEM(cases); i++) {
		memset(out, 'x', sizeof out);
		hint_fault(cases[i].method, cases[i].reason, out);
		assert_string_equal(out, cases[i].hint);
	}
}

static void
long_names_are_cut(void **state)
{
	char name[2 * HINT_BYTES], out[HINT_BYTES];

	memset(name, 'm', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	hint_fault(name, "command m not found", out);
	assert_int_equal(strlen(out), HINT_BYTES - 1);
}

static void
flags_that_keep_pings_away(void **state)
{
	static const struct {
		const char *version;
		unsigned flags;
		bool trap;
	} cases[] = {
		{ "kamailio 6.0.1 (x86_64/linux)", 16, true },
		{ "kamailio 6.1.4 (x86_64/linux)", 32 | 8, true },
		{ "kamailio 10.0.0 (aarch64/linux)", 24, true },
		{ "kamailio 6.0.1 (x86_64/linux)", 0, false },
		{ "kamailio 6.0.1 (x86_64/linux)", 8, false },
		{ "kamailio 5.6.3 (x86_64/linux)", 16, false },
		{ "", 16, false },
		{ "something else", 16, false },
	};
	size_t i;

	for (i = 0; i < NELEM(cases); i++)
		assert_int_equal(hint_flags(cases[i].version, cases[i].flags) != NULL, cases[i].trap);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults),
		cmocka_unit_test(long_names_are_cut),
		cmocka_unit_test(flags_that_keep_pings_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
