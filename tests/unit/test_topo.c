/* addr and topo: text forms, plausibility, prefixes; snapshots and what differs between two of
 * them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"
#include "topology/topo.h"

static struct topo_addr
addr(const char *text)
{
	struct topo_addr a;

	assert_int_equal(topo_addr_parse(text, &a), 0);
	return a;
}

/* ---- addresses ---- */

static void
test_addr_text(void **state)
{
	static const struct {
		const char *text;
		const char *want; /* NULL: refused */
	} rows[] = {
		{ "1.2.3.4:5060", "1.2.3.4:5060" },
		{ "255.255.255.255:65535", "255.255.255.255:65535" },
		{ "0.0.0.0:0", "0.0.0.0:0" },
		{ "[::1]:5060", "[::1]:5060" },
		{ "[2001:DB8:0:0:0:0:0:1]:1", "[2001:db8::1]:1" },
		{ "[1111:2222:3333:4444:5555:6666:7777:8888]:65535",
		    "[1111:2222:3333:4444:5555:6666:7777:8888]:65535" },
		{ "[::ffff:1.2.3.4]:5060", "[::ffff:1.2.3.4]:5060" },
		{ "", NULL },
		{ ":", NULL },
		{ ":5060", NULL },
		{ "1.2.3.4", NULL },
		{ "1.2.3.4:", NULL },
		{ "1.2.3.4:65536", NULL },
		{ "1.2.3.4:-1", NULL },
		{ "1.2.3.4:5060 ", NULL },
		{ "1.2.3:5060", NULL },
		{ "1.2.3.256:5060", NULL },
		{ " 1.2.3.4:5060", NULL },
		{ "[1.2.3.4]:5060", NULL },
		{ "::1:5060", NULL },
		{ "[::1:5060", NULL },
		{ "::1]:5060", NULL },
		{ "[]:5060", NULL },
		{ "[:5060", NULL },
		{ "[::1]5060", NULL },
		{ "[fe80::1%eth0]:5060", NULL },
		{ "host.example:5060", NULL },
		{ "1111111111111111111111111111111111111111111111111111111111111111111111:5060",
		    NULL },
	};
	char out[TOPO_ADDR_TEXT];
	struct topo_addr a;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		int err = topo_addr_parse(rows[i].text, &a);

		if (rows[i].want == NULL) {
			if (err != -EINVAL)
				fail_msg("\"%s\" was taken", rows[i].text);
			continue;
		}
		if (err != 0)
			fail_msg("\"%s\" was refused", rows[i].text);
		topo_addr_format(&a, out);
		assert_string_equal(out, rows[i].want);
	}
}

static void
test_addr_ip_text(void **state)
{
	char out[TOPO_ADDR_TEXT];
	struct topo_addr a, none = { 0 };

	assert_int_equal(topo_addr_parse_ip("10.1.2.3", &a), 0);
	assert_int_equal(a.family, 4);
	assert_int_equal(a.port, 0);
	topo_addr_format_ip(&a, out);
	assert_string_equal(out, "10.1.2.3");
	assert_int_equal(topo_addr_parse_ip("fd00::1", &a), 0);
	assert_int_equal(a.family, 6);
	topo_addr_format_ip(&a, out);
	assert_string_equal(out, "fd00::1");
	assert_int_equal(topo_addr_parse_ip("10.1.2.3:1", &a), -EINVAL);
	assert_int_equal(topo_addr_parse_ip("", &a), -EINVAL);
	assert_int_equal(a.family, 6); /* only set on success */
	topo_addr_format_ip(&none, out);
	assert_string_equal(out, "-");
}

static void
test_addr_order(void **state)
{
	static const char *const sorted[] = {
		"0.0.0.1:1",
		"9.0.0.0:9",
		"10.0.0.1:80",
		"10.0.0.1:5060",
		"10.0.0.2:1",
		"200.0.0.1:1",
		"[::1]:1",
		"[::2]:1",
		"[fd00::1]:1",
		"[fd00::1]:2",
	};
	size_t i, k;

	for (i = 0; i < NELEM(sorted); i++)
		for (k = 0; k < NELEM(sorted); k++) {
			struct topo_addr a = addr(sorted[i]), b = addr(sorted[k]);
			int c = topo_addr_cmp(&a, &b);

			assert_int_equal(c, i == k ? 0 : i < k ? -1 : 1);
		}
	{
		struct topo_addr a = addr("10.0.0.1:1"), b = addr("10.0.0.1:2"),
				 c = addr("[a00:1::]:1");

		assert_true(topo_addr_same_ip(&a, &b));
		assert_false(topo_addr_same_ip(&a, &c)); /* the same bytes, another family */
	}
}

static void
test_addr_implausible(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "10.0.0.1:5060", NULL },
		{ "127.0.0.1:5060", NULL },
		{ "223.255.255.255:1", NULL },
		{ "[::1]:5060", NULL },
		{ "[fe80::1]:5060", NULL },
		{ "10.0.0.1:0", "port 0" },
		{ "[fd00::1]:0", "port 0" },
		{ "0.0.0.0:5060", "unspecified address" },
		{ "[::]:5060", "unspecified address" },
		{ "224.0.0.0:5060", "multicast address" },
		{ "239.1.2.3:5060", "multicast address" },
		{ "[ff00::]:5060", "multicast address" },
		{ "[ff02::1]:5060", "multicast address" },
		{ "255.255.255.255:5060", "broadcast address" },
	};
	struct topo_addr none = { .port = 5060 };
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		struct topo_addr a = addr(rows[i].text);
		const char *why = topo_addr_implausible(&a);

		if (strcmp(why ? why : "", rows[i].why ? rows[i].why : "") != 0)
			fail_msg("%s: %s", rows[i].text, why ? why : "plausible");
	}
	assert_string_equal(topo_addr_implausible(&none), "no address");
}

static void
test_prefix(void **state)
{
	static const struct {
		const char *prefix, *ip;
		bool has;
	} rows[] = {
		{ "10.0.0.0/8", "10.255.255.255", true },
		{ "10.0.0.0/8", "11.0.0.0", false },
		{ "10.1.2.3/8", "10.9.9.9", true }, /* host bits don't matter */
		{ "10.1.2.3", "10.1.2.3", true },
		{ "10.1.2.3", "10.1.2.2", false },
		{ "10.1.2.3/32", "10.1.2.3", true },
		{ "10.1.2.2/31", "10.1.2.3", true },
		{ "10.1.2.2/31", "10.1.2.4", false },
		{ "10.1.2.128/25", "10.1.2.127", false },
		{ "10.1.2.128/25", "10.1.2.255", true },
		{ "0.0.0.0/0", "203.0.113.1", true },
		{ "0.0.0.0/0", "::1", false },
		{ "::/0", "fd00::1", true },
		{ "::/0", "10.0.0.1", false },
		{ "fd00::/8", "fdff::1", true },
		{ "fd00::/8", "fe00::1", false },
		{ "fd00::/9", "fd7f::1", true },
		{ "fd00::/9", "fd80::1", false },
		{ "fd00::1/128", "fd00::1", true },
		{ "fd00::1/127", "fd00::2", false },
		{ "fd00::1", "fd00::2", false },
	};
	static const char *const bad[] = { "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
		"10.0.0.0/8x", "10.0.0/8", "fd00::/129", "10.0.0.0/8/8", "[fd00::]/8", "any" };
	struct topo_prefix p;
	struct topo_addr a;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		assert_int_equal(topo_prefix_parse(rows[i].prefix, &p), 0);
		assert_int_equal(topo_addr_parse_ip(rows[i].ip, &a), 0);
		if (topo_prefix_has(&p, &a) != rows[i].has)
			fail_msg("%s in %s", rows[i].ip, rows[i].prefix);
	}
	for (i = 0; i < NELEM(bad); i++)
		if (topo_prefix_parse(bad[i], &p) != -EINVAL)
			fail_msg("\"%s\" was taken", bad[i]);
}

/* ---- snapshots ---- */

/* A topo of one service; `text` is "ADDR=LETTER ..." with U up, D disabled, H held. */
static struct topo *
snapshot(const char *service, const char *text)
{
	struct topo *t = topo_new(1);
	struct topo_service *s = &t->services[0];
	char *copy = xstrdup(text), *save = NULL, *word;

	s->name = xstrdup(service);
	s->known = true;
	s->inst = xcalloc(16, sizeof *s->inst);
	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		char *eq = strchr(word, '=');
		struct topo_instance *i = &s->inst[s->n++];

		assert_non_null(eq);
		*eq = '\0';
		i->addr = addr(word);
		i->state = eq[1] == 'U' ? TOPO_UP : eq[1] == 'D' ? TOPO_DISABLED : TOPO_HELD;
		i->guard = eq[1] == 'H' ? GUARD_SHRINK : GUARD_NONE;
	}
	free(copy);
	return t;
}

static void
note_change(void *arg, const struct topo_change *c)
{
	const struct topo_instance *any = c->after ? c->after : c->before;
	char where[TOPO_ADDR_TEXT];

	topo_addr_format(&any->addr, where);
	buf_printf(arg, "%s%s%s ",
	    c->before == NULL  ? "+"
	    : c->after == NULL ? "-"
			       : "~",
	    c->service, where);
}

static void
assert_diff(const struct topo *before, const struct topo *after, size_t count, const char *want)
{
	struct buf b = { 0 };
	char *got;

	assert_int_equal(topo_diff(before, after, note_change, &b), count);
	got = buf_take(&b);
	assert_string_equal(got, want);
	free(got);
	assert_int_equal(topo_diff(before, after, NULL, NULL), count);
}

static void
test_diff(void **state)
{
	static const struct {
		const char *before, *after;
		size_t count;
		const char *want;
	} rows[] = {
		{ "", "", 0, "" },
		{ "10.0.0.1:1=U", "10.0.0.1:1=U", 0, "" },
		{ "", "10.0.0.1:1=U 10.0.0.2:1=U", 2, "+s10.0.0.1:1 +s10.0.0.2:1 " },
		{ "10.0.0.1:1=U 10.0.0.2:1=U", "", 2, "-s10.0.0.1:1 -s10.0.0.2:1 " },
		{ "10.0.0.1:1=U", "10.0.0.1:1=D", 1, "~s10.0.0.1:1 " },
		{ "10.0.0.1:1=U", "10.0.0.1:1=H", 1, "~s10.0.0.1:1 " },
		{ "10.0.0.1:1=U", "10.0.0.1:2=U", 2, "-s10.0.0.1:1 +s10.0.0.1:2 " },
		{ "10.0.0.1:1=U 10.0.0.2:1=U 10.0.0.3:1=U",
		    "10.0.0.2:1=D 10.0.0.3:1=U 10.0.0.4:1=U", 3,
		    "-s10.0.0.1:1 ~s10.0.0.2:1 +s10.0.0.4:1 " },
		{ "10.0.0.9:1=U", "[::1]:1=U", 2, "-s10.0.0.9:1 +s[::1]:1 " },
	};
	struct topo *a, *b;
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		a = snapshot("s", rows[i].before);
		b = snapshot("s", rows[i].after);
		assert_diff(a, b, rows[i].count, rows[i].want);
		topo_unref(a);
		topo_unref(b);
	}
}

static void
test_diff_of_services(void **state)
{
	struct topo *a = snapshot("a", "10.0.0.1:1=U"), *b = snapshot("b", "10.0.0.1:1=U");

	assert_diff(a, b, 2, "+b10.0.0.1:1 -a10.0.0.1:1 ");
	assert_diff(NULL, a, 1, "+a10.0.0.1:1 ");
	assert_diff(a, NULL, 1, "-a10.0.0.1:1 ");
	assert_diff(NULL, NULL, 0, "");
	topo_unref(a);
	topo_unref(b);
}

/* What makes a new generation, and what does not. */
static void
test_differs(void **state)
{
	struct topo_instance a = { .addr = addr("10.0.0.1:1"), .weight = 1, .priority = 1 }, b = a;

	assert_false(topo_instance_differs(&a, &b));
	b.weight = 2;
	assert_true(topo_instance_differs(&a, &b));
	b = a;
	b.priority = 2;
	assert_true(topo_instance_differs(&a, &b));
	b = a;
	b.state = TOPO_HELD;
	assert_true(topo_instance_differs(&a, &b));
	a.state = TOPO_HELD;
	b.guard = GUARD_EMPTY;
	assert_true(topo_instance_differs(&a, &b));
	b = a;
	b.tags = xstrdup("x");
	assert_true(topo_instance_differs(&a, &b));
	free(b.tags);
	b.tags = xstrdup("");
	assert_false(topo_instance_differs(&a, &b)); /* no tags is no tags */
	free(b.tags);
	b = a;
	b.origin = xstrdup("sbc/1 sip:a 0 0");
	assert_true(topo_instance_differs(&a, &b));
	free(b.origin);
	b = a;
	b.drain_until_ms = 1;
	assert_true(topo_instance_differs(&a, &b));
	b = a;
	b.source = SOURCE_STORE;
	b.since_ms = 99;
	b.generation = 99;
	b.penalty = 99;
	b.goings = 99;
	b.gone_ms = 99;
	assert_false(topo_instance_differs(&a, &b));
}

static void
test_instances(void **state)
{
	struct topo_instance a = { .addr = addr("10.0.0.1:1") }, b = a, copy;

	/* Only host names, which share the address "none", are told apart by their line. */
	a.origin = xstrdup("sbc/1 sip:a 0 0");
	b.origin = xstrdup("sbc/1 sip:b 0 0");
	assert_int_equal(topo_instance_cmp(&a, &b), 0);
	memset(&a.addr, 0, sizeof a.addr);
	assert_true(topo_instance_cmp(&a, &b) < 0); /* before every address */
	memset(&b.addr, 0, sizeof b.addr);
	assert_true(topo_instance_cmp(&a, &b) < 0);
	assert_true(topo_instance_cmp(&b, &a) > 0);
	a.tags = xstrdup("blue,primary");
	topo_instance_copy(&copy, &a);
	assert_ptr_not_equal(copy.tags, a.tags);
	assert_string_equal(copy.tags, a.tags);
	assert_string_equal(copy.origin, a.origin);
	topo_instance_clear(&a);
	assert_null(a.tags);
	assert_true(topo_has_tag(&copy, "blue"));
	assert_true(topo_has_tag(&copy, "primary"));
	assert_false(topo_has_tag(&copy, "blu"));
	assert_false(topo_has_tag(&copy, "primary2"));
	assert_false(topo_has_tag(&copy, "lue"));
	assert_false(topo_has_tag(&copy, "blue,primary"));
	assert_false(topo_has_tag(&copy, ""));
	assert_false(topo_has_tag(&a, "blue"));
	topo_instance_clear(&copy);
	topo_instance_clear(&b);
	topo_instance_clear(&b); /* twice is fine */
}

static void
test_references_and_finding(void **state)
{
	struct topo *t = snapshot("router", "10.0.0.1:1=U 10.0.0.2:1=D"), *again;
	struct topo_addr a = addr("10.0.0.2:1"), other = addr("10.0.0.2:2");
	const struct topo_service *s;

	again = topo_ref(t);
	topo_unref(t);
	s = topo_find(again, "router");
	assert_non_null(s);
	assert_null(topo_find(again, "route"));
	assert_null(topo_find(NULL, "router"));
	assert_int_equal(topo_find_instance(s, &a)->state, TOPO_DISABLED);
	assert_null(topo_find_instance(s, &other));
	assert_null(topo_find_instance(NULL, &a));
	topo_unref(again);
	topo_unref(NULL);
}

static void
test_words(void **state)
{
	static const struct {
		enum topo_state state;
		const char *name;
		bool active;
	} rows[] = {
		{ TOPO_UP, "up", true },
		{ TOPO_DISABLED, "disabled", false },
		{ TOPO_HELD, "held", true },
		{ TOPO_SUPPRESSED, "suppressed", false },
		{ TOPO_DRAINING, "draining", false },
	};
	size_t i;

	for (i = 0; i < NELEM(rows); i++) {
		assert_string_equal(topo_state_name(rows[i].state), rows[i].name);
		assert_int_equal(topo_is_active(rows[i].state), rows[i].active);
	}
	assert_string_equal(topo_guard_name(GUARD_NONE), "");
	assert_string_equal(topo_guard_name(GUARD_SHRINK), "shrink");
	assert_string_equal(topo_guard_name(GUARD_EMPTY), "empty");
	assert_string_equal(topo_guard_name(GUARD_FROZEN), "hold");
	assert_string_equal(topo_guard_name(GUARD_FLAP), "flap");
	assert_string_equal(topo_guard_name(GUARD_OPERATOR), "operator");
	assert_string_equal(topo_guard_name(GUARD_TAG), "tag");
	assert_string_equal(topo_source_name(SOURCE_DNS), "dns");
	assert_string_equal(topo_source_name(SOURCE_STORE), "store");
	assert_string_equal(topo_source_name(SOURCE_ADOPTED), "adopted");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addr_text),
		cmocka_unit_test(test_addr_ip_text),
		cmocka_unit_test(test_addr_order),
		cmocka_unit_test(test_addr_implausible),
		cmocka_unit_test(test_prefix),
		cmocka_unit_test(test_diff),
		cmocka_unit_test(test_diff_of_services),
		cmocka_unit_test(test_differs),
		cmocka_unit_test(test_instances),
		cmocka_unit_test(test_references_and_finding),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests_name("topo", tests, NULL, NULL);
}
